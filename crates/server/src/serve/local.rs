//! Looks once, at the start, which of the usual servers of models answer on this machine, and offers those that are no backend
//! yet; it never makes one by itself, and asks no other machine.

use std::time::Duration;

use policy::{Snapshot, VENDORS, Vendor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::output;

/// What is there answers at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// As much of an answer is read; a longer list begins with what tells that it is one.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
const ON_THIS_MACHINE: &str = "http://127.0.0.1:";

/// A server that may run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    name: &'static str,
    base_url: &'static str,
    port: u16,
}

impl Candidate {
    fn of(vendor: &Vendor) -> Option<Self> {
        let base_url = vendor.base_url?;
        let port = base_url.strip_prefix(ON_THIS_MACHINE)?.split('/').next()?.parse().ok()?;
        Some(Self { name: vendor.name, base_url, port })
    }

    /// Whether it lists models, as they all do.
    async fn lists_models(self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let ask = format!("GET /v1/models HTTP/1.0\r\nhost: 127.0.0.1:{}\r\n\r\n", self.port);
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        let is_well = text.split("\r\n").next().is_some_and(|line| line.contains(" 200"));
        Ok(is_well && text.contains("\"data\""))
    }

    fn offer(self) -> String {
        let Self { name, base_url, .. } = self;
        format!(
            "{name} answers at {base_url}: `lockgate backends add {name} --kind {name}` makes it a backend."
        )
    }
}

/// Those that no backend leads to, and that are not this gateway itself.
pub(super) fn candidates(snapshot: &Snapshot, own_port: u16) -> Vec<Candidate> {
    let leads_there = |candidate: &Candidate| {
        let port = format!(":{}", candidate.port);
        snapshot.backends.iter().any(|backend| {
            let host = backend.base_url.split("://").last().and_then(|rest| rest.split('/').next());
            host.is_some_and(|host| host.ends_with(&port))
        })
    };
    let all = VENDORS.iter().filter_map(Candidate::of);
    all.filter(|candidate| candidate.port != own_port && !leads_there(candidate)).collect()
}

/// Tells a person at the terminal which of them answer.
pub(super) async fn offer(candidates: Vec<Candidate>) {
    for candidate in candidates {
        let lists = timeout(PATIENCE, candidate.lists_models()).await;
        if matches!(lists, Ok(Ok(true))) {
            let offer = candidate.offer();
            tracing::info!("{offer}");
            // Nobody reading is no reason not to serve.
            output::print_line(&offer).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn the_usual_servers_are_known_by_their_ports() {
        let known: Vec<_> =
            VENDORS.iter().filter_map(Candidate::of).map(|one| (one.name, one.port)).collect();
        for expected in [("ollama", 11434), ("vllm", 8000), ("llama_cpp", 8080)] {
            assert!(known.contains(&expected), "{known:?}");
        }
    }

    #[tokio::test]
    async fn what_lists_models_is_offered_and_nothing_else() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n{\"object\":\"list\",\"data\":[]}", true),
            ("HTTP/1.1 404 Not Found\r\n\r\n{\"data\":1}", false),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", false),
            ("SSH-2.0 200\r\n", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let candidate = Candidate { name: "ollama", base_url: "http://127.0.0.1:1/v1", port };
            let answering = async {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let mut asked = [0; 512];
                let length = stream.read(&mut asked).await.expect("a question");
                assert!(asked[..length].starts_with(b"GET /v1/models "));
                stream.write_all(answer.as_bytes()).await.expect("written");
            };
            let (lists, ()) = tokio::join!(candidate.lists_models(), answering);
            assert_eq!(lists.expect("an answer"), expected, "{answer}");
        }
    }
}
