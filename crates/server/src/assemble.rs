//! Decides how the parts fit together: the only place that names concrete types of every crate.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use control::{
    admin::{self, AdminState, Records},
    alerts,
    chronicle::Chronicle,
    config::{self, Loaded, Settings},
    dashboard::{self, Feed},
    publish::{Audience, Controls, Publisher, Reloader, Trigger, stored_settings},
};
use gateway::{Clock, Gateway, Lookout, Metrics, Parts, Probe, RandomIds, SystemClock, Tasks};
use policy::{
    BackendKind, BackendSpec, Bound, Crossed, Digester, Draft, Grant, Live, ModelSpec, Snapshot, Source,
    TrafficSettings,
};
use store::directory::Kind;
use store::{
    Backups, Directory, Durability, Journal, JournalSettings, KeptResponses, Mover, MoverSettings, Recorder,
    Store, StoreOptions, VaultNotice,
};
use tokio::sync::{mpsc, watch};

use crate::{
    backups, demo, health, instances,
    postman::Postman,
    probe::{self, Tester},
    settings::Sources,
};

/// A gateway that is ready to listen.
pub(crate) struct Assembled {
    /// The data plane.
    pub(crate) gateway: Arc<Gateway>,
    /// Health, admin API, dashboard: everything of the main listener that is not the data plane.
    pub(crate) site: Router,
    /// What the metrics port serves.
    pub(crate) metrics_site: Router,
    /// The settings of the start: listen addresses and data folder stay as they are here.
    pub(crate) settings: Settings,
    /// Where the configuration comes from.
    pub(crate) sources: Arc<Sources>,
    /// Publishes changes.
    pub(crate) publisher: Publisher,
    /// Reads the configuration again.
    pub(crate) reloader: Reloader,
    /// Moves the journal into the ledger.
    pub(crate) mover: Mover,
    /// Local processes.
    pub(crate) fleet: Arc<upstream::process::Fleet>,
    /// Writes events down.
    pub(crate) chronicle: Chronicle,
    /// Everything that runs.
    pub(crate) tasks: Tasks,
    /// Turns true when no connection is to be accepted any more.
    pub(crate) stop: watch::Sender<bool>,
    /// The admin token, when this start made it.
    pub(crate) minted_admin_token: Option<String>,
}

/// How long a start may take to catch up with the journal, where budgets count.
const TAKE_OVER_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Alerts that may wait to be delivered; more are told in the log only.
const ALERTS_MAX: usize = 256;

/// Whether the simulated provider is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Demo {
    /// Only what is configured.
    #[default]
    Without,
    /// What is configured, and the simulated provider beside it.
    With,
}

/// Opens the store, makes the data plane and the control plane, and publishes the first snapshot.
pub(crate) async fn assemble(sources: Arc<Sources>, loaded: Loaded, demo: Demo) -> anyhow::Result<Assembled> {
    let (store, loaded) = open_store(&sources, loaded).await?;
    let settings = loaded.settings.clone();
    let (tasks, stop) = (Tasks::default(), watch::Sender::new(false));
    let extra_backends = demo_backends(demo, &tasks, &stop).await?;
    let live = Arc::new(Live::new());
    let (chronicle, records) = write_down(&live, &store, &tasks).await?;
    let digester = Digester::new(&*store.vault.digest_key()?);
    let stored = health::Database::of(store.checkup, &store.mover);
    let client = http_client(&tasks)?;
    let (crossings, crossed) = mpsc::channel(ALERTS_MAX);
    let fleet = instances::fleet(settings.processes.clone(), &store.directory, &client).await?;
    let gateway = start_gateway(Foundation {
        live: live.clone(),
        client: client.clone(),
        journal: Arc::new(store.journal),
        bindings: store.bindings,
        kept: store.kept,
        recorder: store.recorder,
        traffic: settings.traffic(),
        digester: digester.clone(),
        crossings,
        tasks: tasks.clone(),
    })?;
    let controls = Controls {
        live: live.clone(),
        directory: store.directory.clone(),
        ledger: store.ledger.clone(),
        digester: digester.clone(),
        audience: Arc::new(DataPlane(gateway.clone())),
        clock: Arc::new(|| SystemClock.wall()),
        extra_backends,
    };
    let publisher = Publisher::new(controls, loaded);
    take_over_for_budgets(&settings, &store.directory, &store.mover).await?;
    publisher.publish(Trigger::Start).await?;
    instances::keep(&fleet, &gateway, &publisher, &tasks);
    let reloader = Reloader::new(publisher.clone(), sources.clone());
    look_out(&gateway, &publisher, store.backups, &tasks);
    tasks.spawn("alerts", alerts::deliver(crossed, publisher.clone(), Arc::new(Postman(client.clone()))));
    let (gate, minted) = admin::ensure_token(&store.directory, &digester, &settings).await?;
    let health = health::State::new(gateway.clone(), live.clone(), publisher.clone(), fleet.clone(), stored);
    let admin = AdminState {
        publisher: publisher.clone(),
        reloader: reloader.clone(),
        directory: store.directory,
        ledger: store.ledger,
        live,
        digester,
        prober: Arc::new(Tester(Probe::new(client))),
        instances: Arc::new(instances::Kept(fleet.clone())),
        gate: Arc::new(gate),
        records,
    };
    Ok(Assembled {
        site: health::router(health.clone()).merge(control_site(admin, &tasks, &stop)),
        metrics_site: health::metrics_router(health),
        gateway,
        settings,
        sources,
        publisher,
        reloader,
        mover: store.mover,
        fleet,
        chronicle,
        tasks,
        stop,
        minted_admin_token: minted.map(|token| token.expose().to_owned()),
    })
}

