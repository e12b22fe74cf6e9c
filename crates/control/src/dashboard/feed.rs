//! Decides who is told what happens, and when: one picture a second, made once for all who watch, and only while
//! somebody does; it never waits for a slow watcher.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::picture::{self, Counted, Memory, Picture};
use crate::admin::{AdminState, Refusal};

const EVERY: Duration = Duration::from_secs(1);
/// Watchers at once: each costs a connection and a copy on the wire.
pub(super) const WATCHERS_MAX: usize = 64;

/// What all watchers share. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    state: AdminState,
    /// The last picture as it goes over the wire; empty while nobody watches.
    latest: watch::Sender<Bytes>,
    memory: Mutex<Memory>,
    arrived: Notify,
    seats: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Feed {
    /// A feed that ends all its streams when `stop` turns true.
    pub fn new(state: AdminState, stop: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Shared {
            state,
            latest: watch::Sender::new(Bytes::new()),
            memory: Mutex::default(),
            arrived: Notify::new(),
            seats: Arc::new(Semaphore::new(WATCHERS_MAX)),
            stop,
        }))
    }

    /// Makes the pictures, for as long as the program runs.
    pub async fn keep_telling(self) {
        let shared = &*self.0;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if shared.latest.receiver_count() == 0 {
                shared.latest.send_replace(Bytes::new());
                shared.remember(Memory::pause);
                shared.arrived.notified().await;
                ticks.reset_immediately();
                continue;
            }
            ticks.tick().await;
            let counted = Counted::now(&shared.state).await;
            let picture = shared.remember(|memory| Picture::take(&shared.state, counted, memory));
            shared.latest.send_replace(event("picture", &picture));
        }
    }
}

impl Shared {
    fn remember<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place among the watchers, given back when its stream ends.
struct Watcher {
    latest: watch::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    /// What goes out before the first picture.
    greeting: Option<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    /// # Cancel safety
    /// Nothing is lost: a picture counts as seen when it is returned.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stopping| *stopping) => return None,
                changed = self.latest.changed() => changed.ok()?,
            }
            let picture = self.latest.borrow_and_update().clone();
            if !picture.is_empty() {
                return Some(picture);
            }
        }
    }
}

/// Server-sent events: `history` once, then `picture` each second.
pub(super) async fn watch(State(Feed(shared)): State<Feed>) -> Result<Response, Refusal> {
    let seat = shared.seats.clone().try_acquire_owned().map_err(|_full| {
        let detail = format!("{WATCHERS_MAX} dashboards are open; close one");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers", detail)
    })?;
    if shared.remember(|memory| memory.is_paused())
        && let Some(receipts) = picture::recent(&shared.state).await
    {
        let now = shared.state.publisher.now();
        shared.remember(|memory| memory.recall(&receipts, now));
    }
    let mut latest = shared.latest.subscribe();
    shared.arrived.notify_one();
    // One that was made for others is shown at once.
    latest.mark_changed();
    let history = shared.remember(|memory| event("history", memory.points()));
    let greeting = Bytes::from([b"retry: 3000\n\n", &*history].concat());
    let watcher = Watcher { latest, stop: shared.stop.clone(), greeting: Some(greeting), _seat: seat };
    let pictures = stream::unfold(watcher, async |mut watcher| {
        let picture = watcher.next().await?;
        Some((Ok::<_, Infallible>(picture), watcher))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(pictures)).into_response())
}

fn event(name: &str, content: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(content).expect("what is shown has only text keys");
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
