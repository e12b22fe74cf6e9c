//! Decides which backend an id belongs to (stored responses, files, batches); never which backend a free request goes to.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use policy::{Bound, Timestamp};
use store::BINDINGS_MAX;

/// Longer ids than any provider makes are not worth their memory.
const ID_BYTES_MAX: usize = 256;

/// An id that is seen again is written down again at most this often: a client may poll a batch for hours.
const NOTED_AGAIN_MS: i64 = 24 * 60 * 60 * 1000;

/// Ids minted by backends, each bound to the name of the one that knows it.
pub(crate) struct Bindings {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Arc<str>, Home>,
    in_order: VecDeque<Arc<str>>,
}

struct Home {
    backend: Arc<str>,
    noted: Timestamp,
}

impl Bindings {
    /// Begins with what earlier processes knew, oldest first.
    pub(crate) fn new(remembered: Vec<Bound>) -> Self {
        let bindings = Self { known: Mutex::default() };
        let mut names: HashSet<Arc<str>> = HashSet::new();
        for bound in remembered {
            // A hundred thousand ids share a few names.
            let backend = match names.get(&bound.backend) {
                Some(name) => Arc::clone(name),
                None => {
                    names.insert(Arc::clone(&bound.backend));
                    bound.backend
                }
            };
            bindings.bind(&Bound { backend, ..bound });
        }
        bindings
    }

    /// Binds an id to the backend that minted it. Says whether that is news, to be written down.
    pub(crate) fn bind(&self, bound: &Bound) -> bool {
        if bound.id.is_empty() || bound.id.len() > ID_BYTES_MAX {
            return false;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = known.by_id.get_mut(&bound.id) {
            let is_news = home.backend != bound.backend || bound.at.0 - home.noted.0 >= NOTED_AGAIN_MS;
            if is_news {
                *home = Home { backend: Arc::clone(&bound.backend), noted: bound.at };
            }
            return is_news;
        }
        let home = Home { backend: Arc::clone(&bound.backend), noted: bound.at };
        known.by_id.insert(Arc::clone(&bound.id), home);
        known.in_order.push_back(Arc::clone(&bound.id));
        if known.in_order.len() > BINDINGS_MAX
            && let Some(oldest) = known.in_order.pop_front()
        {
            known.by_id.remove(&oldest);
        }
        true
    }

    /// The name of the backend that minted `id`.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<str>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(id).map(|home| Arc::clone(&home.backend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(id: &str, backend: &str, at: i64) -> Bound {
        Bound { id: id.into(), backend: backend.into(), at: Timestamp(at) }
    }

    #[test]
    fn the_oldest_binding_is_forgotten_at_the_limit() {
        let remembered = (0..BINDINGS_MAX).map(|number| bound(&format!("resp_{number}"), "b", 0)).collect();
        let bindings = Bindings::new(remembered);
        assert_eq!(bindings.find("resp_0").as_deref(), Some("b"));
        assert!(bindings.bind(&bound("resp_new", "b", 0)));
        assert_eq!(bindings.find("resp_0"), None);
        assert_eq!(bindings.find("resp_1").as_deref(), Some("b"));
        assert_eq!(bindings.find("resp_new").as_deref(), Some("b"));
    }

    #[test]
    fn only_news_is_written_down() {
        let bindings = Bindings::new(vec![bound("file-1", "a", 0)]);
        let too_long = "x".repeat(ID_BYTES_MAX + 1);
        for (id, backend, at, is_news) in [
            ("file-1", "a", 1, false),
            ("file-1", "a", NOTED_AGAIN_MS, true),
            ("file-1", "a", NOTED_AGAIN_MS + 1, false),
            ("file-1", "b", NOTED_AGAIN_MS + 2, true),
            ("file-2", "a", 0, true),
            ("", "a", 0, false),
            (&too_long, "a", 0, false),
        ] {
            assert_eq!(bindings.bind(&bound(id, backend, at)), is_news, "{id} {backend} {at}");
        }
        assert_eq!(bindings.find("file-1").as_deref(), Some("b"));
    }
}
