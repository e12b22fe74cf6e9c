//! The binary as people and programs use it, one module for each feature; never looks inside it.

mod admin_api;
mod agents;
mod cli;
mod dashboard;
mod hedging;
mod instances;
mod promises;
mod real_model;
mod records;
mod refusals;
mod restarts;
