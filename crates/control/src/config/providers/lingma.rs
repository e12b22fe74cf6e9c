//! Decides which pool of local processes the older gateway's variables make; never repeats a password in a problem.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::present;
use crate::config::problem::Notice;
use crate::config::sources::{from_variable, map_node, old_name, seconds_text};
use crate::config::tree::{Node, Path, Value};

/// Variables that set one thing, and where.
const SCALARS: &[(&str, &str, Reading)] = &[
    ("LINGMA_INSTANCE_COUNT", "process.instances", Reading::Plain),
    ("LINGMA_WORK_DIR", "process.work_dir", Reading::Text),
    ("LINGMA_SOCKET_PORT", "process.socket_port", Reading::Plain),
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
pub(super) fn backend(variables: &BTreeMap<String, String>, notices: &mut Vec<Notice>) -> Option<Node> {
    let Some(program) = present(variables, "LINGMA_BIN") else {
        if variables.keys().any(|name| name.starts_with("LINGMA_")) {
            let message = "has no effect without LINGMA_BIN".to_owned();
            notices.push(Notice { subject: "LINGMA_*".to_owned(), message });
        }
        return None;
    };
    let origin = from_variable("LINGMA_BIN");
    let text = |text: &str| Value::Text(text.to_owned());
    let process = map_node(&origin, vec![("profile", text("lingma")), ("program", text(program))]).value;
    let fields = vec![("name", text("lingma")), ("kind", text("process")), ("process", process)];
    let mut node = map_node(&origin, fields);
    for (name, path, reading) in SCALARS {
        if let Some(given) = present(variables, name) {
            node.set(&Path::dotted(path), Node::new(from_variable(name), reading.value(given)));
        }
    }
    let accounts = match accounts(variables) {
        Ok(accounts) => accounts,
        Err(problem) => {
            notices.push(Notice { subject: "LINGMA_ACCOUNTS".to_owned(), message: problem });
            Vec::new()
        }
    };
    if !accounts.is_empty() {
        let origin = from_variable("LINGMA_ACCOUNTS");
        let nodes = accounts.iter().map(|Account { username, password }| {
            map_node(&origin, vec![("username", text(username)), ("password", text(password))])
        });
        let nodes = Value::List(nodes.collect());
        node.set(&Path::dotted("process.accounts"), Node::new(origin.clone(), nodes));
    }
    notices.push(old_name("LINGMA_BIN", "a backend of the kind `process` in lockgate.yaml"));
    Some(node)
}

#[derive(Deserialize, PartialEq, Eq)]
struct Account {
    username: String,
    password: String,
}

/// `u1:p1,u2:p2`, where a password may hold colons and, in quotes, commas; or a JSON list; or the two single variables.
fn accounts(variables: &BTreeMap<String, String>) -> Result<Vec<Account>, String> {
    let Some(listed) = present(variables, "LINGMA_ACCOUNTS") else {
        let single = (present(variables, "LINGMA_USERNAME"), present(variables, "LINGMA_PASSWORD"));
        let (Some(username), Some(password)) = single else { return Ok(Vec::new()) };
        return Ok(vec![Account { username: username.to_owned(), password: password.to_owned() }]);
    };
    if listed.starts_with('[') {
        // An error of the parser would quote what it stumbled over.
        return serde_json::from_str(listed)
            .map_err(|error| format!("is no list of accounts, at column {}", error.column()));
    }
    let entries = entries(listed).into_iter().enumerate();
    let account = |(index, entry): (usize, String)| match entry.split_once(':') {
        Some((username, password)) if !username.is_empty() && !password.is_empty() => {
            Ok(Account { username: username.trim().to_owned(), password: password.to_owned() })
        }
        Some(_) | None => Err(format!("entry {} is not of the form user:password", index + 1)),
    };
    entries.map(account).collect()
}

/// Parts of a list at its commas, save those in double quotes, which are left out; `""` in them is one.
fn entries(listed: &str) -> Vec<String> {
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
    entries.retain(|entry| !entry.trim().is_empty());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_come_in_three_forms_and_no_problem_repeats_a_password() {
        let check = |variables: &[(&str, &str)], want: Result<&[(&str, &str)], &str>| {
            let variables =
                variables.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
            let read = accounts(&variables);
            let told: Result<Vec<(&str, &str)>, &str> = match &read {
                Ok(accounts) => Ok(accounts.iter().map(|one| (&*one.username, &*one.password)).collect()),
                Err(problem) => Err(problem),
            };
            assert_eq!(told, want.map(<[_]>::to_vec));
        };
        let listed = "LINGMA_ACCOUNTS";
        check(&[], Ok(&[]));
        check(&[("LINGMA_USERNAME", "u"), ("LINGMA_PASSWORD", "p")], Ok(&[("u", "p")]));
        check(&[("LINGMA_USERNAME", "u")], Ok(&[]));
        check(
            &[(listed, "u1:p1,u2:p:2, u3:\"a,b\"\"c\",")],
            Ok(&[("u1", "p1"), ("u2", "p:2"), ("u3", "a,b\"c")]),
        );
        check(&[(listed, "[{\"username\":\"u\",\"password\":\"p,\"}]")], Ok(&[("u", "p,")]));
        check(&[(listed, "u1:p1,secret")], Err("entry 2 is not of the form user:password"));
        check(&[(listed, "[{\"username\":\"secret\"}]")], Err("is no list of accounts, at column 22"));
    }
}
