//! Decides who is told which of the thoughts that providers have sealed in a conversation; never reads one.

use policy::{Backend, Candidate};
use protocol::{
    Outline, SealMark, Unsealed,
    conversation::seal::{Maker, Reader},
};

use super::super::{accept::Arrival, route::Lease};
use super::{Ask, Door, Payload, speech::maker};
use crate::view::View;

/// What is known of the seals in an ask.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Seals {
    /// Those that a backend here has made, and who that is; in their order.
    made: Vec<(SealMark, Maker)>,
    /// A backend has refused what it was told of them: nobody is told any.
    are_refused: bool,
    /// Nothing may be lost.
    pub(super) is_strict: bool,
}

impl Door<'_> {
    /// Finds out who has made the seals in a request. That is known of those that came by here, for a while: any other is
    /// told to whoever is asked.
    pub(super) fn seals(&self, arrival: &Arrival, outline: &Outline) -> Seals {
        let made_by = |mark: &SealMark| {
            let name = self.gateway.bindings.find(&mark.to_string())?;
            let backend = arrival.view.snapshot.backend_named(&name)?;
            Some((*mark, maker(backend, arrival.dialect)?))
        };
        Seals { made: outline.seals.iter().filter_map(made_by).collect(), ..Seals::default() }
    }
}

/// Asks those first who can read what was sealed last: any other is told the conversation without it. What was said before a
/// conversation was compacted is sealed, too, and nobody else is told that.
pub(super) fn where_its_thoughts_are_read(ask: Ask) -> Ask {
    let Some((_, last)) = ask.seals.made.last() else { return ask };
    let reads = |candidate: &Candidate| {
        ask.view.serving(candidate.backend).is_some_and(|serving| {
            let backend = &serving.backend;
            let speaks = backend.enabled && backend.dialects().holds(ask.dialect);
            speaks && maker(backend, ask.dialect) == Some(*last)
        })
    };
    let route = match ask.needs().own_dialect {
        true => ask.route.only(reads),
        false => ask.route.first(reads),
    };
    match route {
        Some(route) => Ask { route: route.into(), ..ask },
        None => ask,
    }
}

impl Ask {
    /// What it is for a backend of its own dialect that cannot read all that is sealed in it; none where it is told as it is.
    pub(in crate::pipeline) fn unsealed_for(&self, backend: &Backend, native: &str) -> Option<Unsealed> {
        let Payload::Json { body, outline } = &self.payload else { return None };
        if self.seals.are_refused {
            return protocol::unseal(body, outline, native, |_| true);
        }
        let reader = maker(backend, self.dialect);
        let made_by_others = || self.seals.made.iter().filter(|(_, maker)| Some(*maker) != reader);
        made_by_others().next()?;
        protocol::unseal(body, outline, native, |seal| made_by_others().any(|(other, _)| *other == seal))
    }

    /// Who reads what is sealed in it, where a backend is told it in another dialect than the client's.
    pub(in crate::pipeline) fn reader(&self, maker: Option<Maker>) -> Reader {
        if self.seals.are_refused { Reader::Nobody } else { Reader::Maker(maker) }
    }

    /// Whether a backend that has objected to what it was told of sealed thoughts could be told it without any.
    pub(in crate::pipeline) fn has_seals_to_withhold(&self, lease: &Lease) -> bool {
        let Seals { are_refused, is_strict, .. } = self.seals;
        if are_refused || is_strict {
            return false;
        }
        let Payload::Json { body, outline } = &self.payload else { return false };
        if !self.is_translated_for(lease) {
            return protocol::unseal(body, outline, &lease.candidate().native, |_| true).is_some();
        }
        match self.conversation() {
            Some(Ok(request)) => request.without_seals(lease.dialect(), Reader::Nobody).is_some(),
            Some(Err(_)) | None => false,
        }
    }

    /// From here on nobody is told any.
    pub(in crate::pipeline) fn withhold_seals(&mut self) {
        self.seals.are_refused = true;
    }
}

/// Whether there is another maker than this backend on the route of an answer, so that who has made its seals matters.
pub(in crate::pipeline) fn are_read_by_some_only(view: &View, lease: &Lease) -> bool {
    let (route, _) = lease.place();
    let dialect = lease.dialect();
    let own = maker(&lease.serving.backend, dialect);
    let mut candidates = route.tiers.iter().flat_map(|tier| &tier.candidates);
    candidates.any(|candidate| {
        candidate.backend != lease.backend()
            && view.serving(candidate.backend).is_some_and(|serving| {
                serving.backend.dialects().holds(dialect) && maker(&serving.backend, dialect) != own
            })
    })
}
