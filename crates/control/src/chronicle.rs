//! Decides when events are written down: each second, and at the end. Nobody to whom one happens ever waits for that, and
//! events that a database outage outlasts are forgotten, the oldest first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policy::Live;
use store::{EventLog, StoreError};
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::at_time;
use crate::publish::{WallClock, moment};

const LOOKS: Duration = Duration::from_secs(1);

/// Writes events down. Cheap to clone.
#[derive(Clone)]
pub struct Chronicle {
    live: Arc<Live>,
    log: EventLog,
    clock: WallClock,
    /// Everything up to this number is written down. Two who write the same at once do no harm.
    written: Arc<AtomicU64>,
}

impl Chronicle {
    /// Goes on behind what earlier processes wrote down: call it before anything can happen.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn begin(live: Arc<Live>, log: EventLog, clock: WallClock) -> Result<Self, StoreError> {
        let last = log.last().await?;
        live.count_events_on(last);
        Ok(Self { live, log, clock, written: Arc::new(AtomicU64::new(last)) })
    }

    /// Writes down for as long as the program runs.
    pub async fn keep(self) {
        let mut looks = interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            looks.tick().await;
            let outcome = self.write_down().await;
            if let (Err(error), false) = (&outcome, is_failing) {
                tracing::warn!(%error, "events cannot be written down; the newest are remembered until they can");
            }
            is_failing = outcome.is_err();
        }
    }

    /// Writes down what is not yet.
    ///
    /// # Errors
    /// When the database cannot be written; what was to be written comes again with the next call.
    pub async fn write_down(&self) -> Result<(), StoreError> {
        let written = self.written.load(Ordering::Acquire);
        let news = self.live.events_after(written, moment());
        let Some(last) = news.last().map(|event| event.number) else { return Ok(()) };
        let now = (self.clock)();
        self.log.keep(news.into_iter().map(|event| at_time(event, now)).collect()).await?;
        self.written.fetch_max(last, Ordering::AcqRel);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use store::events::EventFilter;

    use super::*;
    use crate::testing::House;

    #[tokio::test]
    async fn events_outlive_the_process_and_numbers_go_on() {
        let house =
            House::new("backends: [{name: main, kind: openai, base_url: \"http://127.0.0.1:9/v1\"}]\n").await;
        let begin = async |live: &Arc<Live>| {
            let clock: WallClock = Arc::new(|| policy::Timestamp(5_000));
            Chronicle::begin(Arc::clone(live), house.store.events.clone(), clock).await.expect("begun")
        };
        let first = begin(&house.live).await;
        house.call("POST", "/api/admin/backends/main/reset", "").await.expect(204);
        // Stored or not, each is told once and alike.
        let told = async || {
            let page = house.call("GET", "/api/admin/events", "").await.expect(200);
            let events = page.json["events"].as_array().expect("a list").clone();
            events.iter().map(|event| (event["number"].clone(), event["text"].clone())).collect::<Vec<_>>()
        };
        let before = told().await;
        first.write_down().await.expect("written");
        first.write_down().await.expect("nothing more to write");
        assert_eq!(told().await, before);
        let stored = house.store.events.find(EventFilter::default(), 10).await.expect("found");
        assert_eq!(stored.len(), before.len());

        let next = Arc::new(Live::new());
        let second = begin(&next).await;
        next.note_damaged_database("page 7", moment());
        second.write_down().await.expect("written");
        let newest = house.store.events.find(EventFilter::default(), 1).await.expect("found");
        assert_eq!((newest[0].number, &*newest[0].text), (stored[0].number + 1, "page 7"));
    }
}
