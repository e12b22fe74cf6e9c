//! Decides how local processes are plugged in: what the settings mean for upstream, what the data plane is told of their
//! readiness, what operators see; never how one is kept running.

use std::sync::Arc;

use anyhow::Context;
use control::{
    admin::{self, Doing, InstanceLogin, InstanceStatus, Instances},
    config::{ProcessAccount, ProcessPool},
    publish::Publisher,
};
use gateway::{Gateway, InstanceGauge, Tasks};
use protocol::agent_rpc::Codec;
use store::Directory;
use upstream::{
    Client,
    process::{
        Account, Begun, Browser, Fleet, Instance, InstanceSettings, Login, Pace, Picture, ProcessSettings,
        Profile, Retry, Standing, Start,
    },
};

/// The name under which the fleet runs.
pub(crate) const TASK: &str = "local processes";

/// Makes the fleet of these pools, with the accounts that the directory has for them, and lets `client` reach it.
pub(crate) async fn fleet(
    mut pools: Vec<ProcessPool>,
    directory: &Directory,
    client: &Client,
) -> anyhow::Result<Arc<Fleet>> {
    for unused in admin::assign(&mut pools, directory).await? {
        tracing::warn!("a stored account is not used: {unused}");
    }
    let launcher = std::env::current_exe().context("this program does not know where it is")?;
    let pools: anyhow::Result<Vec<ProcessSettings>> =
        pools.iter().map(|pool| settings(pool, &launcher)).collect();
    let fleet = Arc::new(Fleet::new(pools?, client)?);
    client.carry_to(fleet.clone());
    Ok(fleet)
}

/// Keeps them, and tells the data plane and the control plane how they are.
pub(crate) fn keep(fleet: &Arc<Fleet>, gateway: &Arc<Gateway>, publisher: &Publisher, tasks: &Tasks) {
    if fleet.instances().is_empty() {
        return;
    }
    for instance in fleet.instances() {
        let watch = Watch {
            instance: instance.clone(),
            siblings: fleet.siblings(instance.name()).to_vec(),
            gateway: gateway.clone(),
            publisher: publisher.clone(),
        };
        tasks.spawn("readiness of local processes", watch.keep_telling());
    }
    let fleet = fleet.clone();
    tasks.spawn(TASK, async move { fleet.keep().await });
}

fn settings(pool: &ProcessPool, launcher: &std::path::Path) -> anyhow::Result<ProcessSettings> {
    let profile = Profile::named(pool.profile).with_context(|| {
        let known: Vec<&str> = Profile::names().collect();
        format!("backend {}: there is no profile `{}`; known: {}", pool.name, pool.profile, known.join(", "))
    })?;
    let login = &pool.login;
    let is_single = pool.instances.len() == 1;
    let instances = pool.instances.iter().map(|one| InstanceSettings {
        name: one.name.clone(),
        work_dir: std::path::absolute(&one.work_dir).unwrap_or_else(|_| one.work_dir.clone()),
        ports: match pool.ports {
            (0, http) if is_single => (profile.socket_port.unwrap_or(0), http),
            ports => ports,
        },
        account: one.account.as_ref().map(account),
    });
    Ok(ProcessSettings {
        profile,
        codec: pool.codec.and_then(Codec::named).unwrap_or(profile.codec),
        // It starts in its own folder, from which a relative path would lead elsewhere; a bare name is looked for along PATH.
        program: match pool.program.components().count() {
            0 | 1 => pool.program.clone(),
            _ => std::path::absolute(&pool.program).unwrap_or_else(|_| pool.program.clone()),
        },
        environment: pool
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        launcher: Some(launcher.to_owned()),
        start: if pool.starts_at_boot { Start::Boot } else { Start::Lazy },
        startup_timeout: pool.startup_timeout,
        rpc_timeout: pool.rpc_timeout,
        mode: pool.mode.clone(),
        default_model: pool.default_model.clone(),
        endpoint: pool.endpoint.clone(),
        automatic_login: login.is_automatic,
        browser: login.is_headless.then(|| Browser {
            driver: login.driver.clone(),
            program: login.browser.clone(),
            is_headless: true,
            page_timeout: login.page_timeout,
        }),
        login_timeout: login.timeout,
        login_retries: login.retries,
        login_pauses: (login.pause, login.pause_max),
        pace: Pace {
            pause_min: pool.restart.pause,
            pause_max: pool.restart.pause_max,
            ends_max: usize::try_from(pool.restart.ends_max).unwrap_or(usize::MAX),
            window: pool.restart.window,
            rest: pool.restart.rest,
        },
        instances: instances.collect(),
    })
}

fn account(given: &ProcessAccount) -> Account {
    match given {
        ProcessAccount::Password(username, password) => {
            Account::Password { username: username.clone(), password: password.expose().to_owned() }
        }
        ProcessAccount::Token(token, of) => {
            Account::Token { token: token.expose().to_owned(), organization: of.clone() }
        }
        ProcessAccount::Key(access_key, secret_key, of) => Account::Key {
            access_key: access_key.expose().to_owned(),
            secret_key: secret_key.expose().to_owned(),
            organization: of.clone(),
        },
    }
}

