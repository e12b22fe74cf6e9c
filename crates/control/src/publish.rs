//! Joins settings and directory into a snapshot and gives it to the data plane; a change that does not hold
//! leaves the one in force standing, and is remembered.

mod charging;
mod gather;
mod reload;
mod spending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use policy::{BackendId, BackendSpec, Digester, Draft, Grant, Live, Snapshot, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::ledger::NamedPrice;
use store::{Directory, Ledger, StoreError};
use tokio::sync::Semaphore;

use crate::config::{Effective, Loaded, Origin, Report, Settings};
use crate::prices::PriceTable;

pub(crate) use gather::{Former, Gathered, split_former, with_former};
pub(crate) use reload::SettingsChange;
pub use reload::{ConfigSource, Reloaded, Reloader, stored_settings};

/// The data plane, as far as the control plane knows it.
pub trait Audience: Send + Sync {
    /// A new snapshot is in force: adopt it for every request from now on.
    fn receive(&self, snapshot: Arc<Snapshot>);
    /// Waiters that may go on because of something an operator did.
    fn wake(&self, grants: Vec<Grant>);
}

/// Wall time, handed in so that tests can set it.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the server plugs in.
pub struct Controls {
    /// What the data plane has learned.
    pub live: Arc<Live>,
    /// What people edit.
    pub directory: Directory,
    /// What was spent before.
    pub ledger: Ledger,
    /// Makes digests of gateway keys under the vault's key.
    pub digester: Digester,
    /// The data plane.
    pub audience: Arc<dyn Audience>,
    /// Wall time.
    pub clock: WallClock,
    /// Backends that are neither written nor stored: the simulated provider of a demonstration.
    pub extra_backends: Vec<BackendSpec>,
}

/// What made somebody publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The process started.
    Start,
    /// SIGHUP.
    Signal,
    /// The file was changed.
    FileChange,
    /// `POST /api/admin/reload`.
    Request,
    /// A change through the API.
    Edit,
    /// The directory was changed by another process, or a key's grace ended.
    CatchUp,
    /// A backend listed its models.
    Discovery,
}

/// A change that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LastProblem {
    /// When.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// Whose change it was.
    pub trigger: Trigger,
    /// Everything that was wrong with it.
    pub problems: Vec<String>,
}

/// Why nothing new was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The parts do not fit; what was in force stays.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<policy::Problem>),
    /// The configuration does not hold; what was in force stays.
    #[error("{0}")]
    Config(Report),
    /// The change would make stored objects unusable: two of one name, say.
    #[error("{}", .0.join("; "))]
    Clash(Vec<String>),
    /// The directory cannot be read or written now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How things stand.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Standing {
    /// Counts what was published; 0 before the first.
    pub version: u64,
    /// When the snapshot in force was published.
    #[schema(value_type = Option<i64>)]
    pub published_at: Option<Timestamp>,
    /// The last change that did not hold, until one does.
    pub last_problem: Option<LastProblem>,
    /// Stored objects that cannot be used and were left out.
    pub left_out: Vec<String>,
    /// Settings that were changed and wait for a restart.
    pub restart_needed: Vec<String>,
    /// What works but should be known.
    pub notices: Vec<String>,
    /// Every effective setting with where it came from.
    pub effective: Vec<Effective>,
}

impl Standing {
    /// Tells these settings from others.
    pub(crate) fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        for Effective { path, value, origin } in &self.effective {
            (path, value, origin).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }
}

/// Said for as long as it holds.
const NO_KEY_LEFT: &str = "the last gateway key is gone: nobody is served until there is one again, \
                           or until the gateway is started without any";

/// Publishes snapshots, one change at a time. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    controls: Controls,
    prices: PriceTable,
    /// One change at a time: each is checked against what it will be joined with.
    turn: Semaphore,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    /// Listen addresses and data folder as they were at the start: they are in force until a restart.
    started_with: Arc<Loaded>,
    discovered: HashMap<String, Vec<String>>,
    snapshot: Option<Arc<Snapshot>>,
    version: u64,
    published_at: Option<Timestamp>,
    changes_seen: u64,
    changes_at: Option<Timestamp>,
    last_problem: Option<LastProblem>,
    left_out: Vec<String>,
    remembered: charging::Remembered,
}

