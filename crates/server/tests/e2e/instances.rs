//! Pools of local processes, with real child processes that are played by `fake-lingma`; no test sleeps: each waits at the
//! program's own control endpoint, or looks at the gateway again.

mod ends;
mod logins;
mod stage;
mod turns;
