//! What the tests stand on: a provider that does what a script says, and a gateway started as the binary it is; never
//! part of what is shipped, and it knows nothing of the crates it tests.

pub mod client;
pub mod database;
pub mod disk;
pub mod gateway;
pub mod ledger;
pub mod provider;
pub mod still;

pub use client::{ClientError, TestAnswer, TestClient};
pub use database::{HeldDatabase, alter_database};
pub use disk::{run_on_small_disk, small_disk};
pub use gateway::{GatewaySettings, Ready, TestGateway};
pub use ledger::{AttemptLine, LedgerRead, ReceiptLine, Sums};
pub use provider::{
    Asked, Behaviour, Count, Ending, Framing, Pace, ProviderSettings, Rate, Received, ScriptedProvider,
    Transport, refused_address,
};
pub use still::StillClock;
