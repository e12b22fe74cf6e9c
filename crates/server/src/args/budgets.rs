//! Decides what may be said of budgets on the command line; never what becomes of it.

use clap::{Args, Subcommand};

use super::Shape;

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetsCommand {
    /// All budgets: what may be spent, what is and what is left
    List(Shape),
    /// Set what may be spent: of a new budget, or of the one that there is
    Set(SetBudgetArguments),
    /// Remove a budget; what was spent stays recorded
    Remove {
        /// The budget's name or id, as `budgets list` shows it
        budget: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetBudgetArguments {
    /// US dollars, as in 50 or 12.50
    pub(crate) amount: String,
    /// The key whose spending counts [default: everybody's]
    #[arg(long, conflicts_with = "team")]
    pub(crate) key: Option<String>,
    /// The team whose spending counts [default: everybody's]
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// How often it begins anew: hour, day, week, month, total
    #[arg(long, value_name = "PERIOD", default_value = "total")]
    pub(crate) per: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}
