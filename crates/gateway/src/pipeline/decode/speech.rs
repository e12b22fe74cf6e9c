//! Decides in which dialects an ask may go to a backend; never which backend that is.

use policy::{Backend, Dialects, Route};
use protocol::{Dialect, Target};

use super::{super::accept::Arrival, Ask, Payload};
use crate::{
    refusal::{Code, Refusal},
    view::View,
};

/// Its own, and all that it can be translated to.
pub(super) fn translatable(ask: &Ask) -> Dialects {
    let own = Dialects::only(ask.dialect);
    // What a compaction answers only its maker can read, and what went before only who has it.
    let is_compaction = ask.path.starts_with("/responses/compact");
    let goes_on =
        matches!(&ask.payload, Payload::Json { outline, .. } if outline.previous_response_id.is_some());
    match protocol::converses(ask.dialect) && !is_compaction && (!goes_on || ask.earlier.is_some()) {
        true => Dialects::conversing().and(ask.dialect),
        false => own,
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
