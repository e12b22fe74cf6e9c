//! How calls share HTTP/2 connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use protocol::FailureKind;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Auth, Client, ClientSettings, Endpoint, Scene, chat};

/// A server of HTTP/2 that allows so many streams on a connection and answers when told to.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    /// Requests being worked on.
    busy: Arc<watch::Sender<usize>>,
    _tasks: JoinSet<()>,
}

/// Leaves when the work on a request ends, or is given up.
struct Busy(Arc<watch::Sender<usize>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}

impl Server {
    async fn start(streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let busy = Arc::new(watch::Sender::new(0));
        let mut tasks = JoinSet::new();
        let (count, opens, works) = (Arc::clone(&connections), Arc::clone(&gate), Arc::clone(&busy));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (opens, works) = (Arc::clone(&opens), Arc::clone(&works));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (opens, works) = (Arc::clone(&opens), Arc::clone(&works));
                    async move {
                        works.send_modify(|busy| *busy += 1);
                        let _busy = Busy(works);
                        let body = request.into_body().collect().await.map(|body| body.to_bytes());
                        opens.acquire().await.expect("open for ever").forget();
                        Ok::<_, Infallible>(Response::new(Full::new(body.unwrap_or_else(|_| Bytes::new()))))
                    }
                });
                open.spawn(async move {
                    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.max_concurrent_streams(streams_max);
                    // How a connection ends is what the tests look at from the other side.
                    let _ = builder.serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        });
        Self { address, connections, gate, busy, _tasks: tasks }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&format!("http://{}", self.address), Auth::None).expect("a good URL").with_http2()
    }

    async fn busy(&self, requests: usize) {
        self.busy.subscribe().wait_for(|busy| *busy == requests).await.expect("the server holds the sender");
    }
}

async fn echo(client: &Client, endpoint: &Endpoint) -> Bytes {
    let mut answer = client.call(endpoint, chat()).await.expect("an answer");
    answer.whole(10_000).await.expect("a body")
}

#[tokio::test]
async fn no_stream_waits_behind_the_limit_of_the_other_side() {
    let server = Server::start(2).await;
    let client = Client::new(ClientSettings::default()).expect("TLS is there");
    let endpoint = server.endpoint();
    server.gate.add_permits(1);
    // The first exchange brings the limit.
    assert!(!echo(&client, &endpoint).await.is_empty());
    let calls = (0..5).map(|_| echo(&client, &endpoint));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), async {
        server.busy(5).await;
        server.gate.add_permits(5);
    });
    assert_eq!(answers.len(), 5);
    assert_eq!(server.connections.load(Ordering::SeqCst), 3, "five streams at two to a connection");
}

#[tokio::test]
async fn a_dropped_call_ends_its_stream_and_spares_the_others() {
    let server = Server::start(10).await;
    let client = Client::new(ClientSettings::default()).expect("TLS is there");
    let endpoint = server.endpoint();
    let mut stays = std::pin::pin!(echo(&client, &endpoint));
    {
        let mut leaves = std::pin::pin!(echo(&client, &endpoint));
        tokio::select! {
            _ = &mut stays => panic!("the gate is closed"),
            _ = &mut leaves => panic!("the gate is closed"),
            () = server.busy(2) => {}
        }
    }
    server.busy(1).await;
    server.gate.add_permits(1);
    assert!(!stays.await.is_empty());
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_of_another_kind_is_a_failure() {
    let scene = Scene::new().await;
    let endpoint = scene.endpoint.clone().with_http2();
    let failure = scene.client.call(&endpoint, chat()).await.err().expect("it speaks HTTP/1.1");
    assert!(matches!(failure.kind, FailureKind::Reset | FailureKind::Malformed), "{failure:?}");
}
