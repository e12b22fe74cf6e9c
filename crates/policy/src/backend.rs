//! Decides what a backend is: who provides it, how it is reached and within which limits; never whether it is well.

mod address;
mod spoken;
mod vendor;

use std::sync::Arc;

use protocol::{Deadlines, Manner};
use serde::{Deserialize, Serialize};

use crate::identity::Secret;
use crate::live::{BackendId, ModelId};

pub use address::{Addressing, answer_path, gemini_path, stream_path};
pub use spoken::{Dialects, Shown, Spoken};
pub(crate) use spoken::{known, spoken};
pub(crate) use vendor::host_of;
pub use vendor::{MODELS_PATH, VENDORS, Vendor, vendor_named, vendor_of_host};

/// One thing that can serve: an account at a provider.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Where `Live` keeps what is learned of it.
    pub id: BackendId,
    /// Its name, unique and stable.
    pub name: Arc<str>,
    /// Its provider tag; also a prefix by which models are asked of it.
    pub label: Arc<str>,
    /// What sort of provider it is.
    pub kind: BackendKind,
    /// Where it is, version path included.
    pub base_url: Arc<str>,
    /// What it speaks, best first, and where.
    pub spoken: Arc<[Spoken]>,
    /// How its calls are addressed.
    pub addressing: Addressing,
    /// In what it differs from the services whose dialects it speaks.
    pub manner: Manner,
    /// What it is shown.
    pub credential: Option<Secret>,
    /// Its tier.
    pub pool: Arc<str>,
    /// Its share among equals.
    pub weight: u32,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it may be given.
    pub limits: BackendLimits,
    /// What single models on it may be given, where `Live` keeps count of them.
    pub model_limits: Vec<(ModelId, ModelLimits)>,
    /// How long it may take.
    pub deadlines: Deadlines,
    /// Which headers go to it.
    pub headers: HeaderRules,
    /// Whether a call whose caller left is read to its usage, within a cap.
    pub drain_on_disconnect: bool,
    /// Whether it serves what it lists itself, because its models are not written down.
    pub lists_models: bool,
    /// What a probe asks for, spending nothing: below the base URL, or from its host's root where it begins with a slash.
    pub health_path: Arc<str>,
    /// A certificate authority of its own, as a file path.
    pub ca_file: Option<Arc<str>>,
    /// Where it was defined.
    pub source: Source,
}

/// What sort of provider a backend is: what it is known to speak and whose prefix it answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// OpenAI itself.
    OpenAi,
    /// Anything that speaks as OpenAI does.
    OpenAiCompatible,
    /// The simulated provider of a demonstration.
    Demo,
    /// An instance of a program on this machine that the gateway starts itself; its base URL is `process://` and its name.
    Process,
    /// A provider of the vendor table.
    Vendor(&'static Vendor),
}

impl BackendKind {
    /// The kind of that name: `openai`, `openai_compatible`, `demo`, `process`, or a vendor's name or alias.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "openai_compatible" => Some(Self::OpenAiCompatible),
            "demo" => Some(Self::Demo),
            "process" => Some(Self::Process),
            _ => vendor_named(name).map(Self::Vendor),
        }
    }

    /// Its name as it is written in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai_compatible",
            Self::Demo => "demo",
            Self::Process => "process",
            Self::Vendor(vendor) => vendor.name,
        }
    }

    /// The base URL used when none is written.
    #[must_use]
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => vendor_named("openai").and_then(|vendor| vendor.base_url),
            Self::OpenAiCompatible | Self::Demo | Self::Process => None,
            Self::Vendor(vendor) => vendor.base_url,
        }
    }
}

impl Backend {
    /// The dialects it speaks.
    #[must_use]
    pub fn dialects(&self) -> Dialects {
        self.spoken.iter().map(|spoken| spoken.dialect).collect()
    }

    /// The provider behind it, as far as it is known; else it stands for itself.
    #[must_use]
    pub fn provider(&self) -> &str {
        let vendor = known(self.kind, &self.base_url);
        if vendor == vendor::COMPATIBLE { &self.name } else { vendor.name }
    }

    /// Those in which it also counts tokens.
    #[must_use]
    pub fn counts(&self) -> Dialects {
        self.spoken.iter().filter(|spoken| spoken.counts).map(|spoken| spoken.dialect).collect()
    }
}

impl Serialize for BackendKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Where an object was defined. What a file or the environment defines is read-only elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration file.
    #[default]
    File,
    /// The admin API or the command line.
    Api,
    /// The environment.
    Env,
    /// Another gateway's configuration.
    Import,
    /// `serve --demo`: never mixed with anything real.
    Demo,
}

/// What a backend may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendLimits {
    /// Requests per minute; 0 is unlimited.
    pub rpm: u32,
    /// How many requests a full bucket holds; left out: one minute's worth.
    pub burst: Option<u32>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
}

impl Default for BackendLimits {
    /// 40 requests a minute: what the tightest of the common free tiers allows.
    fn default() -> Self {
        Self { rpm: 40, burst: None, tpm: None, concurrency: None }
    }
}

impl BackendLimits {
    /// What holds of a backend at a base URL where nothing is written: nobody counts the requests of a minute on this
    /// machine.
    #[must_use]
    pub fn unwritten(base_url: &str) -> Self {
        let is_here = |host: &str| {
            let is_loopback = |address: std::net::IpAddr| address.to_canonical().is_loopback();
            host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
        };
        let is_ours = base_url.starts_with("process://") || host_of(base_url).is_some_and(is_here);
        if is_ours { Self { rpm: 0, ..Self::default() } } else { Self::default() }
    }
}

/// What one model on a backend may be given, within what the backend may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelLimits {
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
}

impl ModelLimits {
    /// The tighter of two, ceiling by ceiling.
    #[must_use]
    pub(crate) fn tighter(self, other: Self) -> Self {
        Self {
            rpm: self.rpm.into_iter().chain(other.rpm).min(),
            tpm: self.tpm.into_iter().chain(other.tpm).min(),
        }
    }
}

/// Which headers reach a backend, on top of the gateway's own rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Sent with these values, whatever the client sent. A value may be a credential.
    pub set: Vec<(String, Secret)>,
    /// Passed on although the gateway's rule would not. In this list and the next, `*` at the end matches a prefix.
    pub allow: Vec<String>,
    /// Kept back although the gateway's rule would pass them on.
    pub deny: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_this_machine_has_no_rate_of_its_own() {
        for (base_url, rpm) in [
            ("http://127.0.0.1:8000/v1", 0),
            ("http://127.8.9.1/v1", 0),
            ("http://[::1]:11434/v1", 0),
            ("http://[::ffff:127.0.0.1]/v1", 0),
            ("http://LocalHost:1234", 0),
            ("process://qwen", 0),
            ("https://api.example.test/v1", 40),
            ("http://localhost.example.test/v1", 40),
            ("http://192.168.1.7:8000/v1", 40),
            ("http://0.0.0.0/v1", 40),
        ] {
            assert_eq!(BackendLimits::unwritten(base_url).rpm, rpm, "{base_url}");
        }
    }
}
