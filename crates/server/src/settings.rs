//! Decides where the configuration is read from: the file, the arguments, the environment as they were at the start.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use control::{
    config::{self, FileText, Inputs, Loaded, Overrides, Report, Surroundings},
    publish::ConfigSource,
};

/// The sources of the configuration.
pub(crate) struct Sources {
    file: Option<PathBuf>,
    overrides: Overrides,
    environment: BTreeMap<String, String>,
}

impl Sources {
    /// Sources that are read again at every reload; the environment stays as it was at the start.
    pub(crate) fn new(
        file: Option<PathBuf>,
        overrides: Overrides,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self { file, overrides, environment }
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads and checks everything.
    pub(crate) fn load(&self, stored: &[(String, String)]) -> Result<Loaded, LoadError> {
        self.hold(self.text()?, stored)
    }

    fn text(&self) -> Result<Option<String>, LoadError> {
        self.file.as_deref().map(read).transpose()
    }

    fn hold(&self, text: Option<String>, stored: &[(String, String)]) -> Result<Loaded, LoadError> {
        let name = self.file.as_ref().map(|path| path.display().to_string());
        let file = text.as_deref().zip(name.as_deref()).map(|(text, name)| FileText { name, text });
        let surroundings =
            Surroundings { variables: &self.environment, read_file: &|path| std::fs::read_to_string(path) };
        let inputs = Inputs { file, overrides: &self.overrides, surroundings, stored };
        config::load(&inputs).map_err(LoadError::Report)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It was read, and does not hold.
    #[error("the configuration does not hold:\n{0}")]
    Report(Report),
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| LoadError::File { path: path.display().to_string(), error })
}

impl ConfigSource for Sources {
    fn load(&self, stored: &[(String, String)]) -> Result<Loaded, Report> {
        let text = self.text().map_err(|error| Report::unreadable(&error.to_string()))?;
        // Who writes a file empties it first. Somebody who means it starts the gateway with it.
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Report::unreadable("the file is empty, which a reload takes for half written"));
        }
        self.hold(text, stored).map_err(|error| match error {
            LoadError::Report(report) => report,
            LoadError::File { .. } => Report::unreadable(&error.to_string()),
        })
    }
}
