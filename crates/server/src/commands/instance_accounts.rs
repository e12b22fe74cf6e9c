//! Lists and removes the accounts of local processes that are stored in the data folder; never shows what one signs in with, and
//! gives none: that would sign somebody in, which only a running gateway does.

use std::process::ExitCode;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::desk::{Desk, segment};
use super::place::Place;
use crate::args::{InstanceAccountsCommand, Shape};
use crate::output;

pub(super) async fn run(place: &Place, command: InstanceAccountsCommand) -> anyhow::Result<ExitCode> {
    match command {
        InstanceAccountsCommand::List(shape) => list(place, shape).await?,
        InstanceAccountsCommand::Remove { place: at } => remove(place, &at).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a stored account.
#[derive(Debug, Deserialize)]
struct AccountRow {
    place: String,
    instance: Option<String>,
    signs_in_with: Option<String>,
    problem: Option<String>,
}

async fn list(place: &Place, shape: Shape) -> anyhow::Result<()> {
    let mut listing = Desk::look(place)?.ask(Method::GET, "/instance-accounts", &Value::Null).await?;
    let accounts = listing["accounts"].take();
    if shape.json {
        return output::print_json(&accounts);
    }
    let rows: Vec<AccountRow> = serde_json::from_value(accounts)?;
    if rows.is_empty() {
        output::remark(
            "No account of a local process is stored. The dashboard gives an instance one, or the file under `accounts:`.",
        );
        return Ok(());
    }
    let header = ["PLACE", "SIGNS IN WITH", "SERVES"];
    output::print(&output::columns(&header, rows.into_iter().map(AccountRow::cells)))
}

async fn remove(place: &Place, at: &str) -> anyhow::Result<()> {
    let desk = Desk::open(place)?;
    desk.ask(Method::DELETE, &format!("/instance-accounts/{}", segment(at)), &Value::Null).await?;
    output::print_line(&format!("The account of `{at}` was removed."))?;
    if desk.is_served {
        output::remark("An instance that is signed in with it stays so until the gateway is started again.");
    }
    Ok(())
}

impl AccountRow {
    fn cells(self) -> Vec<String> {
        let serves = match (self.instance, self.problem) {
            (Some(instance), _) => instance,
            (None, Some(problem)) => format!("nobody: {problem}"),
            (None, None) => "nobody".to_owned(),
        };
        vec![self.place, self.signs_in_with.unwrap_or_else(|| "-".to_owned()), serves]
    }
}
