//! What the tests stand on: a provider that does what a script says, and a gateway started as the binary it is; never
//! part of what is shipped, and it knows nothing of the crates it tests.



pub mod provider;

pub use provider::{
    Behaviour, Ending, Framing, Pace, ProviderSettings, Received, ScriptedProvider, refused_address,
};
