//! Drives a real browser through a sign-in page by WebDriver, and recognises what only a person may deal with; never
//! tries to get round it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use protocol::Segments;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::profile::Page;
use super::super::ring::Ring;
use super::super::settings::Browser;
use crate::http::{Auth, Call, CallBody, Client, Deadlines, Endpoint};

/// Why a page did not sign anybody in.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A person must go on, for this reason.
    Human(&'static str),
    /// Final: another try could lock the account.
    WrongPassword,
    /// The page or the browser: a fresh one may do better.
    Fault(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Fault(why)
    }
}

/// One visit to a sign-in page.
pub(super) struct Visit<'a> {
    pub(super) browser: &'a Browser,
    /// Where the browser keeps what it knows of this account.
    pub(super) folder: PathBuf,
    pub(super) page: &'static Page,
    pub(super) url: &'a str,
    pub(super) http: &'a Client,
    pub(super) ring: &'a Ring,
}

/// How long the driver may take to start.
const DRIVER_STARTS: Duration = Duration::from_secs(15);
/// How often a page is looked at.
const GLANCE: Duration = Duration::from_millis(150);
/// The longest answer of a driver's.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The name under which WebDriver hands out elements (W3C, 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Visit<'_> {
    /// Fills in the page; done when the browser has come back to this machine.
    pub(super) async fn sign_in(&self, username: &str, password: &str) -> Result<(), Trouble> {
        let driver = Driver::start(self).await?;
        let session = driver.open(self).await?;
        let outcome = self.fill_in(&session, username, password).await;
        // The browser's profile is written when it ends in order.
        session.close().await;
        driver.end().await;
        outcome
    }

    async fn fill_in(&self, session: &Session<'_>, username: &str, password: &str) -> Result<(), Trouble> {
        session.go(self.url).await.map_err(|error| format!("it could not be opened: {error}"))?;
        let began = Instant::now();
        let mut is_sent = false;
        loop {
            if is_back(&session.address().await?) {
                return Ok(());
            }
            session.to_top().await?;
            if let Some(frame) = session.find(self.page.frame).await? {
                session.enter_frame(&frame).await?;
            }
            for (mark, reason) in self.page.human {
                if session.find(mark).await?.is_some() {
                    return Err(Trouble::Human(reason));
                }
            }
            if is_sent && session.find(self.page.wrong).await?.is_some() {
                return Err(Trouble::WrongPassword);
            }
            if !is_sent {
                is_sent = self.send_form(session, username, password).await?;
            }
            if began.elapsed() > self.browser.page_timeout {
                return Err(Trouble::Fault("the page shows nothing that is known".to_owned()));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Fills in the form, if it is there by now.
    async fn send_form(
        &self,
        session: &Session<'_>,
        username: &str,
        password: &str,
    ) -> Result<bool, Trouble> {
        let user = session.find(self.page.user).await?;
        let secret = session.find(self.page.password).await?;
        let submit = session.find(self.page.submit).await?;
        let (Some(user), Some(secret), Some(submit)) = (user, secret, submit) else { return Ok(false) };
        session.type_into(&user, username).await?;
        session.type_into(&secret, password).await?;
        session.click(&submit).await?;
        Ok(true)
    }
}

/// Whether a browser has come back to the machine that it runs on.
fn is_back(address: &str) -> bool {
    let rest =
        address.strip_prefix("http://127.0.0.1:").or_else(|| address.strip_prefix("http://localhost:"));
    rest.and_then(|rest| rest.split_once('/')).is_some_and(|(_, path)| path.starts_with("auth/callback"))
}

/// A running WebDriver server.
struct Driver<'a> {
    process: Child,
    endpoint: Endpoint,
    http: &'a Client,
}

impl<'a> Driver<'a> {
    async fn start(visit: &Visit<'a>) -> Result<Self, String> {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|held| held.local_addr());
        let port = free.map_err(|error| format!("no port: {error}"))?.port();
        let mut command = Command::new(&visit.browser.driver);
        command.arg(format!("--port={port}")).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| format!("the WebDriver server: {error}"))?;
        visit.ring.push("a browser is being started to sign in");
        let endpoint = Endpoint::new(&format!("http://127.0.0.1:{port}/"), Auth::None);
        let endpoint = endpoint.map_err(|error| error.to_string())?.at_root();
        let driver = Self { process, endpoint, http: visit.http };
        let until = Instant::now() + DRIVER_STARTS;
        while driver.ask(Method::GET, "/status", None).await.is_err() {
            if Instant::now() > until {
                return Err("the WebDriver server does not answer".to_owned());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(driver)
    }

    /// Opens a browser.
    async fn open(&self, visit: &Visit<'_>) -> Result<Session<'_>, String> {
        let profile = visit.folder.to_string_lossy();
        let mut arguments = vec![format!("--user-data-dir={profile}"), "--no-first-run".to_owned()];
        if visit.browser.is_headless {
            arguments.push("--headless=new".to_owned());
        }
        if rustix::process::geteuid().is_root() {
            // Chromium refuses to run as root otherwise.
            arguments.push("--no-sandbox".to_owned());
        }
        arguments.push("--disable-dev-shm-usage".to_owned());
        let mut options = json!({ "args": arguments });
        if let Some(program) = &visit.browser.program {
            options["binary"] = program.to_string_lossy().into();
        }
        let page_timeout = u64::try_from(visit.browser.page_timeout.as_millis()).unwrap_or(u64::MAX);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "pageLoadStrategy": "normal",
            "timeouts": {"pageLoad": page_timeout, "implicit": 0},
            "goog:chromeOptions": options,
        }}});
        let value = self.ask(Method::POST, "/session", Some(&wanted)).await?;
        let id = value.get("sessionId").and_then(Value::as_str).ok_or("the browser was not opened")?;
        Ok(Session { driver: self, path: format!("/session/{id}") })
    }

    async fn end(mut self) {
        // One that is gone is as good as ended.
        let _ = self.process.kill().await;
    }

    /// One command; its `value`, or the name of its error.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = match body {
            Some(value) => CallBody::Whole(Segments::from_iter([Bytes::from(value.to_string())])),
            None => CallBody::Empty,
        };
        let wait = Duration::from_secs(60);
        let deadlines =
            Deadlines { connect: DRIVER_STARTS, first_event: wait, answer: wait, idle: wait, total: wait };
        let call = Call { method, path, headers, body, deadlines, started: Instant::now() };
        let mut answer = self.http.call(&self.endpoint, call).await.map_err(|failure| failure.to_string())?;
        let bytes = answer.whole(ANSWER_BYTES_MAX).await.map_err(|failure| failure.to_string())?;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let value = said.get("value").cloned().unwrap_or_default();
        // Messages may quote what was typed; the name of an error does not.
        match value.get("error").and_then(Value::as_str) {
            Some(error) => {
                let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
                Err(network_error(message)
                    .map_or_else(|| error.to_owned(), |code| format!("{error} ({code})")))
            }
            None if answer.status.is_success() => Ok(value),
            None => Err(format!("the WebDriver server answered {}", answer.status.as_u16())),
        }
    }
}

