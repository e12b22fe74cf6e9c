//! Decides which routes follow from backends, mappings, lists and aliases; never asks a provider itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Candidate, Catalog, DEMO_PREFIX, Entry, ModelListing, Route, Tier};
use crate::backend::{Backend, Source, vendor_named};
use crate::live::{KeySlot, ModelId};
use crate::money::{Amount, PriceBook};
use crate::schedule::Strategy;
use crate::snapshot::ModelSpec;

/// What a catalog is made from.
#[derive(Debug)]
pub(crate) struct CatalogDraft {
    /// Backends, in the order of the configuration.
    pub(crate) served: Vec<Served>,
    /// Pools, in the order they are tried.
    pub(crate) pools: Vec<(Arc<str>, Strategy)>,
    /// Models that are not spread as their pools are.
    pub(crate) strategies: BTreeMap<Arc<str>, Strategy>,
    /// Prices of what no mapping prices.
    pub(crate) prices: PriceBook,
}

/// A backend and what it serves.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) backend: Arc<Backend>,
    /// Where `Live` counts for native models, if it does.
    pub(crate) ids: HashMap<String, ModelId>,
    /// Its mappings; none: it serves what it lists.
    pub(crate) models: Option<BTreeMap<String, ModelSpec>>,
    /// What it lists; none: nobody could read it yet.
    pub(crate) discovered: Option<Vec<String>>,
}

impl CatalogDraft {
    /// The catalog without aliases.
    pub(crate) fn catalog(self) -> Catalog {
        let Self { served, pools, strategies, prices } = self;
        let mut catalog = Catalog {
            routes: HashMap::new(),
            key_routes: HashMap::new(),
            listings: BTreeMap::new(),
            prefixes: prefixes(&served),
            backends: served.iter().map(|one| entry(one, &pools, &prices)).collect(),
            any: Arc::new(Route::new("".into(), "".into(), Vec::new())),
            pools,
            strategies,
            prices,
        };
        catalog.any = Arc::new(catalog.route_to_any());
        let mut serving: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
        for (index, entry) in catalog.backends.iter().enumerate() {
            for model in entry.models.keys() {
                serving.entry(Arc::clone(model)).or_default().push(index);
            }
        }
        for (model, backends) in &serving {
            let mapped = backends.iter().any(|index| !catalog.backends[*index].wildcard);
            // A provider's prefix asks for that provider, even where a broker lists the same name.
            let by_prefix = if mapped { None } else { catalog.by_prefix(model) };
            let route = by_prefix.unwrap_or_else(|| {
                let tiers = catalog.tiers_among(model, backends.iter().copied());
                Route::new(Arc::clone(model), Arc::clone(model), tiers)
            });
            if backends.iter().any(|index| served[*index].backend.enabled) {
                let listing = catalog.listing_of(model, &route);
                catalog.listings.insert(Arc::clone(model), listing);
            }
            catalog.routes.insert(Arc::clone(model), Arc::new(route));
        }
        catalog
    }
}

/// One backend's mappings and list, as candidates by canonical name.
fn entry(served: &Served, pools: &[(Arc<str>, Strategy)], prices: &PriceBook) -> Entry {
    let backend = &served.backend;
    let demo = backend.source == Source::Demo;
    let mapped = served.models.iter().flatten().map(|(model, spec)| {
        let native = spec.native.as_deref().unwrap_or(model);
        let price = spec.price.as_ref().map(|price| Arc::new(price.price()));
        let candidate = Candidate {
            backend: backend.id,
            model: served.ids.get(native).copied(),
            native: native.into(),
            price: price.or_else(|| prices.find(&backend.label, native)),
            context: spec.context,
            max_output: spec.max_output,
            carries: spec.carries,
            cost_place: 0,
        };
        (Arc::from(model.as_str()), candidate)
    });
    let listed = served.discovered.iter().flatten().filter(|_| served.models.is_none());
    let listed = listed.filter(|native| demo || !native.starts_with(DEMO_PREFIX)).map(|native| {
        let canonical = if demo && !native.starts_with(DEMO_PREFIX) {
            format!("{DEMO_PREFIX}{native}")
        } else {
            native.clone()
        };
        let passed = passed_through(backend.id, &backend.label, native, prices);
        (Arc::from(canonical), Candidate { model: served.ids.get(native).copied(), ..passed })
    });
    Entry {
        id: backend.id,
        label: Arc::clone(&backend.label),
        pool: pools.iter().position(|(name, _)| *name == backend.pool).unwrap_or(pools.len()),
        source: backend.source,
        wildcard: served.models.is_none(),
        discovered: served.discovered.is_some(),
        models: mapped.chain(listed).collect(),
    }
}

