//! `fake-lingma`: plays the local process that pools of instances are made of, byte-strictly and by script; never
//! a claim about what the real program does where that is not known.
//!
//! Limits of its fidelity. It was written from public descriptions of the protocol, not from a run of the real program.
//! These are choices of ours where nothing is known for certain: a busy port is fatal; calls before `initialize` are
//! refused with -32002 (a scenario may allow them); bare JSON is ignored (or, by scenario, ends the connection); pushes
//! are strictly serial, each waits for its acknowledgement or a timeout of 500 ms; `chat/finish` always comes, also
//! after `chat/stop`, with the reason `cancelled`; `chat/ask` while logged out is refused at once (or finishes with
//! 401); unknown methods are -32601; `config/updateEndpoint` persists and does not log out; `auth/login` with a token
//! or a key answers synchronously; asks run beside each other without a limit; SIGTERM is a clean exit. It never
//! updates itself, keeps no history, and says nothing about images.

mod arguments;
mod auth;
mod chat;
mod client;
mod echo;
mod files;
mod frames;
mod pages;
mod scenario;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use arguments::{Command, Start};
use world::World;

fn main() -> ExitCode {
    let done = match arguments::read(std::env::args().skip(1)) {
        Ok(Command::Version) => {
            println!("2.11.1");
            Ok(())
        }
        Ok(Command::Status { work_dir }) => {
            println!("{}", files::status(&work_dir));
            Ok(())
        }
        Ok(Command::Start(start)) => serve(start),
        Ok(Command::Echo { port }) => echo::serve(port),
        Err(problem) => Err(anyhow::anyhow!(problem)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-lingma: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(start: Start) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(start))
}

async fn run(start: Start) -> anyhow::Result<()> {
    files::prepare(&start.work_dir).context("the work folder")?;
    let world = Arc::new(World::new(start)?);
    if let Some(code) = world.scenario().exit_at_start {
        eprintln!("fake-lingma: told to end at once");
        std::process::exit(code);
    }
    chatter();
    let mut stop = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let delay = world.scenario().ready_delay_ms;
    tokio::select! {
        () = world.pause(delay) => {}
        _ = stop.recv() => return Ok(()),
    }
    let http = listen(world.start.http_port).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(pages::serve(http, Arc::clone(&world)));
    let is_ready = !world.scenario().never_ready;
    if is_ready {
        let socket = listen(world.start.socket_port).await?;
        files::announce(&world.start)?;
        tasks.spawn(client::serve(socket, Arc::clone(&world)));
    }
    loop {
        tokio::select! {
            _ = stop.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !world.scenario().ignores_sigterm {
            break;
        }
    }
    files::retract(&world.start);
    Ok(())
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("port {port} cannot be had"))
}

/// More than a pipe holds, so that one who does not read it finds out; with what must never be shown to anybody.
fn chatter() {
    for line in 0..1200 {
        println!("starting component {line} of the language server, which says a good deal about it");
        eprintln!("warning {line}: nothing to worry about");
    }
    println!("session token=CANARY-TOKEN-0123456789abcdef0123456789abcdef");
}
