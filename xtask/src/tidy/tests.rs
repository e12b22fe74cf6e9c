//! Feeds small bad trees to every rule; never reads the real tree, which `cargo xtask tidy` does.

use super::{Tree, inspect};

const OPENING: &str = "//! Decides nothing at all; never does more.\n";

/// Each tree gives exactly these findings, as `path:line rule`.
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let found = inspect(&Tree::of(files));
    let short: Vec<String> = found.iter().map(|f| format!("{}:{} {}", f.path, f.line, f.rule)).collect();
    assert_eq!(short, expected, "{found:#?}");
}

fn rust(body: &str) -> String {
    format!("{OPENING}{body}")
}

fn check_rust(path: &str, body: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|e| format!("{path}:{e}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&[(path, &rust(body))], &expected);
}

const CODE: &str = "crates/policy/src/pick.rs";

#[test]
fn a_good_tree_gives_nothing() {
    check_rust(CODE, "pub fn pick(most: usize) -> usize { most }\n", &[]);
    check(&[("crates/policy/Cargo.toml", "[dependencies]\nprotocol.workspace = true\n")], &[]);
}

#[test]
fn a_file_opens_with_its_sentence() {
    check(&[(CODE, "fn f() {}\n")], &["crates/policy/src/pick.rs:1 opening"]);
    check(&[(CODE, "//! Things.\nfn f() {}\n")], &["crates/policy/src/pick.rs:1 opening"]);
    check(
        &[(CODE, "//! Decides nothing at all; never does more.\nfn f( {}\n")],
        &["crates/policy/src/pick.rs:2 syntax"],
    );
}

#[test]
fn names_say_something() {
    check_rust(
        CODE,
        "struct KeyManager;\nmod key_utils {}\nenum Common {}\n",
        &["2 name", "3 name", "4 name"],
    );
    check_rust(CODE, "struct Utility;\nstruct Commonwealth;\n", &[]);
    check(&[("crates/policy/src/helpers.rs", OPENING)], &["crates/policy/src/helpers.rs:0 name"]);
    check(&[("crates/policy/src/util/text.rs", OPENING)], &["crates/policy/src/util/text.rs:0 name"]);
}

#[test]
fn lints_are_expected_and_tests_run() {
    check_rust(CODE, "#[allow(dead_code)]\nfn f() {}\n", &["2 allow"]);
    check_rust(CODE, "#[expect(dead_code, reason = \"soon\")]\nfn f() {}\n", &[]);
    check_rust(
        CODE,
        "#[cfg(test)]\nmod tests {\n#[test]\n#[ignore]\nfn f() { assert!(true) }\n}\n",
        &["5 ignore"],
    );
    let started =
        "#[ignore = \"..\"]\n#[test]\nfn full_process() { f() }\n#[test]\nfn f() { run(\"full_process\") }\n";
    check_rust("crates/store/tests/it/disk.rs", started, &[]);
    check_rust(
        "crates/store/tests/it/disk.rs",
        &started.replace("run(\"full_process\")", "()"),
        &["2 ignore"],
    );
    check_rust(CODE, "fn f() { todo!() }\nfn g() { unimplemented!() }\n", &["2 todo", "3 todo"]);
}

#[test]
fn unwrap_is_for_tests() {
    check_rust(CODE, "fn f(x: Option<u8>) -> u8 { x.unwrap() }\n", &["2 unwrap"]);
    check_rust(CODE, "#[cfg(test)]\nmod tests {\n#[test]\nfn f() { Some(1).unwrap(); }\n}\n", &[]);
    check_rust("crates/policy/src/tests.rs", "fn f(x: Option<u8>) -> u8 { x.unwrap() }\n", &[]);
}

#[test]
fn tests_do_not_sleep_unless_the_clock_is_paused() {
    let sleepy = "#[tokio::test]\nasync fn f() { tokio::time::sleep(SECOND).await; }\n";
    check_rust("crates/gateway/tests/slow.rs", sleepy, &["0 sleeps"]);
    let paused = "#[tokio::test(start_paused = true)]\nasync fn f() { tokio::time::sleep(SECOND).await; }\n";
    check_rust("crates/gateway/tests/slow.rs", paused, &[]);
    check_rust("crates/gateway/src/wait.rs", "async fn f() { tokio::time::sleep(SECOND).await; }\n", &[]);
}

#[test]
fn functions_fit_a_screen_and_take_no_booleans() {
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(69));
    check_rust(CODE, &long, &["2 function-lines"]);
    let fits = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(68));
    check_rust(CODE, &fits, &[]);
    check_rust(CODE, "fn f(loud: bool) {}\n", &["2 boolean-parameters"]);
    check_rust(CODE, "struct S;\nimpl S { fn f(&self) -> bool { true } }\n", &[]);
}