impl Publisher {
    /// A publisher that has not published yet.
    pub fn new(controls: Controls, loaded: Loaded) -> Self {
        let loaded = Arc::new(loaded);
        let state = State {
            started_with: Arc::clone(&loaded),
            loaded,
            discovered: HashMap::new(),
            snapshot: None,
            version: 0,
            published_at: None,
            changes_seen: 0,
            changes_at: None,
            last_problem: None,
            left_out: Vec::new(),
            remembered: charging::Remembered::default(),
        };
        let inner = Inner {
            controls,
            prices: PriceTable::default(),
            turn: Semaphore::new(1),
            state: Mutex::new(state),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Publishes what settings and directory say now.
    pub async fn publish(&self, trigger: Trigger) -> Result<u64, PublishError> {
        let _turn = self.turn().await;
        self.publish_in_turn(trigger, self.loaded()).await
    }

    /// Publishes if the directory was changed behind our back (by the command line, or by an edit whose
    /// caller left half-way), or if the grace of a rotated key has ended or a
    /// price has begun. Cheap when nothing has.
    pub async fn catch_up(&self) -> Result<Option<u64>, PublishError> {
        let changes = self.inner.controls.directory.changes().await?;
        let now = self.now();
        let behind = {
            let state = self.state();
            state.changes_seen != changes || state.changes_at.is_some_and(|at| at <= now)
        };
        if behind { self.publish(Trigger::CatchUp).await.map(Some) } else { Ok(None) }
    }

    /// A backend listed its models. Publishes when that is news.
    pub async fn discovered(&self, backend: &str, models: Vec<String>) -> Result<(), PublishError> {
        let _turn = self.turn().await;
        {
            let mut state = self.state();
            if state.discovered.get(backend) == Some(&models) {
                return Ok(());
            }
            state.discovered.insert(backend.to_owned(), models);
        }
        self.publish_in_turn(Trigger::Discovery, self.loaded()).await.map(drop)
    }

    /// Takes the configuration that `read` gives into force, whole or not at all.
    pub(crate) async fn adopt(
        &self,
        trigger: Trigger,
        read: impl FnOnce() -> Result<Loaded, Report>,
    ) -> Result<u64, PublishError> {
        // Read in turn: of two reloads the later one has the later text.
        let _turn = self.turn().await;
        match read() {
            Ok(loaded) => self.publish_in_turn(trigger, Arc::new(loaded)).await,
            Err(report) => {
                tracing::warn!(
                    ?trigger,
                    "the configuration does not hold; what was in force stays:\n{report}"
                );
                self.remember(trigger, report.problems().iter().map(ToString::to_string).collect());
                Err(PublishError::Config(report))
            }
        }
    }

    /// Makes a change to the directory: first tried on a copy, then stored, then published. `change` does to
    /// the copy what `store` does to the directory.
    pub(crate) async fn edit<T>(
        &self,
        change: impl FnOnce(&mut Gathered),
        store: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, PublishError> {
        let _turn = self.turn().await;
        let mut gathered = Gathered::read(&self.inner.controls.directory).await?;
        let loaded = self.loaded();
        let (_, unusable_before) = self.draft(&gathered, &loaded.settings);
        change(&mut gathered);
        let (draft, unusable) = self.draft(&gathered, &loaded.settings);
        // A scratch `Live` learns the names of a draft that may be refused; the real one must not.
        Snapshot::build(draft, &Live::new(), 0, moment()).map_err(PublishError::Refused)?;
        let news: Vec<String> = unusable.into_iter().filter(|one| !unusable_before.contains(one)).collect();
        if !news.is_empty() {
            return Err(PublishError::Clash(news));
        }
        let stored = store.await?;
        self.publish_in_turn(Trigger::Edit, self.loaded()).await?;
        Ok(stored)
    }

    /// Changes settings through the API. They come into force first, for only that shows that they hold beside what
    /// waits just now; what cannot be stored then is taken back.
    pub(crate) async fn change_settings(
        &self,
        SettingsChange { changes, seen, author }: SettingsChange,
        read: impl FnOnce(&[(String, String)]) -> Result<Loaded, Report>,
    ) -> Result<u64, PublishError> {
        let _turn = self.turn().await;
        if seen.is_some_and(|seen| seen != self.standing().tag()) {
            return Err(StoreError::Changed { what: "configuration", name: "settings".to_owned() }.into());
        }
        let directory = self.inner.controls.directory.by(author);
        let mut stored: BTreeMap<String, Value> = directory.settings().await?.into_iter().collect();
        for (path, value) in &changes {
            match value {
                Some(value) => drop(stored.insert(path.clone(), value.clone())),
                None => drop(stored.remove(path)),
            }
        }
        let loaded = read(&reload::as_written(stored)).map_err(PublishError::Config)?;
        let overruled = overruled(&loaded, &changes);
        if !overruled.is_empty() {
            return Err(PublishError::Clash(overruled));
        }
        let before = self.loaded();
        let version = self.publish_in_turn(Trigger::Edit, Arc::new(loaded)).await?;
        if let Err(unstored) = directory.change_settings(changes).await {
            self.publish_in_turn(Trigger::Edit, before).await?;
            return Err(unstored.into());
        }
        Ok(version)
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.state().snapshot.clone()
    }

    /// The settings in force.
    pub fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.state().loaded)
    }

    /// The settings of the start, by which local processes run until the next one.
    pub(crate) fn started_with(&self) -> Arc<Loaded> {
        Arc::clone(&self.state().started_with)
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        let state = self.state();
        let notices = state.loaded.notices.iter();
        let has_lost_its_keys = state.snapshot.as_ref().is_some_and(|snapshot| snapshot.has_lost_its_keys());
        let no_key_left = has_lost_its_keys.then_some(NO_KEY_LEFT);
        Standing {
            version: state.version,
            published_at: state.published_at,
            last_problem: state.last_problem.clone(),
            left_out: state.left_out.clone(),
            restart_needed: restart_needed(&state.started_with.settings, &state.loaded.settings),
            notices: notices.map(ToString::to_string).chain(no_key_left.map(str::to_owned)).collect(),
            effective: state.loaded.effective(),
        }
    }

    /// Remembers a change that did not hold.
    pub(crate) fn remember(&self, trigger: Trigger, problems: Vec<String>) {
        let at = self.now();
        self.state().last_problem = Some(LastProblem { at, trigger, problems });
    }

    /// An operator ends a backend's cooldown, breaker and error.
    pub(crate) fn reset(&self, backend: BackendId) {
        let grants = self.inner.controls.live.reset(backend, moment());
        self.inner.controls.audience.wake(grants);
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.controls.clock)()
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.inner.controls
    }

