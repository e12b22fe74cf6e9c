//! One instance as everybody else sees it: its picture, the orders it takes, and the turns it is asked for; never what is
//! done to keep it running.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::agent_rpc::Turn;
use protocol::{Failure, FailureKind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::login::{Attempts, Begun, Login, PasteError, Retry};
use super::ring::Ring;
use super::session::{self, Ask, Counted};
use super::settings::{Account, ProcessSettings};
use super::socket::Rpc;
use super::status::Model;
use crate::http::{Answer, Call, CallBody};

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing, until somebody needs it.
    Stopped,
    /// It was started, and cannot be spoken to yet.
    Starting,
    /// It can be spoken to.
    Ready,
    /// It ended, or its connection did; it will be back.
    Reconnecting,
    /// It ended again and again, and is left alone.
    Failed,
    /// The gateway ends.
    Closed,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// What can be expected of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes turns.
    Ready,
    /// It will, if nothing goes wrong: whoever has no better may wait.
    Soon,
    /// Not without somebody's help.
    Away,
}

/// An instance at one moment.
#[derive(Clone)]
pub struct Picture {
    /// What it is doing.
    pub state: State,
    /// Who it is signed in as.
    pub login: Login,
    /// What went wrong last, fit for operators.
    pub last_error: Option<Arc<str>>,
    /// Since when it has run.
    pub since: Option<Instant>,
    /// How often it was started again.
    pub restarts: u32,
    /// Its ports for the socket and for HTTP, while it runs.
    pub ports: Option<(u16, u16)>,
    /// Its process, while it runs.
    pub process: Option<u32>,
    /// The models it has.
    pub models: Arc<[Model]>,
    pub(super) rpc: Option<Rpc>,
    /// Whether one that is signed out is signed in without being told to.
    signs_in: bool,
}

impl Picture {
    fn new(settings: &ProcessSettings) -> Self {
        Self {
            state: State::Stopped,
            login: Login::Unknown,
            last_error: None,
            since: None,
            restarts: 0,
            ports: None,
            process: None,
            models: Arc::default(),
            rpc: None,
            signs_in: settings.automatic_login,
        }
    }

    /// What can be expected of it.
    pub fn standing(&self) -> Standing {
        match (self.state, &self.login) {
            (State::Failed | State::Closed, _) => Standing::Away,
            // Who is signed in is told when it can be spoken to.
            (State::Stopped | State::Starting | State::Reconnecting, _) => Standing::Soon,
            (State::Ready, Login::NotNeeded | Login::SignedIn { .. }) => Standing::Ready,
            (State::Ready, Login::Unknown | Login::Running { .. }) => Standing::Soon,
            (State::Ready, Login::SignedOut { .. }) if self.signs_in => Standing::Soon,
            (State::Ready, Login::Failed { retry: Retry::Due, .. }) => Standing::Soon,
            (State::Ready, Login::SignedOut { .. } | Login::NeedsHuman { .. } | Login::Failed { .. }) => {
                Standing::Away
            }
        }
    }
}

/// What an instance is told.
pub(super) enum Order {
    /// Somebody needs it.
    Wake,
    /// Again, from the start.
    Restart,
    /// Forget what went wrong, and try again.
    Reset,
    /// Sign in.
    Login(oneshot::Sender<Begun>),
    /// End.
    Stop,
}

/// One instance. Clones are the same.
#[derive(Clone)]
pub struct Instance {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) settings: Arc<ProcessSettings>,
    pub(super) work_dir: PathBuf,
    pub(super) fixed_ports: (u16, u16),
    pub(super) account: Mutex<Option<Account>>,
    /// How often it was taken from somebody who may be signed in still; none once they are signed out.
    pub(super) strangers: AtomicU32,
    pub(super) attempts: Mutex<Attempts>,
    pub(super) picture: watch::Sender<Picture>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) ring: Ring,
    pub(super) in_flight: Arc<AtomicUsize>,
    /// For what comes by HTTP.
    pub(super) http: crate::http::Client,
}

