//! Decides who is asked why a request goes where it goes: of one that came the gateway or the store, of one to come the
//! gateway alone, for only it knows how its backends stand.

mod coming;
mod past;

use std::process::ExitCode;

use super::outcome::advised;
use super::place::Place;
use crate::args::{ExplainArguments, TargetArguments};

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

fn target(arguments: &ExplainArguments) -> TargetArguments {
    TargetArguments { url: arguments.url.clone(), key_env: arguments.token_env.clone() }
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}
