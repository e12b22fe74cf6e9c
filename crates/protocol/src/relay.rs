//! The same dialect in and out: bytes pass through, the fields the gateway owns are edited in place; nothing is translated.

pub(crate) mod edit;
pub(crate) mod stream;
