//! Keeps a paused clock from jumping ahead by itself while real sockets are at work; never moves it.

use std::sync::mpsc::{Receiver, Sender, channel};

/// While it lives, tokio's paused clock moves only by `tokio::time::advance`.
///
/// A paused clock jumps to the next timer whenever no task can run. With real sockets that is not always rest: on a
/// busy machine bytes are on their way for some microseconds, and a jump in between lets minutes pass in the middle of
/// a burst. tokio does not jump while a blocking call is running, so this holds one open.
#[must_use = "time jumps again once it is dropped"]
pub struct StillClock {
    _open: Sender<()>,
}

impl StillClock {
    /// Holds the clock of the present runtime.
    pub fn hold() -> Self {
        let (open, closed): (_, Receiver<()>) = channel();
        tokio::task::spawn_blocking(move || closed.recv());
        Self { _open: open }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::time::{Instant, advance, timeout};

    use super::StillClock;

    #[tokio::test(start_paused = true)]
    async fn time_stands_while_it_is_held() {
        let began = Instant::now();
        let still = StillClock::hold();
        let (mut here, there) = UnixStream::pair().expect("a pair");
        // The writer is another thread, so that this runtime has nothing to do until the byte comes.
        let writer = std::thread::spawn(move || {
            let mut there = there.into_std().expect("a socket");
            there.set_nonblocking(false).expect("a plain socket");
            std::thread::yield_now();
            there.write_all(b"!").expect("a byte goes out");
            there
        });
        let mut byte = [0; 1];
        let came = timeout(Duration::from_secs(60), here.read_exact(&mut byte)).await;
        assert!(came.is_ok() && began.elapsed().is_zero(), "no time passed before the byte came");
        advance(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let _other_end = writer.join().expect("it wrote");
        drop(still);
        assert!(
            timeout(Duration::from_secs(60), here.read_exact(&mut byte)).await.is_err(),
            "and runs again"
        );
        assert_eq!(began.elapsed(), Duration::from_secs(65));
    }
}
