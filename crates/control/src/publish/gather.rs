//! Decides how what the directory stores becomes part of a draft; what cannot be used is left out by name, so
//! that one bad object does not keep the gateway from starting.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    BackendSpec, BudgetOf, BudgetSpec, CaptureSpec, Digest, Draft, KeySecret, KeySpec, PriceBook, TeamSpec,
    Timestamp, vendor_named, vendor_of_host,
};
use serde_json::{Map, Value};
use store::directory::{Kind, StoredBackend, StoredKey, StoredSpec};
use store::{Directory, StoreError};

use crate::config::{Settings, body};
use crate::prices::{PriceEntry, PriceTable, Wanted, in_force};

/// Where a key's limits keep the digest of its former secret, and until when it counts.
const FORMER: &str = "former_secret";

/// What the directory says at one moment.
pub(crate) struct Gathered {
    pub(crate) changes: u64,
    pub(crate) backends: Vec<StoredBackend>,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) teams: Vec<StoredSpec>,
    pub(crate) budgets: Vec<StoredSpec>,
    pub(crate) prices: Vec<StoredSpec>,
    pub(crate) aliases: Vec<StoredSpec>,
    pub(crate) capture_rules: Vec<StoredSpec>,
}

impl Gathered {
    /// Reads everything. The counter goes first: a change in between makes the next look find a difference.
    pub(crate) async fn read(directory: &Directory) -> Result<Self, StoreError> {
        let changes = directory.changes().await?;
        let backends = directory.backends().await?;
        let keys = directory.keys().await?;
        let teams = directory.specs(Kind::Team).await?;
        let budgets = directory.specs(Kind::Budget).await?;
        let prices = directory.specs(Kind::Price).await?;
        let aliases = directory.specs(Kind::Alias).await?;
        let capture_rules = directory.specs(Kind::CaptureRule).await?;
        Ok(Self { changes, backends, keys, teams, budgets, prices, aliases, capture_rules })
    }

    /// Adds the stored backends.
    pub(crate) fn backends(
        &self,
        settings: &Settings,
        specs: &mut Vec<BackendSpec>,
        left_out: &mut Vec<String>,
    ) {
        let pools: Vec<&str> = settings.pools.iter().map(|pool| pool.name.as_str()).collect();
        for stored in &self.backends {
            if specs.iter().any(|spec| spec.name == stored.name) {
                left_out.push(format!("backend {}: another one has this name", stored.name));
                continue;
            }
            match body::stored_backend(stored, &pools, settings.deadlines) {
                Ok(spec) => specs.push(spec),
                Err(report) => left_out.push(format!("backend {}: {report}", stored.name)),
            }
        }
    }

    /// Adds the stored teams.
    pub(crate) fn teams(&self, specs: &mut Vec<TeamSpec>, left_out: &mut Vec<String>) {
        for stored in &self.teams {
            if specs.iter().any(|spec| spec.name == stored.name) {
                left_out.push(format!("team {}: another one has this name", stored.name));
                continue;
            }
            match body::stored_team(stored) {
                Ok(spec) => specs.push(spec),
                Err(report) => left_out.push(format!("team {}: {report}", stored.name)),
            }
        }
    }

    /// Adds the stored aliases.
    pub(crate) fn aliases(&self, aliases: &mut BTreeMap<String, Vec<String>>, left_out: &mut Vec<String>) {
        for stored in &self.aliases {
            if aliases.contains_key(&stored.name) {
                left_out.push(format!("alias {}: another one has this name", stored.name));
                continue;
            }
            match body::stored_alias(stored) {
                Ok(targets) => drop(aliases.insert(stored.name.clone(), targets)),
                Err(report) => left_out.push(format!("alias {}: {report}", stored.name)),
            }
        }
    }

    /// The rules of what to capture that hold now.
    pub(crate) fn captures(&self, now: Timestamp, left_out: &mut Vec<String>) -> Vec<CaptureSpec> {
        let mut specs = Vec::new();
        for stored in &self.capture_rules {
            match body::stored_capture_rule(stored) {
                Ok(spec) => specs.extend(Some(spec).filter(|spec| spec.until > now)),
                Err(report) => left_out.push(format!("capture rule {}: {report}", stored.name)),
            }
        }
        specs
    }

    /// Adds the stored keys. One of a team that is gone is left out: without it, it could do more than was meant.
    pub(crate) fn keys(
        &self,
        now: Timestamp,
        teams: &[TeamSpec],
        specs: &mut Vec<KeySpec>,
        left_out: &mut Vec<String>,
    ) {
        for stored in &self.keys {
            if let Some(team) = &stored.team
                && !teams.iter().any(|known| known.name == *team)
            {
                left_out.push(format!("key {}: there is no team `{team}`", stored.name));
                continue;
            }
            if specs.iter().any(|spec| spec.name == stored.name || spec.id == stored.id) {
                left_out.push(format!("key {}: another one has this name", stored.name));
                continue;
            }
            let (limits, former) = split_former(&stored.limits);
            let mut secrets = vec![KeySecret::Digest(stored.digest.clone())];
            secrets.extend(
                former.filter(|former| former.until > now).map(|former| KeySecret::Digest(former.digest)),
            );
            match body::stored_key(stored, &limits, secrets) {
                Ok(spec) => specs.push(spec),
                Err(report) => left_out.push(format!("key {}: {report}", stored.name)),
            }
        }
    }

