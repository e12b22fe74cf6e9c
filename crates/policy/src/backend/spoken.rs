//! Decides which dialects a backend speaks, at which address, and how it is shown its credential there; never calls it.

use std::sync::Arc;

use protocol::Dialect;

use super::BackendKind;
use super::address::Addressing;
use super::vendor::{COMPATIBLE, Tongue, Vendor, vendor_of_host};

/// A set of dialects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Dialects(u8);

impl Dialects {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// This one alone.
    #[must_use]
    pub const fn only(dialect: Dialect) -> Self {
        Self(bit(dialect))
    }

    /// All that requests of others can be translated to.
    #[must_use]
    pub fn conversing() -> Self {
        Dialect::ALL.iter().copied().filter(|dialect| protocol::can_be_told(*dialect)).collect()
    }

    /// The same and one more.
    #[must_use]
    pub const fn and(self, dialect: Dialect) -> Self {
        Self(self.0 | bit(dialect))
    }

    /// Those in both sets.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn holds(self, dialect: Dialect) -> bool {
        self.0 & bit(dialect) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        dialects.into_iter().fold(Self::NONE, Self::and)
    }
}

const fn bit(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::OpenAiChat => 1,
        Dialect::OpenAiCompletions => 1 << 1,
        Dialect::OpenAiEmbeddings => 1 << 2,
        Dialect::OpenAiResponses => 1 << 3,
        Dialect::AnthropicMessages => 1 << 4,
        Dialect::Gemini => 1 << 5,
        Dialect::OpenAiRaw => 1 << 6,
        Dialect::AgentRpc => 1 << 7,
    }
}

/// How a backend is shown its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As `Authorization: Bearer`.
    Bearer,
    /// In a header of this name.
    Header(&'static str),
}

/// One dialect as a backend speaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Which.
    pub dialect: Dialect,
    /// Where, version path included.
    pub base_url: Arc<str>,
    /// How the credential is shown there.
    pub shown: Shown,
    /// Whether it counts tokens there, too.
    pub counts: bool,
}

/// What a backend at `base_url` speaks, best first: what its provider is known for, or what was `written`.
pub(crate) fn spoken(
    kind: BackendKind,
    base_url: &str,
    addressing: &Addressing,
    written: Option<&[Dialect]>,
) -> Vec<Spoken> {
    if kind == BackendKind::Process {
        let (dialect, base_url) = (Dialect::AgentRpc, base_url.into());
        return vec![Spoken { dialect, base_url, shown: Shown::Bearer, counts: false }];
    }
    let vendor = known(kind, base_url);
    let place = Place::of(base_url, vendor);
    let known = vendor.tongues.iter().filter_map(|tongue| {
        let base_url = addressing.base_url(place.of_tongue(tongue)?);
        let Tongue { dialect, shown, counts, .. } = *tongue;
        Some(Spoken { dialect, base_url: base_url.into(), shown, counts })
    });
    let known: Vec<Spoken> = known.collect();
    let Some(written) = written else { return known };
    let as_written = |dialect: &Dialect| {
        let found = known.iter().find(|spoken| spoken.dialect == *dialect).cloned();
        found.unwrap_or_else(|| Spoken {
            dialect: *dialect,
            base_url: addressing.base_url(base_url.to_owned()).into(),
            shown: usual(*dialect),
            counts: false,
        })
    };
    written.iter().map(as_written).collect()
}

/// What is known of a backend's provider, by its kind; for one that is only said to be of OpenAI's sort, by its host.
pub(crate) fn known(kind: BackendKind, base_url: &str) -> &'static Vendor {
    match kind {
        BackendKind::Vendor(vendor) => vendor,
        BackendKind::OpenAi => super::vendor_named("openai").unwrap_or(COMPATIBLE),
        BackendKind::OpenAiCompatible => {
            let of_its_sort =
                |vendor: &&Vendor| vendor.tongues.iter().any(|tongue| tongue.dialect == Dialect::OpenAiChat);
            vendor_of_host(base_url).filter(of_its_sort).unwrap_or(COMPATIBLE)
        }
        BackendKind::Demo | BackendKind::Process => COMPATIBLE,
    }
}

/// How the service that a dialect comes from is shown its credential.
fn usual(dialect: Dialect) -> Shown {
    match dialect {
        Dialect::OpenAiChat
        | Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRaw
        | Dialect::AgentRpc => Shown::Bearer,
        Dialect::AnthropicMessages => Shown::Header("x-api-key"),
        Dialect::Gemini => Shown::Header("x-goog-api-key"),
    }
}

/// A written base URL, taken apart: where the provider's own paths hang, if it follows them.
struct Place<'a> {
    written: &'a str,
    root: Option<&'a str>,
    /// The path that dialects without a place of their own share.
    main: &'static str,
}

