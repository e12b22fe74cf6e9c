//! Reads what programs say of accounts and models, as much of it as may be known here; never a token.

use serde::Deserialize;
use serde_json::Value;

/// What a program says of its account. Tokens stand beside these fields, and stay unread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct AccountStatus {
    status: Option<i64>,
    pub(super) id: String,
    pub(super) name: String,
    whitelist: Option<i64>,
}

/// The only good values of the two numbers.
const SIGNED_IN: i64 = 2;
const PASSED: i64 = 3;

impl AccountStatus {
    /// Whoever is signed in and may be served, or what keeps them from that.
    pub(super) fn verdict(&self) -> Result<(), &'static str> {
        if self.id.is_empty() {
            return Err("signed_out");
        }
        match self.status {
            None | Some(SIGNED_IN) => {}
            Some(1) => return Err("signed_out"),
            Some(3) => return Err("expired"),
            Some(5) => return Err("network"),
            Some(6) => return Err("address_not_allowed"),
            Some(7) => return Err("application_disabled"),
            Some(_) => return Err("error"),
        }
        match self.whitelist {
            None | Some(PASSED) => Ok(()),
            Some(_) => Err("not_on_the_list"),
        }
    }
}

/// One model that a program has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What it is asked for by.
    pub key: String,
    /// What people call it.
    pub name: String,
}

/// Reads a list of models: lists by scene, in which the same model may stand again.
pub(super) fn models(text: &str) -> Vec<Model> {
    let scenes: Value = serde_json::from_str(text).unwrap_or_default();
    let mut found: Vec<Model> = Vec::new();
    let lists = scenes.as_object().into_iter().flat_map(|scenes| scenes.values());
    for listed in lists.filter_map(Value::as_array).flatten() {
        let text = |names: [&str; 3]| {
            names.iter().find_map(|name| listed.get(*name)?.as_str().filter(|text| !text.is_empty()))
        };
        let Some(key) = text(["key", "id", "modelId"]) else { continue };
        if found.iter().any(|model| model.key == key) {
            continue;
        }
        let name = text(["displayName", "name", "label"]).unwrap_or(key);
        found.push(Model { key: key.to_owned(), name: name.to_owned() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_good_or_it_is_said_why_not() {
        let check = |text: &str, want: Result<(), &str>| {
            let status: AccountStatus = serde_json::from_str(text).expect("an object");
            assert_eq!(status.verdict(), want, "{text}");
        };
        check(r#"{"status":2,"id":"u","whitelist":3,"token":"CANARY"}"#, Ok(()));
        check(r#"{"id":"u"}"#, Ok(()));
        check(r#"{"status":2,"id":""}"#, Err("signed_out"));
        check(r#"{"status":1,"id":"u"}"#, Err("signed_out"));
        check(r#"{"status":3,"id":"u"}"#, Err("expired"));
        check(r#"{"status":4,"id":"u"}"#, Err("error"));
        check(r#"{"status":5,"id":"u"}"#, Err("network"));
        check(r#"{"status":2,"id":"u","whitelist":2}"#, Err("not_on_the_list"));
        check("{}", Err("signed_out"));
        let status: AccountStatus = serde_json::from_str(r#"{"token":"CANARY"}"#).expect("an object");
        assert!(!format!("{status:?}").contains("CANARY"));
    }

    #[test]
    fn models_stand_once_under_their_first_name() {
        let check = |text: &str, want: &[(&str, &str)]| {
            let models = models(text);
            let told: Vec<_> = models.iter().map(|model| (&*model.key, &*model.name)).collect();
            assert_eq!(told, want, "{text}");
        };
        check("{}", &[]);
        check("[1]", &[]);
        check(
            r#"{"chat":[{"key":"auto","displayName":"Auto"},{"id":"b","extra":1},{"name":"no key"},7],
            "more":[{"key":"auto","displayName":"Other"}],"revision":3}"#,
            &[("auto", "Auto"), ("b", "b")],
        );
    }
}
