//! Decides the course of one turn: it is asked, heard to its end, and stopped when nobody listens any more; never which
//! instance takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use protocol::agent_rpc::{Codec, Names, Step, Turn};
use protocol::{Deadline, Failure, FailureKind};
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::Instant;

use super::settings::ProcessSettings;
use super::socket::{CallError, Listening, Rpc, Waiting};
use crate::http::{Countdown, Deadlines, overdue};

/// A turn as it comes. Dropping it before its end stops it.
pub(crate) struct Inflow {
    heard: Listening,
    /// Whether it was taken is told apart from what is said; a program may never tell.
    taken: Option<Waiting>,
    codec: Codec,
    countdown: Countdown,
    is_over: bool,
    has_begun: bool,
    parting: Parting,
    _counted: Counted,
}

/// What is needed to begin a turn.
pub(super) struct Ask<'a> {
    pub(super) settings: &'a ProcessSettings,
    /// Where the program works.
    pub(super) folder: &'a str,
    pub(super) turn: Turn,
    pub(super) deadlines: Deadlines,
    pub(super) started: Instant,
    pub(super) counted: Counted,
}

/// Begins a turn.
pub(super) async fn begin(rpc: &Rpc, ask: Ask<'_>) -> Result<Inflow, Failure> {
    let Ask { settings, folder, turn, deadlines, started, counted } = ask;
    let codec = settings.codec;
    let mut countdown = Countdown::new(deadlines, started);
    let mut names = Names { request: name(), session: name() };
    if let Some(step) = codec.begin(folder) {
        let result = rpc.call(step.method, &step.params, settings.rpc_timeout).await.map_err(failed)?;
        let no_session = || Failure::new(FailureKind::Malformed, "the process made no session");
        names.session = codec.session_of(&result).ok_or_else(no_session)?;
    }
    if let Some(step) = codec.choose(&turn, &names) {
        rpc.call(step.method, &step.params, settings.rpc_timeout).await.map_err(failed)?;
    }
    let heard = rpc.listen(match codec {
        Codec::Chat | Codec::Simple => names.request.clone(),
        Codec::Session => names.session.clone(),
    });
    let parting = Parting::new(rpc, codec, &names).await.map_err(failed)?;
    let step = codec.ask(&turn, &names, &settings.mode);
    let mut inflow = Inflow {
        heard,
        taken: None,
        codec,
        is_over: false,
        has_begun: false,
        parting,
        _counted: counted,
        countdown: {
            countdown.enter(Deadline::FirstEvent);
            countdown
        },
    };
    inflow.taken = Some(rpc.begin(step.method, &step.params).await.map_err(failed)?);
    Ok(inflow)
}

/// A name that nobody has had before.
fn name() -> String {
    let random: u128 = rand::random();
    format!("{random:032x}")
}

/// What a call that failed means for the attempt.
pub(super) fn failed(error: CallError) -> Failure {
    let kind = match error {
        CallError::Lost => FailureKind::Reset,
        CallError::TimedOut => FailureKind::Deadline(Deadline::FirstEvent),
        CallError::Refused(_) => FailureKind::ErrorAnswer,
    };
    Failure::new(kind, error.to_string())
}

impl Inflow {
    /// The next event of the turn, none at its end, or what broke it.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(push) = self.heard.poll_next(context) {
            return Poll::Ready(Some(match push {
                Some(push) => {
                    self.has_begun = true;
                    self.is_over = push.is_last;
                    if push.is_last {
                        self.parting.is_owed = false;
                    }
                    self.countdown.enter(Deadline::Idle);
                    if self.countdown.is_spent() && !push.is_last {
                        return Poll::Ready(Some(self.broken(overdue(Deadline::Total))));
                    }
                    Ok(push.event)
                }
                None => {
                    let detail = "the connection to the process was lost, or its answer was not read";
                    self.broken(Failure::new(FailureKind::Truncated, detail))
                }
            }));
        }
        if let Some(taken) = &mut self.taken
            && let Poll::Ready(result) = std::pin::Pin::new(taken).poll(context)
        {
            self.taken = None;
            let refused = match result {
                Ok(result) => self.codec.accepted(&result).err(),
                // The pushes tell of a connection that is gone.
                Err(CallError::Lost) => None,
                Err(error) => Some(failed(error)),
            };
            if let Some(failure) = refused.filter(|_| !self.has_begun) {
                self.parting.is_owed = false;
                if failure.kind == FailureKind::Unauthorized {
                    self.heard.doubt_account();
                }
                return Poll::Ready(Some(self.broken(failure)));
            }
        }
        self.countdown.poll_due(context).map(|due| Some(self.broken(overdue(due))))
    }

    fn broken(&mut self, failure: Failure) -> Result<Bytes, Failure> {
        self.is_over = true;
        Err(failure)
    }

    /// Whether nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}

/// What is owed to the program when a turn is over: to stop it, if it is not, and to forget it.
struct Parting {
    is_owed: bool,
    /// Places in the queue were taken beforehand, so that leaving can neither fail nor wait.
    stop: Option<(OwnedPermit<String>, String)>,
    forget: Option<(OwnedPermit<String>, String)>,
}

impl Parting {
    async fn new(rpc: &Rpc, codec: Codec, names: &Names) -> Result<Self, CallError> {
        let owe = async |step: &Step| Ok::<_, CallError>((rpc.place().await?, rpc.written(step)));
        let stop = Some(owe(&codec.stop(names)).await?);
        let forget = match codec.forget(names) {
            Some(step) => Some(owe(&step).await?),
            None => None,
        };
        Ok(Self { is_owed: true, stop, forget })
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if let Some((place, stop)) = self.stop.take().filter(|_| self.is_owed) {
            place.send(stop);
        }
        if let Some((place, forget)) = self.forget.take() {
            place.send(forget);
        }
    }
}

/// A turn that counts as running.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
