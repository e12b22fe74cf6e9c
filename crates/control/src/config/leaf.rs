//! Decides how names, addresses, prices and secrets are written; never how they relate to each other.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path as FilePath;

use ipnet::IpNet;
use policy::{Amount, Secret, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::bind::{Bind, Binder, References};
use super::problem::quoted;
use super::tree::{Node, Origin, Value};

/// Text that people read; longer is a mistake or an attack.
const TEXT_CHARS_MAX: usize = 512;
/// Longer than any provider's key or token.
const SECRET_BYTES_MAX: usize = 8192;
/// What a model name looks like.
pub(crate) const MODEL_NAME_RULE: &str =
    "a name has 1 to 256 characters, no spaces and no control characters";
const NAME_RULE: &str =
    "a name has 1 to 64 letters, digits, `.`, `_` or `-`, and starts with a letter or digit";

/// Implements a JSON Schema that is written in place.
macro_rules! schema_of {
    ($kind:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A text; in a file also a number: names like `123` need no quotes there. What a program sends has types.
pub(super) fn text_of<'n>(node: &'n Node, binder: &mut Binder<'_>, what: &str) -> Option<&'n str> {
    if node.origin == Origin::Request && matches!(node.value, Value::Number(_)) {
        return binder.expected(node, what);
    }
    scalar_of(node, binder, what)
}

/// A text or a number, as text.
pub(super) fn scalar_of<'n>(node: &'n Node, binder: &mut Binder<'_>, what: &str) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => binder.expected(node, what),
    }
}

/// Text for people: a team, a path, a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);
schema_of!(Text, "Text", {"type": "string", "minLength": 1, "maxLength": 512});

impl Bind for Text {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "text")?;
        if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control) {
            let rule = format!("must have 1 to {TEXT_CHARS_MAX} characters and no control characters");
            return binder.refuse(node, rule, None);
        }
        Some(Self(text.to_owned()))
    }
}

/// Where a backend is asked how it is: below its base URL, or from the root of its host where it begins with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPath(pub String);
schema_of!(HealthPath, "HealthPath", {"type": "string", "maxLength": 512, "pattern": "^/?[!\"$-.0-~][!\"$-~]*$"});

impl Bind for HealthPath {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "a path such as /health")?;
        let is_path = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && text.len() <= TEXT_CHARS_MAX
            && !text.trim_start_matches('/').is_empty()
            && !text.starts_with("//")
            && !text.contains("://");
        if !is_path {
            return binder.refuse(
                node,
                "must be a path at the backend's own host, as `models` or `/health`",
                None,
            );
        }
        Some(Self(text.to_owned()))
    }
}

/// Where a page in a browser comes from, as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOrigin(pub String);
schema_of!(PageOrigin, "PageOrigin", {"type": "string", "maxLength": 512, "pattern": "^(\\*|[a-z][a-z0-9+.-]*://[^/?#@\\s]+)$"});

impl Bind for PageOrigin {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "an origin such as https://app.example.com")?;
        let is_origin = |(scheme, host): (&str, &str)| {
            scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte))
        };
        if text != "*" && !text.split_once("://").is_some_and(is_origin) || text.len() > TEXT_CHARS_MAX {
            return binder.refuse(
                node,
                "must be `*`, or a scheme and a host as https://app.example.com",
                None,
            );
        }
        Some(Self(text.to_owned()))
    }
}

/// The name of a backend, key, pool or team.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);
schema_of!(Name, "Name", {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"});

impl Bind for Name {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "a name")?;
        if !is_name(text) {
            return binder.refuse(node, NAME_RULE, None);
        }
        Some(Self(text.to_owned()))
    }
}

impl Name {
    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A model's name, or a pattern of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName(pub String);
schema_of!(ModelName, "ModelName", {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^\\S+$"});

impl Bind for ModelName {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "a model's name")?;
        if !is_model_name(text) {
            return binder.refuse(node, MODEL_NAME_RULE, None);
        }
        Some(Self(text.to_owned()))
    }
}

pub(crate) fn is_model_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// An address to listen on. `localhost` is 127.0.0.1, and a missing host is 127.0.0.1 too: nothing is
/// opened to the network that was not asked for by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);
schema_of!(Address, "Address", {"type": "string", "pattern": "^.*:[0-9]{1,5}$"});

impl Bind for Address {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "an address such as 127.0.0.1:9190")?;
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let suggestion = match text.parse::<u16>() {
                Ok(port) => Some(format!("write `127.0.0.1:{port}`")),
                Err(_) => None,
            };
            return binder.refuse(
                node,
                "an address needs a host and a port, as in 127.0.0.1:9190",
                suggestion,
            );
        };
        let ip = match host {
            "" | "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
        };
        match (ip, port.parse::<u16>()) {
            (Some(ip), Ok(port)) => Some(Self(SocketAddr::new(ip, port))),
            (_, Err(_)) => binder.refuse(node, "a port is a number from 0 to 65535", None),
            (None, Ok(_)) => binder.refuse(
                node,
                "the host to listen on must be an IP address",
                Some("0.0.0.0 listens on every interface".to_owned()),
            ),
        }
    }
}

/// An address or a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);
schema_of!(Network, "Network", {"type": "string"});

impl Bind for Network {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "an address or range such as 10.0.0.0/8")?;
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => Some(Self(network.trunc())),
            Err(_) => binder.refuse(node, "is not an address or range such as 10.0.0.0/8", None),
        }
    }
}

