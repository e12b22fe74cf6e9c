//! Decides which pool of local processes the older gateway's variables make; never repeats a password in a problem.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::present;
use crate::config::problem::{Notice, Problem, Report};
use crate::config::sources::{from_variable, map_node, old_name, seconds_text};
use crate::config::tree::{Node, Path, Value};

const ACCOUNTS: &str = "LINGMA_ACCOUNTS";
const SOCKET_PORT: &str = "LINGMA_SOCKET_PORT";

/// Variables that set one thing, and where.
const SCALARS: &[(&str, &str, Reading)] = &[
    ("LINGMA_INSTANCE_COUNT", "process.instances", Reading::Plain),
    ("LINGMA_WORK_DIR", "process.work_dir", Reading::Text),
    (SOCKET_PORT, "process.socket_port", Reading::Plain),
    ("LINGMA_STARTUP_TIMEOUT", "process.startup_timeout", Reading::Seconds),
    ("LINGMA_RPC_TIMEOUT", "process.rpc_timeout", Reading::Seconds),
    ("DEFAULT_MODEL", "process.default_model", Reading::Text),
    ("DEFAULT_ASK_MODE", "process.mode", Reading::Text),
    ("DEDICATED_DOMAIN_URL", "process.endpoint", Reading::Text),
    ("AUTO_LOGIN_ENABLED", "process.login.automatic", Reading::Flag),
    ("AUTO_LOGIN_HEADLESS", "process.login.headless", Reading::Flag),
    ("AUTO_LOGIN_TIMEOUT", "process.login.timeout", Reading::Seconds),
    ("AUTO_LOGIN_MAX_RETRY", "process.login.retries", Reading::Plain),
];

#[derive(Clone, Copy)]
enum Reading {
    Plain,
    Text,
    Seconds,
    Flag,
}

impl Reading {
    fn value(self, text: &str) -> Value {
        match self {
            Self::Plain => Value::plain(text),
            Self::Text => Value::Text(text.to_owned()),
            Self::Seconds => Value::Text(seconds_text(text)),
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Value::Bool(true),
                "0" | "false" | "no" | "off" => Value::Bool(false),
                _ => Value::plain(text),
            },
        }
    }
}

/// The pool, where `LINGMA_BIN` names its program.
pub(super) fn backend(
    variables: &BTreeMap<String, String>,
    report: &mut Report,
    notices: &mut Vec<Notice>,
) -> Option<Node> {
    let Some(program) = present(variables, "LINGMA_BIN") else {
        if variables.keys().any(|name| name.starts_with("LINGMA_")) {
            notices.push(notice("LINGMA_*", "has no effect without LINGMA_BIN"));
        }
        return None;
    };
    let origin = from_variable("LINGMA_BIN");
    let text = |text: &str| Value::Text(text.to_owned());
    let process = map_node(&origin, vec![("profile", text("lingma")), ("program", text(program))]).value;
    let fields = vec![("name", text("lingma")), ("kind", text("process")), ("process", process)];
    let mut node = map_node(&origin, fields);
    let accounts = match accounts(variables, notices) {
        Ok(accounts) => accounts,
        Err(problem) => {
            // Whoever wrote accounts means them; a pool without them would serve nobody, and say so much later.
            report.add(problem);
            Vec::new()
        }
    };
    let is_single = match present(variables, "LINGMA_INSTANCE_COUNT") {
        Some(count) => count == "1",
        None => accounts.len() < 2,
    };
    for (name, path, reading) in SCALARS {
        let Some(given) = present(variables, name) else { continue };
        if *name == SOCKET_PORT && !is_single {
            notices.push(notice(name, "has no effect on several instances: each takes a free port"));
            continue;
        }
        node.set(&Path::dotted(path), Node::new(from_variable(name), reading.value(given)));
    }
    if !accounts.is_empty() {
        let name = if present(variables, ACCOUNTS).is_some() { ACCOUNTS } else { "LINGMA_USERNAME" };
        let origin = from_variable(name);
        let nodes = accounts.iter().map(|Account { username, password }| {
            map_node(&origin, vec![("username", text(username)), ("password", text(password))])
        });
        let nodes = Value::List(nodes.collect());
        node.set(&Path::dotted("process.accounts"), Node::new(origin.clone(), nodes));
    }
    notices.push(old_name("LINGMA_BIN", "a backend of the kind `process` in lockgate.yaml"));
    Some(node)
}

fn notice(subject: &str, message: &str) -> Notice {
    Notice { subject: subject.to_owned(), message: message.to_owned() }
}

#[derive(Deserialize, PartialEq, Eq)]
struct Account {
    username: String,
    password: String,
}

impl Account {
    fn is_whole(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }
}

