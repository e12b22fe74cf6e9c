//! The data plane on real sockets, with a real store and a provider that does what its script says; by feature and promise.

mod answers;
mod captures;
mod dialects;
mod disconnects;
mod hedging;
mod keepalive;
mod limits;
mod lookout;
mod pictures;
mod promises;
mod reasons;
mod relaying;
mod resume;
mod scene;
mod simulated;
mod teams;
mod usage;
