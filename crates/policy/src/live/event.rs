//! Decides what an event tells, by kind and fields, and how that reads in English; never what is worth telling.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::{Amount, Crossed};
use crate::timestamp::millis;

/// Something an operator may want to know.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Grows with each event; tells a viewer which ones are new.
    pub number: u64,
    /// Its number when it happened first: what repeats itself is told once, with a new number.
    pub first: u64,
    /// How long ago.
    pub age_ms: u64,
    /// What.
    pub kind: EventKind,
    /// To which backend.
    pub backend: Option<Arc<str>>,
    /// Its particulars.
    pub fields: EventFields,
    /// Kind and fields in English words.
    pub text: Box<str>,
    /// How often in a row.
    pub times: u64,
}

/// What an [`Event`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A backend said 429 and rests.
    CooldownStarted,
    /// Its rest is over; a probe goes first.
    CooldownEnded,
    /// A backend said 429 too often and is asked less.
    RetreatStarted,
    /// It was calm for long enough; its rate comes back.
    RetreatEnding,
    /// Its rate is back.
    RetreatEnded,
    /// So many of its answers are 429s that somebody should look.
    Alert,
    /// A backend kept failing and is left alone.
    BreakerOpened,
    /// It answered again.
    BreakerClosed,
    /// A backend refused its credential.
    ErrorSet,
    /// That is over.
    ErrorCleared,
    /// An operator cleared everything.
    Reset,
    /// The parts of what a backend says an answer used do not make up its own whole.
    UsageContradicted,
    /// A share of a budget is spent.
    BudgetCrossed,
    /// A request was refused by us.
    Refused,
    /// The queue was full, and a request was started beyond a backend's rate.
    Passthrough,
    /// All backends were spent, and a request was started beyond a backend's rate.
    Emergency,
    /// A failed attempt was not repeated, for its pool's retry budget was spent.
    RetryDenied,
    /// The database is damaged.
    DatabaseDamaged,
}

/// The particulars of an event, exact and in no language; which there are goes by its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFields {
    /// How long it lasts at least: a cooldown, an open breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// The share that was reached, in percent: of 429s, of a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Which budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Arc<str>>,
    /// What is spent of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<Amount>,
    /// Of how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Of which pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Arc<str>>,
    /// Why, in a word of ours: why we refused, what opened a breaker, what ended an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// What a provider or the database said, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Box<str>>,
}

impl EventFields {
    /// Something lasts, because of what was said.
    pub(super) fn lasting(time: Duration, said: &str) -> Self {
        Self { lasts_ms: Some(millis(time)), ..Self::said(said) }
    }

    /// For a reason of ours.
    pub(super) fn because(reason: &'static str) -> Self {
        Self { reason: Some(Cow::Borrowed(reason)), ..Self::default() }
    }

    /// In the words of somebody else.
    pub(super) fn said(said: &str) -> Self {
        Self { said: Some(said.into()), ..Self::default() }
    }

    /// A share of something.
    pub(super) fn share(percent: u8) -> Self {
        Self { percent: Some(percent), ..Self::default() }
    }

    /// A share of a budget, to the last digit.
    pub(super) fn crossed(crossed: &Crossed) -> Self {
        let Crossed { budget, percent, spent, amount } = crossed;
        Self {
            budget: Some(Arc::clone(budget)),
            spent: Some(*spent),
            amount: Some(*amount),
            ..Self::share(*percent)
        }
    }

