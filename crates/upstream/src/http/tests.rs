//! Calls against a provider that does what a script says.
