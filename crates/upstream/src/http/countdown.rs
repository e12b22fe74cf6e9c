//! Decides when a wait has lasted too long and what that wait is called; never decides what follows from it.
//!
//! One timer serves a whole exchange, and with it every later exchange on the same connection: a deadline that moves
//! further away leaves the timer where it is, and an early firing is checked against the real instant.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use protocol::{Deadline, Deadlines, Failure, FailureKind};
use tokio::time::{Instant, Sleep, sleep_until};

/// The deadlines of one exchange at work: the named wait it is in, and the end of the whole.
pub(crate) struct Countdown {
    timer: Pin<Box<Sleep>>,
    deadlines: Deadlines,
    total_at: Instant,
    wait: Deadline,
    /// When the named wait is over; `None` while nobody waits.
    wait_at: Option<Instant>,
}

impl Countdown {
    /// Starts with the wait for a connection.
    pub(crate) fn new(deadlines: Deadlines, started: Instant) -> Self {
        let connect_at = later(Instant::now(), deadlines.connect);
        let total_at = later(started, deadlines.total);
        Self {
            timer: Box::pin(sleep_until(connect_at.min(total_at))),
            deadlines,
            total_at,
            wait: Deadline::Connect,
            wait_at: Some(connect_at),
        }
    }

    /// Takes over the timer for another exchange.
    pub(super) fn restart(&mut self, deadlines: Deadlines, started: Instant) {
        self.total_at = later(started, deadlines.total);
        self.deadlines = deadlines;
        self.enter(Deadline::Connect);
    }

    /// Begins a named wait. It is measured from the first time somebody really waits.
    pub(crate) fn enter(&mut self, wait: Deadline) {
        self.wait = wait;
        self.wait_at = None;
    }

    /// Begins the current wait anew: there was a sign of life.
    pub(super) fn extend(&mut self) {
        self.wait_at = None;
    }

    /// Whether the whole exchange is past its end, asked where no wait takes place.
    pub(crate) fn is_spent(&self) -> bool {
        Instant::now() >= self.total_at
    }

    /// Ready with the name of the deadline that has passed.
    pub(crate) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<Deadline> {
        loop {
            let now = Instant::now();
            let length = self.length();
            let wait_at = *self.wait_at.get_or_insert_with(|| later(now, length));
            if now >= self.total_at {
                return Poll::Ready(Deadline::Total);
            }
            if now >= wait_at {
                return Poll::Ready(self.wait);
            }
            let due = wait_at.min(self.total_at);
            if self.timer.deadline() > due || self.timer.deadline() <= now {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }

    /// Drives `work` under the current wait.
    pub(super) async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_due(context).map(|due| Err(overdue(due))),
        })
        .await
    }

    fn length(&self) -> Duration {
        match self.wait {
            Deadline::Connect => self.deadlines.connect,
            Deadline::FirstEvent => self.deadlines.first_event,
            Deadline::Idle => self.deadlines.idle,
            Deadline::Total => self.deadlines.total,
        }
    }
}

/// The failure that a passed deadline is.
pub(crate) fn overdue(deadline: Deadline) -> Failure {
    Failure::new(FailureKind::Deadline(deadline), format!("the {deadline} deadline has passed"))
}

/// `from + by`, or a century when the sum has no place on the clock.
fn later(from: Instant, by: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    from.checked_add(by.min(CENTURY)).unwrap_or(from)
}
