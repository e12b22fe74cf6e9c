//! Decides which requests are captured: those of a key, those for a model, or all, until a moment; never what is kept of them.

use std::sync::Arc;
use std::time::Duration;

use super::callers::Keyed;
use crate::identity::Key;
use crate::timestamp::Timestamp;

/// Requests to capture, as somebody asked for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureSpec {
    /// The name of the caller's key; none: anybody's.
    pub key: Option<String>,
    /// The model that is asked for, by any of its names; none: all.
    pub model: Option<String>,
    /// From when on it holds no more.
    pub until: Timestamp,
}

/// What is kept of captures, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureLimits {
    /// What is kept of each body at most.
    pub body_bytes_max: usize,
    /// How long a capture is kept.
    pub age_max: Duration,
    /// What the files of all of them may take; the oldest give way.
    pub bytes_max: u64,
}

impl Default for CaptureLimits {
    fn default() -> Self {
        Self { body_bytes_max: 1 << 20, age_max: Duration::from_hours(7 * 24), bytes_max: 1 << 30 }
    }
}

/// The rules in force. Without any, asking costs nothing.
#[derive(Debug, Default)]
pub struct CaptureRules(Box<[Rule]>);

#[derive(Debug)]
struct Rule {
    key: Option<Arc<str>>,
    model: Option<Arc<str>>,
    until: Timestamp,
}

/// Whether a request is to be captured, as far as its caller decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Captured {
    /// It is not, whatever it asks for.
    No,
    /// It is, whatever it asks for.
    Yes,
    /// It is, if it asks for one of these.
    For(Box<[Arc<str>]>),
}

impl CaptureRules {
    /// A rule for a key that is not among these is none: there is nobody whom it could be about.
    pub(super) fn new(specs: Vec<CaptureSpec>, keys: &[Keyed]) -> Self {
        let rule = |spec: CaptureSpec| {
            let named = |name: &String| keys.iter().find(|keyed| *keyed.key.name == **name);
            let key = match &spec.key {
                None => None,
                Some(name) => Some(Arc::clone(&named(name)?.key.id)),
            };
            Some(Rule { key, model: spec.model.map(Arc::from), until: spec.until })
        };
        Self(specs.into_iter().filter_map(rule).collect())
    }

    /// Whether a request of that key that comes now is to be captured.
    #[must_use]
    pub fn concern(&self, key: &Key, now: Timestamp) -> Captured {
        let mut models = Vec::new();
        for rule in &self.0 {
            if rule.until <= now || rule.key.as_ref().is_some_and(|of| *of != key.id) {
                continue;
            }
            match &rule.model {
                None => return Captured::Yes,
                Some(model) => models.push(Arc::clone(model)),
            }
        }
        if models.is_empty() { Captured::No } else { Captured::For(models.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::snapshot::Snapshot;
    use crate::testing::{draft, epoch, key};

    const NOW: Timestamp = Timestamp(1000);

    fn spec(key: Option<&str>, model: Option<&str>, until: i64) -> CaptureSpec {
        CaptureSpec { key: key.map(str::to_owned), model: model.map(str::to_owned), until: Timestamp(until) }
    }

    #[test]
    fn rules_concern_whom_they_name_until_they_end() {
        let live = Live::new();
        for (rules, want) in [
            (vec![], Captured::No),
            (vec![spec(None, None, 1001)], Captured::Yes),
            (vec![spec(None, None, 1000)], Captured::No),
            (vec![spec(Some("app"), None, 1001)], Captured::Yes),
            (vec![spec(Some("app"), None, 999)], Captured::No),
            (vec![spec(Some("other"), None, 1001)], Captured::No),
            (vec![spec(Some("gone"), None, 1001)], Captured::No),
            (vec![spec(None, Some("m"), 1001)], Captured::For(["m".into()].into())),
            (vec![spec(Some("other"), Some("m"), 1001)], Captured::No),
            (
                vec![
                    spec(None, Some("m"), 1001),
                    spec(Some("app"), Some("n"), 1001),
                    spec(None, Some("o"), 5),
                ],
                Captured::For(["m".into(), "n".into()].into()),
            ),
            (vec![spec(None, Some("m"), 1001), spec(Some("app"), None, 1001)], Captured::Yes),
        ] {
            let mut draft = draft([]);
            draft.keys = vec![key("app"), key("other")];
            draft.captures.clone_from(&rules);
            let snapshot = Snapshot::build(draft, &live, 1, epoch()).expect("a snapshot");
            let app = snapshot.identity.keys().iter().find(|key| &*key.name == "app").expect("a key");
            assert_eq!(snapshot.captures.concern(app, NOW), want, "{rules:?}");
        }
    }
}