/// Writes down what happens from now on, tells what the look at the database comes to, and gives what is kept.
async fn write_down(live: &Arc<Live>, store: &Store, tasks: &Tasks) -> anyhow::Result<(Chronicle, Records)> {
    let clock = Arc::new(|| SystemClock.wall());
    let chronicle = Chronicle::begin(live.clone(), store.events.clone(), clock).await?;
    tasks.spawn("events", chronicle.clone().keep());
    tasks.spawn("database check", health::tell(store.checkup.clone(), live.clone()));
    Ok((chronicle, Records::of(store)))
}

/// The client for all calls, whose idle connections are closed when their time has come.
fn http_client(tasks: &Tasks) -> anyhow::Result<upstream::Client> {
    let client = upstream::Client::new(upstream::ClientSettings::default()).context("no HTTP client")?;
    let tended = client.clone();
    tasks.spawn("idle connections", async move { tended.tend().await });
    Ok(client)
}

/// Looks after backends, takes over the models that they list, and keeps backups.
fn look_out(gateway: &Arc<Gateway>, publisher: &Publisher, backups: Backups, tasks: &Tasks) {
    tasks.spawn("backups", backups::keep(backups, publisher.clone()));
    let (lookout, lists) = Lookout::new(gateway.clone());
    tasks.spawn("lookout", lookout.keep_looking());
    tasks.spawn("lists of models", probe::take_over(lists, publisher.clone()));
}

/// The admin API and the dashboard, whose feed runs for as long as the program.
fn control_site(admin: AdminState, tasks: &Tasks, stop: &watch::Sender<bool>) -> Router {
    let feed = Feed::new(admin.clone(), stop.subscribe());
    tasks.spawn("dashboard", feed.clone().keep_telling());
    admin::router(admin.clone()).merge(dashboard::router(admin, feed))
}

/// The configuration with the settings that the store holds. One that does not hold any more beside what is written now
/// keeps nobody from starting: it is told of, and left out with all others.
async fn with_stored(sources: &Sources, loaded: Loaded, directory: &Directory) -> anyhow::Result<Loaded> {
    let stored = stored_settings(directory).await?;
    if stored.is_empty() {
        return Ok(loaded);
    }
    sources.load(&stored).or_else(|error| {
        tracing::error!("settings changed by API are left out, as they do not hold: {error}");
        Ok(loaded)
    })
}

/// What the journal of an earlier process still holds was spent too: budgets count from the whole ledger.
async fn take_over_for_budgets(
    settings: &Settings,
    directory: &Directory,
    mover: &Mover,
) -> anyhow::Result<()> {
    if settings.budgets.is_empty() && directory.specs(Kind::Budget).await?.is_empty() {
        return Ok(());
    }
    let whole = tokio::task::block_in_place(|| mover.flush(TAKE_OVER_MAX));
    anyhow::ensure!(
        whole,
        "the journal could not be taken over into the ledger within {} s ({:?}), so nobody knows what is left of the budgets",
        TAKE_OVER_MAX.as_secs(),
        mover.lag()
    );
    Ok(())
}

