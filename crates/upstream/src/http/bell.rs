//! Decides whether a connection that has something to do must wake its reader: not while the reader is looking at it.
//!
//! hyper's connection and its body talk over channels, and each chunk taken would wake the very task that takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What a connection is polled with.
pub(super) struct Bell {
    line: Arc<Line>,
    waker: Waker,
}

#[derive(Default)]
struct Line {
    rung: AtomicBool,
    answered: AtomicBool,
    reader: AtomicWaker,
}

impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Together with the end of `answer`, in one order for all: either we see that the reader has left, or it sees
        // that the bell has rung.
        self.rung.store(true, Ordering::SeqCst);
        if !self.answered.load(Ordering::SeqCst) {
            self.reader.wake();
        }
    }
}

impl Bell {
    pub(super) fn new() -> Self {
        let line = Arc::new(Line::default());
        Self { waker: Waker::from(Arc::clone(&line)), line }
    }

    /// There is something new to look at.
    pub(super) fn ring(&self) {
        self.line.rung.store(true, Ordering::SeqCst);
    }

    /// Looks at a connection for the reader behind `context`: only if it has rung, again while it rings, and at most
    /// `LOOKS_MAX` times before others get their turn.
    pub(super) fn answer<T>(
        &self,
        context: &mut Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        const LOOKS_MAX: usize = 4;
        self.line.reader.register(context.waker());
        self.line.answered.store(true, Ordering::SeqCst);
        let mut inside = Context::from_waker(&self.waker);
        let mut seen = Poll::Pending;
        for _ in 0..LOOKS_MAX {
            if !self.line.rung.swap(false, Ordering::SeqCst) {
                break;
            }
            seen = look(&mut inside);
            if seen.is_ready() {
                // Whoever was handed something comes back for more without being told.
                self.line.rung.store(true, Ordering::SeqCst);
                break;
            }
        }
        self.line.answered.store(false, Ordering::SeqCst);
        if seen.is_pending() && self.line.rung.load(Ordering::SeqCst) {
            context.waker().wake_by_ref();
        }
        seen
    }

    /// Looks once where nobody waits. A reader kept by an idle connection would keep a finished task's memory with it.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> T {
        drop(self.line.reader.take());
        look(&mut Context::from_waker(&self.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Reader(AtomicUsize);

    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How often a connection was looked at and its reader woken, when it rings in the first `rings` looks and has
    /// something at look `ready`.
    fn check(rings: usize, ready: usize, looks_expected: usize, wakes_expected: usize) {
        let reader = Arc::new(Reader::default());
        let waker = Waker::from(Arc::clone(&reader));
        let bell = Bell::new();
        bell.ring();
        let mut looks = 0;
        let seen = bell.answer(&mut Context::from_waker(&waker), |inside| {
            looks += 1;
            if looks <= rings {
                inside.waker().wake_by_ref();
            }
            if looks == ready { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(seen.is_ready(), ready == looks);
        assert_eq!(
            (looks, reader.0.load(Ordering::SeqCst)),
            (looks_expected, wakes_expected),
            "{rings} {ready}"
        );
        bell.waker.wake_by_ref();
        assert_eq!(reader.0.load(Ordering::SeqCst), wakes_expected + 1, "from outside it always wakes");
    }

    #[test]
    fn a_reader_that_looks_is_not_woken() {
        check(0, 1, 1, 0);
        check(1, 1, 1, 0);
        check(0, 9, 1, 0);
        check(1, 9, 2, 0);
        check(1, 2, 2, 0);
        check(9, 9, 4, 1);
    }

    #[test]
    fn a_connection_that_is_silent_is_not_looked_at() {
        let bell = Bell::new();
        let mut looks = 0;
        for (rings, expected) in [(false, 0), (true, 1), (false, 1), (true, 2)] {
            if rings {
                bell.waker.wake_by_ref();
            }
            let seen: Poll<()> = bell.answer(&mut Context::from_waker(Waker::noop()), |_| {
                looks += 1;
                Poll::Pending
            });
            assert_eq!((seen.is_ready(), looks), (false, expected));
        }
    }

    #[test]
    fn nobody_is_kept_by_an_idle_connection() {
        let reader = Arc::new(Reader::default());
        let waker = Waker::from(Arc::clone(&reader));
        let bell = Bell::new();
        let pending: Poll<()> = bell.answer(&mut Context::from_waker(&waker), |_| Poll::Pending);
        assert!(pending.is_pending());
        drop(waker);
        bell.peek(|inside| inside.waker().wake_by_ref());
        assert_eq!((Arc::strong_count(&reader), reader.0.load(Ordering::SeqCst)), (1, 0));
    }
}