/// Orders that wait; whoever finds no room has been heard already.
pub(super) const ORDERS_MAX: usize = 16;
/// The longest text of a turn.
const TURN_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Shared {
    pub(super) fn first_picture(settings: &ProcessSettings) -> watch::Sender<Picture> {
        watch::Sender::new(Picture::new(settings))
    }

    pub(super) fn show(&self, change: impl FnOnce(&mut Picture)) {
        self.picture.send_modify(change);
    }

    /// The logins that have failed of late.
    pub(super) fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose it is.
    pub(super) fn account(&self) -> Option<Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Instance {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// The name of its sort of program.
    pub fn profile(&self) -> &'static str {
        self.shared.settings.profile.name
    }

    /// How it is now.
    pub fn picture(&self) -> Picture {
        self.shared.picture.borrow().clone()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<Picture> {
        self.shared.picture.subscribe()
    }

    /// Turns that run.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Turns whose pushes are still heard; at rest none.
    pub fn turns_heard(&self) -> usize {
        self.shared.picture.borrow().rpc.as_ref().map_or(0, Rpc::turns)
    }

    /// What it printed last.
    pub fn lines(&self) -> Vec<Box<str>> {
        self.shared.ring.lines()
    }

    /// Starts it again.
    pub fn restart(&self) {
        self.order(Order::Restart);
    }

    /// Forgets what went wrong, and starts it if it is not running.
    pub fn reset(&self) {
        self.shared.attempts().forget();
        self.order(Order::Reset);
    }

    /// Makes it somebody's, or nobody's. It is started again where that changes who is, or should be, signed in: whoever
    /// had it before is signed out then.
    pub fn set_account(&self, account: Option<Account>) {
        self.shared.ring.hide(account.iter().flat_map(Account::secrets));
        let before = {
            let mut held = self.shared.account.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, account.clone())
        };
        if before == account {
            return;
        }
        let is_same = match (&before, &account) {
            (Some(before), Some(account)) => before.is_same_as(account),
            (Some(_), None) => false,
            // Whoever has signed in by hand is likely to be the one that it belongs to from now on.
            (None, _) => true,
        };
        if !is_same {
            self.shared.strangers.fetch_add(1, Ordering::Relaxed);
        }
        let (state, is_signed_in) = {
            let picture = self.shared.picture.borrow();
            (picture.state, matches!(picture.login, Login::SignedIn { .. }))
        };
        if !is_same || (state != State::Stopped && !is_signed_in) {
            self.restart();
        }
    }

    /// Somebody needs it, or one of its like.
    pub(super) fn wake(&self) {
        let is_asleep = {
            let picture = self.shared.picture.borrow();
            picture.state == State::Stopped
                || matches!(picture.login, Login::Failed { retry: Retry::Due, .. })
        };
        if is_asleep {
            self.order(Order::Wake);
        }
    }

    pub(super) fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Begins to sign it in.
    pub async fn log_in(&self) -> Begun {
        self.wake();
        let (begun, told) = oneshot::channel();
        if self.shared.orders.send(Order::Login(begun)).await.is_err() {
            return Begun::Unable;
        }
        told.await.unwrap_or(Begun::Unable)
    }

    /// Completes a login with the address at which the browser ended.
    pub async fn paste_back(&self, address: &str) -> Result<(), PasteError> {
        super::login::paste_back(&self.shared, address).await
    }

    fn order(&self, order: Order) {
        // A full queue holds orders enough to come to the same.
        let _ = self.shared.orders.try_send(order);
    }

    /// Carries one call: a turn, or the question for its models. `siblings` are woken with it.
    pub(crate) async fn call(&self, call: Call<'_>, siblings: &[Instance]) -> Result<Answer, Failure> {
        let Call { method, path, body, deadlines, started, .. } = call;
        if method == Method::GET {
            return self.list();
        }
        if method != Method::POST || !path.ends_with("/turn") {
            return Err(Failure::new(FailureKind::Rejected, "a local process takes turns only"));
        }
        let CallBody::Whole(segments) = body else {
            return Err(Failure::new(FailureKind::Rejected, "a turn must be whole"));
        };
        let bytes = segments.concat();
        let turn = serde_json::from_slice::<Turn>(&bytes).ok().filter(|_| bytes.len() <= TURN_BYTES_MAX);
        let Some(turn) = turn else {
            return Err(Failure::new(FailureKind::Rejected, "this is no turn"));
        };
        let counted = Counted::new(&self.shared.in_flight);
        siblings.iter().for_each(Instance::wake);
        let (rpc, models) = self.ready(started + deadlines.total, siblings).await?;
        let folder = self.shared.work_dir.to_string_lossy();
        let turn = Turn { model: self.model(turn.model, &models), ..turn };
        let settings = &self.shared.settings;
        let ask = Ask { settings, folder: &folder, turn, deadlines, started, counted };
        let inflow = session::begin(&rpc, ask).await?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(Answer::of_turn(StatusCode::OK, headers, inflow))
    }

    /// Waits until it can be spoken to, as long as that can be expected and no other of its pool can be instead. `siblings` are
    /// the whole pool, this one among them.
    async fn ready(&self, end: Instant, siblings: &[Instance]) -> Result<(Rpc, Arc<[Model]>), Failure> {
        let settings = &self.shared.settings;
        let mut changes: Vec<_> = siblings.iter().map(Instance::changes).collect();
        let began = Instant::now();
        let mut spared_since = None;
        loop {
            let mut is_spared = false;
            for one in &mut changes {
                // Each is looked at, or its change would be told of again at once.
                is_spared |= one.borrow_and_update().standing() == Standing::Ready;
            }
            let picture = self.picture();
            let patience = match (picture.standing(), picture.rpc, &picture.login) {
                (Standing::Ready, Some(rpc), _) => return Ok((rpc, picture.models)),
                (Standing::Away, ..) => return Err(not_ready()),
                (_, _, Login::Running { .. }) => settings.login_timeout + LOGIN_GRACE,
                (Standing::Ready | Standing::Soon, ..) => settings.startup_timeout + settings.rpc_timeout,
            };
            spared_since = is_spared.then(|| spared_since.unwrap_or_else(Instant::now));
            let until = spared_since.map_or(began + patience, |since| since + HANDOVER).min(end);
            let changed = select_all(changes.iter_mut().map(|one| Box::pin(one.changed())));
            match tokio::time::timeout_at(until, changed).await {
                Ok((Ok(()), ..)) => {}
                Ok((Err(_), ..)) | Err(_) => return Err(not_ready()),
            }
        }
    }

    /// What the program calls a model: by its key, its name, or as it was set up.
    fn model(&self, asked: String, models: &[Model]) -> String {
        let own = models.iter().find(|model| model.key == asked);
        let found = own.or_else(|| models.iter().find(|model| model.name.eq_ignore_ascii_case(&asked)));
        match found {
            Some(model) => model.key.clone(),
            None if models.is_empty() && self.shared.settings.profile.models.is_none() => asked,
            None => self.shared.settings.default_model.clone().unwrap_or_default(),
        }
    }

    /// Its models, as a list that a provider would give.
    fn list(&self) -> Result<Answer, Failure> {
        let picture = self.picture();
        if picture.standing() != Standing::Ready {
            return Err(not_ready());
        }
        let data: Vec<_> = self.names(&picture).map(|id| serde_json::json!({ "id": id })).collect();
        let body = Bytes::from(serde_json::json!({"object": "list", "data": data}).to_string());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Answer::of_bytes(StatusCode::OK, headers, body))
    }

    /// All names that a model may be asked for by.
    pub fn model_names(&self) -> Vec<String> {
        let picture = self.picture();
        self.names(&picture).collect()
    }

    fn names(&self, picture: &Picture) -> impl Iterator<Item = String> {
        let models = Arc::clone(&picture.models);
        let agents = ["lingma-agent", "agent"].into_iter().filter(|_| !models.is_empty());
        let named = models.iter().flat_map(|model| [model.key.clone(), model.name.clone()]);
        let mut names: Vec<String> = named.chain(agents.map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        names.into_iter()
    }
}

