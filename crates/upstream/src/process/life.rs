//! Decides the life of one instance: when it is started, that it can be spoken to, what an end of it means; never what
//! is said in a turn.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::child::Child;
use super::ends::{self, Ends};
use super::instance::{Order, Shared, State};
use super::launch::Spawner;
use super::login::{self, Begun, Login, Retry};
use super::settings::Start;
use super::socket::{self, CallError, Rpc};
use super::start::start;
use super::status;

/// How often it is tried to connect to one that was just started.
const DIAL_INTERVAL: Duration = Duration::from_millis(50);
/// A program that takes connections and does not greet is no better than one that takes none.
const GREETINGS_FAILED_MAX: u32 = 3;
/// A connection that held for so long was a good one.
const STEADY: Duration = Duration::from_secs(10);

/// Keeps an instance until it is told to stop.
pub(super) async fn keep(shared: Arc<Shared>, mut orders: mpsc::Receiver<Order>, spawner: &Spawner) {
    let mut ends = Ends::new(shared.settings.pace);
    let mut is_wanted = shared.settings.start == Start::Boot;
    loop {
        if !is_wanted {
            shared.show(|picture| picture.state = State::Stopped);
        }
        while !is_wanted {
            match orders.recv().await {
                None | Some(Order::Stop) => return close(&shared),
                Some(order) => is_wanted = order.begin(),
            }
        }
        let mut life = Life { shared: &shared, orders: &mut orders, logins: JoinSet::new() };
        let end = life.lead(spawner).await;
        drop(life);
        shared.show(|picture| {
            (picture.rpc, picture.process, picture.ports, picture.since) = (None, None, None, None);
        });
        match end {
            End::Stopped => return close(&shared),
            End::Again => {}
            End::Ended(why) => {
                let verdict = ends.note(Instant::now());
                tracing::warn!(instance = &*shared.name, %why, "a local process has ended");
                shared.show(|picture| {
                    picture.last_error = Some(why.into());
                    picture.restarts = picture.restarts.saturating_add(1);
                    picture.state = if verdict.is_loop { State::Failed } else { State::Reconnecting };
                });
                match rest(&mut orders, verdict.pause).await {
                    Rested::Over => {}
                    Rested::Early => ends.forget(),
                    Rested::Stopped => return close(&shared),
                }
                if verdict.is_loop {
                    ends.forget();
                }
            }
        }
    }
}

fn close(shared: &Shared) {
    shared.show(|picture| {
        picture.state = State::Closed;
        (picture.rpc, picture.process, picture.ports, picture.since) = (None, None, None, None);
    });
}

impl Order {
    /// Whether a resting instance is to start by it. Who ordered a login is told at once that it will come to that.
    fn begin(self) -> bool {
        match self {
            Self::Wake | Self::Restart | Self::Reset => true,
            Self::Login(begun) => {
                let _ = begun.send(Begun::Running);
                true
            }
            Self::Stop => false,
        }
    }
}

enum Rested {
    Over,
    /// Somebody has ended it.
    Early,
    Stopped,
}

/// Waits before another start.
async fn rest(orders: &mut mpsc::Receiver<Order>, pause: Duration) -> Rested {
    let until = Instant::now() + pause;
    loop {
        match tokio::time::timeout_at(until, orders.recv()).await {
            Err(_) => return Rested::Over,
            Ok(None | Some(Order::Stop)) => return Rested::Stopped,
            Ok(Some(Order::Restart | Order::Reset)) => return Rested::Early,
            Ok(Some(Order::Wake)) => {}
            Ok(Some(Order::Login(begun))) => {
                let _ = begun.send(Begun::Unable);
            }
        }
    }
}

/// How a life came to its end.
enum End {
    /// It was told to.
    Stopped,
    /// It is to begin anew.
    Again,
    /// By itself.
    Ended(String),
}

struct Life<'a> {
    shared: &'a Arc<Shared>,
    orders: &'a mut mpsc::Receiver<Order>,
    logins: JoinSet<()>,
}

