//! Decides in which dialects an ask may go to which backends; never which of those it is.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use policy::{Backend, Candidate, Carries, Dialects, Route};
use protocol::{
    Dialect, Target,
    conversation::{
        request::Request,
        seal::{Account, Maker, Reader},
    },
};

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
    /// All that it says are items that are not kept here.
    References,
}

impl Tie {
    fn of(ask: &Ask) -> Option<Self> {
        let Payload::Json { outline, .. } = &ask.payload else { return None };
        if ask.compacts() {
            return Some(Self::Compaction);
        }
        if outline.needs.own_dialect {
            return Some(Self::Possession);
        }
        if lacks_past(ask) {
            return Some(Self::Past);
        }
        if outline.refers_to.is_empty() {
            // Most are relayed, and are never read as a conversation.
            return None;
        }
        let only_refers =
            matches!(ask.conversation(), Some(Ok(request)) if protocol::kept::only_refers(request));
        only_refers.then_some(Self::References)
    }
}

/// It continues a response that is not kept here.
fn lacks_past(ask: &Ask) -> bool {
    matches!(&ask.payload, Payload::Json { outline, .. } if outline.previous_response_id.is_some())
        && ask.past.earlier.is_none()
}

/// Leaves an ask whose past is not here, and whose home nobody knows, to the backends that may have it.
pub(super) fn where_its_past_is(ask: Ask) -> Result<Ask, Refusal> {
    let Some(tie @ (Tie::Past | Tie::References)) = Tie::of(&ask).filter(|_| ask.bound.is_none()) else {
        return Ok(ask);
    };
    match ask.route.only(|candidate| keeps_responses(&ask.view, candidate)) {
        Some(route) => Ok(Ask { route: route.into(), ..ask }),
        None => Err(tie.into()),
    }
}

/// Where a stored response may be whose home nobody knows; a refusal where nobody can have it.
pub(super) fn where_it_may_be(arrival: &Arrival, id: &str) -> Result<Arc<Route>, Refusal> {
    let route = arrival.view.snapshot.catalog.any_route();
    match route.only(|candidate| keeps_responses(&arrival.view, candidate)) {
        Some(route) => Ok(route.into()),
        None => {
            let message =
                format!("There is no response `{id}` here (any more), and no backend keeps responses.");
            Err(Refusal::new(Code::NOT_FOUND, message).about("id"))
        }
    }
}

/// Whether a backend may have what was answered before: it speaks Responses, and keeps its own.
fn keeps_responses(view: &View, candidate: &Candidate) -> bool {
    view.serving(candidate.backend).is_some_and(|serving| {
        let backend = &serving.backend;
        backend.enabled
            && backend.dialects().holds(Dialect::OpenAiResponses)
            && !backend.manner.keeps_no_responses
    })
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
            Tie::References => Refusal::new(
                Code::UNSUPPORTED,
                "The items that this request refers to are not kept here (any more), it says nothing else, and no backend \
                 of this model keeps responses.",
            )
            .about("input"),
        }
    }
}

/// Leaves an ask to those backends to which all can be carried that it says, in the dialects that do; a refusal with what
/// is lost where there is none. Each is judged as it would be called: what is lost depends on its model and its habits.
pub(super) fn lose_nothing(ask: Ask) -> Result<Ask, Refusal> {
    let mut judge = Judge { ask: &ask, judged: Vec::new(), least: None };
    let mut dialects = Dialects::only(ask.dialect);
    let mut kept: Vec<(&Candidate, Dialects, Dialects)> = Vec::new();
    for candidate in ask.route.tiers.iter().flat_map(|tier| &tier.candidates) {
        let Some(serving) = ask.view.serving(candidate.backend).filter(|serving| serving.backend.enabled)
        else {
            continue;
        };
        let spoken = serving.backend.dialects().common(ask.dialects);
        let lossless = judge.lossless(candidate, &serving.backend, spoken)?;
        // A backend of the client's own dialect is spoken to in that, whatever else it speaks.
        if !spoken.holds(ask.dialect) || !ask.past.is_empty() {
            dialects =
                Dialect::ALL.iter().copied().filter(|one| lossless.holds(*one)).fold(dialects, Dialects::and);
        }
        kept.push((candidate, spoken, lossless));
    }
    // It is spoken to in the best of the ask's dialects that it speaks, so that it must lose nothing in any of those.
    let fits = |candidate: &Candidate| {
        kept.iter().any(|(known, spoken, lossless)| {
            let spoken = spoken.common(dialects);
            std::ptr::eq(*known, candidate) && !spoken.is_empty() && spoken == lossless.common(spoken)
        })
    };
    match (judge.least.take(), ask.route.only(fits)) {
        (None, _) => Ok(Ask { dialects, ..ask }),
        (Some(_), Some(route)) => Ok(Ask { dialects, route: route.into(), ..ask }),
        (Some(lost), None) => Err(losing(&lost)),
    }
}

/// Finds out what is lost on the way to backends, those that are called alike together.
struct Judge<'a> {
    ask: &'a Ask,
    judged: Vec<(Dialect, Target<'a>, Option<Maker>, bool)>,
    /// The least that was lost anywhere.
    least: Option<Vec<String>>,
}