impl<'a> Place<'a> {
    fn of(base_url: &'a str, vendor: &Vendor) -> Self {
        let written = base_url.trim_end_matches('/');
        let host = super::vendor::host_of(written).unwrap_or_default();
        let has_path = written.rsplit(host).next().is_some_and(|rest| rest.contains('/'));
        let paths = vendor.tongues.iter().map(|tongue| tongue.path);
        let cut = paths.filter_map(|path| written.strip_suffix(path)).min_by_key(|root| root.len());
        Self { written, root: if has_path { cut } else { Some(written) }, main: vendor.main_path() }
    }

    /// Where a tongue is spoken; none where the written address tells nothing of it.
    fn of_tongue(&self, tongue: &Tongue) -> Option<String> {
        match self.root {
            Some(root) => Some(format!("{root}{}", tongue.path)),
            None => (tongue.path == self.main).then(|| self.written.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, base_url: &str, want: &[(Dialect, &str)]) {
        let kind = BackendKind::named(kind).expect("a kind");
        let spoken = spoken(kind, base_url, &Addressing::Plain, None);
        let find = |dialect: Dialect| spoken.iter().find(|one| one.dialect == dialect);
        for (dialect, at) in want {
            let found = find(*dialect).map_or("nowhere", |one| &*one.base_url);
            assert_eq!(found, *at, "{dialect} of {} at {base_url}", kind.name());
        }
    }

    #[test]
    fn dialects_of_a_provider_hang_at_the_root_of_what_was_written() {
        use Dialect::{
            AnthropicMessages as Messages, Gemini, OpenAiChat as Chat, OpenAiResponses as Responses,
        };
        check(
            "openai",
            "https://api.openai.com/v1",
            &[(Chat, "https://api.openai.com/v1"), (Messages, "nowhere")],
        );
        check("openai", "https://proxy.test/openai", &[(Responses, "https://proxy.test/openai")]);
        let deepseek = [(Chat, "https://h.test/v1"), (Messages, "https://h.test/anthropic/v1")];
        check("deepseek", "https://h.test/v1/", &deepseek);
        check("deepseek", "https://h.test", &deepseek);
        check("deepseek", "https://h.test/anthropic/v1", &deepseek);
        check("deepseek", "https://h.test/x", &[(Chat, "https://h.test/x"), (Messages, "nowhere")]);
        let minimax = [(Chat, "https://h.test/v1"), (Messages, "https://h.test/anthropic/v1")];
        check("minimax", "https://h.test/v1", &minimax);
        check("minimax", "https://h.test/x", &[(Chat, "https://h.test/x"), (Messages, "nowhere")]);
        check("zhipu", "https://h.test/api/paas/v4", &[(Responses, "https://h.test/api/v1")]);
        let claude = "https://r.services.ai.azure.com/anthropic/v1";
        check("anthropic", claude, &[(Messages, claude), (Responses, "nowhere")]);
        let google = [(Gemini, "http://127.0.0.1:9/v1beta"), (Chat, "http://127.0.0.1:9/v1beta/openai")];
        check("gemini", "http://127.0.0.1:9/v1beta", &google);
        check("gemini", "http://127.0.0.1:9/v1beta/openai", &google);
        check("anthropic", "https://a.test", &[(Messages, "https://a.test/v1"), (Chat, "nowhere")]);
        check("openai_compatible", "http://127.0.0.1:8080", &[(Chat, "http://127.0.0.1:8080/v1")]);
        check("openai_compatible", "https://integrate.api.nvidia.com/v1", &[(Responses, "nowhere")]);
        let compatible = [(Chat, "https://api.anthropic.com/v1"), (Messages, "nowhere")];
        check("openai_compatible", "https://api.anthropic.com/v1", &compatible);
        check("azure", "https://r.openai.azure.com", &[(Chat, "https://r.openai.azure.com/openai/v1")]);
    }

    #[test]
    fn what_is_written_is_spoken_whoever_it_is() {
        let written = [Dialect::AnthropicMessages, Dialect::OpenAiChat];
        let spoken =
            spoken(BackendKind::OpenAiCompatible, "http://h.test/x", &Addressing::Plain, Some(&written));
        let told: Vec<_> = spoken.iter().map(|one| (one.dialect, &*one.base_url, one.shown)).collect();
        assert_eq!(
            told,
            [
                (Dialect::AnthropicMessages, "http://h.test/x", Shown::Header("x-api-key")),
                (Dialect::OpenAiChat, "http://h.test/x", Shown::Bearer),
            ]
        );
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for dialect in Dialect::ALL.iter().copied() {
            let others = Dialect::ALL.iter().copied().filter(|other| *other != dialect);
            assert!(Dialects::only(dialect).holds(dialect) && !others.collect::<Dialects>().holds(dialect));
        }
        assert!(Dialects::only(Dialect::Gemini).common(Dialects::only(Dialect::OpenAiChat)).is_empty());
    }
}