/// A price per million tokens in US dollars, kept exactly; holds the price of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMillion(pub Amount);
schema_of!(PerMillion, "PerMillion", {
    "description": "US dollars per million tokens, with at most 6 digits after the point.",
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,6})?$"}]
});

impl Bind for PerMillion {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        bind_amount(node, binder, Amount::per_million).map(Self)
    }
}

/// An amount of US dollars, kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Amount);
schema_of!(Dollars, "Dollars", {
    "description": "US dollars, with at most 12 digits after the point.",
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,12})?$"}]
});

impl Bind for Dollars {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        bind_amount(node, binder, str::parse).map(Self)
    }
}

fn bind_amount<E: std::fmt::Display>(
    node: &Node,
    binder: &mut Binder<'_>,
    read: impl Fn(&str) -> Result<Amount, E>,
) -> Option<Amount> {
    let text = scalar_of(node, binder, "an amount of dollars such as 1.25")?;
    match read(text) {
        Ok(amount) if amount < Amount::ZERO => binder.refuse(node, "must not be negative", None),
        Ok(amount) => Some(amount),
        Err(error) => binder.refuse(node, error.to_string(), None),
    }
}

/// A secret: given as it is, as `${VAR}`, or as `file:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretText(pub Secret);
schema_of!(SecretText, "SecretText", {
    "description": "A secret: `${VARIABLE}`, `file:/path`, or the secret itself.",
    "type": "string", "minLength": 1
});

impl Bind for SecretText {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let typed = text_of(node, binder, "a secret: ${VARIABLE}, file:/path, or text")?;
        let refers = typed.contains("${") || typed.starts_with("file:");
        let resolved = match (refers, &node.origin, binder.references) {
            (false, ..) => Cow::Borrowed(typed),
            // A variable's or an argument's own value is taken as it is: it was already resolved once.
            (true, Origin::Environment(_) | Origin::CommandLine(_), _) => Cow::Borrowed(typed),
            (true, _, References::Refused) => {
                return binder.refuse(
                    node,
                    "`${..}` and `file:` are resolved in the configuration file only",
                    None,
                );
            }
            (true, _, References::Resolved(_)) => Cow::Owned(resolve(node, binder, typed)?),
        };
        let secret = resolved.trim();
        if secret.is_empty()
            || secret.len() > SECRET_BYTES_MAX
            || secret.bytes().any(|b| b.is_ascii_control())
        {
            let rule = format!("a secret has 1 to {SECRET_BYTES_MAX} bytes and no control characters");
            return binder.refuse(node, rule, None);
        }
        Some(Self(Secret::from(secret)))
    }
}

/// Replaces `file:/path` as a whole, or every `${VAR}` inside a text.
fn resolve(node: &Node, binder: &mut Binder<'_>, typed: &str) -> Option<String> {
    let References::Resolved(surroundings) = binder.references else { return None };
    if let Some(path) = typed.strip_prefix("file:") {
        return match (surroundings.read_file)(FilePath::new(path)) {
            Ok(content) => Some(content),
            Err(error) => {
                let message = format!("the file {} cannot be read: {}", quoted(path), error.kind());
                binder.refuse(node, message, None)
            }
        };
    }
    let mut whole = String::with_capacity(typed.len());
    let mut rest = typed;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return binder.refuse(node, "`${` is not closed by `}`", None);
        };
        if !is_variable(name) {
            return binder.refuse(node, "`${..}` must hold a variable's name", None);
        }
        let Some(value) = surroundings.variables.get(name).filter(|value| !value.trim().is_empty()) else {
            let near = super::problem::closest(name, surroundings.variables.keys().map(String::as_str));
            let suggestion = near.map(|near| format!("did you mean `${{{near}}}`?"));
            return binder.refuse(
                node,
                format!("the environment variable {} is not set", quoted(name)),
                suggestion,
            );
        };
        whole.push_str(before);
        whole.push_str(value);
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// One thing, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Bind> Bind for OneOrMany<T> {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        match &node.value {
            Value::List(nodes) if nodes.is_empty() => binder.refuse(node, "must name at least one", None),
            Value::List(_) => Vec::bind(node, binder).map(Self),
            _ => T::bind(node, binder).map(|one| Self(vec![one])),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

/// The name of a request header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(pub String);
schema_of!(HeaderName, "HeaderName", {"type": "string", "pattern": "^[A-Za-z0-9_-]+\\*?$"});

impl Bind for HeaderName {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let text = text_of(node, binder, "a header's name")?;
        let name = text.strip_suffix('*').unwrap_or(text);
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() && !(name.is_empty() && text == "*") {
            return binder.refuse(node, "is not a header's name (a final `*` matches any ending)", None);
        }
        Some(Self(text.to_ascii_lowercase()))
    }
}

/// A moment in time, with its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);
schema_of!(Moment, "Moment", {"type": "string", "format": "date-time"});

impl Bind for Moment {
    fn bind(node: &Node, binder: &mut Binder<'_>) -> Option<Self> {
        let Value::Text(text) = &node.value else {
            return binder.expected(node, "a moment such as 2027-01-31T00:00:00Z");
        };
        match text.parse::<jiff::Timestamp>() {
            Ok(moment) => Some(Self(Timestamp(moment.as_millisecond()))),
            Err(_) => binder.refuse(node, "is not a moment such as 2027-01-31T00:00:00Z", None),
        }
    }
}
