//! Decides the steps by which an instance is signed in: the address of its accounts first, then a token, a page filled
//! in, or a person; never defeats what is there to keep machines out.

mod attempts;
mod browser;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::instance::Shared;
use super::life::{look, parameters};
use super::profile::Accounts;
use super::settings::Account;
use super::socket::{CallError, Rpc};
use crate::http::{Auth, Call, CallBody, Deadlines, Endpoint};
pub(super) use attempts::Attempts;
use attempts::Obstacle;
pub use attempts::Retry;
use browser::Trouble;

/// Who an instance is signed in as. Never holds a secret of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody has looked yet.
    Unknown,
    /// The program has no accounts.
    NotNeeded,
    /// Nobody.
    SignedOut {
        /// Why, in a word.
        reason: &'static str,
    },
    /// Somebody is being signed in.
    Running {
        /// How far that is.
        step: &'static str,
    },
    /// A person must do something.
    NeedsHuman {
        /// What keeps the gateway from it.
        reason: &'static str,
        /// The page to be opened; its address at the end is to be pasted back.
        url: Option<Arc<str>>,
    },
    /// It did not work.
    Failed {
        /// Why, in a word.
        reason: &'static str,
        /// Whether it is tried again.
        retry: Retry,
    },
    /// This account.
    SignedIn {
        /// Its id.
        id: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

impl Login {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotNeeded => "not_needed",
            Self::SignedOut { .. } => "signed_out",
            Self::Running { .. } => "running",
            Self::NeedsHuman { .. } => "needs_human",
            Self::Failed { .. } => "failed",
            Self::SignedIn { .. } => "signed_in",
        }
    }

    /// More of it, in a word.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::SignedOut { reason } | Self::NeedsHuman { reason, .. } | Self::Failed { reason, .. } => {
                Some(reason)
            }
            Self::Running { step } => Some(step),
            Self::Unknown | Self::NotNeeded | Self::SignedIn { .. } => None,
        }
    }

    /// Whether one that has failed is tried again.
    pub fn retry(&self) -> Option<Retry> {
        if let Self::Failed { retry, .. } = self { Some(*retry) } else { None }
    }
}

/// What became of the wish to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It has begun.
    Running,
    /// It had before.
    AlreadyRunning,
    /// There is nothing to do.
    SignedIn,
    /// The instance cannot do that now.
    Unable,
}

/// Why an address that was pasted back is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    /// It is not where a login ends.
    #[error("this is not the address at which a login ends: http://127.0.0.1:<port>/...?state=..&auth=..")]
    NotACallback,
    /// The instance does not run, or has no accounts.
    #[error("the instance cannot be signed in now")]
    NotNow,
    /// The instance did not take it: it is used up, or belongs to an earlier start.
    #[error("the instance did not take it: a login's page can be used once, and dies with its process")]
    Refused,
}

/// Where browsers keep what they know, in the folder of an instance.
const BROWSERS: &str = "browser";
/// How often it is looked whether somebody is signed in by now.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Signs in, and shows how that goes.
pub(super) async fn run(shared: &Arc<Shared>, rpc: &Rpc) {
    let Some(accounts) = shared.settings.profile.accounts else { return };
    let account = shared.account();
    let run = Run { shared, rpc, accounts, account: account.as_ref() };
    let obstacle = match tokio::time::timeout(shared.settings.login_timeout, run.steps()).await {
        Ok(Ok(())) => return,
        Ok(Err(obstacle)) => obstacle,
        // The page that they were shown is as old as pages get.
        Err(_) if matches!(shared.picture.borrow().login, Login::NeedsHuman { .. }) => {
            Obstacle::Person("page_expired")
        }
        Err(_) => Obstacle::Passing("timeout"),
    };
    let login = judged(shared, account, obstacle);
    let (reason, retry) = (login.reason(), login.retry().map(Retry::name));
    tracing::warn!(instance = &*shared.name, reason, retry, "signing in did not work");
    shared.show(|picture| {
        if !matches!(picture.login, Login::SignedIn { .. }) {
            picture.login = login;
        }
    });
}