fn passed_through(
    backend: crate::live::BackendId,
    label: &str,
    native: &str,
    prices: &PriceBook,
) -> Candidate {
    Candidate {
        backend,
        model: None,
        native: native.into(),
        price: prices.find(label, native),
        context: None,
        max_output: None,
        carries: super::Carries::default(),
        cost_place: 0,
    }
}

/// The same candidates, each with its place among their prices. Of three input tokens to one output token,
/// as requests that carry a conversation have on average; a mix that is wrong for all is still the same for all.
fn by_cost(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let cost =
        |one: &Candidate| one.price.as_ref().map(|price| price.input.times(3).saturating_add(price.output));
    let mut known: Vec<Amount> = candidates.iter().filter_map(cost).collect();
    known.sort_unstable();
    known.dedup();
    for candidate in &mut candidates {
        let place = cost(candidate).and_then(|cost| known.binary_search(&cost).ok()).unwrap_or(known.len());
        candidate.cost_place = u32::try_from(place).unwrap_or(u32::MAX);
    }
    candidates
}

/// Which prefixes mean which backends: their labels, their names, and their vendors' names and aliases.
fn prefixes(served: &[Served]) -> HashMap<Box<str>, Vec<usize>> {
    let mut prefixes: HashMap<Box<str>, Vec<usize>> = HashMap::new();
    for (index, one) in served.iter().enumerate() {
        let backend = &one.backend;
        let vendor = vendor_named(&backend.label);
        let vendors = vendor.iter().flat_map(|vendor| vendor.aliases.iter().copied().chain([vendor.name]));
        for prefix in vendors.chain([&*backend.label, &*backend.name]) {
            let backends = prefixes.entry(prefix.into()).or_default();
            if backends.last() != Some(&index) {
                backends.push(index);
            }
        }
    }
    prefixes
}

impl Catalog {
    /// Makes names lead to models, in order. All targets are looked up before any alias is entered: an
    /// alias leads to models, never to another alias. Returns the targets of each name that lead nowhere.
    pub(crate) fn alias(&mut self, aliases: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
        let found = aliases.iter().map(|(name, targets)| self.route_of_alias(name, targets));
        let (routes, missing): (Vec<_>, Vec<_>) = found.unzip();
        for route in routes.into_iter().flatten() {
            let name: Arc<str> = Arc::clone(&route.asked);
            self.listings.insert(Arc::clone(&name), self.listing_of(&name, &route));
            self.routes.insert(name, Arc::new(route));
        }
        missing
    }

    /// Makes a name lead to models for one key. Returns the targets that lead nowhere.
    pub(crate) fn alias_for(&mut self, key: KeySlot, name: &str, targets: &[String]) -> Vec<String> {
        let (route, missing) = self.route_of_alias(name, targets);
        if let Some(route) = route {
            self.key_routes.entry(key).or_default().insert(Arc::clone(&route.asked), Arc::new(route));
        }
        missing
    }

    /// Whether a name leads anywhere today.
    pub(crate) fn leads(&self, name: &str) -> bool {
        self.routes.contains_key(name) || self.pass_through(name).is_some()
    }

