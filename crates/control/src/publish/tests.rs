//! What is in force after changes that hold, and after changes that do not.

use std::sync::atomic::Ordering;

use policy::Secret;
use serde_json::json;
use store::audit::Author;
use store::directory::{Kind, NewBackend, NewKey, NewSpec};

use super::*;
use crate::testing::{House, load_text};

const BASE: &str = "keys: [{name: app, key: secret-of-app}]\nbackends:\n  - {name: main, base_url: 'http://127.0.0.1:1/v1', models: {m: native-m}}\n";

#[tokio::test]
async fn a_reload_takes_everything_into_force_or_nothing() {
    let house = House::new(BASE).await;
    let write = |text: &str| *house.written.0.lock().expect("no test panics here") = text.to_owned();
    let before = house.snapshot();

    write("limits: {queue_max: lots}\nbackends: [{name: main}]\n");
    let error = house.reloader.reload(Trigger::Signal, Author::gateway()).await.expect_err("two problems");
    assert!(matches!(&error, PublishError::Config(report) if report.problems().len() == 2), "{error}");
    assert!(Arc::ptr_eq(&before, &house.snapshot()));
    let problem = house.publisher.standing().last_problem.expect("it is remembered");
    assert_eq!((problem.trigger, problem.problems.len()), (Trigger::Signal, 2));

    // Each part holds, but not together: only the snapshot sees that a key leads nowhere.
    write(&BASE.replace("key: secret-of-app", "key: secret-of-app, default_model: nowhere"));
    let error =
        house.reloader.reload(Trigger::FileChange, Author::gateway()).await.expect_err("a dangling model");
    assert!(matches!(error, PublishError::Refused(_)), "{error}");
    assert!(Arc::ptr_eq(&before, &house.snapshot()));
    assert_eq!(
        house.publisher.loaded().settings.keys[0].default_model,
        None,
        "the settings stay with the snapshot"
    );

    write(&format!("listen: 127.0.0.1:7777\nlimits: {{queue_max: 3}}\n{BASE}"));
    let reloaded = house.reloader.reload(Trigger::Request, Author::gateway()).await.expect("it holds");
    assert_eq!(reloaded.version, before.version + 1);
    assert_eq!(
        reloaded.restart_needed,
        ["listen: 127.0.0.1:9190 is in force, 127.0.0.1:7777 waits for a restart"]
    );
    assert_eq!(house.snapshot().settings.queue_max, 3);
    assert_eq!(house.publisher.standing().last_problem, None);
    assert_eq!(house.listener.received.lock().expect("no test panics here").len(), 2);
}

#[tokio::test]
async fn a_gateway_whose_last_key_goes_serves_nobody_and_says_so() {
    let house = House::new(BASE).await;
    let without_keys = BASE.split_once('\n').expect("keys in the first line").1;
    *house.written.0.lock().expect("no test panics here") = without_keys.to_owned();
    house.reloader.reload(Trigger::FileChange, Author::gateway()).await.expect("it holds");
    let snapshot = house.snapshot();
    assert!(snapshot.identity.keys().is_empty() && !snapshot.identity.is_open());
    assert_eq!(house.publisher.standing().notices, [NO_KEY_LEFT]);
    // It stays so, whatever else is changed, until there is a key again.
    *house.written.0.lock().expect("no test panics here") =
        format!("limits: {{queue_max: 3}}\n{without_keys}");
    house.reloader.reload(Trigger::FileChange, Author::gateway()).await.expect("it holds");
    assert!(!house.snapshot().identity.is_open());
    *house.written.0.lock().expect("no test panics here") = BASE.to_owned();
    house.reloader.reload(Trigger::FileChange, Author::gateway()).await.expect("it holds");
    assert!(house.snapshot().identity.find("secret-of-app").is_some());
    assert_eq!(house.publisher.standing().notices, Vec::<String>::new());
    // One that never had any is open.
    let open = House::new(without_keys).await;
    assert!(open.snapshot().identity.is_open());
}

