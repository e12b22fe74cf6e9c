//! Calls against a provider that does what a script says: what arrives, what each trouble is called, and what is left
//! behind on the other side.

mod bodies;
mod cancelling;
mod deadlines;
mod endpoints;
mod faults;
mod pooling;
mod sharing;

use http::{HeaderMap, Method};
use protocol::{Failure, Segments};
use testkit::{Behaviour, ScriptedProvider};
use tokio::time::Instant;

use super::{Answer, Auth, Call, CallBody, Client, ClientSettings, Deadlines, Endpoint};

/// A provider, and a client and an endpoint to call it with.
struct Scene {
    provider: ScriptedProvider,
    client: Client,
    endpoint: Endpoint,
}

impl Scene {
    async fn new() -> Self {
        Self::with(ClientSettings::default()).await
    }

    async fn with(settings: ClientSettings) -> Self {
        let provider = ScriptedProvider::start().await;
        let endpoint = Endpoint::new(&provider.base_url(), Auth::Bearer("sk-canary")).expect("a good URL");
        Self { provider, client: Client::new(settings).expect("TLS is there"), endpoint }
    }

    /// One call that is met with `behaviour`.
    async fn meet(&self, behaviour: Behaviour) -> Result<Answer, Failure> {
        self.provider.then(behaviour);
        self.client.call(&self.endpoint, chat()).await
    }

    /// One call, read to its end.
    async fn whole(&self) -> bytes::Bytes {
        let mut answer = self.client.call(&self.endpoint, chat()).await.expect("an answer");
        answer.whole(1 << 20).await.expect("a body")
    }
}

fn chat() -> Call<'static> {
    let body =
        bytes::Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"Hi there"}]}"#);
    with_body(CallBody::Whole(Segments::from_iter([body])))
}

fn with_body(body: CallBody) -> Call<'static> {
    let deadlines = Deadlines::default();
    Call {
        method: Method::POST,
        path: "/chat/completions",
        headers: HeaderMap::new(),
        body,
        deadlines,
        started: Instant::now(),
    }
}

/// Reads a body until it ends or breaks.
async fn drain(answer: &mut Answer) -> (Vec<u8>, Option<Failure>) {
    let mut read = Vec::new();
    while let Some(chunk) = answer.chunk().await {
        match chunk {
            Ok(chunk) => read.extend_from_slice(&chunk),
            Err(failure) => {
                assert!(answer.chunk().await.is_none(), "a broken body has nothing more to say");
                return (read, Some(failure));
            }
        }
    }
    (read, None)
}
