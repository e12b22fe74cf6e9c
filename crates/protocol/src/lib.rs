//! What was said: decides what the wire formats mean, and never does IO, reads a clock, draws a random number, or knows
//! an address or a credential.
//!
//! A request is [outlined](outline) and [rewritten](rewrite) in place; an answer is [inspected](inspect_answer) whole or
//! [relayed](StreamRelay) event by event. None of these copies or rebuilds what it does not have to change.

pub mod conversation;
mod date;
mod deadline;
mod dialect;
mod digest;
mod failure;
mod json;
pub mod json_rpc;
pub mod multipart;
mod quota;
mod relay;
pub mod sse;
mod translate;

pub use conversation::usage::{Usage, UsageSource};
pub use deadline::{Deadline, Deadlines};
pub use dialect::agent_rpc;
pub use dialect::answer::{AnswerOutline, inspect_answer};
pub use dialect::ask::{DecodeError, MEDIA_BYTES, ModelField, Needs, Outline, outline};
pub use dialect::error::{WireError, encode_error, encode_error_event, error_message};
pub use dialect::keepalive::{aside, keepalive};
pub use dialect::mark::{SealMark, is_seal_mark};
pub use dialect::openai_responses::kept;
pub use dialect::unseal::{Unsealed, unseal};
pub use dialect::{Dialect, UnknownDialect};
pub use digest::digest;
pub use failure::{Failure, FailureKind, Fault, Objection, Retry, Taint, without_secrets};
pub use quota::{Quota, QuotaUnit, Quotas, Reset, quotas};
pub use relay::edit::{Edits, rename_model, rewrite};
pub use relay::stream::{StreamEnd, StreamFault, StreamPlan, StreamRelay, StreamTally};
pub use translate::{
    Encoded, Manner, StreamTranslator, Target, can_be_told, converses, decode_answer, decode_request,
    encode_answer, encode_request, loss_paths, untold,
};

/// A body as a list of slices that follow each other; never copied together.
pub type Segments = smallvec::SmallVec<[bytes::Bytes; 5]>;
