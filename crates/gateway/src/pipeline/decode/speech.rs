//! Decides in which dialects an ask may go to a backend; never which backend that is.

use policy::{Backend, Dialects, Route};
use protocol::{Dialect, Target};

use super::{super::accept::Arrival, Ask, Payload};
use crate::{
    refusal::{Code, Refusal},
    view::View,
};

/// Its own, and all that it can be translated to; a refusal where only its own will do, and no backend speaks it.
pub(super) fn translatable(ask: &Ask) -> Result<Dialects, Refusal> {
    let own = Dialects::only(ask.dialect);
    if !protocol::converses(ask.dialect) {
        return Ok(own);
    }
    let Some(tie) = Tie::of(ask) else { return Ok(Dialects::conversing().and(ask.dialect)) };
    let spoken = spoken(&ask.view, &ask.route, Backend::dialects);
    match spoken.is_empty() || spoken.holds(ask.dialect) {
        true => Ok(own),
        false => Err(tie.into()),
    }
}

/// What ties a request to the backends that speak its own dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// What a compaction answers only its maker can read.
    Compaction,
    /// What only a server of its own dialect has: a compacted conversation, a stored prompt or conversation.
    Possession,
    /// What went before is not kept here: only who has it can go on.
    Past,
}

impl Tie {
    fn of(ask: &Ask) -> Option<Self> {
        let Payload::Json { outline, .. } = &ask.payload else { return None };
        if ask.path.starts_with("/responses/compact") {
            return Some(Self::Compaction);
        }
        if outline.needs.own_dialect {
            return Some(Self::Possession);
        }
        (outline.previous_response_id.is_some() && ask.past.earlier.is_none()).then_some(Self::Past)
    }
}

impl From<Tie> for Refusal {
    fn from(tie: Tie) -> Self {
        match tie {
            Tie::Compaction => Refusal::new(
                Code::UNSUPPORTED,
                "Conversations are compacted by backends that speak Responses; this model has none.",
            ),
            Tie::Possession => Refusal::new(
                Code::UNSUPPORTED,
                "`prompt`, `conversation` and compacted input mean something to backends that speak Responses only; \
                 this model has none.",
            ),
            Tie::Past => Refusal::new(
                Code::UNSUPPORTED,
                "The response that this request continues is not kept here (any more), and no backend of this model \
                 keeps responses.",
            )
            .about("previous_response_id"),
        }
    }
}

/// Its own, and those that carry all that it says; a refusal with what is lost where no backend speaks any of them.
pub(super) fn lossless(ask: &Ask) -> Result<Dialects, Refusal> {
    let spoken = spoken(&ask.view, &ask.route, Backend::dialects);
    let mut kept = Dialects::only(ask.dialect);
    let mut least: Option<Vec<String>> = None;
    let foreign = Dialect::ALL
        .iter()
        .copied()
        .filter(|dialect| *dialect != ask.dialect && ask.dialects.holds(*dialect) && spoken.holds(*dialect));
    for dialect in foreign {
        let Some(request) = ask.conversation() else { break };
        let request = request.as_ref().map_err(|error| Refusal::from(error.clone()))?;
        let target =
            Target { model: &ask.route.model, max_output_tokens: 1, manner: protocol::Manner::default() };
        let Some(encoded) = protocol::encode_request(dialect, request, &target) else { continue };
        let lost = protocol::loss_paths(ask.dialect, request.losses.iter().chain(&encoded.losses));
        if lost.is_empty() {
            kept = kept.and(dialect);
        } else if least.as_ref().is_none_or(|least| lost.len() < least.len()) {
            least = Some(lost);
        }
    }
    match least {
        Some(lost) if spoken.common(kept).is_empty() => Err(losing(&lost)),
        _ => Ok(kept),
    }
}

fn losing(lost: &[String]) -> Refusal {
    /// As many as a person reads.
    const SHOWN_MAX: usize = 20;
    let shown = lost.iter().take(SHOWN_MAX).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    let more = if lost.len() > SHOWN_MAX { ", ..." } else { "" };
    let message = format!(
        "No backend for this model can carry {shown}{more}, and this request is to lose nothing (strict)."
    );
    let refusal = Refusal::new(Code::UNSUPPORTED, message);
    match lost.first() {
        Some(first) => refusal.about(first),
        None => refusal,
    }
}

/// Whether a backend on the route counts the tokens of what arrived.
pub(super) fn is_counted(arrival: &Arrival, route: &Route) -> bool {
    spoken(&arrival.view, route, Backend::counts).holds(arrival.dialect)
}

/// What the backends of a route speak together.
fn spoken(view: &View, route: &Route, of: impl Fn(&Backend) -> Dialects) -> Dialects {
    let candidates = route.tiers.iter().flat_map(|tier| &tier.candidates);
    let backends = candidates.filter_map(|candidate| view.serving(candidate.backend));
    backends.filter(|serving| serving.backend.enabled).fold(Dialects::NONE, |all, serving| {
        Dialect::ALL
            .iter()
            .copied()
            .filter(|dialect| of(&serving.backend).holds(*dialect))
            .fold(all, Dialects::and)
    })
}
