//! Decides what a gateway key is and which models it names; never looks at what it was presented for.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::reach::{AddressSet, EndpointSet};
use crate::backend::Source;
use crate::live::KeySlot;
use crate::money::{BudgetSlot, Price};
use crate::timestamp::Timestamp;

/// At most this many tags are kept of a request's own, and as many of its key's.
pub const TAGS_MAX: usize = 16;
/// The longest name or value of a tag.
pub const TAG_BYTES_MAX: usize = 64;

/// A gateway key as the data plane needs it; of its secret only digests are kept, elsewhere.
#[derive(Debug, Clone)]
pub struct Key {
    /// Where `Live` counts for it.
    pub slot: KeySlot,
    /// Never changes; what receipts name.
    pub id: Arc<str>,
    /// What people call it.
    pub name: Arc<str>,
    /// The team it belongs to.
    pub team: Option<Arc<str>>,
    /// Which models it and its team may use.
    pub models: ModelSet,
    /// What it and its team may ask for.
    pub endpoints: EndpointSet,
    /// Addresses that it and its team may be used from.
    pub ip_allow: AddressSet,
    /// Its own ceilings; those of its team are counted for all its keys together.
    pub limits: KeyLimits,
    /// The best class it may ask for.
    pub priority_max: Class,
    /// Its share of what frees up while several keys wait in one class, at least 1.
    pub weight: u32,
    /// Whether what a dialect cannot carry is refused.
    pub strict: bool,
    /// The model of an ask that names none.
    pub default_model: Option<Arc<str>>,
    /// The longest body it may send, when tighter than the gateway's.
    pub body_bytes_max: Option<u64>,
    /// Tags that each of its receipts bears, whatever tags the request brings.
    pub metadata: Box<[(String, String)]>,
    /// The budgets that its requests count towards.
    pub budgets: Box<[BudgetSlot]>,
    /// What it pays for a model whose price nobody knows; without it such a model is refused where a budget counts.
    pub ceiling: Option<Arc<Price>>,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Where it was defined.
    pub source: Source,
}

/// Keys that share ceilings. What else a team demands is part of each of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Unique.
    pub name: Arc<str>,
    /// The ceilings of all its keys together.
    pub limits: KeyLimits,
}

/// Ceilings of a key or a team; `None` is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
}

/// How much a request is worth waiting for; `x-priority`, capped by its key. Urgent comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Before all others.
    Urgent,
    /// Before normal.
    High,
    /// What an ask is that says nothing.
    #[default]
    Normal,
    /// What can wait, and is not worth waiting long for.
    Low,
}

impl Class {
    /// All, best first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The next better one; none above the best.
    #[must_use]
    pub fn lifted(self) -> Option<Self> {
        match self {
            Self::Urgent => None,
            Self::High => Some(Self::Urgent),
            Self::Normal => Some(Self::High),
            Self::Low => Some(Self::Normal),
        }
    }

    /// This class, but no better than `best`.
    #[must_use]
    pub fn capped(self, best: Self) -> Self {
        self.max(best)
    }
}

/// A word that names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of urgent, high, normal, low")]
pub struct UnknownClass;

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name().eq_ignore_ascii_case(text.trim())).ok_or(UnknownClass)
    }
}

/// A set of model names: exact ones and patterns with `*`. Several lists must all agree (key and team).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSet {
    lists: Vec<Vec<Box<str>>>,
}

impl ModelSet {
    /// Every model.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// What any of these names or patterns matches; no pattern at all means every model.
    pub fn of<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        let list: Vec<Box<str>> = patterns.into_iter().map(|pattern| pattern.as_ref().into()).collect();
        if list.is_empty() || list.iter().any(|pattern| &**pattern == "*") {
            return Self::all();
        }
        Self { lists: vec![list] }
    }

    /// What both sets hold.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.lists.extend(other.lists);
        self
    }

    /// Whether every model is in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.lists.is_empty()
    }

    /// Whether a model is in it.
    #[must_use]
    pub fn holds(&self, model: &str) -> bool {
        self.lists.iter().all(|list| list.iter().any(|pattern| matches(pattern, model)))
    }
}

/// Whether `text` fits `pattern`, where `*` stands for any run of characters. Linear for one star,
/// and at worst pattern times text: it backtracks to the last star only.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*4o*", "gpt-4o-mini", true),
            ("a*b*c", "a-x-b-b-c", true),
            ("a*b*c", "a-x-c", false),
            ("", "", true),
            ("*", "", true),
            ("**a", "ba", true),
            ("nvidia/*", "nvidia/deepseek-ai/v4", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_team_narrows_its_keys() {
        let key = ModelSet::of(["gpt-*", "qwen"]).and(ModelSet::of(["gpt-4*"]));
        assert!(key.holds("gpt-4o"));
        assert!(!key.holds("gpt-3.5"));
        assert!(!key.holds("qwen"));
        assert!(ModelSet::of::<&str>([]).is_all());
        assert!(ModelSet::of(["a", "*"]).is_all());
    }

    #[test]
    fn a_class_is_read_and_capped() {
        assert_eq!(" HIGH ".parse(), Ok(Class::High));
        assert_eq!("fast".parse::<Class>(), Err(UnknownClass));
        assert_eq!(Class::Urgent.capped(Class::High), Class::High);
        assert_eq!(Class::Low.capped(Class::High), Class::Low);
    }
}