#[tokio::test]
async fn what_another_process_stored_is_caught_up_with() {
    let house = House::new(BASE).await;
    assert_eq!(house.publisher.catch_up().await.expect("the store answers"), None);
    let team = NewSpec { id: "team_1".into(), name: "red".into(), spec: json!({"rpm": 9}) };
    house.store.directory.add_spec(Kind::Team, team, Timestamp(1)).await.expect("it is stored");
    let digest = house.publisher.controls().digester.digest("lg-from-the-command-line");
    let new = NewKey {
        id: "key_1".into(),
        name: "cli".into(),
        digest,
        masked: "lg-fro***line".into(),
        team: Some("red".into()),
        limits: json!({"rpm": 5}),
        enabled: true,
        expires: None,
    };
    house.store.directory.add_key(new, Timestamp(1)).await.expect("it is stored");
    assert!(house.snapshot().identity.find("lg-from-the-command-line").is_none());
    assert_eq!(house.publisher.catch_up().await.expect("the store answers"), Some(2));
    let snapshot = house.snapshot();
    let key = snapshot.identity.find("lg-from-the-command-line").expect("it is in force");
    assert_eq!((key.limits.rpm, key.team.as_deref()), (Some(5), Some("red")));
    assert_eq!(snapshot.identity.teams()[0].limits.rpm, Some(9));
    assert_eq!(house.publisher.catch_up().await.expect("the store answers"), None);
}

#[tokio::test]
async fn a_stored_change_that_does_not_fit_is_tried_once() {
    let house = House::new(BASE).await;
    let new = NewKey {
        id: "key_1".into(),
        name: "lost".into(),
        digest: house.publisher.controls().digester.digest("lg-lost"),
        masked: "lg***".into(),
        team: None,
        limits: json!({"default_model": "nowhere"}),
        enabled: true,
        expires: None,
    };
    house.store.directory.add_key(new, Timestamp(1)).await.expect("it is stored");
    let refused = house.publisher.catch_up().await;
    assert!(matches!(refused, Err(PublishError::Refused(_))), "the model is not served");
    assert_eq!(house.publisher.catch_up().await.expect("there is nothing new"), None);
    assert_eq!((house.snapshot().version, house.publisher.standing().version), (1, 1));
    assert!(house.publisher.standing().last_problem.is_some());
}

#[tokio::test]
async fn a_stored_object_that_does_not_hold_is_left_out_by_name() {
    let house = House::new(BASE).await;
    for (id, name, spec) in [
        ("b1", "broken", json!({"kind": "no-such-kind"})),
        ("b2", "main", json!({"kind": "openai"})),
        ("b3", "good", json!({"kind": "openai", "pool": "fallback"})),
    ] {
        let new = NewBackend {
            id: id.into(),
            name: name.into(),
            spec,
            credential: Some(Secret::from("sk-stored")),
            enabled: true,
        };
        house.store.directory.add_backend(new, Timestamp(1)).await.expect("it is stored");
    }
    house.publisher.catch_up().await.expect("the rest holds");
    let snapshot = house.snapshot();
    let names: Vec<&str> = snapshot.backends.iter().map(|backend| &*backend.name).collect();
    assert_eq!(names, ["main", "good"]);
    let good = snapshot.backend_named("good").expect("it is in force");
    assert_eq!((good.credential.as_ref().map(Secret::expose), &*good.pool), (Some("sk-stored"), "fallback"));
    assert_eq!(
        house.publisher.standing().left_out,
        [
            "backend broken: stored by API: kind: unknown kind `no-such-kind` (openai_compatible fits most)",
            "backend main: another one has this name",
        ]
    );
}

