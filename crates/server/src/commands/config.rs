//! Shows the configuration in force and its schema, and writes one to start from; never over an existing file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use control::config;

use super::outcome::advised;
use super::place::Place;
use crate::args::{ConfigCommand, Shape};
use crate::output;

pub(super) fn run(place: &Place, command: ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Show(shape) => show(place, shape)?,
        ConfigCommand::Schema => output::print_json(&config::schema())?,
        ConfigCommand::Init { path } => init(&path)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let loaded = place.load()?;
    for notice in &loaded.notices {
        output::remark(&format!("note: {notice}"));
    }
    let effective = loaded.effective();
    if shape.json {
        return output::print_json(&effective);
    }
    let rows = effective.into_iter().map(|row| vec![row.path, row.value, row.origin]);
    output::print(&output::columns(&["SETTING", "VALUE", "FROM"], rows))
}

fn init(path: &Path) -> anyhow::Result<()> {
    // It may come to hold keys: nobody else needs to read it.
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match created {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(advised(
                format!("{} exists already and was left as it is", path.display()),
                "name another file: `lockgate config init other.yaml`",
            ));
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", path.display())),
    };
    file.write_all(config::example().as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    output::print_line(&format!("{} was written.", path.display()))?;
    output::remark("Edit it, then run `lockgate check` and `lockgate serve`.");
    Ok(())
}
