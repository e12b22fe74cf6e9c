//! How long requests and backups are kept is a setting that holds, whichever way it was set.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use testkit::{GatewaySettings, ScriptedProvider};

use super::{ADMIN_TOKEN, ask, config, counted, gateway, told, until};
use crate::cli::LOCKGATE;

#[tokio::test]
async fn old_requests_go_and_their_sums_stay() {
    let provider = ScriptedProvider::start().await;
    let mut gateway = gateway(&provider, "").await;
    ask(&gateway, 8).await;
    until((8, 8), || counted(&gateway)).await;
    // While it runs, by the file alone.
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let change = Bytes::from(json!({"records": {"rows_max": 1}}).to_string());
    let refused = admin.send(Method::PATCH, "/api/admin/config", change).await.expect("an answer");
    assert_eq!(refused.status, 422);
    gateway.reconfigure(&config(&provider, "records: {rows_max: 3}")).expect("written");
    until((3, 8), || counted(&gateway)).await;
    gateway.reconfigure(&config(&provider, "records: {rows_max: 1, retention_days: 400}")).expect("written");
    until((1, 8), || counted(&gateway)).await;
    // From the start on: of the next ones, too, only one stays.
    gateway.stop().await.expect("it ends");
    gateway.restart().await.expect("a second start");
    ask(&gateway, 2).await;
    until((1, 10), || counted(&gateway)).await;
}

#[tokio::test]
async fn backups_go_where_the_old_name_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let copies = folder.path().join("copies");
    let gateway = GatewaySettings::new(LOCKGATE)
        .config(format!("admin: {{token: {ADMIN_TOKEN}}}\nbackups: {{daily: false}}\n"))
        .variable("SIDECAR_BACKUP_DIR", copies.to_str().expect("a path of letters"))
        .start()
        .await
        .expect("a gateway");
    let admin = gateway.client().with_key(ADMIN_TOKEN);
    let mut made = admin.send(Method::POST, "/api/admin/backups", Bytes::new()).await.expect("an answer");
    assert_eq!(made.status, 201);
    let name = made.json().await.expect("JSON")["name"].as_str().expect("a name").to_owned();
    assert!(copies.join(name).is_file());
    assert!(!gateway.data().join("backups").exists());
    let shown = told(&gateway, "/config").await;
    let origin = |path: &str| {
        let rows = shown["effective"].as_array().expect("settings");
        let row = rows.iter().find(|row| row["path"] == path).expect("a setting");
        (
            row["value"].as_str().unwrap_or_default().to_owned(),
            row["origin"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(origin("backup_dir").0, copies.display().to_string());
    assert!(origin("backup_dir").1.contains("SIDECAR_BACKUP_DIR"), "{:?}", origin("backup_dir"));
    assert_eq!(origin("backups.daily").0, "false");
}
