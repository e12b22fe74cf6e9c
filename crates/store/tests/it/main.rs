//! Proves the store from outside: through kills, full disks and absent databases, nothing acknowledged is lost
//! and nothing is counted twice.

mod bindings;
mod captures;
mod disk;
mod kept;
mod kill;
mod ledger;
mod outage;
mod reasons;
mod scene;
mod search;
mod secrets;
