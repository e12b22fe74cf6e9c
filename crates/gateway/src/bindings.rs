//! Decides which backend an id belongs to (stored responses, files, batches); never which backend a free request goes to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use policy::BackendId;

/// The most ids kept; the oldest are forgotten first.
const BINDINGS_MAX: usize = 100_000;

/// Longer ids than any provider makes are not worth their memory.
const ID_BYTES_MAX: usize = 256;

/// Ids minted by backends, each bound to the one that knows it.
#[derive(Default)]
pub(crate) struct Bindings {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Box<str>, BackendId>,
    in_order: VecDeque<Box<str>>,
}

impl Bindings {
    /// Binds `id` to the backend that minted it.
    pub(crate) fn bind(&self, id: &str, backend: BackendId) {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_id.insert(id.into(), backend).is_none() {
            known.in_order.push_back(id.into());
        }
        if known.in_order.len() > BINDINGS_MAX
            && let Some(oldest) = known.in_order.pop_front()
        {
            known.by_id.remove(&oldest);
        }
    }

    /// The backend that minted `id`.
    pub(crate) fn find(&self, id: &str) -> Option<BackendId> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_binding_is_forgotten_at_the_limit() {
        let bindings = Bindings::default();
        for number in 0..=BINDINGS_MAX {
            bindings.bind(&format!("resp_{number}"), BackendId(1));
        }
        assert_eq!(bindings.find("resp_0"), None);
        assert_eq!(bindings.find("resp_1"), Some(BackendId(1)));
        assert_eq!(bindings.find(&format!("resp_{BINDINGS_MAX}")), Some(BackendId(1)));
    }
}
