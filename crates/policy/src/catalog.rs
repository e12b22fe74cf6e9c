//! Decides which backends a model name leads to; never which of them is chosen, nor whether they are well.

mod build;
mod close;
mod dearest;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::Needs;

use crate::backend::Source;
use crate::identity::Key;
use crate::live::{BackendId, KeySlot, ModelId};
use crate::money::{Amount, Price, PriceBook};
use crate::schedule::Strategy;

pub(crate) use build::{CatalogDraft, Served};
pub(crate) use close::close_names;
use dearest::Dearest;

/// Names of the simulated provider begin with this, and only they do.
pub(crate) const DEMO_PREFIX: &str = "demo/";

/// How long an answer may be that neither the request nor the model's mapping bounds, when money is held for it. What
/// it costs beyond that is counted when it is settled.
pub const OUTPUT_TOKENS_UNKNOWN: u64 = 32_768;

/// Where a request may go, best tier first.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The name that was asked for.
    pub asked: Arc<str>,
    /// The canonical model it means; the first one, when it means several. Empty for relays without a model.
    pub model: Arc<str>,
    /// Whether an alias was asked for, so that the answer must bear `asked` instead of its own model name.
    pub renamed: bool,
    /// One for each pool that serves each model, in order.
    pub tiers: Vec<Tier>,
    /// The narrowest context window on it.
    narrowest: Option<u64>,
    dearest: Dearest,
    /// Which backends are on it, one bit each.
    members: Box<[u64]>,
}

/// How much may be written in answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Tokens of one answer, where the request bounds them.
    pub each: Option<u64>,
    /// Answers beside each other.
    pub answers: u64,
    /// Pictures, all answers together.
    pub images: u64,
}

impl From<Option<u64>> for Longest {
    /// One answer, without pictures.
    fn from(each: Option<u64>) -> Self {
        Self { each, answers: 1, images: 0 }
    }
}

/// The backends of one pool that serve one model.
#[derive(Debug, PartialEq, Eq)]
pub struct Tier {
    /// The canonical model.
    pub model: Arc<str>,
    /// The pool.
    pub pool: Arc<str>,
    /// How it spreads its requests.
    pub strategy: Strategy,
    /// What stands for the model where paces are kept.
    pub(crate) mark: u64,
    /// Who serves it.
    pub candidates: Vec<Candidate>,
}

/// One backend that serves one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub backend: BackendId,
    /// Where `Live` counts for the model there, if it does.
    pub model: Option<ModelId>,
    /// Its own id for the model. Empty for relays without a model: nothing is replaced.
    pub native: Arc<str>,
    /// What it charges; none when nobody knows.
    pub price: Option<Arc<Price>>,
    /// How many tokens a request and its answer may have together.
    pub context: Option<u64>,
    /// How many tokens an answer may have.
    pub max_output: Option<u64>,
    /// What it can be sent.
    pub carries: Carries,
    /// Its place among the prices of its tier; equal prices have equal places, and unknown ones the last.
    pub(crate) cost_place: u32,
}

/// What a model on a backend can be sent. Lenient: what nobody ruled out, it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent capabilities, as `Needs` has them")]
pub struct Carries {
    /// Tool definitions.
    pub tools: bool,
    /// Images.
    pub images: bool,
    /// Audio.
    pub audio: bool,
    /// Files and documents.
    pub files: bool,
    /// A JSON schema for the answer.
    pub json_schema: bool,
}

impl Default for Carries {
    fn default() -> Self {
        Self { tools: true, images: true, audio: true, files: true, json_schema: true }
    }
}

impl Carries {
    /// Whether it carries all that is needed.
    #[must_use]
    pub fn all(&self, needs: &Needs) -> bool {
        (self.tools || !needs.tools)
            && (self.images || !needs.images)
            && (self.audio || !needs.audio)
            && (self.files || !needs.files)
            && (self.json_schema || !needs.json_schema)
    }
}

impl Tier {
    /// The same tier in another route.
    fn again(&self) -> Self {
        self.with(self.candidates.clone())
    }

    /// The same with those candidates that fit; none when nobody is left.
    fn only(&self, fits: impl Fn(&Candidate) -> bool) -> Option<Self> {
        let candidates: Vec<_> = self.candidates.iter().filter(|one| fits(one)).cloned().collect();
        (!candidates.is_empty()).then(|| self.with(candidates))
    }

