//! The one meaning that all dialects share; it never knows how any of them writes it.

pub mod usage;
