//! Exports records to a file or to standard output as they are read, and shows how far it is; never holds more than a page.

mod progress;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::desk::{Desk, segment};
use super::outcome::advised;
use super::place::Place;
use crate::args::{ExportArguments, ExportFormat, Exported};
use crate::output;
use progress::Progress;

/// Where the last row is at most, as the admin API tells it.
const LAST: &str = "x-lockgate-last";

pub(super) async fn run(place: &Place, arguments: ExportArguments) -> anyhow::Result<ExitCode> {
    let desk = Desk::look(place)?;
    let answer = desk.stream(&path(&arguments)).await?;
    let last = answer.headers().get(LAST).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut progress = Progress::new(arguments.what, arguments.format, last);
    let mut body = answer.into_body();
    let mut out = sink(arguments.output.as_deref())?;
    // Shown on a terminal only, and on standard error: the data stays alone.
    let bar = ProgressBar::new(100);
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent}%, {msg} rows, {elapsed}")?);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error, &progress))?;
        let Ok(bytes) = frame.into_data() else { continue };
        match out.write_all(&bytes) {
            // Who reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.context("the export cannot be written")?,
        }
        progress.take(&bytes);
        bar.set_message(output::count(progress.rows()));
        bar.set_position(progress.percent());
    }
    out.flush().context("the export cannot be written")?;
    bar.finish_and_clear();
    output::remark(&format!("{} rows were exported.", output::count(progress.rows())));
    Ok(ExitCode::SUCCESS)
}

fn broken(error: &axum::Error, progress: &Progress) -> anyhow::Error {
    let what = format!("the export broke off after {} rows: {error}", progress.rows());
    match progress.cursor() {
        Some(cursor) => advised(what, format!("go on behind the last row with --cursor {cursor}")),
        None => advised(what, "try again"),
    }
}

fn path(arguments: &ExportArguments) -> String {
    let what = match arguments.what {
        Exported::Requests => "requests",
        Exported::Usage => "usage",
        Exported::Audit => "audit",
    };
    let format = match arguments.format {
        ExportFormat::Csv => "csv",
        ExportFormat::Ndjson => "ndjson",
    };
    let mut path = format!("/export/{what}?format={format}");
    let own = [("from", &arguments.from), ("to", &arguments.to), ("cursor", &arguments.cursor)];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    for (name, value) in own.chain(arguments.filters.iter().cloned()) {
        path = format!("{path}&{}={}", segment(&name), segment(&value));
    }
    path
}

fn sink(file: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    let Some(path) = file else { return Ok(Box::new(std::io::stdout().lock())) };
    // An export may hold what nobody else is to read, and is never written over another.
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(Box::new(std::io::BufWriter::new(open.with_context(|| format!("{} cannot be made", path.display()))?)))
}