/// Those that start together need not be ready together: for so long nobody is sent to another.
const HANDOVER: Duration = Duration::from_secs(1);
/// What a turn waits beyond the time that signing in may take.
const LOGIN_GRACE: Duration = Duration::from_secs(20);

fn not_ready() -> Failure {
    Failure::new(FailureKind::NotReady, "the instance is not ready")
}

#[cfg(test)]
mod tests {
    use super::super::fleet::Fleet;
    use super::super::settings::{InstanceSettings, Pace, Start};
    use super::*;
    use crate::process::Profile;

    /// An instance that nobody keeps.
    fn instance() -> Instance {
        let profile = Profile::named("lingma").expect("it is known");
        let one = InstanceSettings {
            name: "inst-1".to_owned(),
            work_dir: "/nowhere".into(),
            ports: (0, 0),
            account: None,
        };
        let settings = ProcessSettings {
            profile,
            codec: profile.codec,
            program: "/nowhere/at/all".into(),
            environment: Vec::new(),
            launcher: None,
            start: Start::Lazy,
            startup_timeout: Duration::from_secs(30),
            rpc_timeout: Duration::from_secs(10),
            mode: "chat".to_owned(),
            default_model: None,
            endpoint: None,
            automatic_login: true,
            browser: None,
            login_timeout: Duration::from_secs(300),
            login_retries: 0,
            login_pauses: (Duration::from_secs(60), Duration::from_secs(3600)),
            pace: Pace::default(),
            instances: vec![one],
        };
        let http = crate::http::Client::new(crate::http::ClientSettings::default()).expect("a client");
        let fleet = Fleet::new(vec![settings], &http).expect("a fleet");
        fleet.instance("inst-1").expect("it was just made").clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_waits_as_long_as_what_it_waits_for_may_take_and_no_longer_than_its_own_time() {
        let instance = instance();
        let hour = Duration::from_secs(3600);
        let soon = Duration::from_secs(5);
        let running = Login::Running { step: "page" };
        let out = Login::SignedOut { reason: "signed_out" };
        let failed = |retry| Login::Failed { reason: "page_fault", retry };
        for (state, login, own, seconds) in [
            (State::Starting, Login::Unknown, hour, 40),
            (State::Reconnecting, out.clone(), hour, 40),
            (State::Ready, running.clone(), hour, 320),
            (State::Ready, running, soon, 5),
            (State::Ready, out, hour, 40),
            (State::Ready, failed(Retry::Due), hour, 40),
            (State::Ready, failed(Retry::Later), hour, 0),
            (State::Ready, failed(Retry::Never), hour, 0),
            (State::Ready, Login::NeedsHuman { reason: "slider", url: None }, hour, 0),
            (State::Failed, Login::Unknown, hour, 0),
        ] {
            let what = format!("{state:?}, {login:?}");
            instance.shared.show(|picture| (picture.state, picture.login) = (state, login));
            let began = Instant::now();
            let pool = std::slice::from_ref(&instance);
            let failure = instance.ready(began + own, pool).await.err().expect("nobody makes it ready");
            assert_eq!((failure.kind, began.elapsed().as_secs()), (FailureKind::NotReady, seconds), "{what}");
        }
    }

    /// Whoever waits for one is told to go to another that has become ready, with a moment for the two to start together.
    #[tokio::test(start_paused = true)]
    async fn a_turn_does_not_wait_where_another_can_be_had() {
        let hour = Duration::from_secs(3600);
        for (other, login, seconds) in [
            (State::Starting, Login::Unknown, 320),
            (State::Ready, Login::SignedOut { reason: "signed_out" }, 320),
            (State::Ready, Login::SignedIn { id: "a".into(), name: "a".into() }, 1),
        ] {
            let (own, sibling) = (instance(), instance());
            own.shared.show(|picture| {
                (picture.state, picture.login) = (State::Ready, Login::Running { step: "page" });
            });
            sibling.shared.show(|picture| (picture.state, picture.login) = (other, login));
            let began = Instant::now();
            let pool = [own.clone(), sibling];
            let failure = own.ready(began + hour, &pool).await.err().expect("nobody makes it ready");
            assert_eq!(
                (failure.kind, began.elapsed().as_secs()),
                (FailureKind::NotReady, seconds),
                "{other:?}"
            );
        }
    }

    #[tokio::test]
    async fn another_account_signs_the_former_one_out_and_a_new_password_does_not() {
        let password = |username: &str, password: &str| {
            Some(Account::Password { username: username.to_owned(), password: password.to_owned() })
        };
        let token = |token: &str| Some(Account::Token { token: token.to_owned(), organization: None });
        for (before, after, is_left) in [
            (None, password("a", "1"), false),
            (password("a", "1"), password("a", "2"), false),
            (password("a", "1"), password("b", "1"), true),
            (password("a", "1"), token("t"), true),
            (token("t"), token("u"), true),
            (token("t"), None, true),
            (token("t"), token("t"), false),
        ] {
            let instance = instance();
            instance.set_account(before.clone());
            instance.set_account(after.clone());
            assert_eq!(instance.shared.strangers.load(Ordering::Relaxed) > 0, is_left);
            assert!(instance.shared.account() == after);
        }
    }
}
