//! `import`: another gateway's file becomes one that holds, told setting by setting, without a secret.

use super::{CANARY, Shell};

#[tokio::test]
async fn a_litellm_file_becomes_one_that_passes_the_check() {
    let shell = Shell::new().with("OPENAI_API_KEY", "sk-of-the-environment");
    shell.write(
        "config.yaml",
        &format!(
            "model_list:\n  - {{model_name: gpt-4o, litellm_params: {{model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 60}}}}\n\
             general_settings: {{master_key: {CANARY}, alerting: [slack]}}\n"
        ),
    );
    let ran = shell.run(&["import", "litellm", "config.yaml", "--output", "lockgate.yaml"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.contains("general_settings.alerting") && ran.stderr.contains("not supported"),
        "{ran:?}"
    );
    assert!(!ran.told().contains(CANARY), "{ran:?}");
    let unset = shell.run(&["check"]).await;
    assert!(unset.told().contains("LITELLM_MASTER_KEY"), "{unset:?}");
    let shell = shell.with("LITELLM_MASTER_KEY", "sk-master");
    shell.ok(&["check"]).await;
    let again = shell.run(&["import", "litellm", "config.yaml", "--output", "lockgate.yaml"]).await;
    assert!(again.code == Some(1) && again.stderr.contains("exists already"), "{again:?}");
    let told = shell.json(&["import", "litellm", "config.yaml", "--json"]).await;
    assert_eq!(told["items"][0]["fate"], "kept", "{told}");
    shell.write("broken.yaml", "model_list: [");
    let broken = shell.run(&["import", "litellm", "broken.yaml"]).await;
    assert!(broken.code == Some(1) && broken.stderr.contains("broken.yaml:"), "{broken:?}");
}