    fn with(&self, candidates: Vec<Candidate>) -> Self {
        Self {
            model: Arc::clone(&self.model),
            pool: Arc::clone(&self.pool),
            strategy: self.strategy,
            mark: self.mark,
            candidates,
        }
    }
}

impl Route {
    /// A route to one model by its own name.
    #[must_use]
    pub fn new(asked: Arc<str>, model: Arc<str>, tiers: Vec<Tier>) -> Self {
        let contexts = tiers.iter().flat_map(|tier| &tier.candidates).filter_map(|one| one.context);
        let narrowest = contexts.min();
        let dearest = Dearest::of(tiers.iter().flat_map(|tier| &tier.candidates));
        let members = members(&tiers);
        Self { asked, model, renamed: false, tiers, narrowest, dearest, members }
    }

    /// A copy of this route without the candidates whose price nobody knows; none when nobody is left.
    #[must_use]
    pub fn only_priced(&self) -> Option<Self> {
        self.only(|one| one.price.is_some())
    }

    /// A copy of this route with those candidates that fit; none when nobody is left.
    #[must_use]
    pub fn only(&self, fits: impl Fn(&Candidate) -> bool) -> Option<Self> {
        let tiers: Vec<Tier> = self.tiers.iter().filter_map(|tier| tier.only(&fits)).collect();
        (!tiers.is_empty()).then(|| self.by(tiers))
    }

    /// A copy of this route on which, of each model's candidates, those come first that fit, each pool in its order; none where
    /// that makes no difference.
    #[must_use]
    pub fn first(&self, fits: impl Fn(&Candidate) -> bool) -> Option<Self> {
        let mut candidates = self.tiers.iter().flat_map(|tier| &tier.candidates);
        let is_first = candidates.next().is_some_and(&fits);
        if candidates.all(|one| fits(one) == is_first) {
            return None;
        }
        let models = self.tiers.chunk_by(|one, next| one.model == next.model);
        let parted = models.flat_map(|pools| {
            let fitting = pools.iter().filter_map(|tier| tier.only(&fits));
            fitting.chain(pools.iter().filter_map(|tier| tier.only(|one| !fits(one))))
        });
        Some(self.by(parted.collect()))
    }

    /// The same by other tiers.
    fn by(&self, tiers: Vec<Tier>) -> Self {
        let renamed = self.renamed;
        Self { renamed, ..Self::new(Arc::clone(&self.asked), Arc::clone(&self.model), tiers) }
    }

    /// Whether the price of every candidate is known.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        self.dearest.is_known()
    }

    /// The most that one attempt with so many prompt tokens can cost on it, at the dearest candidate; `ceiling` is the
    /// price of those whose own nobody knows. `output` is the longest answer, where the request says; else the model's
    /// maximum counts, else [`OUTPUT_TOKENS_UNKNOWN`].
    #[must_use]
    pub fn worst_case(&self, prompt: u64, output: impl Into<Longest>, ceiling: Option<&Price>) -> Amount {
        self.dearest.worst_case(prompt, output.into(), ceiling)
    }

    /// Whether a backend is on it.
    pub(crate) fn holds(&self, backend: BackendId) -> bool {
        let (word, bit) = place(backend);
        self.members.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether it leads to none but these: a bit for each, as in [`Self::members`].
    pub(crate) fn leads_within(&self, set: &[u64]) -> bool {
        let words = self.members.iter().enumerate();
        words.map(|(place, word)| word & !set.get(place).copied().unwrap_or(0)).all(|others| others == 0)
    }

    /// The backends on it: a bit for each, by its index.
    pub(crate) fn members(&self) -> &[u64] {
        &self.members
    }

    /// A route by an alias; none when it leads to nothing.
    pub(crate) fn by_alias(alias: &str, tiers: Vec<Tier>) -> Option<Self> {
        let model = Arc::clone(&tiers.first()?.model);
        Some(Self { renamed: true, ..Self::new(alias.into(), model, tiers) })
    }

    /// Whether so many tokens fit some candidates and not others. When none fits, none is left out: the
    /// count is an estimate, and the provider's own refusal is more exact than ours.
    pub(crate) fn some_fit_only(&self, tokens: u64) -> bool {
        if self.narrowest.is_none_or(|narrowest| tokens <= narrowest) {
            return false;
        }
        let mut contexts = self.tiers.iter().flat_map(|tier| &tier.candidates).map(|one| one.context);
        let fits = |context: Option<u64>| context.is_none_or(|context| tokens <= context);
        contexts.any(fits)
    }
}