    pub(crate) async fn turn(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.inner.turn.acquire().await.expect("the semaphore is never closed")
    }

    /// No code that holds this lock can leave half a change behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish_in_turn(&self, trigger: Trigger, loaded: Arc<Loaded>) -> Result<u64, PublishError> {
        let outcome = match Gathered::read(&self.inner.controls.directory).await {
            Ok(gathered) => {
                let outcome = self.swap(&gathered, loaded).await;
                // Seen is seen, also where it does not fit: `catch_up` must not try the same every second.
                let now = self.now();
                let mut state = self.state();
                state.changes_seen = gathered.changes;
                state.changes_at = gathered.changes_at(&state.loaded.settings.prices, now);
                outcome
            }
            Err(error) => Err(error.into()),
        };
        match &outcome {
            Ok(version) => tracing::info!(version, ?trigger, "a new snapshot is in force"),
            Err(error) => {
                tracing::warn!(%error, ?trigger, "nothing new was published; what was in force stays");
                let problems = match error {
                    PublishError::Refused(problems) => problems.iter().map(ToString::to_string).collect(),
                    PublishError::Config(_) | PublishError::Clash(_) | PublishError::Store(_) => {
                        vec![error.to_string()]
                    }
                };
                self.remember(trigger, problems);
            }
        }
        outcome
    }

    async fn swap(&self, gathered: &Gathered, loaded: Arc<Loaded>) -> Result<u64, PublishError> {
        let version = self.state().version + 1;
        let (draft, left_out) = self.draft(gathered, &loaded.settings);
        let live = &self.inner.controls.live;
        let prices = charging::prices(&draft);
        let snapshot = Snapshot::build(draft, live, version, moment()).map_err(PublishError::Refused)?;
        let snapshot = Arc::new(snapshot);
        let now = self.now();
        self.remember_prices(prices, now).await;
        let spent = spending::look_up(&self.inner.controls, &snapshot.budgets, now).await?;
        live.adopt_budgets(&snapshot.budgets, now, |budget, _window| spent.of(budget));
        if snapshot.has_lost_its_keys() {
            tracing::warn!("{NO_KEY_LEFT}");
        }
        {
            let mut state = self.state();
            state.version = version;
            state.loaded = loaded;
            state.snapshot = Some(Arc::clone(&snapshot));
            state.published_at = Some(now);
            state.discovered.retain(|name, _| snapshot.backend_named(name).is_some());
            state.last_problem = None;
            state.left_out = left_out;
        }
        self.inner.controls.audience.receive(snapshot);
        Ok(version)
    }

    /// Before they are charged. What cannot be remembered is charged all the same, and tried again with the next snapshot.
    async fn remember_prices(&self, prices: Vec<NamedPrice>, now: Timestamp) {
        let news = self.state().remembered.news(prices);
        if news.is_empty() {
            return;
        }
        match self.inner.controls.ledger.remember_prices(news.clone(), now).await {
            Ok(()) => self.state().remembered.add(&news),
            Err(error) => tracing::warn!(%error, "the prices in force cannot be remembered"),
        }
    }

    fn draft(&self, gathered: &Gathered, settings: &Settings) -> (Draft, Vec<String>) {
        let controls = &self.inner.controls;
        let now = self.now();
        let discovered = self.state().discovered.clone();
        let mut draft = Draft::new(controls.digester.clone());
        draft.had_keys = self.snapshot().is_some_and(|before| !before.identity.is_open());
        let mut left_out = Vec::new();
        draft.backends = settings.backends.clone();
        draft.backends.extend(controls.extra_backends.iter().cloned());
        gathered.backends(settings, &mut draft.backends, &mut left_out);
        for backend in &mut draft.backends {
            backend.discovered = discovered.get(&backend.name).cloned();
        }
        draft.teams = settings.teams.clone();
        gathered.teams(&mut draft.teams, &mut left_out);
        draft.keys = settings.keys.clone();
        gathered.keys(now, &draft.teams, &mut draft.keys, &mut left_out);
        draft.aliases = settings.aliases.clone();
        gathered.aliases(&mut draft.aliases, &mut left_out);
        draft.pools = settings.pools.clone();
        draft.strategies = settings.strategies.clone();
        draft.budgets = settings.budgets.clone();
        gathered.budgets(&mut draft, &mut left_out);
        draft.captures = gathered.captures(now, &mut left_out);
        draft.settings = settings.traffic();
        draft.prices = gather::prices(&self.inner.prices, &draft.backends, now);
        gathered.overrule(&settings.prices, now, &mut draft.prices, &mut left_out);
        (draft, left_out)
    }
}