#[test]
fn files_are_short() {
    let many = |n: usize| "const A: u8 = 1;\n".repeat(n);
    check_rust(CODE, &many(500), &["0 file-lines"]);
    check_rust(CODE, &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", many(400), many(200)), &[]);
    check_rust(
        CODE,
        &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", many(400), many(400)),
        &["0 file-lines-whole"],
    );
}

#[test]
fn exceptions_only_shrink() {
    let (path, long) = (CODE, rust(&format!("fn f() {{\n{}}}\n", "    g();\n".repeat(78))));
    let with = |list: &str, expected: &[&str]| check(&[(path, &long), ("xtask/tidy.toml", list)], expected);
    with("[function-lines]\n\"crates/policy/src/pick.rs::f\" = 80\n", &[]);
    with(
        "[function-lines]\n\"crates/policy/src/pick.rs::f\" = 90\n",
        &["crates/policy/src/pick.rs:2 function-lines"],
    );
    with(
        "[function-lines]\n\"crates/policy/src/pick.rs::f\" = 75\n",
        &["crates/policy/src/pick.rs:2 function-lines"],
    );
    check(&[("xtask/tidy.toml", "[sleeps]\n\"gone.rs\" = 1\n")], &["xtask/tidy.toml:0 exceptions"]);
    check(&[("xtask/tidy.toml", "[sleeps\n")], &["xtask/tidy.toml:0 exceptions"]);
}

#[test]
fn arrows_are_listed() {
    let manifest = |krate: &str, lines: &str, expected: &[&str]| {
        let path = format!("crates/{krate}/Cargo.toml");
        let others = ["protocol", "policy", "store", "gateway", "upstream", "testkit"]
            .map(|k| format!("members/{k}/Cargo.toml"));
        let mut files: Vec<(&str, &str)> = others.iter().map(|p| (p.as_str(), "")).collect();
        files.retain(|(p, _)| !p.contains(&format!("/{krate}/")));
        files.push((&path, lines));
        let found = inspect(&Tree::of(&files));
        let short: Vec<String> = found
            .iter()
            .filter(|f| f.path == path && !f.says.contains("not used"))
            .map(|f| f.says.clone())
            .collect();
        assert_eq!(short.len(), expected.len(), "{short:#?}");
        assert!(short.iter().zip(expected).all(|(s, e)| s.starts_with(e)), "{short:#?}");
    };
    manifest("policy", "[dependencies]\nprotocol.workspace = true\n", &[]);
    manifest("policy", "[dependencies]\nstore.workspace = true\n", &["policy -> store"]);
    manifest("protocol", "[dependencies]\ntokio = \"1\"\n", &["protocol is pure"]);
    manifest("protocol", "[dev-dependencies]\ntokio = \"1\"\n", &[]);
    manifest("control", "[dependencies]\ngateway.workspace = true\n", &["control -> gateway"]);
    manifest("control", "[dependencies]\nrusqlite = \"1\"\n", &["control -> rusqlite: SQL"]);
    manifest("gateway", "[dependencies]\nreqwest = \"1\"\n", &["gateway -> reqwest"]);
    manifest("gateway", "[dependencies]\ntestkit.workspace = true\n", &["gateway -> testkit"]);
    manifest("gateway", "[dev-dependencies]\ntestkit.workspace = true\nproptest = \"1\"\n", &[]);
    manifest("gateway", "[dependencies]\nproptest = \"1\"\n", &["gateway -> proptest"]);
}

#[test]
fn an_arrow_nobody_uses_is_removed() {
    check(&[("crates/policy/Cargo.toml", "[dependencies]\n")], &["crates/policy/Cargo.toml:0 arrow"]);
}

#[test]
fn clients_and_sql_keep_to_their_rooms() {
    let client = "use hyper_util::{client::legacy::Client, rt::TokioIo};\n";
    check_rust("crates/gateway/src/call.rs", client, &["2 reserved"]);
    check_rust("crates/upstream/src/http.rs", client, &[]);
    check_rust("crates/server/src/commands/chat.rs", client, &[]);
    check_rust(
        "crates/gateway/src/call.rs",
        "fn f() { hyper::client::conn::http1::handshake(io); }\n",
        &["2 reserved"],
    );
    check_rust("crates/policy/src/pick.rs", "use std::fs;\n", &["2 reserved"]);
    check_rust("crates/control/src/usage.rs", "const Q: &str = \"SELECT x FROM y\";\n", &["2 reserved"]);
    check_rust("crates/store/src/ledger.rs", "const Q: &str = \"SELECT x FROM y\";\n", &[]);
}

#[test]
fn words_that_may_not_be_written() {
    let note = |word: &str, expected: &[&str]| check(&[("docs/a.md", word)], expected);
    note(concat!("see registry.npmjs", ".org"), &["docs/a.md:1 registry-host"]);
    note(concat!("cd /work", "/main"), &["docs/a.md:1 local-path"]);
    note(concat!("this is AI", "-generated"), &["docs/a.md:1 provenance"]);
    note(concat!("// TO", "DO: later"), &["docs/a.md:1 todo"]);
    note(concat!("// TO", "DO(#12): later"), &[]);
    note(concat!("`TO", "DO` needs a number"), &[]);
}

#[test]
fn links_lead_somewhere() {
    let page = |text: &str, expected: &[&str]| {
        check(&[("docs/a.md", text), ("docs/b.md", "# The B, of it\n")], expected)
    };
    page("[b](b.md) [b](b.md#the-b-of-it) [a](#) [out](https://example.com) [up](../docs/b.md)", &[]);
    page("[c](c.md)", &["docs/a.md:1 link"]);
    page("[b](b.md#nowhere)", &["docs/a.md:1 link"]);
    page("```\n[c](c.md)\n```\n", &[]);
}

#[test]
fn promises_have_proofs() {
    let page = |row: &str, expected: &[&str]| {
        let test = rust("#[test]\nfn holds() { assert_eq!(1, 1); }\n");
        check(&[("docs/promises.md", row), ("crates/policy/tests/p10.rs", &test)], expected);
    };
    page("| P10 | it waits | `crates/policy/tests/p10.rs::holds` | 1,000 |", &[]);
    page("| P10 | it waits | `crates/policy/tests/p10.rs::hol*` | 1,000 |", &[]);
    page("| P10 | it waits | `crates/policy/tests/p10.rs::hul*` | 1,000 |", &["docs/promises.md:1 promise"]);
    page("| P10 | it waits | `crates/policy/tests/p10.rs::held` | 10 |", &["docs/promises.md:1 promise"]);
    page("| P10 | it waits | `crates/policy/tests/p11.rs::holds` | 10 |", &["docs/promises.md:1 promise"]);
    page("| P10 | it waits | `crates/policy/tests/p10.rs` | 10 |", &["docs/promises.md:1 promise"]);
    page("| P10 | it waits | `crates/policy/tests/p10.rs::holds` | x |", &["docs/promises.md:1 promise"]);
    page("| P10 | it waits | soon | 10 |", &["docs/promises.md:1 promise"]);
}

#[test]
fn recorded_answers_have_a_reader() {
    let source = "crates/protocol/src/tests.rs";
    let code = rust("#[test]\nfn encodes() { insta::assert_snapshot!(\"plain\", \"golden chat\"); }\n");
    let snap = |name: &str, head: &str, expected: &[&str]| {
        let path = format!("crates/protocol/src/snapshots/{name}.snap");
        let expected: Vec<String> = expected.iter().map(|rule| format!("{path}:0 {rule}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&[(source, &code), (&path, head)], &expected);
    };
    snap("protocol__tests__plain", "---\nsource: crates/protocol/src/tests.rs\n---\n", &[]);
    snap("protocol__tests__other", "---\nsource: crates/protocol/src/tests.rs\n---\n", &["orphan"]);
    snap("protocol__tests__plain", "---\nsource: crates/protocol/src/gone.rs\n---\n", &["orphan"]);
    snap("protocol__tests__plain@case", "---\nsource: crates/protocol/src/tests.rs\n---\n", &["orphan"]);
    check(&[(source, &code), ("crates/protocol/tests/golden/chat/a.json", "{}")], &[]);
    check(
        &[(source, &code), ("crates/protocol/tests/golden/gone/b.json", "{}")],
        &["crates/protocol/tests/golden/gone/b.json:0 orphan"],
    );
    check(&[("a.snap.new", "")], &["a.snap.new:0 orphan"]);
}
