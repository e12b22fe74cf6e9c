//! Decides how what the control plane tells others reaches them: over the client that requests use; never what is told.

use std::time::Duration;

use control::alerts::{Courier, Letter, Posting, Unposted};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use protocol::Segments;
use tokio::time::Instant;
use upstream::{Auth, Call, CallBody, Client, Deadlines, Endpoint};

/// Whoever is told answers in this time, or is told again later.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Delivers alerts. An answer's body is nobody's business, and redirects are not followed.
pub(crate) struct Postman(pub(crate) Client);

impl Courier for Postman {
    fn post(&self, letter: Letter) -> Posting<'_> {
        Box::pin(async move {
            let (endpoint, path) = address(letter.url.expose())?;
            let call = Call {
                method: Method::POST,
                path: &path,
                headers: headers(&letter),
                body: CallBody::Whole(Segments::from_iter([letter.body.into()])),
                deadlines: Deadlines {
                    connect: TIMEOUT,
                    first_event: TIMEOUT,
                    answer: TIMEOUT,
                    idle: TIMEOUT,
                    total: TIMEOUT,
                },
                started: Instant::now(),
            };
            let answered = self.0.call(&endpoint, call).await;
            answered.map(|answer| answer.status).map_err(|failure| Unposted::Unreached(failure.to_string()))
        })
    }
}

/// Where a URL leads, and the path there.
fn address(url: &str) -> Result<(Endpoint, String), Unposted> {
    let uri: Uri = url.trim().parse().map_err(|_| Unposted::NoAddress)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Unposted::NoAddress);
    };
    let endpoint = Endpoint::new(&format!("{scheme}://{authority}"), Auth::None);
    let endpoint = endpoint.map_err(|_| Unposted::NoAddress)?.at_root();
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    Ok((endpoint, path))
}

fn headers(letter: &Letter) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("lockgate/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(signature) = &letter.signature
        && let Ok(value) = HeaderValue::try_from(signature)
    {
        headers.insert(HeaderName::from_static("x-lockgate-signature"), value);
    }
    headers
}
