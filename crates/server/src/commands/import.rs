//! Says another gateway's configuration in our words and tells what came of each setting; never writes over a file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use control::import::{self, Imported};

use super::outcome::{FAILED, advised};
use crate::args::{ImportArguments, ImportCommand};
use crate::output;

pub(super) fn run(command: ImportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ImportCommand::Litellm(arguments) => litellm(&arguments),
    }
}

fn litellm(arguments: &ImportArguments) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file).with_context(|| format!("{name} cannot be read"))?;
    let imported = match import::litellm(&name, &text) {
        Ok(imported) => imported,
        Err(report) => {
            output::remark(&format!("{name} cannot be understood:\n{report}"));
            return Ok(ExitCode::from(FAILED));
        }
    };
    if arguments.shape.json {
        output::print_json(&imported)?;
    } else {
        tell(&imported);
    }
    match &arguments.output {
        Some(path) => write(path, &imported)?,
        None if !arguments.shape.json => output::print(&imported.yaml)?,
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of each setting goes beside the file, so that `> lockgate.yaml` takes the file and nothing else.
fn tell(imported: &Imported) {
    let row = |item: &import::Item| {
        vec![item.fate.name().to_owned(), item.at.clone(), item.setting.clone(), item.note.clone()]
    };
    let rows = imported.items.iter().map(row);
    output::remark(&output::columns(&["", "AT", "SETTING", "WHAT CAME OF IT"], rows));
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for item in &imported.items {
        *counts.entry(item.fate).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(fate, count)| format!("{count} {}", fate.name())).collect();
    output::remark(&format!("{} settings: {}.", imported.items.len(), counts.join(", ")));
}

fn write(path: &Path, imported: &Imported) -> anyhow::Result<()> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match created {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(advised(
                format!("{} exists already and was left as it is", path.display()),
                "name another file with `--output`",
            ));
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", path.display())),
    };
    file.write_all(imported.yaml.as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    output::remark(&format!(
        "{} was written. Set the variables that it names, then run `lockgate --config {} check`.",
        path.display(),
        path.display()
    ));
    Ok(())
}
