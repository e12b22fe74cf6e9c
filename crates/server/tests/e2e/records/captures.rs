//! `lockgate captures` beside a gateway that serves: what was captured is listed, shown and deleted.

use serde_json::json;
use testkit::ScriptedProvider;

use super::{ADMIN_TOKEN, ask, gateway, until};
use crate::cli::Shell;

#[tokio::test]
async fn captures_are_listed_shown_and_deleted_from_the_command_line() {
    let provider = ScriptedProvider::start().await;
    let gateway = gateway(&provider, "probe: {enabled: false}").await;
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let rule = json!({"model": "m", "lasts": "10m"});
    assert_eq!(admin.post("/api/admin/captures/rules", &rule).await.expect("an answer").status, 201);
    ask(&gateway, 3).await;

    let (file, data) = (gateway.config_path().display().to_string(), gateway.data().display().to_string());
    let shell = Shell::new();
    let run = async |arguments: &[&str]| {
        shell.run(&[&["captures"], arguments, &["--config", &file, "--data-dir", &data]].concat()).await
    };
    let count = || async {
        let listed = run(&["list", "--model", "m", "--json"]).await;
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let page: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
        page["captures"].as_array().map_or(0, Vec::len)
    };
    until(3, count).await;
    let listed = run(&["list"]).await;
    assert_eq!(listed.stdout.lines().count(), 4, "{listed:?}");
    assert!(listed.stderr.contains("3 captures take"), "{listed:?}");
    let id = listed.stdout.lines().nth(1).and_then(|line| line.split(' ').next()).expect("an id").to_owned();
    let shown = run(&["show", &id]).await;
    for expected in ["> POST /v1/chat/completions", r#""content":"hi""#, "* a: status 200", "< 200"] {
        assert!(shown.stdout.contains(expected), "{expected} is missing: {shown:?}");
    }
    // Somebody looked: that is known.
    let looked =
        shell.ok(&["audit", "list", "--kind", "capture", "--config", &file, "--data-dir", &data]).await;
    assert!(looked.contains("view") && looked.contains(&id), "{looked}");

    assert_eq!(run(&["delete", &id]).await.code, Some(0));
    assert_eq!(run(&["delete", &id]).await.code, Some(1), "it is gone");
    assert_eq!(run(&["show", &id]).await.code, Some(1), "it is gone");
    assert_eq!(count().await, 2);
    // What does not say which is refused before anything happens, and so is what contradicts itself.
    for wrong in [&["delete"][..], &["delete", "--all", "--model", "m"], &["delete", "x", "--all"]] {
        assert_eq!(run(wrong).await.code, Some(2), "{wrong:?}");
    }
    assert!(run(&["delete", "--model", "other"]).await.stderr.contains("0 captures were deleted"));
    assert!(run(&["delete", "--model", "m"]).await.stderr.contains("2 captures were deleted"));
    assert_eq!(count().await, 0);
}
