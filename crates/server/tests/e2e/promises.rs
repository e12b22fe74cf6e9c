//! Proofs of the promises that only the whole binary can keep; each module has the number of its promise.

mod p15_secrets_stay_inside;
