//! Budgets and alerts as they are meant, every default decided; it never knows what was spent.

use policy::{BudgetOf, BudgetSpec, Period, Secret};

use super::bind::List;
use super::file::{self, File};

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
