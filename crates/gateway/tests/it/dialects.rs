//! Every dialect in and out: where a call goes, what it carries, what is lost on the way, and whose words an error is in.

mod continuing;
mod crossing;
mod faults;
mod native;
mod relayed;
mod sealed;
mod tools;
mod untold;
