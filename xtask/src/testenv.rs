//! Brings the real clients and the real model to this machine, pinned; never installs what is there already.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

/// Where things are, once `ready` has said so.
#[derive(Debug, Clone)]
pub(crate) struct TestEnv {
    home: PathBuf,
    pins: PathBuf,
}

impl TestEnv {
    /// The places under this workspace.
    pub(crate) fn under(root: &Path) -> Self {
        Self { home: root.join("target/testenv"), pins: root.join("xtask/testenv") }
    }

    /// A program of the Python environment.
    pub(crate) fn python_program(&self, name: &str) -> PathBuf {
        self.home.join("py/bin").join(name)
    }

    /// Where the packages for Node are.
    pub(crate) fn node_modules(&self) -> PathBuf {
        self.home.join("node/node_modules")
    }

    /// Installs what is missing: the Python clients, the model server and its weights, the Node clients.
    ///
    /// # Errors
    /// When something is missing and cannot be installed; nothing is skipped.
    pub(crate) fn ready(&self) -> Result<()> {
        debian(&[
            ("python3", "python3-venv"),
            ("node", "nodejs"),
            ("npm", "npm"),
            ("curl", "curl"),
            ("nginx", "nginx-light"),
            ("chromium", "chromium"),
            ("chromedriver", "chromium-driver"),
        ])?;
        self.python().context("the Python clients and the model")?;
        self.node().context("the Node clients")
    }

    fn python(&self) -> Result<()> {
        let (folder, pins) = (self.home.join("py"), self.pins.join("requirements.txt"));
        installed_once(&folder, &[&pins], || {
            // Debian keeps what `venv` needs in a package of its own.
            let venv = Command::new("python3").args(["-c", "import ensurepip"]).output()?;
            if !venv.status.success() {
                install(&["python3-venv"])?;
            }
            run::pass(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            let mut pip = Command::new(self.python_program("python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
                .arg(&pins);
            run::pass(&mut pip)
        })
    }

    fn node(&self) -> Result<()> {
        let folder = self.home.join("node");
        let pins = ["package.json", "package-lock.json", ".npmrc"].map(|name| self.pins.join(name));
        let [package, lock, settings] = &pins;
        installed_once(&folder, &[package, lock, settings], || {
            std::fs::create_dir_all(&folder)?;
            for pin in &pins {
                std::fs::copy(pin, folder.join(pin.file_name().context("a pin has a name")?))?;
            }
            run::pass(Command::new("npm").args(["ci", "--silent"]).current_dir(&folder))?;
            // Node looks for packages beside the script, so the scripts appear beside the packages.
            let scripts = folder.join("clients");
            if !scripts.is_symlink() {
                std::os::unix::fs::symlink("../../../crates/server/tests/e2e/clients", scripts)?;
            }
            Ok(())
        })
    }
}

/// Installs Debian packages for programs that are not there: `(program, package)`.
///
/// # Errors
/// When the package manager cannot bring them.
pub(crate) fn debian(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !run::found(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(", "));
    run::pass(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.args(["-qq", "-y", "--no-install-recommends", "install"]).args(packages);
    run::pass(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs `install` unless the folder already holds exactly these pins.
fn installed_once(folder: &Path, pins: &[&Path], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut wanted = String::new();
    for pin in pins {
        wanted += &std::fs::read_to_string(pin).with_context(|| pin.display().to_string())?;
    }
    let stamp = folder.join("installed-pins");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing into {}", folder.display());
    install()?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}
