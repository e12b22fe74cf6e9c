//! Decides which index stands for a name; never forgets one.

use std::collections::HashMap;
use std::sync::Arc;

/// Names and their indices. An index once given is never given to another name, so that a request of an
/// older snapshot can never mean the wrong backend. The price is a few hundred bytes for every backend or
/// key that was ever defined in this process: bounded by what an operator creates, not by traffic.
#[derive(Debug, Default)]
pub(super) struct Names {
    indices: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The index of a name, a new one if it has none.
    pub(super) fn index(&mut self, name: &str) -> u32 {
        if let Some(index) = self.indices.get(name) {
            return *index;
        }
        let index = u32::try_from(self.names.len()).expect("memory ends before four thousand million names");
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        self.indices.insert(name, index);
        index
    }

    /// How many have one.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of an index.
    pub(super) fn name(&self, index: usize) -> Option<&Arc<str>> {
        self.names.get(index)
    }
}
