//! Requests of messages, read and written; never answered.

mod blocks;
mod decode;
mod encode;
mod generation;
#[cfg(test)]
mod tests;
mod thinking;
mod turns;

pub(super) use blocks::CALL_SEAL;
pub(super) use decode::decode;
pub(super) use encode::encode;
