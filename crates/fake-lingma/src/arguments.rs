//! Reads the command line in both forms of its flags; never starts anything.

use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Start(Start),
    /// The other program: it only echoes.
    Echo {
        port: u16,
    },
    Version,
    Status {
        work_dir: PathBuf,
    },
}

/// How the server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) work_dir: PathBuf,
    pub(crate) socket_port: u16,
    pub(crate) http_port: u16,
    pub(crate) endpoint: Option<String>,
}

/// Takes the command line apart; the text of the error is for people.
pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.peekable();
    let command = arguments.next().ok_or("say start, version or status")?;
    if let Some(port) = command.strip_prefix("--port=") {
        let port = port.parse().map_err(|_| format!("--port: {port} is no port"))?;
        return Ok(Command::Echo { port });
    }
    let mut start = Start { work_dir: home(), socket_port: 37010, http_port: 37510, endpoint: None };
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let value = value.or_else(|| arguments.next()).ok_or_else(|| format!("{flag} needs a value"))?;
        let port = || value.parse::<u16>().map_err(|_| format!("{flag}: {value} is no port"));
        match (command.as_str(), flag.as_str()) {
            ("start" | "status", "--workDir") => start.work_dir = value.into(),
            ("start", "--socketPort") => start.socket_port = port()?,
            ("start", "--httpPort") => start.http_port = port()?,
            ("start", "--endpoint") => start.endpoint = Some(value),
            ("start", "--transportType") if value == "websocket" => {}
            ("start", "--copyDataDir") => {}
            ("status", "-o") if value == "json" => {}
            _ => return Err(format!("unknown flag: {flag}")),
        }
    }
    match command.as_str() {
        "start" => Ok(Command::Start(start)),
        "version" => Ok(Command::Version),
        "status" => Ok(Command::Status { work_dir: start.work_dir }),
        other => Err(format!("unknown command: {other}")),
    }
}

fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".lingma")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Result<(&str, u16, u16), &str>) {
        let read = read(line.split_whitespace().map(str::to_owned));
        match (read, want) {
            (Ok(Command::Start(start)), Ok((folder, socket, http))) => {
                assert_eq!(start.work_dir, PathBuf::from(folder), "{line}");
                assert_eq!((start.socket_port, start.http_port), (socket, http), "{line}");
            }
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{line}: {problem}"),
            (read, want) => panic!("{line}: {read:?}, not {want:?}"),
        }
    }

    #[test]
    fn flags_have_two_forms_and_unknown_ones_are_refused() {
        check("start --workDir /w --socketPort 1 --httpPort=2", Ok(("/w", 1, 2)));
        check("start --workDir=/w --transportType=websocket --copyDataDir x", Ok(("/w", 37010, 37510)));
        check("start --socketPort", Err("needs a value"));
        check("start --socketPort many", Err("no port"));
        check("start --workdir x", Err("unknown flag"));
        check("stop", Err("unknown command"));
        check("version --workDir x", Err("unknown flag"));
        check("", Err("say start"));
        check("--port=x", Err("no port"));
        assert_eq!(read(["--port=7".to_owned()].into_iter()), Ok(Command::Echo { port: 7 }));
    }
}
