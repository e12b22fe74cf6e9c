//! The binary `lockgate`: decides which command runs and with which exit code it ends; does no command's work.

mod assemble;
mod demo;
mod front;
mod health;
mod logging;
mod probe;
mod serve;
mod settings;
mod site;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let value_of = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).map(PathBuf::from)
    };
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let is_demo = arguments.iter().any(|argument| argument == "--demo");
    let options = serve::ServeOptions {
        config: value_of("--config"),
        demo: if is_demo { assemble::Demo::With } else { assemble::Demo::Without },
        ready_file: value_of("--ready-file"),
        ..serve::ServeOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve::run(options, environment))
}