    /// Whether names that are not known today may be known tomorrow: then an unknown one is no mistake.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.backends.iter().any(|entry| entry.wildcard && entry.source != Source::Demo)
    }

    /// Whether a backend maps or lists this very name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.backends.iter().any(|entry| entry.models.contains_key(name))
    }

    /// Whether a backend maps this very name.
    pub(crate) fn maps(&self, name: &str) -> bool {
        self.backends.iter().any(|entry| !entry.wildcard && entry.models.contains_key(name))
    }

    /// Every name known today.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(|name| &**name)
    }

    fn route_of_alias(&self, name: &str, targets: &[String]) -> (Option<Route>, Vec<String>) {
        let mut tiers = Vec::new();
        let mut missing = Vec::new();
        for target in targets {
            let known = self.routes.get(target.as_str()).filter(|route| !route.renamed).cloned();
            match known.or_else(|| self.pass_through(target).map(Arc::new)) {
                Some(route) => tiers.extend(route.tiers.iter().map(Tier::again)),
                None => missing.push(target.clone()),
            }
        }
        (Route::by_alias(name, tiers), missing)
    }

    /// A route for a name nobody knows: under a provider's prefix, or to those whose list nobody could
    /// read yet. The latter can be wrong, but a provider that lacks the model says so and the attempt
    /// moves on; refusing would make every start without a network a wall of 404s.
    pub(super) fn pass_through(&self, asked: &str) -> Option<Route> {
        if asked.is_empty() {
            return None;
        }
        if let Some(route) = self.by_prefix(asked) {
            return Some(route);
        }
        if asked.starts_with(DEMO_PREFIX) {
            return None;
        }
        let unread = |entry: &&Entry| entry.wildcard && !entry.discovered && entry.source != Source::Demo;
        let candidates = self.backends.iter().filter(unread).map(|entry| (entry, self.passed(entry, asked)));
        self.route_over(asked, asked, candidates.collect())
    }

    /// The route of `provider/model`: that provider's backends only.
    fn by_prefix(&self, asked: &str) -> Option<Route> {
        let (prefix, rest) = asked.split_once('/').filter(|(_, rest)| !rest.is_empty())?;
        let backends = || self.prefixes.get(prefix).into_iter().flatten().map(|index| &self.backends[*index]);
        // A provider's own names may begin with its prefix, too.
        let whole = backends().any(|entry| entry.models.contains_key(asked));
        let candidates = backends().filter_map(|entry| {
            let natively = || entry.models.values().find(|one| *one.native == *asked || *one.native == *rest);
            let known = entry.models.get(asked).or_else(|| entry.models.get(rest)).or_else(natively).cloned();
            let passed = || entry.wildcard.then(|| self.passed(entry, rest));
            Some((entry, known.or_else(passed)?))
        });
        self.route_over(asked, if whole { asked } else { rest }, candidates.collect())
    }

    fn passed(&self, entry: &Entry, native: &str) -> Candidate {
        passed_through(entry.id, &entry.label, native, &self.prices)
    }

    fn tiers_among(&self, model: &Arc<str>, backends: impl Iterator<Item = usize>) -> Vec<Tier> {
        let entries = backends.map(|index| &self.backends[index]);
        let candidates = entries.filter_map(|entry| Some((entry, entry.models.get(model)?.clone())));
        self.tiers_of(model, candidates.collect())
    }

    fn route_over(&self, asked: &str, model: &str, candidates: Vec<(&Entry, Candidate)>) -> Option<Route> {
        let model: Arc<str> = model.into();
        let tiers = self.tiers_of(&model, candidates);
        (!tiers.is_empty()).then(|| Route::new(asked.into(), model, tiers))
    }

    fn tiers_of(&self, model: &Arc<str>, candidates: Vec<(&Entry, Candidate)>) -> Vec<Tier> {
        let mut by_pool: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
        for (entry, candidate) in candidates {
            by_pool.entry(entry.pool).or_default().push(candidate);
        }
        let tiers = by_pool.into_iter().filter_map(|(pool, candidates)| {
            let (pool, strategy) = self.pools.get(pool)?;
            let strategy = self.strategies.get(model).unwrap_or(strategy);
            Some(Tier {
                model: Arc::clone(model),
                pool: Arc::clone(pool),
                strategy: *strategy,
                mark: protocol::digest(model.as_bytes()),
                candidates: by_cost(candidates),
            })
        });
        tiers.collect()
    }

    fn route_to_any(&self) -> Route {
        let real = self.backends.iter().any(|entry| entry.source != Source::Demo);
        let entries = self.backends.iter().filter(|entry| (entry.source != Source::Demo) == real);
        let candidates = entries.map(|entry| (entry, self.passed(entry, ""))).collect();
        let model: Arc<str> = "".into();
        let tiers = self.tiers_of(&model, candidates);
        Route::new(Arc::clone(&model), model, tiers)
    }

    pub(super) fn listing_of(&self, name: &Arc<str>, route: &Route) -> ModelListing {
        let candidates = || route.tiers.iter().flat_map(|tier| &tier.candidates);
        let owner = candidates().next().filter(|_| !route.renamed);
        let owner = owner.and_then(|one| self.backends.iter().find(|entry| entry.id == one.backend));
        ModelListing {
            id: Arc::clone(name),
            owned_by: owner.map_or_else(|| "lockgate".into(), |entry| Arc::clone(&entry.label)),
            context: candidates().filter_map(|one| one.context).max(),
            max_output: candidates().filter_map(|one| one.max_output).max(),
        }
    }
}
