//! The control plane: decides what is in force and shows what happens; it never touches a request in flight.

pub mod admin;
pub mod alerts;
pub mod chronicle;
pub mod config;
pub mod dashboard;
pub mod import;
pub mod keygen;
pub mod prices;
pub mod publish;
#[cfg(test)]
mod testing;
