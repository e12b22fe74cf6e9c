//! Whole configurations in, settings or reports out; nothing here reads the machine.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use policy::{Amount, KeySecret, Source};
use store::Retention;

use super::*;

/// Found nowhere that is shown to anyone.
const CANARY: &str = "sk-canary-7f3a9b2c4d5e6f";

/// The example of the documentation, with every section.
const EXAMPLE: &str = r#"
listen: 127.0.0.1:9190            # LOCKGATE_HOST, LOCKGATE_PORT
metrics_listen: 127.0.0.1:9191    # LOCKGATE_METRICS_PORT
data_dir: ./data                  # LOCKGATE_DATA_DIR
admin: {token: "${LOCKGATE_ADMIN_TOKEN}"}
limits: {max_in_flight: 2000, queue_max: 500, queue_timeout: 30s, body_max: 64MiB}
keepalive: {stream: 15s, nonstream: 0s, endpoints: {/v1/responses/compact: 15s}}
streams: {resumable: true, buffer: 2MiB, grace: 1m}
cors: {origins: ["https://app.example.com"], headers: [authorization, content-type]}
ledger: {durability: process}
keys:
  - {name: app, key: "${APP_KEY}", rpm: 600, tpm: 1000000, concurrency: 50, models: ["*"], priority_max: high}
backends:
  - name: nvidia-a
    kind: openai_compatible
    base_url: https://integrate.api.nvidia.com/v1
    api_key: "${NVIDIA_API_KEY}"
    pool: primary
    weight: 1
    limits: {rpm: 40, tpm: 200000, concurrency: 16}
    deadlines: {connect: 5s, first_event: 120s, idle: 120s, total: 600s}
    models:
      deepseek-v4: {native: deepseek-ai/deepseek-v4-pro, price: {input: 1.00, cached_input: 0.25, output: 4.00}, context: 128000, max_output: 65536}
      qwen-max: qwen/qwen-max
aliases: {gpt-4o: deepseek-v4, smart: [deepseek-v4, qwen-max]}
pools: {primary: {strategy: least_in_flight}, fallback: {strategy: cost}}
budgets: [{key: app, amount: 50, per: day}]
"#;

fn read_nothing(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn check(name: &str, text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Report> {
    let variables = variables(environment);
    load(&Inputs {
        file: Some(FileText { name, text }),
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &variables, read_file: &read_nothing },
        stored: &[],
    })
}

fn check_environment(environment: &[(&str, &str)]) -> Loaded {
    let variables = variables(environment);
    let inputs = Inputs {
        file: None,
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &variables, read_file: &read_nothing },
        stored: &[],
    };
    load(&inputs).unwrap_or_else(|report| panic!("{report}"))
}

const EXAMPLE_ENVIRONMENT: &[(&str, &str)] =
    &[("LOCKGATE_ADMIN_TOKEN", "admin-token-1"), ("APP_KEY", "lg-app"), ("NVIDIA_API_KEY", CANARY)];

#[test]
fn the_documented_example_means_what_it_says() {
    let loaded =
        check("lockgate.yaml", EXAMPLE, EXAMPLE_ENVIRONMENT).unwrap_or_else(|report| panic!("{report}"));
    let settings = &loaded.settings;
    let backend = &settings.backends[0];
    assert_eq!(backend.name, "nvidia-a");
    assert_eq!(backend.credential.as_ref().map(|key| key.expose()), Some(CANARY));
    assert_eq!(
        (backend.limits.rpm, backend.limits.tpm, backend.limits.concurrency),
        (40, Some(200_000), Some(16))
    );
    assert_eq!(backend.source, Source::File);
    let model = &backend.models.as_ref().expect("models are listed")["deepseek-v4"];
    let price = model.price.as_ref().expect("a price is written");
    // 0.25 dollars per million tokens is 250 units of 1e-9 dollars each: exact, where a float is not.
    assert_eq!(price.cached_input, Some(Amount(250_000)));
    assert_eq!((price.input, price.output), (Amount(1_000_000), Amount(4_000_000)));
    assert_eq!(settings.aliases["smart"], ["deepseek-v4", "qwen-max"]);
    assert_eq!(settings.limits.body_bytes_max, 64 << 20);
    assert_eq!(settings.budgets[0].amount.to_string(), "50");
    assert_eq!(settings.keepalive.endpoints[0].1.as_secs(), 15);
    let subjects: Vec<&str> = loaded.notices.iter().map(|notice| notice.subject.as_str()).collect();
    assert!(subjects.is_empty(), "{subjects:?}");
    let keepalive = settings.traffic().keepalive;
    assert_eq!(keepalive.stream.map(|interval| interval.as_secs()), Some(15));
    let resume = settings.traffic().resume.expect("streams can be continued");
    assert_eq!((resume.buffer_bytes, resume.grace.as_secs(), resume.streams_max), (2 << 20, 60, 256));
    let cors = settings.traffic().cors;
    assert!(cors.admit("https://app.example.com") && !cors.admit("https://example.com"));
    assert_eq!((cors.headers.len(), cors.methods.len()), (2, 0));
    let before = |path| keepalive.before_plain(path).map(|interval| interval.as_secs());
    assert_eq!((before("/responses/compact"), before("/responses")), (Some(15), None));
}