/// `u1:p1,u2:p2`, where a password may hold colons and, in quotes, commas; or a JSON list; or the two single variables.
fn accounts(
    variables: &BTreeMap<String, String>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Account>, Problem> {
    const SINGLE: [&str; 2] = ["LINGMA_USERNAME", "LINGMA_PASSWORD"];
    let Some(listed) = present(variables, ACCOUNTS) else {
        return Ok(match SINGLE.map(|name| present(variables, name)) {
            [Some(username), Some(password)] => {
                vec![Account { username: username.to_owned(), password: password.to_owned() }]
            }
            [Some(_), None] => {
                notices.push(notice(SINGLE[0], "has no effect without LINGMA_PASSWORD"));
                Vec::new()
            }
            [None, Some(_)] => {
                notices.push(notice(SINGLE[1], "has no effect without LINGMA_USERNAME"));
                Vec::new()
            }
            [None, None] => Vec::new(),
        });
    };
    let read = if listed.starts_with('[') { from_json(listed) } else { from_list(listed) };
    read.map_err(|message| Problem {
        origin: from_variable(ACCOUNTS),
        path: Path::default(),
        message,
        suggestion: Some(
            "as in `u1:p1,u2:p2`, or `[{\"username\": \"u1\", \"password\": \"p1\"}]`".to_owned(),
        ),
    })
}

fn from_json(listed: &str) -> Result<Vec<Account>, String> {
    // An error of the parser would quote what it stumbled over.
    let entries: Vec<serde_json::Value> = serde_json::from_str(listed).map_err(|error| {
        format!("begins with `[` and is no list in JSON, at line {}, column {}", error.line(), error.column())
    })?;
    let account = |(index, entry)| {
        let account = serde_json::from_value(entry).ok().filter(Account::is_whole);
        account
            .ok_or_else(|| format!("entry {} needs a `username` and a `password`, both as text", index + 1))
    };
    entries.into_iter().enumerate().map(account).collect()
}

fn from_list(listed: &str) -> Result<Vec<Account>, String> {
    let account = |(index, entry): (usize, String)| {
        let parts = entry.split_once(':');
        let account = parts.map(|(username, password)| Account {
            username: username.trim().to_owned(),
            password: password.to_owned(),
        });
        let account = account.filter(Account::is_whole);
        account.ok_or_else(|| format!("entry {} is not of the form user:password", index + 1))
    };
    entries(listed)?.into_iter().enumerate().map(account).collect()
}

/// Parts of a list at its commas, save those in double quotes, which are left out; `""` in them is one.
fn entries(listed: &str) -> Result<Vec<String>, String> {
    let mut entries = vec![String::new()];
    let (mut is_quoted, mut letters) = (false, listed.chars().peekable());
    while let Some(letter) = letters.next() {
        let Some(entry) = entries.last_mut() else { break };
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                entry.push('"');
                letters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => entries.push(String::new()),
            other => entry.push(other),
        }
    }
    if is_quoted {
        return Err(format!("entry {} begins a quote that does not end", entries.len()));
    }
    entries.retain(|entry| !entry.trim().is_empty());
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
    }

    #[test]
    fn accounts_come_in_three_forms_and_no_problem_repeats_a_password() {
        let check = |given: &[(&str, &str)], want: Result<&[(&str, &str)], &str>| {
            let mut notices = Vec::new();
            let read = accounts(&variables(given), &mut notices);
            let told: Result<Vec<(&str, &str)>, &str> = match &read {
                Ok(accounts) => Ok(accounts.iter().map(|one| (&*one.username, &*one.password)).collect()),
                Err(problem) => {
                    assert!(!problem.to_string().contains("secret"), "{problem}");
                    Err(&problem.message)
                }
            };
            assert_eq!(told, want.map(<[_]>::to_vec), "{notices:?}");
        };
        let listed = ACCOUNTS;
        check(&[], Ok(&[]));
        check(&[("LINGMA_USERNAME", "u"), ("LINGMA_PASSWORD", "p")], Ok(&[("u", "p")]));
        check(&[("LINGMA_USERNAME", "u")], Ok(&[]));
        check(
            &[(listed, "u1:p1,u2:p:2, u3:\"a,b\"\"c\",")],
            Ok(&[("u1", "p1"), ("u2", "p:2"), ("u3", "a,b\"c")]),
        );
        check(&[(listed, "[{\"username\":\"u\",\"password\":\"p,\"}]")], Ok(&[("u", "p,")]));
        for (text, want) in [
            ("u1:p1,secret", "entry 2 is not of the form user:password"),
            ("u1:p1,u2:", "entry 2 is not of the form user:password"),
            (" :secret", "entry 1 is not of the form user:password"),
            ("u1:p1,u2:\"secret", "entry 2 begins a quote that does not end"),
            (
                "[{\"username\":\"u\",\"password\":\"p\"},{\"username\":\"secret\"}]",
                "entry 2 needs a `username` and a `password`, both as text",
            ),
            (
                "[{\"username\":\"\",\"password\":\"secret\"}]",
                "entry 1 needs a `username` and a `password`, both as text",
            ),
            (
                "[{\"username\":\"u\",\"password\":\"secret]",
                "begins with `[` and is no list in JSON, at line 1, column 36",
            ),
        ] {
            check(&[(listed, text)], Err(want));
        }
    }

    #[test]
    fn what_cannot_be_meant_stops_the_start_and_what_has_no_effect_is_told() {
        let check = |given: &[(&str, &str)], problem: &str, notice: &str| {
            let (mut report, mut notices) = (Report::default(), Vec::new());
            let mut given = given.to_vec();
            given.push(("LINGMA_BIN", "/p"));
            backend(&variables(&given), &mut report, &mut notices).expect("a program is named");
            let problems = report.to_string();
            assert_eq!(problems.is_empty(), problem.is_empty(), "{problems}");
            assert!(problems.contains(problem) && !problems.contains("secret"), "{problems}");
            let told: Vec<String> = notices.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|one| one.contains(notice)), "{told:?}");
        };
        check(&[(ACCOUNTS, "secret")], "LINGMA_ACCOUNTS: entry 1", "LINGMA_BIN");
        check(&[("LINGMA_PASSWORD", "secret")], "", "LINGMA_PASSWORD: has no effect without");
        let port = (SOCKET_PORT, "4000");
        check(&[port, (ACCOUNTS, "a:b,c:d")], "", "LINGMA_SOCKET_PORT: has no effect on several");
        check(&[port, ("LINGMA_INSTANCE_COUNT", "3")], "", "LINGMA_SOCKET_PORT: has no effect on several");
        check(&[port, (ACCOUNTS, "a:b")], "", "LINGMA_BIN");
    }
}