    /// How it reads in a log. Money is rounded as people say it; the fields have all of it.
    pub(super) fn words(&self, kind: EventKind) -> String {
        let (reason, said) = (self.reason.as_deref().unwrap_or_default(), self.said.as_deref());
        let percent = self.percent.unwrap_or_default();
        match kind {
            EventKind::CooldownStarted | EventKind::BreakerOpened => {
                let tenths = self.lasts_ms.unwrap_or_default().saturating_add(50) / 100;
                let why = said.map_or_else(|| reason.replace('_', " "), str::to_owned);
                let whom = if reason == "one_model" { ", for one model" } else { "" };
                format!("for {}.{} s{whom}: {why}", tenths / 10, tenths % 10)
            }
            EventKind::CooldownEnded => "one probe goes first".to_owned(),
            EventKind::RetreatStarted => "too many 429s".to_owned(),
            EventKind::RetreatEnding => "its rate recovers".to_owned(),
            EventKind::RetreatEnded => "at its own rate again".to_owned(),
            EventKind::Alert => format!("{percent} % of its answers are 429s"),
            EventKind::BreakerClosed => "its probe was answered".to_owned(),
            EventKind::ErrorCleared => match reason {
                "probe" => "by a probe",
                "operator" => "by an operator",
                "restart" => "its process is there again",
                "change" => "its credential or address is another one",
                other => other,
            }
            .to_owned(),
            EventKind::Reset => "by an operator".to_owned(),
            EventKind::UsageContradicted => "what it says was used does not add up".to_owned(),
            EventKind::BudgetCrossed => {
                let budget = self.budget.as_deref().unwrap_or_default();
                let (spent, amount) = (self.spent.unwrap_or_default(), self.amount.unwrap_or_default());
                format!("{budget}: {percent} % is spent ({} of {})", spent.rounded(), amount.rounded())
            }
            EventKind::Refused => reason.to_owned(),
            EventKind::Passthrough => "the queue is full: beyond its rate".to_owned(),
            EventKind::Emergency => "all backends are spent: beyond its rate".to_owned(),
            EventKind::RetryDenied => {
                format!("too many requests of the pool {} failed", self.pool.as_deref().unwrap_or_default())
            }
            EventKind::ErrorSet | EventKind::DatabaseDamaged => said.unwrap_or_default().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_words_and_its_fields() {
        let check = |kind, fields: EventFields, words: &str, json: &str| {
            assert_eq!(fields.words(kind), words);
            assert_eq!(serde_json::to_string(&fields).expect("plain data"), json, "{kind:?}");
            assert_eq!(serde_json::from_str::<EventFields>(json).expect("what was written"), fields);
        };
        let rest = EventFields::lasting(Duration::from_millis(59_950), "429: slow down");
        check(
            EventKind::CooldownStarted,
            rest,
            "for 60.0 s: 429: slow down",
            r#"{"lasts_ms":59950,"said":"429: slow down"}"#,
        );
        let missed = EventFields { lasts_ms: Some(5_049), ..EventFields::because("probe_missed") };
        check(
            EventKind::BreakerOpened,
            missed,
            "for 5.0 s: probe missed",
            r#"{"lasts_ms":5049,"reason":"probe_missed"}"#,
        );
        let alone = EventFields { said: Some("500".into()), ..EventFields::because("one_model") };
        check(
            EventKind::BreakerOpened,
            EventFields { lasts_ms: Some(15_000), ..alone },
            "for 15.0 s, for one model: 500",
            r#"{"lasts_ms":15000,"reason":"one_model","said":"500"}"#,
        );
        check(EventKind::Alert, EventFields::share(23), "23 % of its answers are 429s", r#"{"percent":23}"#);
        check(
            EventKind::Refused,
            EventFields::because("no_backend"),
            "no_backend",
            r#"{"reason":"no_backend"}"#,
        );
        check(EventKind::ErrorCleared, EventFields::because("probe"), "by a probe", r#"{"reason":"probe"}"#);
        check(EventKind::ErrorSet, EventFields::said("401"), "401", r#"{"said":"401"}"#);
        let denied = EventFields { pool: Some("spare".into()), ..EventFields::default() };
        let words = "too many requests of the pool spare failed";
        check(EventKind::RetryDenied, denied, words, r#"{"pool":"spare"}"#);
        check(EventKind::Reset, EventFields::default(), "by an operator", "{}");
        let crossed = Crossed {
            budget: "key:app/day".into(),
            percent: 50,
            spent: "5.016000000001".parse().expect("an amount"),
            amount: "10".parse().expect("an amount"),
        };
        check(
            EventKind::BudgetCrossed,
            EventFields::crossed(&crossed),
            "key:app/day: 50 % is spent ($5.02 of $10.00)",
            r#"{"percent":50,"budget":"key:app/day","spent":"5.016000000001","amount":"10"}"#,
        );
    }
}