#[test]
fn the_same_configuration_reads_alike_in_all_three_formats() {
    let yaml = "limits: {queue_max: 7, queue_timeout: 250ms}\nbackends:\n  - {name: a, base_url: 'http://127.0.0.1:1/v1', models: {m: {price: {input: 0.1, output: 0.3}}}}\n";
    let toml = "[limits]\nqueue_max = 7\nqueue_timeout = '250ms'\n[[backends]]\nname = 'a'\nbase_url = 'http://127.0.0.1:1/v1'\n[backends.models.m.price]\ninput = 0.1\noutput = 0.3\n";
    let json = r#"{"limits": {"queue_max": 7, "queue_timeout": "250ms"},
        "backends": [{"name": "a", "base_url": "http:\/\/127.0.0.1:1/v1", "models": {"m": {"price": {"input": 0.1, "output": 0.3}}}}]}"#;
    for (name, text) in [("a.yaml", yaml), ("a.toml", toml), ("a.json", json)] {
        let loaded = check(name, text, &[]).unwrap_or_else(|report| panic!("{name}: {report}"));
        assert_eq!(loaded.settings.limits.queue_max, 7, "{name}");
        assert_eq!(loaded.settings.limits.queue_timeout.as_millis(), 250, "{name}");
        let models = loaded.settings.backends[0].models.as_ref().expect("models are listed");
        let price = models["m"].price.as_ref().expect("a price is written");
        assert_eq!((price.input, price.output), (Amount(100_000), Amount(300_000)), "{name}");
    }
}

