//! Budgets and alerts as they are meant, every default decided; it never knows what was spent.

use std::sync::Arc;

use policy::{BudgetOf, BudgetSpec, Period, PriceSpec, Secret};

use super::backend;
use super::bind::{Bind, Binder, List, References, Surroundings};
use super::file::{self, File};
use super::problem::Report;
use super::read::{self, Format, Place};
use crate::prices::PriceEntry;

/// Who is told when a share of a budget is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Where alerts are posted.
    pub webhook: Secret,
    /// What they are signed with.
    pub secret: Option<Secret>,
}

pub(super) fn alerts(typed: Option<&file::Alerts>) -> Option<Alerts> {
    let typed = typed?;
    let webhook = typed.webhook.as_ref()?.0.clone();
    Some(Alerts { webhook, secret: typed.secret.as_ref().map(|secret| secret.0.clone()) })
}

pub(super) fn budgets(file: &File) -> Vec<BudgetSpec> {
    file.budgets.iter().flat_map(List::iter).map(|(_, typed)| budget(typed)).collect()
}

pub(crate) fn budget(typed: &file::Budget) -> BudgetSpec {
    let of = match (&typed.key, &typed.team) {
        (Some(key), _) => BudgetOf::Key(key.0.clone()),
        (None, Some(team)) => BudgetOf::Team(team.0.clone()),
        (None, None) => BudgetOf::Gateway,
    };
    BudgetSpec { of, amount: typed.amount.0, per: period(typed.per) }
}

fn period(typed: Option<file::Period>) -> Period {
    match typed {
        Some(file::Period::Hour) => Period::Hour,
        Some(file::Period::Day) => Period::Day,
        Some(file::Period::Week) => Period::Week,
        Some(file::Period::Month) => Period::Month,
        Some(file::Period::Total) | None => Period::Total,
    }
}

/// The prices of the file that is named; what does not hold goes to the report, with its own lines.
pub(super) fn prices(file: &File, surroundings: Surroundings<'_>, report: &mut Report) -> Vec<PriceEntry> {
    let Some(path) = &file.prices_file else { return Vec::new() };
    let place = Place::File(Arc::from(path.0.as_str()));
    let text = match (surroundings.read_file)(std::path::Path::new(&path.0)) {
        Ok(text) => text,
        Err(error) => {
            report.add(place.problem(0, 0, format!("the prices file cannot be read: {error}")));
            return Vec::new();
        }
    };
    let Some(tree) = read::read(&text, Format::of(&path.0), &place, report) else { return Vec::new() };
    let mut binder = Binder::new(References::Refused);
    let typed = file::Prices::bind(&tree, &mut binder);
    report.absorb(binder.report);
    typed.iter().flat_map(|typed| entries(typed, "file")).collect()
}

/// Prices as they are meant; `source` begins their names on receipts.
pub(crate) fn entries(typed: &file::Prices, source: &str) -> Vec<PriceEntry> {
    typed.prices.iter().map(|(_, typed)| entry(typed, source)).collect()
}

pub(crate) fn entry(typed: &file::ModelPrice, source: &str) -> PriceEntry {
    let spec = backend::price(&typed.price);
    let spec = PriceSpec { version: spec.version.replacen("config", source, 1), ..spec };
    PriceEntry { model: typed.model.0.clone(), since: typed.since.map(|since| since.0), spec }
}
