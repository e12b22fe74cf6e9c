//! Decides what a reload does: read everything again, and take it into force whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use store::audit::{Author, Deed};
use store::{Directory, StoreError};

use super::{PublishError, Publisher, Trigger};
use crate::config::{Loaded, Report};

/// Reads the configuration from where it is kept. The server knows the file, the arguments and the environment.
pub trait ConfigSource: Send + Sync {
    /// Reads and checks everything again. `stored` are the settings changed through the API.
    fn load(&self, stored: &[(String, String)]) -> Result<Loaded, Report>;
}

/// Settings to be changed through the API.
pub(crate) struct SettingsChange {
    /// Each by its path; none leaves one to the defaults again.
    pub(crate) changes: Vec<(String, Option<Value>)>,
    /// The tag of the settings that the caller saw last, where it cares.
    pub(crate) seen: Option<String>,
    /// Who changes them.
    pub(crate) author: Author,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// The version now in force.
    pub version: u64,
    /// Settings that were changed and wait for a restart.
    pub restart_needed: Vec<String>,
    /// What works but should be known.
    pub notices: Vec<String>,
}

/// Reloads on SIGHUP, on a change of the file, and on request.
#[derive(Clone)]
pub struct Reloader {
    publisher: Publisher,
    source: Arc<dyn ConfigSource>,
}

impl Reloader {
    /// A reloader that publishes what `source` reads.
    pub fn new(publisher: Publisher, source: Arc<dyn ConfigSource>) -> Self {
        Self { publisher, source }
    }

    /// Reads everything again. What does not hold changes nothing and is remembered; what does is entered in the audit
    /// log under `author`.
    pub async fn reload(&self, trigger: Trigger, author: Author) -> Result<Reloaded, PublishError> {
        let directory = &self.publisher.controls().directory;
        let stored = stored_settings(directory).await?;
        let before = self.publisher.loaded();
        let version = self.publisher.adopt(trigger, || self.source.load(&stored)).await?;
        if let Some(deed) = changed(&before, &self.publisher.loaded()) {
            // It is in force already; that it cannot be told of does not undo it.
            if let Err(error) = directory.by(author).note(deed).await {
                tracing::error!(%error, "a reload could not be entered in the audit log");
            }
        }
        Ok(self.reloaded(version))
    }

    /// Changes settings for good. The other sources are read again, too.
    pub(crate) async fn change(&self, change: SettingsChange) -> Result<Reloaded, PublishError> {
        let read = |stored: &[_]| self.source.load(stored);
        let version = self.publisher.change_settings(change, read).await?;
        Ok(self.reloaded(version))
    }

    fn reloaded(&self, version: u64) -> Reloaded {
        let standing = self.publisher.standing();
        for setting in &standing.restart_needed {
            tracing::warn!(%setting, "a changed setting waits for a restart");
        }
        Reloaded { version, restart_needed: standing.restart_needed, notices: standing.notices }
    }
}

/// What a reload changed, secrets masked; none where it changed nothing.
fn changed(before: &Loaded, after: &Loaded) -> Option<Deed> {
    let told = |loaded: &Loaded| -> BTreeMap<String, String> {
        loaded.effective().into_iter().map(|setting| (setting.path, setting.value)).collect()
    };
    let (before, after) = (told(before), told(after));
    let without = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| {
        let news = these.iter().filter(|(path, value)| those.get(*path) != Some(value));
        news.map(|(path, value)| (path.clone(), Value::String(value.clone()))).collect::<Map<_, _>>()
    };
    let (was, is) = (without(&before, &after), without(&after, &before));
    let deed = Deed::of("reload", "configuration", "configuration");
    (!was.is_empty() || !is.is_empty()).then(|| deed.before(Value::Object(was)).after(Value::Object(is)))
}

/// Settings changed through the API, each as it would be written.
pub async fn stored_settings(directory: &Directory) -> Result<Vec<(String, String)>, StoreError> {
    Ok(as_written(directory.settings().await?))
}

pub(super) fn as_written(settings: impl IntoIterator<Item = (String, Value)>) -> Vec<(String, String)> {
    let written = |value| match value {
        Value::String(text) => text,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    settings.into_iter().map(|(path, value)| (path, written(value))).collect()
}