/// Bad files, each with everything that is wrong with it.
const BAD: &[(&str, &str, &str)] = &[
    (
        "unknown_keys_and_wrong_types_together",
        "a.yaml",
        "lisen: 127.0.0.1:9190\nlimits:\n  max_in_flight: lots\n  queue_maxx: 5\n  queue_timeout: 30\nbackends:\n  - name: a b\n    base_url: http://127.0.0.1:8080\n    limits: {rpm: -1, tmp: 5}\n    models: {m: {price: {input: 1.0000001}}}\n  - kind: openai\nledger: {durability: proces}\n",
    ),
    (
        "the_same_in_toml",
        "a.toml",
        "lisen = '127.0.0.1:9190'\n[limits]\nmax_in_flight = 'lots'\nqueue_maxx = 5\n\n[[backends]]\nname = 'a b'\n[backends.limits]\nrpm = -1\n",
    ),
    (
        "the_same_in_json",
        "a.json",
        "{\"lisen\": \"127.0.0.1:9190\",\n \"limits\": {\"max_in_flight\": \"lots\",\n  \"queue_maxx\": 5}}",
    ),
    (
        "parts_that_do_not_fit",
        "a.yaml",
        "listen: 0.0.0.0:9190\nmetrics_listen: 127.0.0.1:9190\ncooldown: {base: 20m, max: 10m}\nlimits: {body_max: 1GiB}\nkeys:\n  - {name: a, key: one, team: red}\n  - {name: a, key: one, team: red}\napi_keys: [one]\nbackends:\n  - {name: b, kind: opnai}\n  - {name: b, kind: openai, pool: primry, models: {m: null}}\n  - {name: c, kind: process}\n  - {name: c2, kind: process, process: {program: p, accounts: [{token: t, username: u}, {access_key: k}]}}\n  - {name: g, kind: groq, api_version: v1, dialects: [openai_chat, anthropic]}\n  - {name: d, deadlines: {idle: 20m, total: 10m}}\n  - {name: e, kind: openai, headers: {set: {Host: x, 'b@d': y}}}\npools: {primary: {rank: 3}, 'a/b': {}}\nbudgets: [{key: app, amount: 5}, {key: a, team: blue, amount: -1}]\n",
    ),
    (
        "references_that_lead_nowhere",
        "a.yaml",
        "backends:\n  - {name: b, kind: openai, models: {gpt-5: null}}\naliases: {x: gpt-6, y: z, z: y, gpt-5: openai/any, w: [openai/any, gpt-5], v: b/own}\nkeys: [{name: a, key: one, team: rde}, {name: b, key: two, team: red}]\nteams: [{name: red}, {name: red}]\nbudgets: [{key: app, amount: 5}, {team: blue, amount: 1}, {team: red, amount: 1}]\n",
    ),
    (
        "addresses_that_must_not_be_reached",
        "a.yaml",
        "backends:\n  - {name: a, base_url: 'http://169.254.169.254/v1'}\n  - {name: b, base_url: 'http://metadata.google.internal/v1'}\n  - {name: c, base_url: 'ftp://host/v1'}\n  - {name: d, base_url: 'https://user:sk-canary-7f3a9b2c4d5e6f@host/v1'}\n  - {name: e, base_url: '${URL}'}\n  - {name: f}\n",
    ),
    (
        "secrets_that_cannot_be_had",
        "a.yaml",
        "admin: {token: '${LOCKGATE_ADMIN_TOKN}'}\nkeys:\n  - {name: a, key: 'file:/nowhere/key'}\n  - {name: b, key: '${sk-canary-7f3a9b2c4d5e6f}'}\n  - {name: c, key: '${open'}\n  - {name: d, key: ''}\n  - {name: e, key: [sk-canary-7f3a9b2c4d5e6f]}\n  - {name: f}\n",
    ),
    (
        "values_out_of_range",
        "a.yaml",
        "listen: 9190\nmetrics_listen: example.com:80\nkeepalive: {stream: 500ms, nonstream: 2s, endpoints: {/v1/x: 61s}}\ndrain_timeout: 2 days\nlimits: {max_in_flight: 0, body_max: 1TiB, queue_max: 5.5}\nretry: {attempts_max: 21}\nlog: {level: loud, format: text}\nkeys: [{name: k, key: x, ip_allow: [10.0.0.0/33], expires: tomorrow, strict: 'yes', models: ['a b'], endpoints: [chats], metadata: {a: ''}}]\nteams: [{name: t, rpm: 0, endpoints: [images, x]}, {name: t t}]\n",
    ),
    (
        "an_endpoint_that_nobody_serves",
        "a.yaml",
        "keepalive: {endpoints: {/v1/responses/compat: 15s, /v1/responses/compact: 15s}}\n",
    ),
    ("a_scalar_where_a_mapping_belongs", "a.yaml", "just words\n"),
    ("a_list_where_a_mapping_belongs", "a.yaml", "- listen: 127.0.0.1:1\n"),
    ("broken_yaml", "a.yaml", "limits:\n  queue_max: 5\n bad: [1, 2\nadmin: sk-canary-7f3a9b2c4d5e6f\n"),
    ("broken_toml", "a.toml", "listen = \n[limits\nqueue_max = 5\nadmin = sk-canary-7f3a9b2c4d5e6f\n"),
    ("broken_json", "a.json", "{\"listen\": \"127.0.0.1:1\",\n \"admin\": sk-canary-7f3a9b2c4d5e6f}"),
    ("json_that_ends_at_once", "a.json", "\n"),
    ("a_key_twice", "a.yaml", "limits: {queue_max: 5}\ndata_dir: a\ndata_dir: b\nlimits: {queue_max: 6}\n"),
    ("two_documents", "a.yaml", "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n"),
    ("an_alias_to_nothing", "a.yaml", "listen: *nothing\n"),
    (
        "an_alias_bomb",
        "a.yaml",
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
    ),
];

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    for (name, file, text) in BAD {
        let environment = [("LOCKGATE_ADMIN_TOKEN_X", "x")];
        let report = check(file, text, &environment).err().unwrap_or_else(|| panic!("{name} was accepted"));
        assert!(!report.is_empty(), "{name}");
        assert!(!report.to_string().contains(CANARY), "{name}: {report}");
        insta::assert_snapshot!(*name, report.to_string(), text);
    }
}

