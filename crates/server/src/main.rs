//! The binary `lockgate`: decides what it is given to work with and with which exit code it ends; does no command's work.

mod args;
mod assemble;
mod backups;
mod commands;
mod demo;
mod front;
mod health;
mod instances;
mod logging;
mod memory;
mod output;
mod postman;
mod probe;
mod serve;
mod settings;
mod site;

use std::{collections::BTreeMap, process::ExitCode};

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: this start is to become a local process, and never comes back.
    let words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == upstream::process::BECOME_CHILD) {
        output::remark(&format!("lockgate: {}", upstream::process::become_child(&words)));
        return ExitCode::from(127);
    }
    memory::without_huge_pages();
    let arguments = args::Arguments::parse();
    // Read here, once; a variable that is not text can be none of ours.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    commands::run(arguments, environment).unwrap_or_else(|error| commands::outcome::report(&error))
}
