//! Decides whether a draft makes sense as a whole, and what it means if it does; never changes one in force.

mod callers;
mod captures;
mod check;
mod connections;
mod draft;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use protocol::Manner;

pub use callers::TeamSpec;
pub use captures::{CaptureLimits, CaptureRules, CaptureSpec, Captured};
pub use connections::{CorsRules, ResumeRules};
pub use draft::{
    AdaptiveSettings, BackendSpec, BudgetOf, BudgetSpec, Draft, KeepaliveRules, KeptRules, KeySecret,
    KeySpec, ModelSpec, PoolSpec, ProbeRules, QueuePolicy, Spill, TrafficSettings,
};

use crate::backend::{
    Addressing, Backend, MODELS_PATH, ModelLimits, Source, known, spoken, vendor_named, vendor_of_host,
};
use crate::catalog::{Catalog, CatalogDraft, Served};
use crate::identity::{Identity, Key};
use crate::live::{BackendId, Live, ModelId};
use crate::money::{Budget, BudgetSlot, Payer};
use crate::schedule::Strategy;
use callers::Keyed;

/// The pools that always exist, in the order they are tried.
const POOLS: [&str; 2] = ["primary", "fallback"];

/// Everything the data plane needs to know of the configuration, consistent and unchanging.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts publications.
    pub version: u64,
    /// Who may come in.
    pub identity: Identity,
    /// Where names lead.
    pub catalog: Catalog,
    /// Every backend, enabled or not, in the order of the configuration.
    pub backends: Vec<Arc<Backend>>,
    /// What may be spent.
    pub budgets: Vec<Budget>,
    /// Which requests are captured.
    pub captures: CaptureRules,
    /// Ceilings, waits and rules.
    pub settings: TrafficSettings,
    by_id: HashMap<BackendId, usize>,
}

/// One thing wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as in `backends[2].models.deepseek-v4.native`.
    pub path: String,
    /// What.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), suggestion: None }
    }

    pub(crate) fn suggesting(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, " ({suggestion})")?;
        }
        Ok(())
    }
}

impl Snapshot {
    /// Whether there were keys and none is left: nobody can be served.
    #[must_use]
    pub fn has_lost_its_keys(&self) -> bool {
        !self.identity.is_open() && self.identity.keys().is_empty()
    }