#[test]
fn probes_stay_at_the_backends_own_host_and_within_their_interval() {
    let backend = |path: &str| {
        let text = format!("backends: [{{name: a, base_url: \"http://h/v1\", health_path: \"{path}\"}}]");
        check("a.yaml", &text, &[]).ok()?.settings.backends.pop()?.health_path
    };
    for path in ["models", "/health", "/v1/health/ready", "key?verbose=1"] {
        assert_eq!(backend(path).as_deref(), Some(path));
    }
    for path in ["", "/", "//evil/x", "http://evil/x", "/a b", "/a#b", "/\\u0000", &"x".repeat(513)] {
        assert_eq!(backend(path), None, "{path}");
    }
    for (text, enabled, interval, timeout) in [
        ("", true, 60, 10),
        ("probe: {interval: 5s}", true, 5, 5),
        ("probe: {enabled: false, interval: 10m, timeout: 1m}", false, 600, 60),
    ] {
        let probe = check("a.yaml", text, &[]).unwrap_or_else(|report| panic!("{report}")).settings.probe;
        let told = (probe.enabled, probe.interval.as_secs(), probe.timeout.as_secs());
        assert_eq!(told, (enabled, interval, timeout), "{text}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_without_harm() {
    for (file, text) in [
        ("a.yaml", "[".repeat(5000)),
        ("a.yaml", format!("{}x{}", "[".repeat(40), "]".repeat(40))),
        ("a.json", format!("{}1{}", "[".repeat(100), "]".repeat(100))),
        ("a.toml", format!("a = {}{}", "[".repeat(60), "]".repeat(60))),
        ("a.yaml", "x".repeat(read::TEXT_BYTES_MAX + 1)),
    ] {
        assert!(check(file, &text, &[]).is_err());
    }
}

#[test]
fn a_report_is_bounded() {
    let text: String = (0..1000).map(|n| format!("wrong_{n}: 1\n")).collect();
    let report = check("a.yaml", &text, &[]).expect_err("unknown keys");
    assert_eq!(report.problems().len(), 200);
    assert!(report.to_string().ends_with("... and 800 more"), "{report}");
}

#[test]
fn the_stronger_source_wins_and_every_value_knows_where_it_came_from() {
    let variables = variables(&[
        ("LOCKGATE_PORT", "8000"),
        ("LOCKGATE_LIMITS_QUEUE_MAX", "11"),
        ("LOCKGATE_DATA_DIR", "/env"),
        ("LOCKGATE_LIMITS_QUEUE_MX", "1"),
    ]);
    let overrides = Overrides {
        metrics_listen: Some("[::1]:9000".to_owned()),
        set: vec![("retry.attempts_max".to_owned(), "3".to_owned())],
        ..Overrides::default()
    };
    let text = "listen: 0.0.0.0:7000\ndata_dir: /file\nlimits:\n  queue_max: 10\n  max_in_flight: 20\n";
    let loaded = load(&Inputs {
        file: Some(FileText { name: "lockgate.yaml", text }),
        overrides: &overrides,
        surroundings: Surroundings { variables: &variables, read_file: &read_nothing },
        stored: &[("limits.max_in_flight".into(), "30".into()), ("limits.queue_timeout".into(), "9s".into())],
    })
    .unwrap_or_else(|report| panic!("{report}"));
    let effective = loaded.effective();
    for (path, value, origin) in [
        ("listen", "0.0.0.0:8000", "environment variable LOCKGATE_PORT"),
        ("metrics_listen", "[::1]:9000", "command line --metrics-listen"),
        ("data_dir", "/env", "environment variable LOCKGATE_DATA_DIR"),
        ("limits.queue_max", "11", "environment variable LOCKGATE_LIMITS_QUEUE_MAX"),
        ("limits.max_in_flight", "20", "lockgate.yaml:5:18"),
        ("limits.queue_timeout", "9s", "stored by API"),
        ("retry.attempts_max", "3", "command line --set"),
        ("limits.body_max", "64MiB", "default"),
    ] {
        let row =
            effective.iter().find(|row| row.path == path).unwrap_or_else(|| panic!("{path} is not shown"));
        assert_eq!((row.value.as_str(), row.origin.as_str()), (value, origin), "{path}");
    }
    let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["LOCKGATE_LIMITS_QUEUE_MX: sets nothing; did you mean LOCKGATE_LIMITS_QUEUE_MAX?"]);
}

#[test]
fn a_pool_of_processes_is_shown_once_and_moves_nobody_else() {
    let text = "backends:\n  - name: local\n    kind: process\n    process:\n      program: /p\n      environment: {TOKEN: a-secret-of-its-own}\n      \
                accounts:\n        - {username: u, password: a-password-of-its-own}\n        - {access_key: a-key-of-its-own, secret_key: s}\n  \
                - {name: after, kind: openai, api_key: k}\n";
    let loaded = check("a.yaml", text, &[]).unwrap_or_else(|report| panic!("{report}"));
    let effective = loaded.effective();
    for (path, value, origin) in [
        ("backends[0].name", "local", "a.yaml:2:11"),
        ("backends[0].process.program", "/p", "a.yaml:5:16"),
        ("backends[0].process.instances", "2", "default"),
        ("backends[0].process.environment.TOKEN", "a-secr***-own", "a.yaml:6:28"),
        ("backends[0].process.accounts[0].username", "***", "a.yaml:8:22"),
        ("backends[0].process.accounts[1].access_key", "***", "a.yaml:9:24"),
        ("backends[1].name", "after", "a.yaml:10:12"),
    ] {
        let rows: Vec<_> = effective.iter().filter(|row| row.path == path).collect();
        let [row] = rows.as_slice() else { panic!("{path} is shown {} times", rows.len()) };
        assert_eq!((row.value.as_str(), row.origin.as_str()), (value, origin), "{path}");
    }
    let told = format!("{effective:?}");
    assert!(!told.contains("of-its-own"), "{told}");
}

#[test]
fn what_is_wrong_in_the_environment_names_the_variable() {
    let report =
        check("a.yaml", "", &[("LOCKGATE_PORT", "http"), ("GATEWAY_MAX_IN_FLIGHT", "0")]).expect_err("wrong");
    assert_eq!(
        report.to_string(),
        "environment variable GATEWAY_MAX_IN_FLIGHT: limits.max_in_flight: must be a whole number from 1 to 1000000\n\
         environment variable LOCKGATE_PORT: listen: a port is a number from 0 to 65535"
    );
}

#[test]
fn old_names_still_work_and_say_what_to_write_instead() {
    let loaded = check_environment(&[
        ("SIDECAR_HOST", "0.0.0.0"),
        ("SIDECAR_PORT", "8787"),
        ("SIDECAR_METRICS_PORT", "8788"),
        ("SIDECAR_UPSTREAM", "https://integrate.api.nvidia.com/v1"),
        ("SIDECAR_API_KEY", CANARY),
        ("SIDECAR_RATE_RPM", "38"),
        ("SIDECAR_BUCKET_CAPACITY", "5"),
        ("SIDECAR_TIMEOUT", "90"),
        ("SIDECAR_QUEUE_MAX", "9"),
        ("SIDECAR_LOW_TIMEOUT", "1.5"),
        ("SIDECAR_FALLBACK_PASSTHROUGH", "True"),
        ("SIDECAR_COOLDOWN_BASE", "10"),
        ("SIDECAR_DB_PATH", "/var/lib/sidecar/sidecar.db"),
        ("SIDECAR_ENCRYPTION_KEY", "00ff"),
        ("SIDECAR_BACKUP_DIR", "/backups"),
        ("API_KEYS", "key-one, key-two,"),
        ("METRICS_TOKEN", "scrape"),
        ("LOG_LEVEL", "WARNING"),
        ("LOG_FORMAT", "text"),
        ("GATEWAY_QUEUE_TIMEOUT_SEC", "12"),
        ("GATEWAY_OPENAI_COMPACT_NONSTREAM_KEEPALIVE_INTERVAL", "20"),
        ("OPENAI_API_KEY", "sk-unused-beside-the-sidecar"),
    ]);
    let settings = &loaded.settings;
    assert_eq!(settings.listen.to_string(), "0.0.0.0:8787");
    assert_eq!(settings.metrics_listen.to_string(), "127.0.0.1:8788");
    assert_eq!(settings.backends.len(), 1);
    let backend = &settings.backends[0];
    assert_eq!((backend.limits.rpm, backend.limits.burst), (38, Some(5)));
    assert_eq!((backend.deadlines.first_event.as_secs(), backend.source), (90, Source::Env));
    assert_eq!(settings.limits.queue_max, 9);
    assert_eq!(settings.limits.low_timeout.as_millis(), 1500);
    assert_eq!(settings.limits.queue_policy, policy::QueuePolicy::Passthrough);
    assert_eq!(settings.limits.queue_timeout.as_secs(), 12);
    assert_eq!(settings.cooldown.base.as_secs(), 10);
    assert_eq!(settings.data_dir.to_string_lossy(), "/var/lib/sidecar");
    assert_eq!(settings.backup_dir.to_string_lossy(), "/backups");
    let MasterKeySource::Value { key, .. } = &settings.master_key else {
        panic!("the old name gives the key")
    };
    assert_eq!(key.expose(), "00ff");
    let secrets: Vec<&str> = settings
        .keys
        .iter()
        .flat_map(|key| &key.secrets)
        .filter_map(|secret| match secret {
            KeySecret::Plain(secret) => Some(secret.expose()),
            KeySecret::Digest(_) => None,
        })
        .collect();
    assert_eq!(secrets, ["key-one", "key-two"]);
    assert!(settings.keys.iter().all(|key| key.source == Source::Env));
    assert_eq!(settings.log_level.name(), "warn");
    assert_eq!(settings.log_format.map(|format| format.name()), Some("human"));
    assert_eq!(
        settings.keepalive.endpoints,
        [("/v1/responses/compact".to_owned(), std::time::Duration::from_secs(20))]
    );
    let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("notices_of_old_names", notices.join("\n"));
}

#[test]
fn records_and_backups_are_kept_for_as_long_as_is_written() {
    let day = std::time::Duration::from_secs(24 * 3600);
    let all = Retention::default();
    for (text, retention, folder, backups) in [
        ("", all, "./data/backups", (true, 7 * day)),
        ("data_dir: /d", all, "/d/backups", (true, 7 * day)),
        ("{backup_dir: /b, backups: {daily: false, retention_days: 30}}", all, "/b", (false, 30 * day)),
        (
            "records: {retention_days: 90, rows_max: 5000000}",
            Retention { age_max: Some(90 * day), rows_max: Some(5_000_000) },
            "./data/backups",
            (true, 7 * day),
        ),
    ] {
        let loaded = check("a.yaml", text, &[]).unwrap_or_else(|report| panic!("{text}: {report}"));
        let settings = &loaded.settings;
        assert_eq!(settings.retention, retention, "{text}");
        assert_eq!(settings.backup_dir, Path::new(folder), "{text}");
        assert_eq!((settings.backups.daily, settings.backups.age_max), backups, "{text}");
    }
    for text in ["records: {retention_days: 0}", "records: {rows_max: 0}", "backups: {retention_days: 0}"] {
        let report = check("a.yaml", text, &[]).expect_err(text);
        assert!(report.to_string().contains("must be a whole number from 1"), "{text}: {report}");
    }
    let shown =
        check_environment(&[("LOCKGATE_RECORDS_ROWS_MAX", "9"), ("LOCKGATE_BACKUP_DIR", "/b")]).effective();
    let value = |path: &str| shown.iter().find(|row| row.path == path).map(|row| row.value.as_str());
    assert_eq!(value("records.retention_days"), Some("none"));
    assert_eq!((value("records.rows_max"), value("backup_dir")), (Some("9"), Some("/b")));
    assert_eq!((value("backups.daily"), value("backups.retention_days")), (Some("true"), Some("7")));
}

#[test]
fn provider_keys_alone_make_backends_unless_a_file_lists_its_own() {
    let keys = [
        ("OPENAI_API_KEY", CANARY),
        ("NVIDIA_API_KEY", "nvapi-1"),
        ("GEMINI_API_KEY", "g-1"),
        ("ANTHROPIC_API_KEY", "sk-ant-1"),
        ("GROQ_API_KEY", " "),
    ];
    let loaded = check_environment(&keys);
    let made: Vec<(&str, &str)> = loaded
        .settings
        .backends
        .iter()
        .map(|backend| (backend.name.as_str(), backend.base_url.as_str()))
        .collect();
    assert_eq!(
        made,
        [
            ("openai", "https://api.openai.com/v1"),
            ("anthropic", "https://api.anthropic.com/v1"),
            ("gemini", "https://generativelanguage.googleapis.com/v1beta"),
            ("nvidia", "https://integrate.api.nvidia.com/v1"),
        ]
    );
    assert!(loaded.settings.backends.iter().all(|backend| backend.source == Source::Env));
    let listed = check("a.yaml", "backends: [{name: mine, base_url: 'http://127.0.0.1:8080/v1'}]", &keys)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(listed.settings.backends.len(), 1);
    assert_eq!(listed.settings.backends[0].source, Source::File);
}

#[test]
fn secrets_are_resolved_from_variables_and_files() {
    let variables = variables(&[("PART", "middle"), ("ADMIN", "${NOT_AGAIN}")]);
    let read = |path: &Path| match path.to_str() {
        Some("/run/secret") => Ok(format!("{CANARY}\n")),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let text = "admin: {token: '${ADMIN}'}\nkeys: [{name: a, key: 'pre-${PART}-post'}, {name: b, key: 'file:/run/secret'}, {name: c, key: 00123}]";
    let loaded = load(&Inputs {
        file: Some(FileText { name: "a.yaml", text }),
        overrides: &Overrides::default(),
        surroundings: Surroundings { variables: &variables, read_file: &read },
        stored: &[],
    })
    .unwrap_or_else(|report| panic!("{report}"));
    let secret = |index: usize| match &loaded.settings.keys[index].secrets[0] {
        KeySecret::Plain(secret) => secret.expose().to_owned(),
        KeySecret::Digest(_) => String::new(),
    };
    assert_eq!(
        (secret(0).as_str(), secret(1).as_str(), secret(2).as_str()),
        ("pre-middle-post", CANARY, "00123")
    );
    assert_eq!(loaded.settings.admin_token.as_ref().map(|token| token.expose()), Some("${NOT_AGAIN}"));
}

#[test]
fn nothing_shown_of_a_configuration_holds_a_secret() {
    let text = "admin: {token: '${C}'}\nmetrics_token: '${C}'\napi_keys: ['${C}']\nkeys: [{name: k, key: 'x${C}'}]\nbackends:\n  - {name: a, kind: openai, api_key: '${C}', headers: {set: {x-secret: '${C}'}}}\n";
    let loaded = check("a.yaml", text, &[("C", CANARY), ("LOCKGATE_MASTER_KEY", CANARY)])
        .unwrap_or_else(|report| panic!("{report}"));
    let shown = serde_json::to_string(&loaded.effective()).expect("rows are plain text");
    let debug = format!("{loaded:?} {:?}", loaded.settings);
    assert!(shown.contains("sk-can"), "masked secrets are shown: {shown}");
    for text in [shown, debug] {
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn the_starter_file_loads_and_says_the_defaults() {
    let starter = check("lockgate.yaml", example(), &[]).unwrap_or_else(|report| panic!("{report}"));
    let bare = check_environment(&[]);
    let values = |loaded: &Loaded| {
        loaded.effective().into_iter().map(|row| (row.path, row.value)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values(&starter), values(&bare));
    assert!(starter.notices.is_empty(), "{:?}", starter.notices);
}

#[test]
fn the_commented_lines_of_the_starter_file_load_too() {
    let text: String = example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with(' ')
                    || rest.contains(':') && !rest.contains(". ") && !rest.ends_with('.') =>
            {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = check(
        "lockgate.yaml",
        &text,
        &[("LOCKGATE_ADMIN_TOKEN", "t"), ("APP_KEY", "k"), ("NVIDIA_API_KEY", "n")],
    )
    .unwrap_or_else(|report| panic!("{report}\n{text}"));
    assert_eq!(loaded.settings.backends.len(), 2);
    assert_eq!(loaded.settings.keys.len(), 1);
}

#[test]
fn the_checked_in_schema_is_the_one_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lockgate.schema.json");
    let mut made = serde_json::to_string_pretty(&schema()).expect("a schema is plain JSON");
    made.push('\n');
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != made && std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &made).expect("docs/ can be written");
    }
    assert!(kept == made, "docs/lockgate.schema.json is out of date; run this test with UPDATE_SCHEMA=1");
}

#[test]
fn every_setting_of_the_environment_exists() {
    let schema = schema();
    for path in sources::SCALARS {
        let mut at = &schema;
        for step in path.split('.') {
            at = resolve(&schema, at).get("properties").and_then(|fields| fields.get(step)).unwrap_or_else(
                || {
                    panic!("{path}: no {step}");
                },
            );
        }
    }
}

/// Follows a reference, and steps over the null that an optional field allows.
fn resolve<'s>(root: &'s serde_json::Value, at: &'s serde_json::Value) -> &'s serde_json::Value {
    let target = at.get("$ref").or_else(|| at.pointer("/anyOf/0/$ref")).and_then(|to| to.as_str());
    target.and_then(|to| root.pointer(to.trim_start_matches('#'))).unwrap_or(at)
}

#[test]
fn the_schema_accepts_what_the_loader_accepts_and_refuses_what_it_refuses() {
    let schema = schema();
    let json = |text: &str| {
        let mut report = Report::default();
        let place = Place::File("a.yaml".into());
        let tree = read::read(text, Format::Yaml, &place, &mut report).unwrap_or_else(|| panic!("{report}"));
        json_of(&tree)
    };
    for text in [EXAMPLE, example()] {
        assert!(fits(&schema, &schema, &json(text)), "{text}");
    }
    for text in [
        "limts: {}",
        "limits: {queue_max: many}",
        "limits: {queue_max: -1}",
        "backends: [{kind: openai}]",
        "log: {level: loud}",
        "keys: {name: a, key: b}",
    ] {
        assert!(!fits(&schema, &schema, &json(text)), "{text}");
        assert!(check("a.yaml", text, &[]).is_err(), "{text}");
    }
}

fn json_of(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(yes) => (*yes).into(),
        Value::Number(text) => serde_json::from_str(text).expect("numbers of the tree are JSON"),
        Value::Text(text) => text.as_str().into(),
        Value::List(nodes) => nodes.iter().map(json_of).collect(),
        Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.node))).collect()
        }
    }
}

