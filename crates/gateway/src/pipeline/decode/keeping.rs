//! Decides where an answer is kept, and so whether it is asked for anew, and what it names that leads back to its backend;
//! never who that is.

use policy::Backend;
use protocol::Dialect;

use super::super::route::Lease;
use super::{Ask, Payload};
use crate::{kept::Memory, refusal::Refusal, routes};

/// What of an answer leads back to its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Minting {
    /// Nothing.
    Nothing,
    /// What is sealed in it.
    Seals,
    /// That, and all that it names by an id.
    All,
}

impl Minting {
    /// Whether it is for a handle: an id, or the mark of a seal.
    pub(in crate::pipeline) fn covers(self, handle: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Seals => protocol::is_seal_mark(handle),
            Self::All => true,
        }
    }
}

impl Ask {
    /// Whether it is written anew for this backend: in another dialect, with what only the gateway has, or so that its
    /// answer can be kept here.
    pub(in crate::pipeline) fn is_translated_for(&self, lease: &Lease) -> bool {
        lease.dialect() != self.dialect || self.is_rewritten_for(&lease.serving.backend)
    }

    /// The same, where the backend speaks the client's own dialect. What rests on something that only such a server can
    /// have is left to it as it is: told anew, it might be answered as if that had never been.
    pub(super) fn is_rewritten_for(&self, backend: &Backend) -> bool {
        let is_for_keeping = self.wants_keeping() && !self.needs().own_dialect;
        !self.past.is_empty() || backend.manner.keeps_no_responses && is_for_keeping
    }

    /// Whether its answer is one to be kept, and the client did not say no. What is compacted goes back to its client.
    fn wants_keeping(&self) -> bool {
        let Payload::Json { outline, .. } = &self.payload else { return false };
        self.dialect == Dialect::OpenAiResponses && outline.store != Some(false) && !self.compacts()
    }

    /// Whether it asks for a conversation in short.
    pub(super) fn compacts(&self) -> bool {
        compacts(&self.path)
    }

    /// Refuses what cannot be written anew for a backend because it is no request in the client's own dialect.
    pub(in crate::pipeline) fn is_understood_by(&self, lease: &Lease) -> Result<(), Refusal> {
        if !self.is_translated_for(lease) {
            return Ok(());
        }
        match self.conversation() {
            Some(Err(error)) => Err(error.clone().into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// What its answer needs to be kept here, where the backend does not keep it and the client did not say no.
    pub(in crate::pipeline) fn memory(&self, lease: &Lease) -> Option<Memory> {
        let Payload::Json { body, .. } = &self.payload else { return None };
        if !self.is_translated_for(lease) {
            return None;
        }
        let request = self.conversation()?.as_ref().ok()?;
        (self.wants_keeping() && request.store != Some(false)).then(|| Memory {
            body: body.clone(),
            past: self.past.clone(),
            owner: self.key.id.clone(),
        })
    }

    /// What the answer may name that its backend alone has or reads. What was made here leads to no backend, nor does the
    /// id of an answer which nobody keeps; but whoever seals a thought is the only one to open it.
    pub(in crate::pipeline) fn minting(&self, lease: &Lease) -> Minting {
        if routes::keeps_objects(&self.path) {
            return Minting::All;
        }
        if self.is_translated_for(lease) {
            return Minting::Nothing;
        }
        match self.dialect {
            Dialect::OpenAiResponses => {}
            Dialect::AnthropicMessages | Dialect::Gemini => return Minting::Seals,
            Dialect::OpenAiChat
            | Dialect::OpenAiCompletions
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiRaw
            | Dialect::AgentRpc => return Minting::Nothing,
        }
        let is_kept = match &self.payload {
            Payload::Json { outline, .. } => outline.store != Some(false),
            Payload::Empty | Payload::Opaque(_) => true,
        };
        match is_kept && !lease.serving.backend.manner.keeps_no_responses {
            true => Minting::All,
            false => Minting::Seals,
        }
    }
}

/// Whether a path is that of a conversation in short.
pub(super) fn compacts(path: &str) -> bool {
    path.starts_with("/responses/compact")
}
