//! Runs the binary as people do, feature by feature; never looks inside it.

mod real_model;
