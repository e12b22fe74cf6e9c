//! Says which build this is; never more than was known when it was built.

use std::process::ExitCode;

use serde::Serialize;

use crate::args::Shape;
use crate::output;

/// This build. What the build did not know is left out.
#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    commit: Option<&'static str>,
    target: String,
}

pub(super) fn run(shape: Shape) -> anyhow::Result<ExitCode> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("LOCKGATE_COMMIT"),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    };
    if shape.json {
        output::print_json(&version)?;
    } else {
        let commit = version.commit.map(|commit| format!(", commit {commit}")).unwrap_or_default();
        output::print_line(&format!("lockgate {} ({}{commit})", version.version, version.target))?;
    }
    Ok(ExitCode::SUCCESS)
}