/// As much of JSON Schema as ours uses, patterns left aside.
fn fits(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    if let Some(target) = schema.get("$ref").and_then(|to| to.as_str()) {
        return root.pointer(target.trim_start_matches('#')).is_some_and(|schema| fits(root, schema, value));
    }
    let list = |key: &str| schema.get(key).and_then(|list| list.as_array());
    let any_of = list("anyOf").is_none_or(|any| any.iter().any(|schema| fits(root, schema, value)));
    let listed = list("enum").is_none_or(|words| words.contains(value));
    let constant = schema.get("const").is_none_or(|only| only == value);
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let typed = match schema.get("type") {
        None => true,
        Some(serde_json::Value::String(kind)) => is(kind),
        Some(kinds) => {
            kinds.as_array().is_some_and(|kinds| kinds.iter().filter_map(|kind| kind.as_str()).any(is))
        }
    };
    let least = schema.get("minimum").and_then(|least| least.as_f64());
    let in_range = least.is_none_or(|least| value.as_f64().is_none_or(|number| number >= least));
    let items = schema.get("items").is_none_or(|items| {
        value.as_array().is_none_or(|values| values.iter().all(|value| fits(root, items, value)))
    });
    any_of && listed && constant && typed && in_range && items && fields_fit(root, schema, value)
}