/// A browser with one window.
struct Session<'a> {
    driver: &'a Driver<'a>,
    path: String,
}

/// An element of a page.
struct Element(String);

impl Session<'_> {
    async fn post(&self, command: &str, body: &Value) -> Result<Value, String> {
        self.driver.ask(Method::POST, &format!("{}/{command}", self.path), Some(body)).await
    }

    async fn go(&self, url: &str) -> Result<(), String> {
        self.post("url", &json!({ "url": url })).await.map(drop)
    }

    async fn address(&self) -> Result<String, String> {
        let value = self.driver.ask(Method::GET, &format!("{}/url", self.path), None).await?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    async fn to_top(&self) -> Result<(), String> {
        self.post("frame", &json!({ "id": null })).await.map(drop)
    }

    /// A frame that is gone by now is found again at the next look.
    async fn enter_frame(&self, Element(id): &Element) -> Result<(), String> {
        tolerant(self.post("frame", &json!({"id": {ELEMENT: id}})).await).map(drop)
    }

    async fn find(&self, selector: &str) -> Result<Option<Element>, String> {
        let found = self.post("element", &json!({"using": "css selector", "value": selector})).await;
        let found = tolerant(found)?;
        Ok(found.and_then(|value| value.get(ELEMENT)?.as_str().map(|id| Element(id.to_owned()))))
    }

    async fn type_into(&self, Element(id): &Element, text: &str) -> Result<(), String> {
        self.post(&format!("element/{id}/clear"), &json!({})).await?;
        self.post(&format!("element/{id}/value"), &json!({ "text": text })).await.map(drop)
    }

    async fn click(&self, Element(id): &Element) -> Result<(), String> {
        self.post(&format!("element/{id}/click"), &json!({})).await.map(drop)
    }

    async fn close(&self) {
        // A browser that has crashed needs no closing.
        let _ = self.driver.ask(Method::DELETE, &self.path, None).await;
    }
}

/// Chromium's own name for what went wrong on the way to a page, all that is told of a message.
fn network_error(message: &str) -> Option<&str> {
    const PREFIX: &str = "net::ERR_";
    let at = message.find(PREFIX)?;
    let named = message.get(at..)?;
    let rest = named.get(PREFIX.len()..)?;
    let end = rest.find(|letter: char| !(letter.is_ascii_uppercase() || letter == '_')).unwrap_or(rest.len());
    named.get(..PREFIX.len() + end)
}

/// What is not there, or not there any more, is nothing; everything else is a fault.
fn tolerant(said: Result<Value, String>) -> Result<Option<Value>, String> {
    const ABSENT: [&str; 5] = [
        "no such element",
        "stale element reference",
        "no such frame",
        "no such window",
        "detached shadow root",
    ];
    match said {
        Ok(value) => Ok(Some(value)),
        Err(error) if ABSENT.contains(&error.as_str()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_message_only_the_name_of_a_network_error_is_told() {
        for (message, want) in [
            (
                "unknown error: net::ERR_NAME_NOT_RESOLVED\n  (Session info: secret)",
                Some("net::ERR_NAME_NOT_RESOLVED"),
            ),
            ("net::ERR_FAILED", Some("net::ERR_FAILED")),
            ("net::ERR_é", Some("net::ERR_")),
            ("could not type `secret`", None),
            ("", None),
        ] {
            assert_eq!(network_error(message), want, "{message}");
        }
    }

    #[test]
    fn a_browser_is_back_only_on_this_machine() {
        for (address, is) in [
            ("http://127.0.0.1:37510/auth/callback?state=1", true),
            ("http://localhost:37510/auth/callback", true),
            ("http://127.0.0.1:37510/__test/login?port=1", false),
            ("https://devops.example.test/?to=http://127.0.0.1:1/auth/callback", false),
            ("", false),
        ] {
            assert_eq!(is_back(address), is, "{address}");
        }
    }
}
