//! Realistic files become ours and hold; nothing is lost without a word, and no secret comes out.

use std::collections::BTreeMap;

use policy::{Secret, Strategy};

use super::deployment::per_million;
use super::*;
use crate::config::{FileText, Inputs, Loaded, Overrides, Surroundings, load};

const CANARY: &str = "sk-canary-7f3a9b2c4d5e6f7a8b9c";

/// As LiteLLM's own documentation shows a proxy with several accounts.
const PROXY: &str = r#"
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://eu.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-10-21"
      rpm: 6
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-ca
      api_base: https://ca.openai.azure.com
      api_key: os.environ/AZURE_API_KEY_CA
      api_version: "2024-10-21"
      rpm: 6
      tpm: 40000
      timeout: 30.5
  - model_name: gpt-4o-mini
    litellm_params: {model: gpt-4o-mini, api_key: sk-canary-7f3a9b2c4d5e6f7a8b9c, input_cost_per_token: 1.5e-07, output_cost_per_token: 0.0000006}
    model_info: {id: mini, max_output_tokens: 16384, max_input_tokens: 128000, supports_vision: true}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      max_parallel_requests: 8
      weight: 2
  - model_name: local
    litellm_params: {model: openai/llama-3.1-8b, api_base: "http://127.0.0.1:8000/v1", api_key: none, stream_timeout: 60}
  - model_name: bedrock-claude
    litellm_params: {model: bedrock/anthropic.claude-v2, aws_region_name: us-east-1}
router_settings:
  routing_strategy: latency-based-routing
  model_group_alias: {gpt-4: gpt-4o, sonnet: {model: claude, hidden: true}, lost: nowhere, claude: local}
  num_retries: 2
  allowed_fails: 3
  cooldown_time: 30
  redis_host: os.environ/REDIS_HOST
  fallbacks: [{gpt-4o: [claude, local, nowhere]}, {"*": [local]}, {gpt-4: [claude]}]
litellm_settings:
  drop_params: true
  request_timeout: 600
  max_budget: 250
  budget_duration: 30d
  success_callback: ["langfuse"]
  cache: false
general_settings:
  master_key: sk-canary-7f3a9b2c4d5e6f7a8b9c
  database_url: "postgresql://user:sk-canary-7f3a9b2c4d5e6f7a8b9c@host/db"
  global_max_parallel_requests: 100
environment_variables:
  LANGFUSE_SECRET_KEY: sk-canary-7f3a9b2c4d5e6f7a8b9c
"#;

/// Anchors, wildcards, and everything twice.
const ANCHORS: &str = r#"
x-defaults: &defaults {api_key: os.environ/OPENROUTER_API_KEY, timeout: 60}
model_list:
  - {model_name: a, litellm_params: {<<: *defaults, model: openrouter/meta-llama/llama-3.1-8b-instruct}}
  - &second
    model_name: b
    litellm_params: {model: openrouter/mistralai/mistral-7b, api_key: os.environ/OPENROUTER_API_KEY}
  - *second
  - {model_name: "openai/*", litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}}
  - {model_name: embed, litellm_params: {model: text-embedding-3-small, custom_llm_provider: openai, api_base: os.environ/BASE}}
  - {model_name: meta, litellm_params: {model: openai/m, api_base: "http://169.254.169.254/v1"}}
  - {model_name: nowhere, litellm_params: {model: azure/x}}
"#;

fn imported(text: &str) -> Imported {
    let imported = litellm("config.yaml", text).unwrap_or_else(|report| panic!("{report}"));
    let told = format!("{imported:?}");
    assert!(!told.contains(CANARY), "a secret came out: {told}");
    imported
}

/// What the output means, with every variable set that it names.
fn held(imported: &Imported) -> Loaded {
    let mut variables = BTreeMap::new();
    for (_, rest) in imported.yaml.match_indices("${").map(|(at, _)| imported.yaml.split_at(at + 2)) {
        let name = rest.split('}').next().expect("a name").to_owned();
        variables.insert(name.clone(), format!("value of {name}"));
    }
    let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let file = FileText { name: "lockgate.yaml", text: &imported.yaml };
    let surroundings = Surroundings { variables: &variables, read_file: &read_file };
    let inputs = Inputs { file: Some(file), overrides: &Overrides::default(), surroundings, stored: &[] };
    load(&inputs).unwrap_or_else(|report| panic!("{report}\n{}", imported.yaml))
}

/// What came of a setting.
fn fate(imported: &Imported, setting: &str) -> Vec<Fate> {
    imported.items.iter().filter(|item| item.setting == setting).map(|item| item.fate).collect()
}