/// What an obstacle comes to.
fn judged(shared: &Shared, account: Option<Account>, obstacle: Obstacle) -> Login {
    let settings = &shared.settings;
    let mut attempts = shared.attempts();
    match obstacle {
        Obstacle::Person(reason) => Login::NeedsHuman { reason, url: None },
        Obstacle::Refused(reason) => Login::Failed { reason, retry: attempts.refused(account, reason) },
        Obstacle::Passing(reason) if settings.automatic_login => {
            let retry = attempts.passed(account, reason, settings.login_pauses, Instant::now());
            Login::Failed { reason, retry }
        }
        // Whoever began it sees that, and may begin it again.
        Obstacle::Passing(reason) => Login::Failed { reason, retry: Retry::Never },
    }
}

struct Run<'a> {
    shared: &'a Arc<Shared>,
    rpc: &'a Rpc,
    accounts: &'static Accounts,
    account: Option<&'a Account>,
}

/// What a program answers when it is asked for a page.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Generated {
    login_url: String,
    success: Option<bool>,
}

impl Run<'_> {
    async fn steps(&self) -> Result<(), Obstacle> {
        self.switch_endpoint().await;
        match self.account {
            Some(Account::Token { token, organization }) => {
                let asked =
                    json!({"loginType": "personal_token", "personalToken": token, "orgId": organization});
                self.by_call(asked, ("token", "token_refused")).await
            }
            Some(Account::Key { access_key, secret_key, organization }) => {
                let asked = json!({"loginType": "ak_sk", "accessKey": access_key, "secretKey": secret_key,
                    "orgId": organization});
                self.by_call(asked, ("key", "key_refused")).await
            }
            Some(Account::Password { username, password }) => match &self.shared.settings.browser {
                Some(browser) => self.by_browser(browser, username, password).await,
                None => self.by_hand("no_browser").await,
            },
            None => self.by_hand("no_account").await,
        }
    }

    fn step(&self, step: &'static str) {
        self.shared.show(|picture| picture.login = Login::Running { step });
    }

    /// Before everything else, as the page depends on it. A program that does not take it is used as it is.
    async fn switch_endpoint(&self) {
        let settings = &self.shared.settings;
        let Some(wanted) = &settings.endpoint else { return };
        self.step("endpoint");
        let present =
            self.rpc.call(self.accounts.endpoint, &parameters(&json!({})), settings.rpc_timeout).await;
        let present: serde_json::Value =
            present.ok().and_then(|said| serde_json::from_str(&said).ok()).unwrap_or_default();
        if present.get("endpoint").and_then(serde_json::Value::as_str) == Some(wanted) {
            return;
        }
        let params = parameters(&json!({ "endpoint": wanted }));
        let why = match self.rpc.call(self.accounts.update_endpoint, &params, settings.rpc_timeout).await {
            Ok(said) if is_refused(&said) => "it was refused".to_owned(),
            Ok(_) => return,
            Err(error) => error.to_string(),
        };
        tracing::warn!(instance = &*self.shared.name, why, "the address of its accounts was not taken");
    }

    /// Without a page. What a program says beside its refusal may repeat what it was given, and stays unread.
    async fn by_call(
        &self,
        mut asked: serde_json::Value,
        (step, refused): (&'static str, &'static str),
    ) -> Result<(), Obstacle> {
        self.step(step);
        if let Some(fields) = asked.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let timeout = self.shared.settings.rpc_timeout;
        match self.rpc.call(self.accounts.login, &parameters(&asked), timeout).await {
            Ok(said) if is_refused(&said) => Err(Obstacle::Refused(refused)),
            Ok(_) => self.until_signed_in().await,
            // So it tells of a backend that it cannot reach, for one.
            Err(CallError::Refused(_)) => Err(Obstacle::Passing("login_error")),
            Err(CallError::Lost | CallError::TimedOut) => Err(Obstacle::Passing("not_answered")),
        }
    }

    /// A page for a person; it is shown, and waited for.
    async fn by_hand(&self, reason: &'static str) -> Result<(), Obstacle> {
        self.step("page");
        let url = self.url().await?;
        self.shared.show(|picture| {
            picture.login = Login::NeedsHuman { reason, url: Some(url.into()) };
        });
        self.until_signed_in().await
    }

    async fn by_browser(
        &self,
        browser: &super::settings::Browser,
        username: &str,
        password: &str,
    ) -> Result<(), Obstacle> {
        let mut last = Obstacle::Passing("page_fault");
        for _ in 0..=self.shared.settings.login_retries {
            self.step("page");
            // Each try has a page of its own: they can be used once.
            let url = match self.url().await {
                Ok(url) => url,
                Err(obstacle) => {
                    last = obstacle;
                    continue;
                }
            };
            self.step("browser");
            let visit = browser::Visit {
                browser,
                folder: browser_folder(&self.shared.work_dir, username),
                page: &self.accounts.page,
                url: &url,
                http: &self.shared.http,
                ring: &self.shared.ring,
            };
            match visit.sign_in(username, password).await {
                Ok(()) => return self.until_signed_in().await,
                // The page that stopped it is used up; a person needs a fresh one.
                Err(Trouble::Human(reason)) => return self.by_hand(reason).await,
                // Another try would lock the account.
                Err(Trouble::WrongPassword) => return Err(Obstacle::Refused("wrong_password")),
                Err(Trouble::Fault(why)) => {
                    self.shared.ring.push(&format!("the sign-in page could not be used: {why}"));
                    tracing::warn!(instance = &*self.shared.name, why, "the sign-in page could not be used");
                    last = Obstacle::Passing("page_fault");
                }
            }
        }
        Err(last)
    }

    /// The address of a fresh page.
    async fn url(&self) -> Result<String, Obstacle> {
        let timeout = self.shared.settings.rpc_timeout;
        let said = self.rpc.call(self.accounts.generate_url, &parameters(&json!({})), timeout).await;
        let said = said.map_err(|error| match error {
            CallError::TimedOut => Obstacle::Passing("no_page_in_time"),
            CallError::Lost | CallError::Refused(_) => Obstacle::Passing("no_page"),
        })?;
        let generated: Generated = serde_json::from_str(&said).unwrap_or_default();
        let is_good = generated.success != Some(false)
            && (generated.login_url.starts_with("https://")
                || generated.login_url.starts_with("http://127.0.0.1:"));
        is_good.then_some(generated.login_url).ok_or(Obstacle::Passing("no_page"))
    }

    async fn until_signed_in(&self) -> Result<(), Obstacle> {
        let mut changes = self.shared.picture.subscribe();
        loop {
            if let Err(error) = look(self.shared, self.rpc).await {
                tracing::debug!(instance = &*self.shared.name, %error, "its account cannot be looked at");
            }
            let signed_in = changes.wait_for(|picture| matches!(picture.login, Login::SignedIn { .. }));
            if tokio::time::timeout(LOOK_INTERVAL, signed_in).await.is_ok() {
                return Ok(());
            }
        }
    }
}

