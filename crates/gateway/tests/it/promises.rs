//! Proofs of the promises that the data plane keeps; each module has the number of its promise.

mod p01_no_cut_answer_looks_whole;
mod p02_another_backend_answers;
