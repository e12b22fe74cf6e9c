//! Says everything that is wrong with a configuration, as a gateway started with it would see it; never starts one.

use std::process::ExitCode;

use control::config::{Loaded, Problem};
use serde::Serialize;

use super::desk::Desk;
use super::outcome::FAILED;
use super::place::Place;
use crate::args::Shape;
use crate::output;
use crate::settings::LoadError;

/// What was found.
#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    file: Option<String>,
    problems: Vec<Found>,
    notices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Found {
    at: String,
    setting: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    #[serde(skip)]
    line: String,
}

impl From<&Problem> for Found {
    fn from(problem: &Problem) -> Self {
        Self {
            at: problem.origin.to_string(),
            setting: problem.path.to_string(),
            message: problem.message.clone(),
            suggestion: problem.suggestion.clone(),
            line: problem.to_string(),
        }
    }
}

pub(super) async fn run(place: &Place, shape: Shape) -> anyhow::Result<ExitCode> {
    let file = place.config().map(|path| path.display().to_string());
    let (problems, notices, summary) = match place.load() {
        Ok(loaded) => {
            let notices = loaded.notices.iter().map(ToString::to_string).collect();
            let summary = summary(&loaded);
            (misfits(place, loaded, file.as_deref()).await?, notices, summary)
        }
        Err(LoadError::Report(report)) => {
            (report.problems().iter().map(Found::from).collect(), Vec::new(), String::new())
        }
        Err(error @ LoadError::File { .. }) => return Err(error.into()),
    };
    let checked = Checked { ok: problems.is_empty(), file, problems, notices };
    if shape.json {
        output::print_json(&checked)?;
    } else {
        tell(&checked, &summary)?;
    }
    Ok(if checked.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn tell(checked: &Checked, summary: &str) -> anyhow::Result<()> {
    for notice in &checked.notices {
        output::remark(&format!("note: {notice}"));
    }
    for problem in &checked.problems {
        output::print_line(&problem.line)?;
    }
    let file = checked.file.as_deref().unwrap_or("no file, environment only");
    if checked.ok {
        return output::print_line(&format!("{file}: nothing is wrong ({summary})"));
    }
    output::remark(&format!("error: {file}: {}", output::counted(checked.problems.len(), "problem")));
    Ok(())
}

fn summary(loaded: &Loaded) -> String {
    let settings = &loaded.settings;
    format!(
        "{}, {}, listening on {}",
        output::counted(settings.backends.len(), "backend"),
        output::counted(settings.keys.len(), "key"),
        settings.listen
    )
}

/// What holds part by part and does not fit together: a gateway would refuse it at its start.
async fn misfits(place: &Place, loaded: Loaded, file: Option<&str>) -> anyhow::Result<Vec<Found>> {
    let at = file.unwrap_or("environment");
    let problems = Desk::trial(place, loaded).await?;
    let found = problems.into_iter().map(|problem| Found {
        at: at.to_owned(),
        line: format!("{at}: {problem}"),
        setting: problem.path,
        message: problem.message,
        suggestion: problem.suggestion,
    });
    Ok(found.collect())
}