fn fields_fit(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    let Some(fields) = value.as_object() else { return true };
    let required = schema.get("required").and_then(|list| list.as_array());
    let complete =
        required.is_none_or(|names| names.iter().filter_map(|n| n.as_str()).all(|n| fields.contains_key(n)));
    complete
        && fields.iter().all(|(name, value)| {
            match schema.get("properties").and_then(|known| known.get(name)) {
                Some(schema) => fits(root, schema, value),
                None => match schema.get("additionalProperties") {
                    None | Some(serde_json::Value::Bool(true)) => true,
                    Some(serde_json::Value::Bool(false)) => false,
                    Some(schema) => fits(root, schema, value),
                },
            }
        })
}

#[test]
fn the_master_key_comes_from_the_strongest_of_its_sources() {
    let source = |variables: &[(&str, &str)]| match check_environment(variables).settings.master_key {
        MasterKeySource::Value { key, next: None } => format!("value {}", key.expose()),
        MasterKeySource::Value { key, next: Some(next) } => {
            format!("value {} then {}", key.expose(), next.expose())
        }
        MasterKeySource::File(path) => format!("file {}", path.display()),
        MasterKeySource::DataFolder => "data folder".to_owned(),
    };
    assert_eq!(source(&[]), "data folder");
    assert_eq!(source(&[("LOCKGATE_MASTER_KEY_FILE", "/keys/one")]), "file /keys/one");
    let both = [("LOCKGATE_MASTER_KEY", "00ff"), ("LOCKGATE_MASTER_KEY_FILE", "/keys/one")];
    assert_eq!(source(&both), "value 00ff");
}