/// How a gateway with these settings opens its store.
pub(crate) fn store_options(settings: &Settings) -> StoreOptions {
    let durability = match settings.durability {
        config::Durability::Process => Durability::Process,
        config::Durability::Disk => Durability::Disk,
    };
    let journal =
        JournalSettings { bytes_max: settings.journal_bytes_max, durability, ..JournalSettings::default() };
    StoreOptions {
        master_key: settings.master_key.clone(),
        journal,
        mover: MoverSettings { retention: settings.retention, ..MoverSettings::default() },
        backup_dir: Some(settings.backup_dir.clone()),
        ..StoreOptions::default()
    }
}

/// Also gives the configuration with what the store knows of it.
async fn open_store(sources: &Sources, loaded: Loaded) -> anyhow::Result<(Store, Loaded)> {
    let store = Store::open(&loaded.settings.data_dir, store_options(&loaded.settings))?;
    if let Some(notice) = &store.notice {
        say(notice);
    }
    let loaded = with_stored(sources, loaded, &store.directory).await?;
    Ok((store, loaded))
}

fn say(notice: &VaultNotice) {
    match notice {
        VaultNotice::Created(path) => tracing::warn!(
            path = %path.display(),
            "a master key was made; back it up apart from the data folder: without it the stored credentials are lost"
        ),
        VaultNotice::NextInForce => tracing::warn!(
            "LOCKGATE_MASTER_KEY_NEXT is in force: put it in the place of LOCKGATE_MASTER_KEY, and unset it"
        ),
    }
}

/// What the data plane stands on.
struct Foundation {
    live: Arc<Live>,
    client: upstream::Client,
    journal: Arc<Journal>,
    bindings: Vec<Bound>,
    kept: KeptResponses,
    recorder: Recorder,
    traffic: TrafficSettings,
    digester: Digester,
    crossings: mpsc::Sender<Crossed>,
    tasks: Tasks,
}

/// The data plane begins with an empty snapshot; the first real one is published before anybody can connect.
fn start_gateway(foundation: Foundation) -> anyhow::Result<Arc<Gateway>> {
    let Foundation { live, client, journal, bindings, kept, recorder, traffic, digester, crossings, tasks } =
        foundation;
    let now = tokio::time::Instant::now().into_std();
    let mut draft = Draft::new(digester);
    // Nothing that was kept or captured may be lost to defaults before the first real snapshot.
    draft.settings.kept = traffic.kept;
    draft.settings.captures = traffic.captures;
    let empty = Snapshot::build(draft, &live, 0, now)
        .map_err(|problems| anyhow::anyhow!("an empty snapshot has problems: {problems:?}"))?;
    let parts = Parts {
        snapshot: Arc::new(empty),
        live,
        client,
        journal,
        bindings,
        kept,
        recorder,
        metrics: Arc::new(Metrics::new()),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        crossings,
        tasks,
    };
    Ok(Gateway::start(parts)?)
}

/// The data plane, as the control plane sees it.
struct DataPlane(Arc<Gateway>);

impl Audience for DataPlane {
    fn receive(&self, snapshot: Arc<Snapshot>) {
        if let Err(unusable) = self.0.publish(snapshot) {
            tracing::error!(%unusable, "the snapshot cannot be served; the one before stays in force");
        }
    }

    fn wake(&self, grants: Vec<Grant>) {
        self.0.deliver(grants);
    }
}

/// Backends that are neither written nor stored.
async fn demo_backends(
    demo: Demo,
    tasks: &Tasks,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<Vec<BackendSpec>> {
    match demo {
        Demo::With => Ok(vec![demo_backend(&demo::start(tasks, stop.subscribe()).await?)]),
        Demo::Without => Ok(Vec::new()),
    }
}

/// The simulated provider as a backend; policy keeps it apart from real ones.
fn demo_backend(base_url: &str) -> BackendSpec {
    let models = demo::MODELS.iter().map(|model| ((*model).to_owned(), ModelSpec::default())).collect();
    BackendSpec {
        models: Some(models),
        dialects: Some(demo::DIALECTS.to_vec()),
        keeps_responses: Some(false),
        source: Source::Demo,
        ..BackendSpec::new("demo", BackendKind::Demo, base_url)
    }
}
