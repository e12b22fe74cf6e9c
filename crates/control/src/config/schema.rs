//! Says what a configuration may hold, for editors and for people; it never checks one.

use super::file::File;

/// The JSON Schema of the configuration file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

/// A commented file to start from.
pub fn example() -> &'static str {
    include_str!("starter.yaml")
}
