//! Proofs of the promises that the data plane keeps; each module has the number of its promise.

mod p01_no_cut_answer_looks_whole;
mod p02_another_backend_answers;
mod p04_budgets_hold;
mod p05_no_unpriced_model_is_free;
mod p07_no_database_is_needed;
mod p08_bytes_are_kept;
mod p10_cooldowns_are_kept;
mod p11_affinity_costs_nobody;
mod p13_a_long_run_ends_where_it_began;
mod p17_bad_input_harms_nobody;
