//! Decides which code does a command's work and on which runtime; never does any of it.

mod advice;
mod audit;
mod backends;
mod backup;
mod budgets;
mod captures;
mod chat;
mod check;
mod config;
mod desk;
mod doctor;
mod explain;
mod export;
mod hidden;
mod import;
mod instance_accounts;
mod keys;
mod models;
mod moment;
pub(crate) mod outcome;
mod place;
mod prices;
mod running;
mod teams;
mod usage;
mod vault;
mod version;

use std::collections::BTreeMap;
use std::future::Future;
use std::process::ExitCode;

use clap::CommandFactory;
use control::config::Overrides;

use crate::args::{Arguments, Command, ServeArguments};
use crate::assemble::Demo;
use crate::output;
use crate::serve::{self, ServeOptions};
use place::Place;

/// Does what was asked, and gives the exit code.
pub(crate) fn run(arguments: Arguments, environment: BTreeMap<String, String>) -> anyhow::Result<ExitCode> {
    let place = Place::new(arguments.place, environment);
    match arguments.command {
        Command::Serve(options) => serve(options, place),
        Command::Check(shape) => on_one_thread(check::run(&place, shape)),
        Command::Config(command) => config::run(&place, command),
        Command::Keys(command) => on_one_thread(keys::run(&place, command)),
        Command::Prices(command) => on_one_thread(prices::run(&place, command)),
        Command::Import(command) => import::run(command),
        Command::Teams(command) => on_one_thread(teams::run(&place, command)),
        Command::Budgets(command) => on_one_thread(budgets::run(&place, command)),
        Command::Backends(command) => on_one_thread(backends::run(&place, command)),
        Command::InstanceAccounts(command) => on_one_thread(instance_accounts::run(&place, command)),
        Command::Models(arguments) => on_one_thread(models::run(&place, arguments)),
        Command::Chat(arguments) => on_one_thread(chat::run(&place, arguments)),
        Command::Doctor(arguments) => on_one_thread(doctor::run(&place, arguments)),
        Command::Explain(arguments) => on_one_thread(explain::run(&place, arguments)),
        Command::Audit(command) => on_one_thread(audit::run(&place, command)),
        Command::Captures(command) => on_one_thread(captures::run(&place, command)),
        Command::Export(arguments) => on_one_thread(export::run(&place, arguments)),
        Command::Vault(command) => on_one_thread(vault::run(&place, command)),
        Command::Backup(command) => on_one_thread(backup::run(&place, command)),
        Command::Usage(arguments) => on_one_thread(usage::run(&place, arguments)),
        Command::Completions { shell } => completions(shell),
        Command::Version(shape) => version::run(shape),
    }
}

fn serve(arguments: ServeArguments, place: Place) -> anyhow::Result<ExitCode> {
    let overrides = Overrides {
        listen: arguments.listen.map(|address| address.to_string()),
        metrics_listen: arguments.metrics_listen.map(|address| address.to_string()),
        log_level: arguments.log_level,
        log_format: arguments.log_format,
        set: arguments.settings,
        ..place.overrides()
    };
    let options = ServeOptions {
        config: place.config().map(ToOwned::to_owned),
        demo: if arguments.demo { Demo::With } else { Demo::Without },
        ready_file: arguments.ready_file,
        overrides,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve::run(options, place.into_environment()))
}

/// Runs a command that ends by itself. What it left behind, such as a read of the terminal, is not waited for.
fn on_one_thread(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lockgate", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
