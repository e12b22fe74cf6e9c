//! Decides how long responses are kept for backends that keep none, and who may have them; a restart forgets them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use policy::KeptRules;
use tokio::time::Instant;

/// What each entry costs beside its bytes: its id, twice, and its places.
const ENTRY_BYTES: usize = 512;

/// Responses by their ids, oldest first.
#[derive(Default)]
pub(crate) struct Keeper {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Arc<str>, Kept>,
    in_order: VecDeque<(Arc<str>, Instant)>,
    bytes: usize,
}

struct Kept {
    owner: Arc<str>,
    what: Bytes,
    until: Instant,
    since: Instant,
}

/// What a response needs to be kept when it is whole.
pub(crate) struct Memory {
    /// The client's request.
    pub(crate) body: Bytes,
    /// What was kept of the response that it continues.
    pub(crate) earlier: Option<Bytes>,
    /// The key it belongs to.
    pub(crate) owner: Arc<str>,
    pub(crate) rules: KeptRules,
}

impl Keeper {
    /// Keeps what `memory` and the whole `response` make, if it is one that has an id.
    pub(crate) fn keep(&self, memory: &Memory, response: &[u8], now: Instant) {
        let id = protocol::inspect_answer(protocol::Dialect::OpenAiResponses, response).ok();
        let Some(id) = id.and_then(|found| found.id).filter(|_| !memory.rules.time.is_zero()) else { return };
        if let Ok(what) = protocol::kept::remember(&memory.body, memory.earlier.as_deref(), response) {
            let kept = Kept { owner: memory.owner.clone(), what, until: now + memory.rules.time, since: now };
            self.known().insert(id.into(), kept, memory.rules.bytes_max);
        }
    }

    /// What was kept under an id, for its owner.
    pub(crate) fn find(&self, id: &str, owner: &str, now: Instant) -> Option<Bytes> {
        let known = self.known();
        let kept = known.by_id.get(id).filter(|kept| &*kept.owner == owner && kept.until > now)?;
        Some(kept.what.clone())
    }

    /// Forgets it, at its owner's wish.
    pub(crate) fn forget(&self, id: &str) {
        self.known().remove(id);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, id: Arc<str>, kept: Kept, bytes_max: usize) {
        let now = kept.since;
        self.remove(&id);
        self.bytes += kept.what.len() + ENTRY_BYTES;
        self.in_order.push_back((id.clone(), now));
        self.by_id.insert(id, kept);
        while let Some((oldest, since)) = self.in_order.front().cloned() {
            // What was forgotten or kept anew leaves its former place behind.
            let is_current = self.by_id.get(&oldest).is_some_and(|kept| kept.since == since);
            let is_over = self.by_id.get(&oldest).is_some_and(|kept| kept.until <= now);
            if is_current && !is_over && self.bytes <= bytes_max {
                break;
            }
            self.in_order.pop_front();
            if is_current {
                self.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, id: &str) {
        if let Some(kept) = self.by_id.remove(id) {
            self.bytes -= kept.what.len() + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn memory(owner: &str, bytes_max: usize) -> Memory {
        Memory {
            body: Bytes::from_static(br#"{"input":"hello"}"#),
            earlier: None,
            owner: owner.into(),
            rules: KeptRules { time: Duration::from_secs(60), bytes_max },
        }
    }

    fn response(id: &str) -> String {
        format!(r#"{{"id":"{id}","object":"response","status":"completed","output":[]}}"#)
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_is_its_owners_for_its_time() {
        let keeper = Keeper::default();
        let now = Instant::now();
        keeper.keep(&memory("a", 1 << 20), response("resp_1").as_bytes(), now);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(keeper.find("resp_1", "a", later(59)).is_some());
        for (id, owner, at) in [("resp_1", "b", 1), ("resp_1", "a", 60), ("resp_2", "a", 1)] {
            assert!(keeper.find(id, owner, later(at)).is_none(), "{id} {owner} {at}");
        }
        keeper.forget("resp_1");
        assert!(keeper.find("resp_1", "a", now).is_none());
        assert_eq!(keeper.known().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_at_the_limit() {
        let keeper = Keeper::default();
        let now = Instant::now();
        let memory = memory("a", 4 * 1024);
        for number in 0..100_u64 {
            let at = now + Duration::from_millis(number);
            keeper.keep(&memory, response(&format!("resp_{number}")).as_bytes(), at);
            assert!(keeper.known().bytes <= 4 * 1024);
            assert!(keeper.find(&format!("resp_{number}"), "a", at).is_some());
        }
        assert!(keeper.find("resp_0", "a", now).is_none());
        assert!(keeper.known().in_order.len() < 10);
    }
}
