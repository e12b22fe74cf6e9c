//! Decides how an attempt travels to a program on this machine that the gateway itself starts: how such programs are
//! kept running, spoken to and signed in; never who asks, or which of them is asked.

mod child;
mod ends;
mod fleet;
mod instance;
mod launch;
mod life;
mod login;
mod profile;
mod ring;
mod session;
mod settings;
mod socket;
mod start;
mod status;

pub use fleet::{Fleet, FleetError};
pub use instance::{Instance, Picture, Standing, State};
pub use launch::{BECOME_CHILD, become_child};
pub use login::{Begun, Login, PasteError, Retry};
pub use profile::Profile;
pub(crate) use session::Inflow;
pub use settings::{Account, Browser, InstanceSettings, Pace, ProcessSettings, Start};