#[test]
fn a_price_that_is_said_twice_is_the_one_that_litellm_takes() {
    let imported = imported(
        "model_list:\n  - model_name: m\n    model_info: {input_cost_per_token: 2e-06, output_cost_per_token: 3e-06}\n    \
         litellm_params: {model: openai/m, input_cost_per_token: 1e-06}\n",
    );
    let backends = held(&imported).settings.backends;
    let price = backends[0].models.as_ref().expect("listed")["m"].price.clone().expect("a price");
    let price = (price.input.to_string(), price.output.to_string());
    assert_eq!(price, ("0.000001".to_owned(), "0.000003".to_owned()));
    let said = "model_list[0].model_info.input_cost_per_token";
    assert_eq!(fate(&imported, said), [Fate::Unsupported], "{:?}", imported.items);
}

#[test]
fn a_deployment_costs_what_its_base_model_does() {
    let deployment = |base: &str, more: &str| {
        format!(
            "  - model_name: m\n    litellm_params: {{model: azure/eu-1, api_base: \"https://eu.openai.azure.com\", api_key: k{more}}}\n    model_info: {{base_model: {base}}}\n"
        )
    };
    for (base, more, fate_of_base, input) in [
        ("gpt-4o", "", Fate::Changed, Some("0.0000025")),
        ("azure/gpt-4o", "", Fate::Changed, Some("0.0000025")),
        ("nobody-knows-it", "", Fate::Unsupported, None),
        (
            "gpt-4o",
            ", input_cost_per_token: 1e-06, output_cost_per_token: 2e-06",
            Fate::Unsupported,
            Some("0.000001"),
        ),
    ] {
        let imported = imported(&format!("model_list:\n{}", deployment(base, more)));
        let backends = held(&imported).settings.backends;
        let price = backends[0].models.as_ref().expect("listed")["m"].price.clone();
        let price = price.map(|price| price.input.to_string());
        assert_eq!(price.as_deref(), input, "{base}{more}: {}", imported.yaml);
        let fates = fate(&imported, "model_list[0].model_info.base_model");
        assert_eq!(fates, [fate_of_base], "{base}{more}");
    }
}

/// What an account lists is not known before it runs, and hides no name that was given.
#[test]
fn a_backend_for_everything_hides_no_alias() {
    let imported = imported(
        "model_list:\n  - {model_name: \"*\", litellm_params: {model: \"openrouter/*\", api_key: k}}\n  \
         - {model_name: m, litellm_params: {model: openai/m, api_key: k}}\n\
         router_settings: {model_group_alias: {smart: m, fast: other/one}}\n",
    );
    let aliases = held(&imported).settings.aliases;
    assert_eq!(
        (&*aliases["smart"], &*aliases["fast"]),
        (&["m".to_owned()][..], &["other/one".to_owned()][..])
    );
    assert_eq!(fate(&imported, "model_list[0].litellm_params.model"), [Fate::Changed]);
}

#[test]
fn a_picture_costs_what_it_did() {
    let imported = imported(
        "model_list:\n  - model_name: m\n    model_info: {output_cost_per_image: 4e-02, input_cost_per_token: 0, \
         output_cost_per_token: 0}\n    litellm_params: {model: openai/m}\n",
    );
    let backends = held(&imported).settings.backends;
    let price = backends[0].models.as_ref().expect("listed")["m"].price.clone().expect("a price");
    assert_eq!(price.image.to_string(), "0.04");
    let said = "model_list[0].model_info.output_cost_per_image";
    assert_eq!(fate(&imported, said), [Fate::Kept], "{:?}", imported.items);
}

