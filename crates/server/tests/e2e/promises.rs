//! Proofs of the promises that only the whole binary can keep; each module has the number of its promise.

mod fuse;
mod p03_one_line_for_each_attempt;
mod p04_budgets_hold;
mod p12_bytes_flow;
mod p15_secrets_stay_inside;
mod p16_rotations_lose_nothing;