impl Life<'_> {
    /// From a start to an end.
    async fn lead(&mut self, spawner: &Spawner) -> End {
        let shared = Arc::clone(self.shared);
        shared.show(|picture| {
            picture.state = State::Starting;
            picture.login = Login::Unknown;
        });
        let mut child = match start(&shared, spawner).await {
            Ok(child) => child,
            Err(error) => return End::Ended(format!("it cannot be started: {error}")),
        };
        let end = self.watch(&mut child).await;
        // Whoever is signed in by hand has lost the page: it belongs to the process that made it.
        self.logins.shutdown().await;
        shared.show(|picture| picture.rpc = None);
        child.stop().await;
        end
    }

    /// From a running process to an end.
    async fn watch(&mut self, child: &mut Child) -> End {
        let mut greetings_failed = 0_u32;
        let (mut hasty, mut not_before) = (0_u32, Instant::now());
        loop {
            let (rpc, connection) = match self.dial(child, not_before).await {
                Ok(connected) => connected,
                Err(end) => return end,
            };
            let connected = Instant::now();
            let mut connection = std::pin::pin!(connection.drive());
            let greeted = {
                let mut greeting = std::pin::pin!(greet(self.shared, &rpc));
                loop {
                    tokio::select! {
                        // Each is pinned and goes on with the next round, or ends this life.
                        greeted = &mut greeting => break greeted,
                        why = &mut connection => break Err(why),
                        why = child.ended() => return End::Ended(why),
                        order = self.orders.recv() => if let Some(end) = self.obey(order, None) { return end },
                    }
                }
            };
            let why = match greeted {
                Ok(()) => match self.serve(child, &rpc, connection.as_mut()).await {
                    Ok(why) => why,
                    Err(end) => return end,
                },
                Err(why) => {
                    greetings_failed += 1;
                    why
                }
            };
            tracing::warn!(instance = &*self.shared.name, why, "the connection to a local process was lost");
            self.logins.abort_all();
            self.shared.show(|picture| {
                picture.rpc = None;
                picture.state = State::Reconnecting;
                // Whoever was signing in has been stopped.
                if matches!(picture.login, Login::Running { .. } | Login::NeedsHuman { .. }) {
                    picture.login = Login::Unknown;
                }
                picture.last_error = Some(format!("its connection was lost: {why}").into());
            });
            if greetings_failed > GREETINGS_FAILED_MAX {
                return End::Ended(format!("it cannot be spoken to: {why}"));
            }
            // One that held is made again at once; those that are lost as soon as they are made come ever more seldom.
            hasty = if connected.elapsed() < STEADY { hasty + 1 } else { 0 };
            let pauses = self.shared.settings.pace.pauses();
            let wait = hasty.checked_sub(1).map(|in_a_row| ends::pause(pauses, in_a_row));
            not_before = Instant::now() + wait.unwrap_or_default();
        }
    }

    /// From a greeting to the loss of the connection, and why that was; or to an end.
    async fn serve(
        &mut self,
        child: &mut Child,
        rpc: &Rpc,
        mut connection: Pin<&mut impl Future<Output = String>>,
    ) -> Result<String, End> {
        self.open(rpc);
        loop {
            let rested = until(self.rests_until());
            tokio::select! {
                // It is pinned and goes on with the next round; nothing of the others is lost with them.
                why = &mut connection => return Ok(why),
                why = child.ended() => return Err(End::Ended(why)),
                () = rpc.account_changed() => self.look_at_account(rpc),
                order = self.orders.recv() => if let Some(end) = self.obey(order, Some(rpc)) { return Err(end) },
                Some(_) = self.logins.join_next(), if !self.logins.is_empty() => self.sign_in_if_wanted(rpc),
                () = rested => self.rested(),
            }
        }
    }

    /// Connects as soon as that is possible, and allowed.
    async fn dial(
        &mut self,
        child: &mut Child,
        not_before: Instant,
    ) -> Result<(Rpc, socket::Connection), End> {
        let settings = &self.shared.settings;
        let until = not_before + settings.startup_timeout;
        let port = self.shared.picture.borrow().ports.map_or(0, |(port, _)| port);
        let mut again = not_before;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                why = child.ended() => return Err(End::Ended(why)),
                order = self.orders.recv() => match self.obey(order, None) {
                    Some(end) => return Err(end),
                    None => continue,
                },
            }
            if Instant::now() >= until {
                return Err(self.too_slow());
            }
            tokio::select! {
                connected = tokio::time::timeout_at(until, socket::connect(port, settings.profile)) => match connected {
                    Ok(Ok(connected)) => return Ok(connected),
                    Ok(Err(_)) => {}
                    Err(_) => return Err(self.too_slow()),
                },
                why = child.ended() => return Err(End::Ended(why)),
            }
            again = (Instant::now() + DIAL_INTERVAL).min(until);
        }
    }

    fn too_slow(&self) -> End {
        let seconds = self.shared.settings.startup_timeout.as_secs_f64();
        End::Ended(format!("it could not be spoken to within {seconds} s"))
    }

    /// It can be spoken to.
    fn open(&mut self, rpc: &Rpc) {
        // First, so that nobody takes it for one that needs help.
        self.sign_in_if_wanted(rpc);
        self.shared.show(|picture| {
            picture.state = State::Ready;
            picture.since = picture.since.or(Some(Instant::now()));
            picture.rpc = Some(rpc.clone());
        });
    }

    /// One that is signed out is signed in, where that was asked for and has not just failed.
    fn sign_in_if_wanted(&mut self, rpc: &Rpc) {
        let is_out = matches!(self.shared.picture.borrow().login, Login::SignedOut { .. });
        if !is_out || !self.shared.settings.automatic_login {
            return;
        }
        let failed = self.shared.attempts().standing(self.shared.account().as_ref(), Instant::now());
        match failed {
            None => {
                self.begin_login(rpc);
            }
            Some((reason, retry)) => {
                self.shared.show(|picture| picture.login = Login::Failed { reason, retry });
            }
        }
    }

    /// Until when no login is begun without being told to, where one has failed.
    fn rests_until(&self) -> Option<Instant> {
        let rests = matches!(self.shared.picture.borrow().login, Login::Failed { retry: Retry::Later, .. });
        rests.then(|| self.shared.attempts().due()).flatten()
    }

    /// The next request may have it tried again; without any, nobody needs it.
    fn rested(&self) {
        self.shared.show(|picture| {
            if let Login::Failed { retry, .. } = &mut picture.login {
                *retry = Retry::Due;
            }
        });
    }

    /// Finds out who is signed in now. Beside everything else: a program may be slow to tell.
    fn look_at_account(&mut self, rpc: &Rpc) {
        let (shared, rpc) = (Arc::clone(self.shared), rpc.clone());
        self.logins.spawn(async move {
            if let Err(error) = look(&shared, &rpc).await {
                tracing::debug!(instance = &*shared.name, %error, "its account cannot be looked at");
            }
        });
    }

    fn begin_login(&mut self, rpc: &Rpc) -> Begun {
        match self.shared.picture.borrow().login {
            Login::SignedIn { .. } | Login::NotNeeded => return Begun::SignedIn,
            Login::Running { .. } => return Begun::AlreadyRunning,
            Login::NeedsHuman { url: Some(_), .. } => return Begun::AlreadyRunning,
            Login::Unknown | Login::SignedOut { .. } | Login::NeedsHuman { .. } | Login::Failed { .. } => {}
        }
        self.shared.show(|picture| picture.login = Login::Running { step: "begun" });
        let (shared, rpc) = (Arc::clone(self.shared), rpc.clone());
        self.logins.spawn(async move { login::run(&shared, &rpc).await });
        Begun::Running
    }

    /// Whether an order means that a login which has failed is to be tried again.
    fn is_login_wanted(&self, order: &Order) -> bool {
        let Login::Failed { retry, .. } = self.shared.picture.borrow().login else { return false };
        match order {
            Order::Wake => retry == Retry::Due,
            Order::Reset => self.shared.settings.automatic_login,
            Order::Restart | Order::Login(_) | Order::Stop => false,
        }
    }

    /// Does what it was told; an end where that is one.
    fn obey(&mut self, order: Option<Order>, rpc: Option<&Rpc>) -> Option<End> {
        match order {
            None | Some(Order::Stop) => Some(End::Stopped),
            Some(Order::Restart) => Some(End::Again),
            Some(order @ (Order::Wake | Order::Reset)) => {
                if let Some(rpc) = rpc.filter(|_| self.is_login_wanted(&order)) {
                    self.begin_login(rpc);
                }
                None
            }
            Some(Order::Login(begun)) => {
                let told = rpc.map_or(Begun::Unable, |rpc| self.begin_login(rpc));
                // Whoever asked may have left.
                let _ = begun.send(told);
                None
            }
        }
    }
}

