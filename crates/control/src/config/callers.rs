//! Gateway keys and teams as they are meant, every default decided; it never knows whether their models are served.

use std::collections::BTreeMap;

use policy::{Class, Endpoint, KeyLimits, KeySecret, KeySpec, Source, TeamSpec};

use super::backend;
use super::bind::{List, Table};
use super::file::{self, File};
use super::leaf::{ModelName, OneOrMany};
use super::settings::source_at;
use super::tree::{Node, Path};

pub(super) fn keys(file: &File, tree: &Node) -> Vec<KeySpec> {
    let full = file
        .keys
        .iter()
        .flat_map(List::iter)
        .map(|(index, typed)| key(typed, source_at(tree, &Path::dotted("keys").then(index))));
    let bare = file.api_keys.iter().flatten().enumerate().map(|(index, secret)| {
        let name = format!("api-key-{}", index + 1);
        let mut spec = KeySpec::new(&name, &name, KeySecret::Plain(secret.0.clone()));
        spec.priority_max = class(None);
        spec.source = source_at(tree, &Path::dotted("api_keys").then(index));
        spec
    });
    full.chain(bare).collect()
}

fn key(typed: &file::Key, source: Source) -> KeySpec {
    KeySpec {
        id: typed.name.0.clone(),
        name: typed.name.0.clone(),
        secrets: vec![KeySecret::Plain(typed.key.0.clone())],
        team: typed.team.as_ref().map(|team| team.0.clone()),
        limits: KeyLimits {
            rpm: typed.rpm.map(|count| count.get32()),
            tpm: typed.tpm.map(|count| count.0),
            concurrency: typed.concurrency.map(|count| count.get32()),
        },
        models: typed.models.iter().flatten().map(|model| model.0.clone()).collect(),
        endpoints: endpoints(typed.endpoints.as_deref()),
        ip_allow: typed.ip_allow.iter().flatten().map(|network| network.0).collect(),
        priority_max: class(typed.priority_max),
        weight: typed.weight.map_or(1, |count| count.get32()),
        strict: typed.strict.unwrap_or(false),
        default_model: typed.default_model.as_ref().map(|model| model.0.clone()),
        aliases: aliases(typed.aliases.as_ref()),
        body_bytes_max: typed.body_max.map(|size| size.0),
        ceiling: typed.unpriced.as_ref().map(backend::ceiling),
        metadata: metadata(typed.metadata.as_ref()),
        note: typed.note.as_ref().map(|note| note.0.clone()),
        expires: typed.expires.map(|moment| moment.0),
        enabled: typed.enabled.unwrap_or(true),
        source,
    }
}

pub(super) fn teams(file: &File, tree: &Node) -> Vec<TeamSpec> {
    let written = file.teams.iter().flat_map(List::iter);
    written.map(|(index, typed)| team(typed, source_at(tree, &Path::dotted("teams").then(index)))).collect()
}

pub(super) fn team(typed: &file::Team, source: Source) -> TeamSpec {
    TeamSpec {
        name: typed.name.0.clone(),
        models: typed.models.iter().flatten().map(|model| model.0.clone()).collect(),
        endpoints: endpoints(typed.endpoints.as_deref()),
        ip_allow: typed.ip_allow.iter().flatten().map(|network| network.0).collect(),
        limits: KeyLimits {
            rpm: typed.rpm.map(|count| count.get32()),
            tpm: typed.tpm.map(|count| count.0),
            concurrency: typed.concurrency.map(|count| count.get32()),
        },
        priority_max: typed.priority_max.map(meant),
        strict: typed.strict.unwrap_or(false),
        default_model: typed.default_model.as_ref().map(|model| model.0.clone()),
        aliases: aliases(typed.aliases.as_ref()),
        body_bytes_max: typed.body_max.map(|size| size.0),
        metadata: metadata(typed.metadata.as_ref()),
        note: typed.note.as_ref().map(|note| note.0.clone()),
        source,
    }
}

/// The best class a key may ask for; `urgent` must be given to it by name.
pub(crate) fn class(typed: Option<file::Class>) -> Class {
    typed.map_or(Class::High, meant)
}

fn meant(typed: file::Class) -> Class {
    match typed {
        file::Class::Urgent => Class::Urgent,
        file::Class::High => Class::High,
        file::Class::Normal => Class::Normal,
        file::Class::Low => Class::Low,
    }
}

pub(crate) fn endpoints(typed: Option<&[file::EndpointName]>) -> Vec<Endpoint> {
    let meant = |name: &file::EndpointName| match name {
        file::EndpointName::Chat => Endpoint::Chat,
        file::EndpointName::Completions => Endpoint::Completions,
        file::EndpointName::Embeddings => Endpoint::Embeddings,
        file::EndpointName::Responses => Endpoint::Responses,
        file::EndpointName::Messages => Endpoint::Messages,
        file::EndpointName::Gemini => Endpoint::Gemini,
        file::EndpointName::Images => Endpoint::Images,
        file::EndpointName::Audio => Endpoint::Audio,
        file::EndpointName::Moderations => Endpoint::Moderations,
        file::EndpointName::Rerank => Endpoint::Rerank,
        file::EndpointName::Files => Endpoint::Files,
        file::EndpointName::Batches => Endpoint::Batches,
    };
    typed.unwrap_or_default().iter().map(meant).collect()
}

pub(crate) fn metadata(typed: Option<&file::Metadata>) -> BTreeMap<String, String> {
    let pairs = typed.iter().flat_map(|metadata| &metadata.0.0);
    pairs.map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

pub(crate) fn aliases(typed: Option<&Table<OneOrMany<ModelName>>>) -> BTreeMap<String, Vec<String>> {
    typed
        .iter()
        .flat_map(|table| &table.0)
        .map(|(name, targets)| (name.clone(), targets.0.iter().map(|target| target.0.clone()).collect()))
        .collect()
}