/// One instance, watched for the others' sake.
struct Watch {
    instance: Instance,
    siblings: Vec<Instance>,
    gateway: Arc<Gateway>,
    publisher: Publisher,
}

impl Watch {
    /// Tells of every change, of this one or of a sibling, that means something to whoever chooses among them.
    async fn keep_telling(self) {
        let name = self.instance.name();
        let mut changes: Vec<_> = self.siblings.iter().map(Instance::changes).collect();
        let mut listed = Vec::new();
        loop {
            if is_candidate(&self.instance, &self.siblings) {
                self.gateway.note_present(name);
            } else {
                self.gateway.note_absent(name);
            }
            let models = self.instance.model_names();
            if !models.is_empty() && models != listed {
                if let Err(error) = self.publisher.discovered(name, models.clone()).await {
                    tracing::warn!(instance = &**name, %error, "the models of a local process were not taken over");
                }
                listed = models;
            }
            let waits = changes.iter_mut().map(|changes| Box::pin(changes.changed()));
            let (changed, ..) = futures_util::future::select_all(waits).await;
            if changed.is_err() {
                return;
            }
        }
    }
}

/// One that is ready; or, where none is, one that will be: whoever asks it waits there.
fn is_candidate(instance: &Instance, siblings: &[Instance]) -> bool {
    match instance.picture().standing() {
        Standing::Ready => true,
        Standing::Soon => !siblings.iter().any(|one| one.picture().standing() == Standing::Ready),
        Standing::Away => false,
    }
}

/// What is counted of them.
pub(crate) fn gauges(fleet: &Fleet) -> impl Iterator<Item = InstanceGauge> {
    fleet.instances().iter().map(|one| InstanceGauge {
        name: one.name().clone(),
        in_flight: one.in_flight(),
        is_ready: one.picture().standing() == Standing::Ready,
    })
}

/// The fleet, as the control plane sees it.
pub(crate) struct Kept(pub(crate) Arc<Fleet>);

impl Instances for Kept {
    fn list(&self) -> Vec<InstanceStatus> {
        self.0.instances().iter().map(shown).collect()
    }

    fn restart(&self, name: &str) -> bool {
        self.0.instance(name).map(Instance::restart).is_some()
    }

    fn reset(&self, name: &str) -> bool {
        self.0.instance(name).map(Instance::reset).is_some()
    }

    fn set_account(&self, name: &str, given: Option<&ProcessAccount>) -> bool {
        self.0.instance(name).map(|instance| instance.set_account(given.map(account))).is_some()
    }

    fn log_in<'a>(&'a self, name: &'a str) -> Doing<'a, Option<admin::Begun>> {
        Box::pin(async move {
            Some(match self.0.instance(name)?.log_in().await {
                Begun::Running => admin::Begun::Running,
                Begun::AlreadyRunning => admin::Begun::AlreadyRunning,
                Begun::SignedIn => admin::Begun::SignedIn,
                Begun::Unable => admin::Begun::Unable,
            })
        })
    }

    fn paste_back<'a>(&'a self, name: &'a str, address: &'a str) -> Doing<'a, Option<Result<(), String>>> {
        Box::pin(async move {
            let taken = self.0.instance(name)?.paste_back(address).await;
            Some(taken.map_err(|error| error.to_string()))
        })
    }
}

fn shown(instance: &Instance) -> InstanceStatus {
    let picture = instance.picture();
    let Picture { state, last_error, since, restarts, ports, process, .. } = &picture;
    InstanceStatus {
        id: instance.name().to_string(),
        profile: instance.profile(),
        state: state.name(),
        ready: picture.standing() == Standing::Ready,
        login: login(&picture.login),
        in_flight: instance.in_flight(),
        turns_heard: instance.turns_heard(),
        uptime_s: since.map(|since| since.elapsed().as_secs()),
        restarts: *restarts,
        process: *process,
        socket_port: ports.map(|(socket, _)| socket),
        http_port: ports.map(|(_, http)| http),
        last_error: last_error.as_deref().map(str::to_owned),
        last_lines: instance.lines().into_iter().map(Into::into).collect(),
    }
}

fn login(login: &Login) -> InstanceLogin {
    let retry = login.retry().map(Retry::name);
    let shown =
        InstanceLogin { state: login.name(), reason: login.reason(), retry, ..InstanceLogin::default() };
    match login {
        Login::NeedsHuman { url, .. } => InstanceLogin { url: url.as_deref().map(str::to_owned), ..shown },
        Login::SignedIn { id, name } => {
            InstanceLogin { id: Some(id.to_string()), name: Some(name.to_string()), ..shown }
        }
        Login::Unknown
        | Login::NotNeeded
        | Login::SignedOut { .. }
        | Login::Running { .. }
        | Login::Failed { .. } => shown,
    }
}

#[cfg(test)]
mod tests {
    use control::config::file::ProcessProfile;

    use super::*;

    #[test]
    fn every_sort_that_may_be_written_is_known() {
        assert_eq!(ProcessProfile::NAMES, Profile::names().collect::<Vec<_>>());
    }
}