    /// Makes a snapshot of a draft, or tells everything that is wrong with it. Either way `live` only
    /// learns the names; nothing is in force before [`Live::adopt`].
    pub fn build(draft: Draft, live: &Live, version: u64, now: Instant) -> Result<Self, Vec<Problem>> {
        let mut problems = check::draft(&draft);
        check::queue(&draft.settings, live.queued(), &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let pools = pools_in_order(&draft.pools);
        let strategies =
            draft.strategies.into_iter().map(|(model, strategy)| (model.into(), strategy)).collect();
        let served: Vec<Served> = draft.backends.into_iter().map(|spec| served(spec, live, now)).collect();
        let backends: Vec<Arc<Backend>> = served.iter().map(|one| Arc::clone(&one.backend)).collect();
        let mut catalog = CatalogDraft { served, pools, strategies, prices: draft.prices }.catalog();
        check::aliases(&mut catalog, &draft.aliases, &mut problems);
        let mut keys = callers::keys(draft.keys, &draft.teams, &draft.digester, live);
        let teams = callers::teams(&draft.teams);
        let budgets = budgets(&draft.budgets, &keys);
        for keyed in &mut keys {
            keyed.key.budgets = counting(&budgets, &keyed.key, live);
        }
        check::key_models(&mut catalog, &keys, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let captures = CaptureRules::new(draft.captures, &keys);
        let keys = keys.into_iter().map(|one| (Arc::new(one.key), one.digests)).collect();
        let mut anonymous = callers::anonymous(live);
        anonymous.budgets = counting(&budgets, &anonymous, live);
        let identity = Identity::new(draft.digester, keys, teams, Arc::new(anonymous));
        Ok(Self {
            version,
            identity: if draft.had_keys { identity.closed() } else { identity },
            catalog,
            by_id: backends.iter().enumerate().map(|(index, backend)| (backend.id, index)).collect(),
            backends,
            budgets,
            captures,
            settings: draft.settings,
        })
    }

    /// A backend by its id; none when this snapshot does not hold it.
    #[must_use]
    pub fn backend(&self, id: BackendId) -> Option<&Arc<Backend>> {
        self.by_id.get(&id).and_then(|index| self.backends.get(*index))
    }

    /// A backend by its name.
    #[must_use]
    pub fn backend_named(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|backend| &*backend.name == name)
    }
}

/// `primary`, `fallback`, then the others by rank.
fn pools_in_order(specs: &[PoolSpec]) -> Vec<(Arc<str>, Strategy)> {
    let strategy = |name: &str| specs.iter().find(|spec| spec.name == name).map(|spec| spec.strategy);
    let known = POOLS.into_iter().map(|name| (Arc::from(name), strategy(name).unwrap_or_default()));
    let mut named: Vec<&PoolSpec> =
        specs.iter().filter(|spec| !POOLS.contains(&spec.name.as_str())).collect();
    named.sort_by_key(|spec| spec.rank);
    known.chain(named.into_iter().map(|spec| (Arc::from(spec.name.as_str()), spec.strategy))).collect()
}

fn served(spec: BackendSpec, live: &Live, now: Instant) -> Served {
    let label = label_of(&spec).to_owned();
    let id = live.backend_id(&spec.name, now);
    let health_path = health_path_of(&spec).into();
    let models = model_ids(&spec, id, live);
    let vendor = known(spec.kind, &spec.base_url);
    let addressing = match vendor.name {
        "azure" => Addressing::azure(spec.api_version.as_deref()),
        _ => Addressing::Plain,
    };
    let backend = Backend {
        id,
        spoken: spoken(spec.kind, &spec.base_url, &addressing, spec.dialects.as_deref()).into(),
        addressing,
        manner: Manner {
            keeps_no_responses: spec.keeps_responses.map_or(vendor.manner.keeps_no_responses, |keeps| !keeps),
            ..vendor.manner
        },
        model_limits: models.values().copied().collect(),
        name: spec.name.into(),
        label: label.into(),
        kind: spec.kind,
        base_url: spec.base_url.into(),
        credential: spec.credential,
        pool: spec.pool.into(),
        weight: spec.weight,
        enabled: spec.enabled,
        limits: spec.limits,
        deadlines: spec.deadlines,
        headers: spec.headers,
        drain_on_disconnect: spec.drain_on_disconnect,
        // What Azure lists is what could be deployed, not what is; a local process tells by itself, once it runs.
        lists_models: spec.models.is_none() && !matches!(vendor.name, "azure" | "process"),
        health_path,
        ca_file: spec.ca_file.map(Arc::from),
        source: spec.source,
    };
    let ids = models.into_iter().map(|(native, (id, _))| (native, id)).collect();
    Served { backend: Arc::new(backend), ids, models: spec.models, discovered: spec.discovered }
}

/// The native models whose limits are counted by themselves: all that are known of a backend with several,
/// for providers limit each model, and one alone where its mapping sets limits.
fn model_ids(spec: &BackendSpec, backend: BackendId, live: &Live) -> HashMap<String, (ModelId, ModelLimits)> {
    // In order of their names, so that the same configuration gives the same places.
    let mut limits: BTreeMap<&str, ModelLimits> = BTreeMap::new();
    for (name, model) in spec.models.iter().flatten() {
        let native = limits.entry(model.native.as_deref().unwrap_or(name)).or_default();
        *native = native.tighter(model.limits);
    }
    for native in spec.discovered.iter().flatten().filter(|_| spec.models.is_none()) {
        limits.entry(native).or_default();
    }
    if limits.len() == 1 {
        limits.retain(|_, limits| *limits != ModelLimits::default());
    }
    let counted = limits
        .into_iter()
        .filter_map(|(native, limits)| Some((native.to_owned(), (live.model_id(backend, native)?, limits))));
    counted.collect()
}

/// What a probe asks for: as written, else what the vendor has for it that kind or address show.
fn health_path_of(spec: &BackendSpec) -> &str {
    let vendor = || vendor_named(spec.kind.name()).or_else(|| vendor_of_host(&spec.base_url));
    spec.health_path.as_deref().unwrap_or_else(|| vendor().map_or(MODELS_PATH, |vendor| vendor.health_path))
}

/// The provider tag: as written, else the vendor's that the kind or the address shows, else the kind's name.
fn label_of(spec: &BackendSpec) -> &str {
    if let Some(label) = &spec.label {
        return label;
    }
    if spec.source == Source::Demo {
        return "demo";
    }
    let by_kind = vendor_named(spec.kind.name());
    by_kind.or_else(|| vendor_of_host(&spec.base_url)).map_or(spec.kind.name(), |vendor| vendor.name)
}

impl BudgetSpec {
    /// What it is called: there is one of each payer and period.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.of {
            BudgetOf::Gateway => format!("gateway/{}", self.per),
            BudgetOf::Team(team) => format!("team {team}/{}", self.per),
            BudgetOf::Key(key) => format!("key {key}/{}", self.per),
        }
    }
}

/// The budgets, with keys by their ids. One that names nobody counts nobody's spending.
fn budgets(specs: &[BudgetSpec], keys: &[Keyed]) -> Vec<Budget> {
    let budget = |spec: &BudgetSpec| {
        let of = match &spec.of {
            BudgetOf::Gateway => Payer::Gateway,
            BudgetOf::Team(team) => Payer::Team(team.as_str().into()),
            BudgetOf::Key(name) => {
                let key = keys.iter().find(|keyed| *keyed.key.name == **name);
                Payer::Key(key.map_or_else(|| Arc::from(name.as_str()), |keyed| Arc::clone(&keyed.key.id)))
            }
        };
        Budget { id: spec.name().into(), of, amount: spec.amount, per: spec.per }
    };
    specs.iter().map(budget).collect()
}

/// Where the budgets are counted that a key's requests count towards.
fn counting(budgets: &[Budget], key: &Key, live: &Live) -> Box<[BudgetSlot]> {
    let concerns = |budget: &&Budget| match &budget.of {
        Payer::Gateway => true,
        Payer::Team(team) => key.team.as_ref() == Some(team),
        Payer::Key(id) => key.id == *id,
    };
    budgets.iter().filter(concerns).map(|budget| live.budget_slot(budget)).collect()
}
