//! The one meaning that all dialects share; never how any of them writes it.
//!
//! A dialect's client half reads a [`Request`](request::Request) and writes an [`Answer`](answer::Answer) or
//! [`Event`](event::Event)s; its upstream half does the reverse. No dialect knows another: what one cannot say is a
//! [`Loss`](loss::Loss).

pub mod answer;
pub mod collect;
pub mod event;
pub mod loss;
pub mod part;
pub mod request;
pub mod seal;
pub mod tool;
pub(crate) mod untold;
pub mod usage;