    /// Adds the stored budgets to a draft that has all its keys and teams. One of nobody would never be spent.
    pub(crate) fn budgets(&self, draft: &mut Draft, left_out: &mut Vec<String>) {
        for stored in &self.budgets {
            match body::stored_budget(stored) {
                Ok(spec) => match misfit(&spec, draft) {
                    None => draft.budgets.push(spec),
                    Some(why) => left_out.push(format!("budget {}: {why}", stored.name)),
                },
                Err(report) => left_out.push(format!("budget {}: {report}", stored.name)),
            }
        }
    }

    /// Puts the prices that hold now above the built-in ones: those of the file, and above them the stored ones.
    pub(crate) fn overrule(
        &self,
        of_file: &[PriceEntry],
        now: Timestamp,
        book: &mut PriceBook,
        left_out: &mut Vec<String>,
    ) {
        let mut stored = Vec::new();
        for one in &self.prices {
            match body::stored_price(one) {
                Ok(entry) => stored.push(entry),
                Err(report) => left_out.push(format!("price {}: {report}", one.name)),
            }
        }
        for (model, entry) in in_force([of_file, &stored[..]], now) {
            book.overrule(model, entry.spec.price());
        }
    }

    /// When time alone changes what is in force: the next former secret stops counting, the next price begins, or the next
    /// rule of what to capture ends.
    pub(crate) fn changes_at(&self, of_file: &[PriceEntry], now: Timestamp) -> Option<Timestamp> {
        let ends = self.keys.iter().filter_map(|key| split_former(&key.limits).1).map(|former| former.until);
        let stored = self.prices.iter().filter_map(|one| body::stored_price(one).ok()?.since);
        let begin = of_file.iter().filter_map(|entry| entry.since).chain(stored);
        let over =
            self.capture_rules.iter().filter_map(|rule| Some(body::stored_capture_rule(rule).ok()?.until));
        ends.chain(begin).chain(over).filter(|at| *at > now).min()
    }
}

fn misfit(spec: &BudgetSpec, draft: &Draft) -> Option<String> {
    let known = match &spec.of {
        BudgetOf::Gateway => true,
        BudgetOf::Team(name) => draft.teams.iter().any(|team| team.name == *name),
        BudgetOf::Key(name) => draft.keys.iter().any(|key| key.name == *name),
    };
    let (what, name) = match &spec.of {
        BudgetOf::Gateway => ("gateway", ""),
        BudgetOf::Team(name) => ("team", name.as_str()),
        BudgetOf::Key(name) => ("key", name.as_str()),
    };
    if !known {
        return Some(format!("there is no {what} `{name}`"));
    }
    let same = |other: &BudgetSpec| (&other.of, other.per) == (&spec.of, spec.per);
    draft.budgets.iter().any(same).then(|| format!("there is another one for each {}", spec.per))
}

/// A key's secret from before its rotation.
pub(crate) struct Former {
    pub(crate) digest: Digest,
    pub(crate) until: Timestamp,
}

/// A key's limits as the API was given them, and the former secret that is kept beside them.
pub(crate) fn split_former(limits: &Value) -> (Value, Option<Former>) {
    let mut limits = limits.clone();
    let Value::Object(fields) = &mut limits else {
        return (Value::Object(Map::new()), None);
    };
    let former = fields.remove(FORMER).and_then(|kept| {
        let mut digest = [0; 32];
        hex::decode_to_slice(kept.get("digest")?.as_str()?, &mut digest).ok()?;
        Some(Former { digest: Digest::from_bytes(digest), until: Timestamp(kept.get("until")?.as_i64()?) })
    });
    (limits, former)
}

/// A key's limits with a former secret beside them.
pub(crate) fn with_former(limits: Value, former: &Former) -> Value {
    let mut fields = match limits {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    let kept = serde_json::json!({"digest": hex::encode(former.digest.bytes()), "until": former.until.0});
    fields.insert(FORMER.to_owned(), kept);
    Value::Object(fields)
}

/// Built-in prices for everything these backends may be asked for.
pub(crate) fn prices(table: &PriceTable, backends: &[BackendSpec], now: Timestamp) -> PriceBook {
    let mut wanted = BTreeSet::new();
    for backend in backends {
        // The same tag that the snapshot gives a backend that names none.
        let by_kind = vendor_named(backend.kind.name()).or_else(|| vendor_of_host(&backend.base_url));
        let label = match &backend.label {
            Some(label) => label.as_str(),
            None => by_kind.map_or(backend.kind.name(), |vendor| vendor.name),
        };
        let Some(provider) = PriceTable::provider(label, &backend.base_url) else { continue };
        let mapped = backend.models.iter().flatten();
        let mapped = mapped.map(|(name, model)| model.native.as_deref().unwrap_or(name));
        let listed = backend.discovered.iter().flatten().map(String::as_str);
        // Callers may also name any model of the provider under its prefix.
        wanted.extend(mapped.chain(listed).map(|native| Wanted { label, provider, native }));
        wanted.extend(PriceTable::models_of(provider).map(|native| Wanted { label, provider, native }));
    }
    table.book(wanted, now)
}
