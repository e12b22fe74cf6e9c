//! Decides what goes to a backend: the client's own words, save what the gateway owns, or what they mean in another dialect.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use policy::{answer_path, gemini_path, stream_path};
use protocol::{Dialect, Edits, Failure, FailureKind};
use upstream::CallBody;

use super::super::{
    decode::{Ask, Payload, speech},
    route::Lease,
};
use crate::{forward, inbound::Passing};

/// Names what of a request was not carried to the backend, by its paths in the client's body.
pub(in crate::pipeline) static DROPPED: HeaderName = HeaderName::from_static("x-lockgate-dropped");
/// A longer list of what was dropped is cut: proxies refuse long headers.
const DROPPED_BYTES_MAX: usize = 4096;

/// A call without its deadlines.
pub(super) struct Outgoing {
    /// Below the base URL, query included.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: CallBody,
    /// What was not carried.
    pub(super) lost: Vec<String>,
}

/// What can be sent as often as need be; nothing for a body that comes from the client while it is sent.
pub(super) fn repeatable(ask: &Ask, lease: &Lease) -> Result<Option<Outgoing>, Failure> {
    match &ask.payload {
        Payload::Json { .. } if ask.is_translated_for(lease) => translated(ask, lease).map(Some),
        Payload::Json { body, outline } => {
            let native = &*lease.candidate().native;
            let manner = lease.serving.backend.manner;
            let asked = outline.model.as_ref().map(|field| field.name.as_str());
            // Gemini names its model in the path; where the body names it again, it does so as a resource.
            let resource = format!("models/{native}");
            let model = match (ask.dialect, asked) {
                (Dialect::Gemini, None) => None,
                (Dialect::Gemini, Some(_)) => Some(&*resource),
                (_, asked) => (asked != Some(native)).then_some(native),
            };
            let edits = Edits {
                model: model.filter(|_| !native.is_empty()),
                ask_usage: !outline.usage_asked && !manner.refuses_stream_options,
                drop_nulls: manner.refuses_nulls,
            };
            let unsealed = ask.unsealed_for(&lease.serving.backend, native);
            let outline = unsealed.as_ref().map_or(&**outline, |unsealed| &unsealed.outline);
            let body = CallBody::Whole(protocol::rewrite(body, outline, &edits));
            let lost = unsealed.map(|unsealed| unsealed.lost).unwrap_or_default();
            Ok(Some(Outgoing { lost, ..relayed(ask, lease, body) }))
        }
        Payload::Empty => Ok(Some(relayed(ask, lease, CallBody::Empty))),
        Payload::Opaque(_) => Ok(None),
    }
}

/// A body that comes from the client while it is sent, and so is sent once.
pub(super) fn once(ask: &mut Ask, lease: &Lease) -> Outgoing {
    let body = match &mut ask.payload {
        Payload::Opaque(passing) => passing.take().map_or(CallBody::Empty, |passing| flowing(passing, lease)),
        Payload::Empty | Payload::Json { .. } => CallBody::Empty,
    };
    relayed(ask, lease, body)
}

fn flowing(mut passing: Passing, lease: &Lease) -> CallBody {
    let native = &lease.candidate().native;
    if !native.is_empty() {
        passing.name_model(native);
    }
    let length = passing.length();
    CallBody::Stream(passing.map_err(Into::into).boxed(), length)
}

/// The same dialect: the client's path, its headers and this body.
fn relayed(ask: &Ask, lease: &Lease, body: CallBody) -> Outgoing {
    let native = &*lease.candidate().native;
    let path = match &ask.method_of_model {
        Some(method) => gemini_path(native, &method.name, method.query.as_deref()),
        None => ask.path.to_string(),
    };
    let path = lease.serving.backend.addressing.path(&path, native);
    Outgoing { path, headers: headers(ask, lease), body, lost: Vec::new() }
}

/// Another dialect: its own path, and what the client means in its words.
fn translated(ask: &Ask, lease: &Lease) -> Result<Outgoing, Failure> {
    let (candidate, backend) = (lease.candidate(), &lease.serving.backend);
    let Some(Ok(request)) = ask.conversation() else {
        return Err(Failure::new(FailureKind::Rejected, "the request cannot be put in another dialect"));
    };
    let reader = ask.reader(speech::maker(backend, lease.dialect()));
    let told = speech::told((ask.dialect, request), lease.dialect(), (candidate, backend), reader)
        .ok_or_else(|| Failure::new(FailureKind::Rejected, "the backend's dialect does not converse"))?;
    let path = match request.stream {
        true => stream_path(lease.dialect(), &candidate.native),
        false => answer_path(lease.dialect(), &candidate.native),
    };
    let mut headers = headers(ask, lease);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Outgoing {
        path: backend.addressing.path(&path, &candidate.native),
        headers,
        body: CallBody::Whole(protocol::Segments::from_iter([told.body])),
        lost: told.lost,
    })
}

fn headers(ask: &Ask, lease: &Lease) -> HeaderMap {
    forward::request_headers(&ask.headers, &ask.stamp, &lease.serving.backend.headers, lease.dialect())
}

/// The list of what was dropped, as a header can carry it: paths may hold whatever a client has in its field names.
pub(in crate::pipeline) fn dropped(paths: &[String]) -> Option<HeaderValue> {
    let mut list = String::new();
    for path in paths {
        let mut written = String::with_capacity(path.len() + 1);
        for letter in path.chars() {
            match letter {
                '!'..='~' if letter != ',' && letter != '%' => written.push(letter),
                _ => {
                    let mut bytes = [0; 4];
                    written.extend(letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
                }
            }
        }
        if list.len() + written.len() + 4 > DROPPED_BYTES_MAX {
            list.push_str(",...");
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&written);
    }
    HeaderValue::try_from(list).ok().filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_a_list_that_a_header_can_carry() {
        let check = |paths: &[&str], want: Option<&str>| {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let told = dropped(&paths);
            assert_eq!(told.as_ref().and_then(|value| value.to_str().ok()), want);
        };
        check(&[], None);
        check(&["seed", "messages[0].name"], Some("seed,messages[0].name"));
        check(&["a,b", "c%d e", "f\u{e9}\n"], Some("a%2Cb,c%25d%20e,f%C3%A9%0A"));
        let many: Vec<String> = (0..2000).map(|number| format!("field_{number}")).collect();
        let told = dropped(&many).expect("a list");
        assert!(told.len() <= DROPPED_BYTES_MAX && told.as_bytes().ends_with(b",..."));
    }
}