impl<'a> Judge<'a> {
    /// Those of the dialects a backend is spoken to in that lose nothing there. Its own comes first, and loses nothing.
    fn lossless(
        &mut self,
        candidate: &'a Candidate,
        backend: &Backend,
        spoken: Dialects,
    ) -> Result<Dialects, Refusal> {
        let own = self.ask.dialect;
        if spoken.holds(own) && !self.ask.is_rewritten_for(backend) {
            let Some(unsealed) = self.ask.unsealed_for(backend, &candidate.native) else { return Ok(spoken) };
            self.lose(unsealed.lost);
            return Ok(Dialects::NONE);
        }
        let Some(request) = self.ask.conversation() else { return Ok(Dialects::NONE) };
        let request = request.as_ref().map_err(|error| Refusal::from(error.clone()))?;
        let target = target(candidate, backend);
        let mut lossless = Dialects::NONE;
        for dialect in Dialect::ALL.iter().copied().filter(|dialect| spoken.holds(*dialect)) {
            // Who it is matters only to what is sealed.
            let maker = maker(backend, dialect).filter(|_| request.is_sealed_in(dialect));
            let is_alike = |(known, with, by, _): &&(Dialect, Target<'_>, Option<Maker>, bool)| {
                (*known, *with, *by) == (dialect, target, maker)
            };
            let alike = self.judged.iter().find(is_alike);
            let carries = match alike {
                Some((.., carries)) => *carries,
                None => {
                    let read_by = Reader::Maker(self::maker(backend, dialect));
                    let to = (candidate, backend);
                    let Some(Told { lost, .. }) = told((own, request), dialect, to, read_by) else {
                        continue;
                    };
                    let carries = lost.is_empty();
                    self.judged.push((dialect, target, maker, carries));
                    if !carries {
                        self.lose(lost);
                    }
                    carries
                }
            };
            if carries {
                lossless = lossless.and(dialect);
            }
        }
        Ok(lossless)
    }

    fn lose(&mut self, lost: Vec<String>) {
        if self.least.as_ref().is_none_or(|least| lost.len() < least.len()) {
            self.least = Some(lost);
        }
    }
}

/// The longest answer asked for where the dialect must be told one, and neither the client nor the configuration say:
/// what every current model of those dialects can write.
const OUTPUT_TOKENS_DEFAULT: u64 = 32_000;

/// A request as a backend is told it.
pub(in super::super) struct Told {
    pub(in super::super) body: Bytes,
    /// What is lost on the way, as paths into the client's body.
    pub(in super::super) lost: Vec<String>,
}

/// What a client's request says in the dialect of a backend; none where that does not converse.
pub(in super::super) fn told(
    (client, request): (Dialect, &Request),
    dialect: Dialect,
    (candidate, backend): (&Candidate, &Backend),
    reader: Reader,
) -> Option<Told> {
    let without = request.without_seals(dialect, reader);
    let (request, mut losses) = match without {
        Some((request, losses)) => (Cow::Owned(request), losses),
        None => (Cow::Borrowed(request), Vec::new()),
    };
    let encoded = protocol::encode_request(dialect, &request, &target(candidate, backend))?;
    losses.extend(encoded.losses);
    Some(Told { body: encoded.body, lost: protocol::loss_paths(client, &request, &losses) })
}

/// Who seals what a backend says in a dialect.
pub(in super::super) fn maker(backend: &Backend, dialect: Dialect) -> Option<Maker> {
    Account { name: &backend.name, provider: backend.provider() }.seals_in(dialect)
}

/// To whom an ask is written that goes to a candidate in another dialect.
fn target<'a>(candidate: &'a Candidate, backend: &Backend) -> Target<'a> {
    Target {
        model: &candidate.native,
        max_output_tokens: candidate.max_output.unwrap_or(OUTPUT_TOKENS_DEFAULT),
        manner: backend.manner,
    }
}

/// Says what it is of an ask that no backend on its route takes.
pub(in super::super) fn unsupported(ask: &Ask) -> Refusal {
    if spoken(&ask.view, &ask.route, Backend::dialects).common(ask.dialects).is_empty() {
        let path = ask.path.split('?').next().unwrap_or_default();
        return Refusal::new(Code::UNSUPPORTED, format!("No backend for this request serves `{path}`."));
    }
    let needs = ask.needs();
    let candidates = || ask.route.tiers.iter().flat_map(|tier| &tier.candidates);
    if candidates().any(|candidate| candidate.carries.all(&needs)) {
        let fitting = candidates().filter(|candidate| candidate.carries.all(&needs));
        let longest = fitting.filter_map(|candidate| candidate.context).max().unwrap_or_default();
        let tokens = ask.estimate.total();
        return Refusal::new(
            Code::UNSUPPORTED,
            format!(
                "This request is too long for this model: about {tokens} tokens, its answer included, of {longest}."
            ),
        );
    }
    let is_taken = |takes: fn(&Carries) -> bool| candidates().any(|candidate| takes(&candidate.carries));
    let needed = [
        (needs.tools, is_taken(|takes| takes.tools), "tools"),
        (needs.images, is_taken(|takes| takes.images), "pictures"),
        (needs.audio, is_taken(|takes| takes.audio), "sound"),
        (needs.files, is_taken(|takes| takes.files), "files"),
        (needs.json_schema, is_taken(|takes| takes.json_schema), "a JSON schema"),
    ];
    // Where each is taken somewhere, it is all of them together that nobody takes.
    let is_refused = needed.iter().any(|(is_needed, is_taken, _)| *is_needed && !is_taken);
    let named = needed.iter().filter(|(is_needed, is_taken, _)| *is_needed && !(is_refused && *is_taken));
    let named: Vec<&str> = named.map(|(_, _, name)| *name).collect();
    Refusal::new(Code::UNSUPPORTED, format!("No backend for this model takes {}.", named.join(" and ")))
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