#[test]
fn a_proxy_comes_over() {
    let imported = imported(PROXY);
    let settings = held(&imported).settings;
    let backends: Vec<_> = settings
        .backends
        .iter()
        .map(|spec| (spec.name.as_str(), spec.credential.as_ref().map(Secret::expose), spec.limits.rpm))
        .collect();
    assert_eq!(
        backends,
        [
            ("azure", Some("value of AZURE_API_KEY_EU"), 0),
            ("azure-2", Some("value of AZURE_API_KEY_CA"), 0),
            ("openai", Some("value of OPENAI_API_KEY"), 0),
            ("anthropic", Some("value of ANTHROPIC_API_KEY"), 0),
            ("openai_compatible", Some("value of OPENAI_COMPATIBLE_API_KEY"), 0),
        ]
    );
    let model = |backend: usize, name: &str| {
        settings.backends[backend].models.as_ref().expect("listed")[name].clone()
    };
    assert_eq!(
        (model(1, "gpt-4o").native.as_deref(), model(1, "gpt-4o").limits.tpm),
        (Some("gpt-4o-ca"), Some(40_000))
    );
    assert_eq!(settings.backends[1].deadlines.total.as_millis(), 30_500);
    let mini = model(2, "gpt-4o-mini");
    let price = mini.price.expect("a price");
    assert_eq!(
        (price.input.to_string(), price.output.to_string()),
        ("0.00000015".into(), "0.0000006".into())
    );
    assert_eq!((mini.max_output, mini.context), (Some(16_384), Some(128_000)));
    assert_eq!((settings.backends[3].weight, settings.backends[3].limits.concurrency), (2, Some(8)));
    let aliases: Vec<_> =
        settings.aliases.iter().map(|(name, to)| format!("{name}: {}", to.join(" "))).collect();
    assert_eq!(aliases, ["gpt-4: gpt-4o claude", "gpt-4o: gpt-4o claude local", "sonnet: claude"]);
    assert_eq!(settings.pools[0].strategy, Strategy::Latency);
    assert_eq!(
        (settings.attempts_max, settings.breaker.failures, settings.limits.max_in_flight),
        (3, 3, 100)
    );
    assert_eq!(
        (settings.budgets[0].amount.to_string(), settings.budgets[0].per.name()),
        ("250".into(), "month")
    );
    assert_eq!(settings.keys[0].name, "master");
    for (setting, fates) in [
        ("model_list[0].litellm_params.rpm", &[Fate::Kept][..]),
        ("model_list[2].litellm_params.api_key", &[Fate::Changed]),
        ("model_list[2].model_info.supports_vision", &[Fate::Unsupported]),
        ("model_list[3].litellm_params.api_key", &[Fate::Changed]),
        ("model_list[5].litellm_params.model", &[Fate::Unsupported]),
        ("router_settings.redis_host", &[Fate::Unsupported]),
        ("router_settings.model_group_alias.lost", &[Fate::Unsupported]),
        ("router_settings.model_group_alias.claude", &[Fate::Unsupported]),
        ("router_settings.fallbacks[0].gpt-4o", &[Fate::Unsupported, Fate::Changed]),
        ("router_settings.fallbacks[1].*", &[Fate::Unsupported]),
        ("litellm_settings.success_callback", &[Fate::Unsupported]),
        ("litellm_settings.max_budget", &[Fate::Changed]),
        ("general_settings.database_url", &[Fate::Unsupported]),
        ("environment_variables.LANGFUSE_SECRET_KEY", &[Fate::Unsupported]),
    ] {
        assert_eq!(fate(&imported, setting), fates, "{setting}");
    }
    let place = imported.items.iter().find(|item| item.setting == "general_settings.database_url");
    assert_eq!(place.map(|item| item.at.as_str()), Some("config.yaml:48:3"));
}

#[test]
fn anchors_wildcards_and_what_cannot_be_reached() {
    let imported = imported(ANCHORS);
    let settings = held(&imported).settings;
    let names: Vec<_> = settings.backends.iter().map(|spec| (spec.name.as_str(), spec.enabled)).collect();
    assert_eq!(
        names,
        [
            ("openrouter", true),
            ("openrouter-2", true),
            ("openrouter-3", true),
            ("openai", true),
            ("openai_compatible", false),
            ("openai_compatible-2", false),
            ("azure", false),
        ],
        "{}",
        imported.yaml
    );
    assert_eq!(
        settings.backends[0].models.as_ref().expect("listed")["a"].native.as_deref(),
        Some("meta-llama/llama-3.1-8b-instruct")
    );
    assert!(settings.backends[3].models.is_none(), "whatever it lists");
    assert!(!imported.yaml.contains("169.254"), "the host's own credentials stay where they are");
    assert_eq!(fate(&imported, "x-defaults"), [Fate::Unsupported]);
}

#[test]
fn what_is_no_configuration_is_told_and_never_panics() {
    for text in [
        "",
        "~",
        "model_list:",
        "general_settings: {}",
        "- a\n- b",
        "just words",
        "model_list: [1, {model_name: a}, {litellm_params: {}}]",
    ] {
        let imported = imported(text);
        held(&imported);
    }
    for text in ["model_list: [", "a: *nowhere", "{", "a: &x [*x]\u{0}"] {
        let report = litellm("config.yaml", text).expect_err("it is no YAML");
        assert!(report.to_string().contains("config.yaml"), "{report}");
    }
    let odd = "model_list:\n  - {model_name: 'a b', litellm_params: {model: openai/x}}\n  - {model_name: \"q\\\"}{\", litellm_params: {model: openai/y, rpm: -1, timeout: soon, api_key: 'os.environ/a b'}}\n";
    let imported = imported(odd);
    held(&imported);
    assert_eq!(fate(&imported, "model_list[0]"), [Fate::Unsupported]);
    assert_eq!(fate(&imported, "model_list[1].litellm_params.rpm"), [Fate::Unsupported]);
}

#[test]
fn prices_of_a_token_become_prices_of_a_million_exactly() {
    for (each, million) in [
        ("0.0000025", Some("2.5")),
        ("2.5e-06", Some("2.5")),
        ("1e-5", Some("10")),
        ("1.5E-07", Some("0.15")),
        ("0", Some("0")),
        ("0.0", Some("0")),
        ("1", Some("1000000")),
        ("0.000000000001", Some("0.000001")),
        ("0.0000000000001", None),
        ("-0.1", None),
        ("free", None),
        ("", None),
        ("1e99", None),
        ("1e-99", None),
    ] {
        assert_eq!(per_million(each).as_deref(), million, "{each}");
    }
}
