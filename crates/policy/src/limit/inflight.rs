//! Decides whether one more may run at once; never who waits for the place.

/// A counted ceiling. Lowering the ceiling below what runs is safe: nothing new starts until enough ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InFlight {
    count: u32,
    ceiling: Option<u32>,
}

impl InFlight {
    /// Nothing running under a ceiling.
    pub(crate) fn up_to(ceiling: Option<u32>) -> Self {
        Self { count: 0, ceiling }
    }

    /// Moves the ceiling; what runs goes on.
    pub(crate) fn cap(&mut self, ceiling: Option<u32>) {
        self.ceiling = ceiling;
    }

    /// Whether one more may start.
    pub(crate) fn has_room(&self) -> bool {
        self.ceiling.is_none_or(|ceiling| self.count < ceiling)
    }

    /// One started.
    pub(crate) fn started(&mut self) {
        self.count += 1;
    }

    /// One ended. False when none was running: then nothing changed.
    pub(crate) fn ended(&mut self) -> bool {
        let left = self.count.checked_sub(1);
        self.count = left.unwrap_or(0);
        left.is_some()
    }

    /// How many run.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// How many may run.
    pub(crate) fn ceiling(&self) -> Option<u32> {
        self.ceiling
    }
}
