//! Decides who is asked why a request goes where it goes: of one that came the gateway or the store, of one to come the
//! gateway alone, for only it knows how its backends stand.

mod coming;
mod past;

use std::process::ExitCode;

use super::outcome::advised;
use super::place::Place;
use super::running::{Held, Running};
use crate::args::ExplainArguments;

pub(super) async fn run(place: &Place, arguments: ExplainArguments) -> anyhow::Result<ExitCode> {
    match (&arguments.model, &arguments.request) {
        (Some(model), _) => coming::run(place, model, &arguments).await?,
        (None, Some(id)) => past::run(place, id, &arguments).await?,
        (None, None) => {
            return Err(advised("nothing is asked for", "name a request by its id, or a model by --model"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn running(place: &Place, arguments: &ExplainArguments) -> anyhow::Result<Running> {
    Running::find(place, arguments.url.as_deref(), Held::Token(&arguments.token_env))
}