/// Whether an answer says that what was asked for was not done.
fn is_refused(said: &str) -> bool {
    let said: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
    said.get("success").and_then(serde_json::Value::as_bool) == Some(false)
}

/// Where the browser keeps what it knows of an account: one folder each, or it would sign in as somebody else. The name says
/// nothing of them.
fn browser_folder(work_dir: &Path, username: &str) -> PathBuf {
    // FNV-1a; the same over restarts, which is all that is asked of it.
    let hash = username.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    work_dir.join(BROWSERS).join(format!("{hash:016x}"))
}

/// Forgets what browsers know of the accounts of an instance.
pub(super) async fn forget_browsers(work_dir: &Path) {
    // Most have never used one.
    let _ = tokio::fs::remove_dir_all(work_dir.join(BROWSERS)).await;
}

/// Signs out whoever is signed in.
pub(super) async fn sign_out(shared: &Shared, rpc: &Rpc) -> Result<(), CallError> {
    let Some(accounts) = shared.settings.profile.accounts else { return Ok(()) };
    rpc.call(accounts.logout, &parameters(&json!({})), shared.settings.rpc_timeout).await.map(drop)
}

/// Completes a login with the address at which a browser ended: what it would have fetched from this machine is fetched
/// here. Only its path and its query count, and only at the instance's own port.
pub(super) async fn paste_back(shared: &Shared, address: &str) -> Result<(), PasteError> {
    let accounts = shared.settings.profile.accounts.ok_or(PasteError::NotNow)?;
    let query = callback(address, accounts.callback_path).ok_or(PasteError::NotACallback)?;
    let (ports, rpc) = {
        let picture = shared.picture.borrow();
        (picture.ports, picture.rpc.clone())
    };
    let ((_, port), rpc) = ports.zip(rpc).ok_or(PasteError::NotNow)?;
    let timeout = shared.settings.rpc_timeout;
    if fetch(shared, port, &format!("{}?{query}", accounts.callback_path), timeout).await {
        return look(shared, &rpc).await.map_err(|_| PasteError::NotNow);
    }
    // Some releases take it as a call.
    let field = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next().unwrap_or_default()
    };
    let state = field("state");
    let nonce = state.strip_prefix("2-").unwrap_or(&state);
    let params = parameters(&json!({"nonce": nonce, "auth": field("auth"), "tokenString": field("token")}));
    let said = rpc.call(accounts.callback, &params, timeout).await.map_err(|_| PasteError::Refused)?;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    match said.get("success").and_then(serde_json::Value::as_bool) {
        Some(true) => look(shared, &rpc).await.map_err(|_| PasteError::NotNow),
        Some(false) | None => Err(PasteError::Refused),
    }
}

