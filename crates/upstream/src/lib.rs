//! Carries one attempt to one endpoint and says what became of it; never knows who asked, why this endpoint was
//! picked, what it costs, or where a setting came from.

pub mod http;
pub mod process;

pub use self::http::{
    Answer, Auth, BoxError, Call, CallBody, CallerBody, Client, ClientError, ClientSettings, Deadlines,
    Endpoint, EndpointError,
};