/// Waits for that moment, for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Greets it, and learns who is signed in.
async fn greet(shared: &Shared, rpc: &Rpc) -> Result<(), String> {
    let settings = &shared.settings;
    if let Some(method) = settings.profile.greeting {
        let folder = format!("file://{}", shared.work_dir.display());
        let params = parameters(&json!({
            "processId": null,
            "clientInfo": {"name": "lockgate", "version": env!("CARGO_PKG_VERSION")},
            "rootUri": folder,
            "capabilities": {},
            // With none, the program complains of an empty path with every question.
            "workspaceFolders": [{"uri": folder, "name": "work"}],
        }));
        rpc.call(method, &params, settings.rpc_timeout).await.map_err(|error| error.to_string())?;
    }
    let strangers = shared.strangers.load(Ordering::Relaxed);
    if strangers > 0 {
        // It must not serve as somebody from whom it was taken.
        login::sign_out(shared, rpc).await.map_err(|error| format!("it cannot be signed out: {error}"))?;
        login::forget_browsers(&shared.work_dir).await;
        // One who has come meanwhile is met at the next start, which is ordered already.
        let _ = shared.strangers.compare_exchange(strangers, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
    look(shared, rpc).await.map_err(|error| error.to_string())
}

/// Looks at who is signed in, and at the models that they have.
pub(super) async fn look(shared: &Shared, rpc: &Rpc) -> Result<(), CallError> {
    let settings = &shared.settings;
    let login = match settings.profile.accounts {
        None => Login::NotNeeded,
        Some(accounts) => {
            let said = rpc.call(accounts.status, &parameters(&json!({})), settings.rpc_timeout).await?;
            let status: status::AccountStatus = serde_json::from_str(&said).unwrap_or_default();
            match status.verdict() {
                Ok(()) => Login::SignedIn { id: status.id.into(), name: status.name.into() },
                Err(reason) => Login::SignedOut { reason },
            }
        }
    };
    let models = match (settings.profile.models, &login) {
        (Some(method), Login::SignedIn { .. } | Login::NotNeeded) => models(shared, rpc, method).await?,
        _ => Vec::new(),
    };
    if matches!(login, Login::SignedIn { .. }) {
        shared.attempts().forget();
    }
    shared.show(|picture| {
        // A login that is under way tells of itself, until it has succeeded.
        let is_under_way =
            matches!(picture.login, Login::Running { .. } | Login::NeedsHuman { .. } | Login::Failed { .. });
        if !is_under_way || matches!(login, Login::SignedIn { .. }) {
            picture.login = login;
        }
        picture.models = models.into();
    });
    Ok(())
}

/// The models; shortly after signing in there may be none yet.
async fn models(shared: &Shared, rpc: &Rpc, method: &str) -> Result<Vec<status::Model>, CallError> {
    const TRIES: u32 = 8;
    for tried in 0..TRIES {
        let said = rpc.call(method, &parameters(&json!({})), shared.settings.rpc_timeout).await;
        let models = match said {
            Ok(said) => status::models(&said),
            // One that does not know them is asked for its default.
            Err(CallError::Refused(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        if !models.is_empty() {
            return Ok(models);
        }
        tokio::time::sleep(Duration::from_millis(50 << tried)).await;
    }
    Ok(Vec::new())
}

/// Parameters of a call.
pub(super) fn parameters(value: &serde_json::Value) -> Box<RawValue> {
    to_raw_value(value).expect("JSON can be written")
}
