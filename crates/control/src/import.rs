//! Decides how another gateway's configuration is said in ours; what it holds is never left out without a word, and a
//! secret in it is never repeated.

mod litellm;
mod written;

use serde::Serialize;

pub use litellm::litellm;

/// What came of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It means the same here.
    Kept,
    /// It is said differently here, or something is left to do.
    Changed,
    /// Nothing here does this.
    Unsupported,
}

impl Fate {
    /// Its name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Unsupported => "not supported",
        }
    }
}

/// One setting, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Where it stands, as in `config.yaml:3:7`.
    pub at: String,
    /// Which, as in `model_list[0].litellm_params.rpm`.
    pub setting: String,
    /// What came of it.
    pub fate: Fate,
    /// What it became, or what to do.
    pub note: String,
}

/// A configuration of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The file; secrets are named by environment variables.
    pub yaml: String,
    /// Every setting of the old one, in its order.
    pub items: Vec<Item>,
}