#[tokio::test]
async fn discovered_models_are_published_once() {
    let house = House::new("backends: [{name: main, base_url: 'http://127.0.0.1:1/v1'}]").await;
    let list = || vec!["one".to_owned(), "two".to_owned()];
    house.publisher.discovered("main", list()).await.expect("it holds");
    house.publisher.discovered("main", list()).await.expect("it is no news");
    let snapshot = house.snapshot();
    assert_eq!(snapshot.version, 2);
    let anonymous = snapshot.identity.anonymous();
    let listed: Vec<String> =
        snapshot.catalog.list(anonymous).iter().map(|listing| listing.id.to_string()).collect();
    assert_eq!(listed, ["one", "two"]);
}

#[tokio::test]
async fn settings_stored_by_api_are_weaker_than_the_file() {
    let house = House::new(&format!("limits: {{queue_max: 7}}\n{BASE}")).await;
    let stored = [("limits.queue_max", json!(9)), ("limits.max_in_flight", json!(11))];
    let stored = stored.map(|(path, value)| (path.to_owned(), Some(value)));
    house.store.directory.change_settings(stored.to_vec()).await.expect("they are stored");
    house.reloader.reload(Trigger::Request, Author::gateway()).await.expect("it holds");
    let settings = &house.snapshot().settings;
    assert_eq!((settings.queue_max, settings.max_in_flight), (7, 11));
}

#[tokio::test]
async fn prices_come_from_the_mapping_then_from_the_table_and_else_are_none() {
    let house = House::new(
        "backends:\n  - {name: main, kind: openai, models: {own: {native: gpt-4o, price: {input: 1, output: 2}}, table: gpt-4o, odd: no-such-model}}\n",
    )
    .await;
    let snapshot = house.snapshot();
    let price = |model: &str| {
        let route = snapshot.catalog.resolve(model, snapshot.identity.anonymous()).expect("it is served");
        route.tiers[0].candidates[0]
            .price
            .as_ref()
            .map(|price| (price.version.to_string(), price.input.to_string()))
    };
    let own = price("own").expect("a price is written");
    assert!(own.0.starts_with("config-") && own.1 == "0.000001", "{own:?}");
    assert_eq!(price("table"), Some((crate::prices::TABLE_VERSION.to_owned(), "0.0000025".to_owned())));
    assert_eq!(price("odd"), None);
}

#[test]
fn what_is_read_at_the_start_only_is_named() {
    let settings = |text: &str| load_text(text, &[]).unwrap_or_else(|report| panic!("{report}")).settings;
    let before = settings("");
    let after = settings(
        "data_dir: /elsewhere\nmetrics_listen: 127.0.0.1:1\nledger: {durability: disk}\nlimits: {queue_max: 1}",
    );
    let named: Vec<String> = restart_needed(&before, &after)
        .iter()
        .filter_map(|text| text.split_once(':').map(|(name, _)| name.to_owned()))
        .collect();
    assert_eq!(named, ["backup_dir", "data_dir", "ledger.durability", "metrics_listen"]);
}

#[tokio::test]
async fn an_edit_that_does_not_fit_is_not_stored() {
    let house = House::new(BASE).await;
    let now = house.now.load(Ordering::Relaxed);
    let before = house.snapshot();
    let new = NewBackend {
        id: "b1".into(),
        name: "demo".into(),
        spec: json!({"kind": "openai"}),
        credential: None,
        enabled: true,
    };
    let stored = house.store.directory.add_backend(new.clone(), Timestamp(now));
    let candidate = store::directory::StoredBackend {
        id: new.id,
        name: new.name,
        spec: new.spec,
        credential: None,
        masked: None,
        enabled: true,
        created: Timestamp(now),
        updated: Timestamp(now),
        revision: 0,
    };
    let refused = house.publisher.edit(|gathered| gathered.backends.push(candidate), stored).await;
    assert!(matches!(refused, Err(PublishError::Refused(_))), "the name belongs to the simulated provider");
    assert!(house.store.directory.backends().await.expect("the store answers").is_empty());
    assert!(Arc::ptr_eq(&before, &house.snapshot()));
    assert!(house.live.status(moment()).backends.iter().all(|backend| &*backend.name != "demo"));
}