fn members(tiers: &[Tier]) -> Box<[u64]> {
    let mut members = Vec::new();
    for candidate in tiers.iter().flat_map(|tier| &tier.candidates) {
        let (word, bit) = place(candidate.backend);
        if members.len() <= word {
            members.resize(word + 1, 0);
        }
        members[word] |= bit;
    }
    members.into()
}

/// The word and the bit that stand for a backend.
fn place(backend: BackendId) -> (usize, u64) {
    let word = usize::try_from(backend.0 / u64::BITS).expect("an index fits this machine's addresses");
    (word, 1 << (backend.0 % u64::BITS))
}

/// A name that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchModel {
    /// The name.
    pub asked: String,
    /// Names like it that the caller may use.
    pub close: Vec<String>,
}

impl std::fmt::Display for NoSuchModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "The model `{}` does not exist.", self.asked)?;
        if let Some((last, others)) = self.close.split_last() {
            f.write_str(" Did you mean ")?;
            for name in others {
                write!(f, "`{name}`, ")?;
            }
            write!(f, "`{last}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoSuchModel {}

/// One line of `/v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelListing {
    /// The name to ask for.
    pub id: Arc<str>,
    /// The provider tag of the first backend that serves it; `lockgate` for an alias.
    pub owned_by: Arc<str>,
    /// The context window, the widest of those who serve it.
    pub context: Option<u64>,
    /// The longest answer, the longest of those who serve it.
    pub max_output: Option<u64>,
}

/// All names and where they lead. Known names have their routes made beforehand.
#[derive(Debug)]
pub struct Catalog {
    routes: HashMap<Arc<str>, Arc<Route>>,
    key_routes: HashMap<KeySlot, HashMap<Arc<str>, Arc<Route>>>,
    listings: BTreeMap<Arc<str>, ModelListing>,
    backends: Vec<Entry>,
    pools: Vec<(Arc<str>, Strategy)>,
    strategies: BTreeMap<Arc<str>, Strategy>,
    prefixes: HashMap<Box<str>, Vec<usize>>,
    prices: PriceBook,
    any: Arc<Route>,
}

/// A backend as the catalog knows it.
#[derive(Debug)]
struct Entry {
    id: BackendId,
    label: Arc<str>,
    pool: usize,
    source: Source,
    /// Whether any name may be passed through to it.
    wildcard: bool,
    /// Whether what it lists is known.
    discovered: bool,
    /// What it is known to serve, by canonical name.
    models: BTreeMap<Arc<str>, Candidate>,
}

impl Catalog {
    /// Where a name leads for this key: its own aliases, the names everyone knows, a provider's prefix,
    /// and at last any backend whose list nobody could read yet. Whether the key may take the route is
    /// [`crate::may_take`]'s to say.
    pub fn resolve(&self, asked: &str, key: &Key) -> Result<Arc<Route>, NoSuchModel> {
        let asked = match &key.default_model {
            Some(default) if asked.is_empty() => default,
            Some(_) | None => asked,
        };
        let own = self.key_routes.get(&key.slot).and_then(|routes| routes.get(asked));
        if let Some(route) = own.or_else(|| self.routes.get(asked)) {
            return Ok(Arc::clone(route));
        }
        self.pass_through(asked).map(Arc::new).ok_or_else(|| self.no_such_model(asked, key))
    }

    /// The names this key may use: what enabled backends serve, and aliases.
    #[must_use]
    pub fn list(&self, key: &Key) -> Vec<ModelListing> {
        let own = self.key_routes.get(&key.slot).into_iter().flatten();
        let own = own.filter(|(name, _)| !self.listings.contains_key(*name));
        let own = own.map(|(name, route)| self.listing_of(name, route));
        let mut listings: Vec<ModelListing> = self.listings.values().cloned().chain(own).collect();
        listings.retain(|listing| {
            key.models.is_all()
                || key.models.holds(&listing.id)
                || self.resolve(&listing.id, key).is_ok_and(|route| crate::may_take(key, &route).is_ok())
        });
        listings.sort_by(|one, other| one.id.cmp(&other.id));
        listings
    }

    /// Where a relay without a model goes: every backend, pool by pool; simulated ones only when there
    /// are no others.
    #[must_use]
    pub fn any_route(&self) -> &Arc<Route> {
        &self.any
    }

    fn no_such_model(&self, asked: &str, key: &Key) -> NoSuchModel {
        let known = self.list(key);
        let close = close_names(asked, known.iter().map(|listing| &*listing.id));
        NoSuchModel { asked: asked.to_owned(), close }
    }
}
