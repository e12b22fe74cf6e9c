//! Decides how an attempt travels over HTTP: which connection it takes, how long each wait may last, and what a
//! broken one is called; never reads what the bytes say.

mod answer;
mod bell;
mod body;
mod client;
mod connect;
mod countdown;
mod endpoint;
mod fault;
mod h1;
mod h2;
mod pool;
mod tls;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use body::{BoxError, CallBody, CallerBody};
pub use client::{Call, Client, ClientError, ClientSettings};
pub(crate) use countdown::{Countdown, overdue};
pub use endpoint::{Auth, Endpoint, EndpointError};
pub use protocol::Deadlines;
