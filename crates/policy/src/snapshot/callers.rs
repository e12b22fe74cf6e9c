//! Decides what a key may do, being what it is and of which team; never who holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::{KeySecret, KeySpec};
use crate::backend::Source;
use crate::identity::{
    AddressSet, Class, Digest, Digester, Endpoint, EndpointSet, Key, KeyLimits, ModelSet, Team,
};
use crate::live::Live;

/// A team as it was written. It narrows its keys: of what both demand, the tighter holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamSpec {
    /// Its name.
    pub name: String,
    /// Names and patterns of models; empty: all.
    pub models: Vec<String>,
    /// What its keys may ask for; empty: all.
    pub endpoints: Vec<Endpoint>,
    /// Addresses; empty: all.
    pub ip_allow: Vec<IpNet>,
    /// The ceilings of all its keys together.
    pub limits: KeyLimits,
    /// The best class its keys may ask for, when tighter than theirs.
    pub priority_max: Option<Class>,
    /// Whether what a dialect cannot carry is refused for all its keys.
    pub strict: bool,
    /// The model of an ask that names none, where its key has none either.
    pub default_model: Option<String>,
    /// Names that lead elsewhere for its keys, where they do not say so themselves.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// The longest body its keys may send, when tighter than theirs.
    pub body_bytes_max: Option<u64>,
    /// Tags that each receipt of its keys bears, where they do not say otherwise.
    pub metadata: BTreeMap<String, String>,
    /// What people remember of it.
    pub note: Option<String>,
    /// Where it was defined.
    pub source: Source,
}

/// A key, with what of its spec is not part of it.
pub(super) struct Keyed {
    pub(super) key: Key,
    pub(super) digests: Vec<Digest>,
    pub(super) aliases: BTreeMap<String, Vec<String>>,
    pub(super) index: usize,
}

pub(super) fn teams(specs: &[TeamSpec]) -> Vec<Team> {
    specs.iter().map(|spec| Team { name: spec.name.as_str().into(), limits: spec.limits }).collect()
}

pub(super) fn keys(specs: Vec<KeySpec>, teams: &[TeamSpec], digester: &Digester, live: &Live) -> Vec<Keyed> {
    let alone = TeamSpec::default();
    let keyed = specs.into_iter().enumerate().map(|(index, spec)| {
        let team = spec.team.as_ref().and_then(|name| teams.iter().find(|team| team.name == *name));
        let digests = spec.secrets.iter().map(|secret| match secret {
            KeySecret::Plain(secret) => digester.digest(secret.expose()),
            KeySecret::Digest(digest) => digest.clone(),
        });
        let digests = digests.collect();
        let (key, aliases) = key(spec, team.unwrap_or(&alone), live);
        Keyed { key, digests, aliases, index }
    });
    keyed.collect()
}

/// A key under its team: of what both demand, the tighter holds; what the key leaves open, its team may fill in.
fn key(spec: KeySpec, team: &TeamSpec, live: &Live) -> (Key, BTreeMap<String, Vec<String>>) {
    let own_body = spec.body_bytes_max.into_iter();
    let (mut aliases, mut metadata) = (team.aliases.clone(), team.metadata.clone());
    aliases.extend(spec.aliases);
    metadata.extend(spec.metadata);
    let key = Key {
        slot: live.key_slot(&spec.id),
        id: spec.id.into(),
        name: spec.name.into(),
        team: spec.team.map(Arc::from),
        models: ModelSet::of(&spec.models).and(ModelSet::of(&team.models)),
        endpoints: EndpointSet::of(spec.endpoints).and(EndpointSet::of(team.endpoints.iter().copied())),
        ip_allow: AddressSet::of(spec.ip_allow).and(AddressSet::of(team.ip_allow.clone())),
        limits: spec.limits,
        priority_max: spec.priority_max.capped(team.priority_max.unwrap_or(Class::Urgent)),
        weight: spec.weight,
        strict: spec.strict || team.strict,
        default_model: spec.default_model.or_else(|| team.default_model.clone()).map(Arc::from),
        body_bytes_max: own_body.chain(team.body_bytes_max).min(),
        metadata: metadata.into_iter().collect(),
        budgets: Box::default(),
        ceiling: spec.ceiling.map(|spec| Arc::new(spec.price())),
        expires: spec.expires,
        enabled: spec.enabled,
        source: spec.source,
    };
    (key, aliases)
}

/// The caller of a gateway without keys. No configured key can have an empty id, so its slot is nobody else's.
pub(super) fn anonymous(live: &Live) -> Key {
    Key {
        slot: live.key_slot(""),
        id: "anonymous".into(),
        name: "anonymous".into(),
        team: None,
        models: ModelSet::all(),
        endpoints: EndpointSet::ALL,
        ip_allow: AddressSet::default(),
        limits: KeyLimits::default(),
        priority_max: Class::Urgent,
        weight: 1,
        strict: false,
        default_model: None,
        body_bytes_max: None,
        metadata: Box::default(),
        budgets: Box::default(),
        ceiling: None,
        expires: None,
        enabled: true,
        source: Source::default(),
    }
}