/// Changes that a stronger source stands above: they would be stored and never hold.
fn overruled(loaded: &Loaded, changes: &[(String, Option<Value>)]) -> Vec<String> {
    let set = changes.iter().filter(|(_, value)| value.is_some());
    let above = set.filter_map(|(path, _)| match loaded.origin(path) {
        Origin::Stored => None,
        stronger => Some(format!("{path} is set by {stronger}; change it there and reload")),
    });
    above.collect()
}

/// The instant that the data plane's clock shows.
pub(crate) fn moment() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What was changed and is read at the start only.
fn restart_needed(before: &Settings, after: &Settings) -> Vec<String> {
    let pairs: BTreeMap<&str, (String, String)> = BTreeMap::from([
        ("listen", (before.listen.to_string(), after.listen.to_string())),
        ("metrics_listen", (before.metrics_listen.to_string(), after.metrics_listen.to_string())),
        ("data_dir", (before.data_dir.display().to_string(), after.data_dir.display().to_string())),
        ("backup_dir", (before.backup_dir.display().to_string(), after.backup_dir.display().to_string())),
        ("ledger.durability", (before.durability.name().to_owned(), after.durability.name().to_owned())),
        (
            "ledger.journal_bytes_max",
            (before.journal_bytes_max.to_string(), after.journal_bytes_max.to_string()),
        ),
    ]);
    let processes = (before.processes != after.processes)
        .then(|| "backends of the kind process: what they are started with waits for a restart".to_owned());
    let changed = pairs.into_iter().filter(|(_, (before, after))| before != after);
    changed
        .map(|(name, (before, after))| format!("{name}: {before} is in force, {after} waits for a restart"))
        .chain(processes)
        .collect()
}
