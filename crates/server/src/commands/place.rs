//! Decides which configuration file, data folder and environment a command works with; never changes any of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::config::{Loaded, Overrides};

use crate::args::PlaceArguments;
use crate::output::Screen;
use crate::settings::{LoadError, Sources};

/// The file that is read when none is named.
const USUAL_FILE: &str = "lockgate.yaml";

/// What a command was given to work with.
#[derive(Debug)]
pub(crate) struct Place {
    config: Option<PathBuf>,
    data_dir: Option<String>,
    environment: BTreeMap<String, String>,
}

impl Place {
    /// The file that was named, else the usual one where it exists, else none.
    pub(crate) fn new(arguments: PlaceArguments, environment: BTreeMap<String, String>) -> Self {
        let named = || environment.get("LOCKGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists());
        let config = arguments.config.or_else(named).or_else(usual);
        Self { config, data_dir: arguments.data_dir, environment }
    }

    /// The configuration file, where there is one.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// What the command line says of every command's settings.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() }
    }

    /// The environment, for the one command that keeps it.
    pub(crate) fn into_environment(self) -> BTreeMap<String, String> {
        self.environment
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What the terminal can show.
    pub(crate) fn screen(&self) -> Screen {
        Screen::of(&self.environment)
    }

    /// Where the configuration comes from.
    pub(crate) fn sources(&self) -> Arc<Sources> {
        Arc::new(Sources::new(self.config.clone(), self.overrides(), self.environment.clone()))
    }

    /// The configuration that a gateway started here would have.
    pub(crate) fn load(&self) -> Result<Loaded, LoadError> {
        self.sources().load(&[])
    }
}
