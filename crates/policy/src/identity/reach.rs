//! Decides where a key may be used from and what it may be used for; never whether it is a key at all.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a request is for: the families of paths that a key can be held to. Lists of models and streams that are
/// continued belong to no family; they are open to every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/chat/completions`.
    Chat,
    /// `/completions`.
    Completions,
    /// `/embeddings`, also Gemini's.
    Embeddings,
    /// `/responses` and what lies below it.
    Responses,
    /// `/messages`, the counting of their tokens among it.
    Messages,
    /// `/models/{model}:generateContent` and its like.
    Gemini,
    /// `/images`.
    Images,
    /// `/audio`.
    Audio,
    /// `/moderations`.
    Moderations,
    /// `/rerank`.
    Rerank,
    /// `/files` and `/uploads`.
    Files,
    /// `/batches`.
    Batches,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::Gemini,
        Self::Images,
        Self::Audio,
        Self::Moderations,
        Self::Rerank,
        Self::Files,
        Self::Batches,
    ];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Files => "files",
            Self::Batches => "batches",
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A word that names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no endpoint")]
pub struct UnknownEndpoint;

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(text: &str) -> Result<Self, UnknownEndpoint> {
        Self::ALL.into_iter().find(|endpoint| endpoint.name() == text).ok_or(UnknownEndpoint)
    }
}

/// Endpoints that a key may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointSet(u16);

impl EndpointSet {
    /// Every endpoint.
    pub const ALL: Self = Self(u16::MAX);

    /// These endpoints; none at all means all of them.
    pub fn of(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        match endpoints.into_iter().fold(0, |set, endpoint| set | endpoint.bit()) {
            0 => Self::ALL,
            set => Self(set),
        }
    }

    /// What both sets hold, which may be nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether an endpoint is in it.
    #[must_use]
    pub fn holds(self, endpoint: Endpoint) -> bool {
        self.0 & endpoint.bit() != 0
    }
}

/// Addresses that a key may be used from. Several lists must all agree (key and team).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    lists: Vec<Vec<IpNet>>,
}

impl AddressSet {
    /// What any of these networks holds; no network at all means every address.
    #[must_use]
    pub fn of(networks: Vec<IpNet>) -> Self {
        Self { lists: if networks.is_empty() { Vec::new() } else { vec![networks] } }
    }

    /// What both sets hold.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.lists.extend(other.lists);
        self
    }

    /// Whether an address is in it. An IPv4 caller on a dual-stack socket is judged as IPv4.
    #[must_use]
    pub fn holds(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.lists.iter().all(|list| list.iter().any(|network| network.contains(&ip)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_known_by_its_name_and_has_a_place_of_its_own() {
        for endpoint in Endpoint::ALL {
            assert_eq!(endpoint.name().parse(), Ok(endpoint));
            let alone = EndpointSet::of([endpoint]);
            let held = Endpoint::ALL.into_iter().filter(|other| alone.holds(*other));
            assert_eq!(held.collect::<Vec<_>>(), [endpoint]);
        }
        assert_eq!("Chat".parse::<Endpoint>(), Err(UnknownEndpoint));
        assert_eq!(EndpointSet::of([]), EndpointSet::ALL);
        let none = EndpointSet::of([Endpoint::Chat]).and(EndpointSet::of([Endpoint::Audio]));
        assert!(!Endpoint::ALL.into_iter().any(|endpoint| none.holds(endpoint)), "nothing is not everything");
    }
}
