//! Keeps the work folder as the real program is known to; never reads anybody else's.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::arguments::Start;

/// What `cache/user` holds while somebody is logged in.
const MARKER: &str = "fake-lingma: logged in";

pub(crate) fn prepare(work_dir: &Path) -> io::Result<()> {
    for folder in ["cache", "logs", "extension/local"] {
        std::fs::create_dir_all(work_dir.join(folder))?;
    }
    std::fs::write(work_dir.join("cache/id"), "00000000-fake-4000-8000-000000000001")
}

/// Tells of the ports, once they are open.
pub(crate) fn announce(start: &Start) -> io::Result<()> {
    use std::io::Write as _;
    let pid = std::process::id();
    let mut log =
        std::fs::OpenOptions::new().create(true).append(true).open(start.work_dir.join("logs/lingma.log"))?;
    let Start { socket_port, http_port, .. } = start;
    writeln!(log, "communication servers are ready: ws 127.0.0.1:{socket_port}, http 127.0.0.1:{http_port}")?;
    let info = json!({"websocketPort": socket_port, "pid": pid, "ipcServerPath": "", "isDev": false});
    std::fs::write(start.work_dir.join(".info.json"), info.to_string())?;
    std::fs::write(start.work_dir.join(".info"), format!("{socket_port}\n{pid}\n"))
}

/// Takes that back; whatever is missing is as good as gone.
pub(crate) fn retract(start: &Start) {
    for name in [".info", ".info.json"] {
        let _ = std::fs::remove_file(start.work_dir.join(name));
    }
}

fn user(work_dir: &Path) -> PathBuf {
    work_dir.join("cache/user")
}

pub(crate) fn is_logged_in(work_dir: &Path) -> bool {
    std::fs::read_to_string(user(work_dir)).is_ok_and(|text| text == MARKER)
}

pub(crate) fn log_in(work_dir: &Path) -> io::Result<()> {
    std::fs::write(user(work_dir), MARKER)
}

pub(crate) fn log_out(work_dir: &Path) {
    let _ = std::fs::remove_file(user(work_dir));
}

/// What the subcommand `status` prints.
pub(crate) fn status(work_dir: &Path) -> Value {
    let logged_in = is_logged_in(work_dir);
    let name = if logged_in { "somebody" } else { "" };
    json!({"logged_in": logged_in, "version": "2.11.1", "username": name, "user_type": "personal_standard"})
}

pub(crate) fn endpoint(work_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(work_dir.join("cache/app-config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    config.get("endpoint")?.as_str().map(str::to_owned)
}

pub(crate) fn set_endpoint(work_dir: &Path, endpoint: &str) -> io::Result<()> {
    std::fs::write(work_dir.join("cache/app-config.json"), json!({"endpoint": endpoint}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let start =
            Start { work_dir: folder.path().to_owned(), socket_port: 1, http_port: 2, endpoint: None };
        prepare(folder.path()).expect("prepared");
        announce(&start).expect("announced");
        let info = std::fs::read_to_string(folder.path().join(".info")).expect("it is there");
        assert_eq!(info.lines().count(), 2);
        assert!(!is_logged_in(folder.path()));
        log_in(folder.path()).expect("logged in");
        assert_eq!(status(folder.path())["logged_in"], true);
        set_endpoint(folder.path(), "https://e").expect("set");
        assert_eq!(endpoint(folder.path()).as_deref(), Some("https://e"));
        log_out(folder.path());
        retract(&start);
        assert!(!is_logged_in(folder.path()) && !folder.path().join(".info").exists());
    }
}