/// The query of an address that a login ends at.
fn callback<'a>(address: &'a str, path: &str) -> Option<&'a str> {
    let rest = address.trim().strip_prefix("http://")?;
    let (host, rest) = rest.split_once('/')?;
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return None;
    }
    let query = rest.strip_prefix(path.strip_prefix('/')?)?.strip_prefix('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let is_plain = query.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && query.split('&').any(|pair| pair.starts_with("state="))).then_some(query)
}

fn decoded(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned()
}

async fn fetch(shared: &Shared, port: u16, path: &str, timeout: Duration) -> bool {
    let Ok(endpoint) = Endpoint::new(&format!("http://127.0.0.1:{port}/"), Auth::None) else { return false };
    let call = Call {
        method: Method::GET,
        path,
        headers: HeaderMap::new(),
        body: CallBody::Empty,
        deadlines: Deadlines {
            connect: timeout,
            first_event: timeout,
            answer: timeout,
            idle: timeout,
            total: timeout,
        },
        started: Instant::now(),
    };
    let answer = shared.http.call(&endpoint.at_root(), call).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_a_browser_of_its_own() {
        let folder = |name: &str| browser_folder(Path::new("/w"), name);
        assert_eq!(folder("somebody"), folder("somebody"));
        assert_ne!(folder("somebody"), folder("another"));
        assert!(folder("../..").starts_with("/w/browser") && !folder("somebody").ends_with("somebody"));
    }

    #[test]
    fn only_the_end_of_a_login_is_taken_back() {
        let check = |address: &str, want: Option<&str>| {
            assert_eq!(callback(address, "/auth/callback"), want, "{address}");
        };
        check("http://127.0.0.1:37510/auth/callback?state=2-ab&auth=x", Some("state=2-ab&auth=x"));
        check(" http://localhost:1/auth/callback?auth=x&state=2#top\n", Some("auth=x&state=2"));
        check("http://127.0.0.1:1/auth/callback?auth=x", None);
        check("http://127.0.0.1:1/other?state=1", None);
        check("http://127.0.0.1:1/auth/callbacks?state=1", None);
        check("http://169.254.169.254/auth/callback?state=1", None);
        check("https://127.0.0.1/auth/callback?state=1", None);
        check("http://127.0.0.1:1/auth/callback?state=1 HTTP/1.1", None);
        check("", None);
    }
}
