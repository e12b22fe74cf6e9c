//! Decides what is wrong with a draft, all of it at once; never repairs or drops anything.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::Deadlines;

use super::{
    BackendSpec, BudgetSpec, Draft, KeepaliveRules, KeySecret, KeySpec, POOLS, ProbeRules, Problem,
    TrafficSettings, callers::Keyed,
};
use crate::backend::{BackendKind, Source};
use crate::catalog::{Catalog, DEMO_PREFIX, close_names};
use crate::identity::KeyLimits;
use crate::limit::RetreatRules;
use crate::money::Amount;
use crate::schedule::HedgeRules;

/// A name is a file name, a label and a prefix somewhere; this is short enough for all.
const NAME_BYTES_MAX: usize = 64;
/// As far as a deadline or wait may reach.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// Everything about a draft that can be judged before names are resolved.
pub(super) fn draft(draft: &Draft) -> Vec<Problem> {
    let mut problems = Vec::new();
    pools(draft, &mut problems);
    backends(draft, &mut problems);
    keys(draft, &mut problems);
    budgets(draft, &mut problems);
    settings(&draft.settings, &mut problems);
    problems
}

/// Nobody who waits is sent away by a smaller queue.
pub(super) fn queue(settings: &TrafficSettings, waiting: usize, problems: &mut Vec<Problem>) {
    if settings.queue_max < waiting {
        let message = format!("{} is too few for the {waiting} requests that wait now", settings.queue_max);
        problems.push(Problem::new("limits.queue_max", message));
    }
}

/// Enters the aliases, or says where they lead nowhere.
pub(super) fn aliases(
    catalog: &mut Catalog,
    aliases: &BTreeMap<String, Vec<String>>,
    problems: &mut Vec<Problem>,
) {
    let missing = catalog.alias(aliases);
    for ((name, targets), missing) in aliases.iter().zip(missing) {
        let path = format!("aliases.{name}");
        alias_shape(&path, name, targets, problems);
        // A list that names the model itself is that model with others to fall back on.
        if catalog.maps(name) && !targets.contains(name) {
            problems.push(Problem::new(&path, "is also the name of a model that a backend maps"));
        }
        for target in targets.iter().filter(|target| aliases.contains_key(*target) && !catalog.knows(target))
        {
            let meant = aliases.get(target).and_then(|models| models.first());
            let meant = meant.filter(|model| *model != name && *model != target);
            problems.push(
                Problem::new(&path, format!("leads to `{target}`, which is an alias itself"))
                    .suggesting(meant.map(|model| format!("name the model: `{model}`"))),
            );
        }
        let missing: Vec<String> =
            missing.into_iter().filter(|target| !aliases.contains_key(target)).collect();
        unknown_models(&path, &missing, catalog, problems);
    }
}

/// Enters the keys' own aliases, or says where they or a default model lead nowhere.
pub(super) fn key_models(catalog: &mut Catalog, keys: &[Keyed], problems: &mut Vec<Problem>) {
    for keyed in keys {
        let path = format!("keys[{}]", keyed.index);
        for (name, targets) in &keyed.aliases {
            let path = format!("{path}.aliases.{name}");
            alias_shape(&path, name, targets, problems);
            let missing = catalog.alias_for(keyed.key.slot, name, targets);
            unknown_models(&path, &missing, catalog, problems);
        }
        if let Some(model) = &keyed.key.default_model
            && !keyed.aliases.contains_key(&**model)
            && !catalog.leads(model)
        {
            unknown_models(&format!("{path}.default_model"), &[model.to_string()], catalog, problems);
        }
    }
}

fn alias_shape(path: &str, name: &str, targets: &[String], problems: &mut Vec<Problem>) {
    if name.is_empty() {
        problems.push(Problem::new(path, "has no name"));
    }
    if targets.is_empty() {
        problems.push(Problem::new(path, "leads to no model"));
    }
    if targets.iter().any(|target| target.starts_with(DEMO_PREFIX) != name.starts_with(DEMO_PREFIX)) {
        let message =
            "mixes simulated and real models: names of the former, and only they, begin with `demo/`";
        problems.push(Problem::new(path, message));
    }
}

/// Says which models are unknown, unless some backend may come to list them.
fn unknown_models(path: &str, missing: &[String], catalog: &Catalog, problems: &mut Vec<Problem>) {
    for model in missing {
        if catalog.is_open_ended() && !model.starts_with(DEMO_PREFIX) {
            continue;
        }
        let close = close_names(model, catalog.names());
        problems.push(
            Problem::new(path, format!("no backend serves the model `{model}`"))
                .suggesting(did_you_mean(close.first())),
        );
    }
}

fn did_you_mean(name: Option<&String>) -> Option<String> {
    name.map(|name| format!("did you mean `{name}`?"))
}

fn budgets(draft: &Draft, problems: &mut Vec<Problem>) {
    for (index, spec) in draft.budgets.iter().enumerate() {
        let path = format!("budgets[{index}]");
        let same = |other: &BudgetSpec| (&other.of, other.per) == (&spec.of, spec.per);
        if draft.budgets.iter().take(index).any(same) {
            problems
                .push(Problem::new(&path, format!("is the second one of the same for each {}", spec.per)));
        }
        if spec.amount <= Amount::ZERO {
            problems.push(Problem::new(format!("{path}.amount"), "must be more than nothing"));
        }
    }
}

fn pools(draft: &Draft, problems: &mut Vec<Problem>) {
    twice(
        draft.pools.iter().map(|pool| pool.name.as_str()),
        |index| format!("pools[{index}].name"),
        problems,
    );
    for (index, pool) in draft.pools.iter().enumerate() {
        name(format!("pools[{index}].name"), &pool.name, problems);
    }
}

fn backends(draft: &Draft, problems: &mut Vec<Problem>) {
    let names = draft.backends.iter().map(|backend| backend.name.as_str());
    twice(names, |index| format!("backends[{index}].name"), problems);
    let pools: Vec<&str> =
        POOLS.into_iter().chain(draft.pools.iter().map(|pool| pool.name.as_str())).collect();
    for (index, spec) in draft.backends.iter().enumerate() {
        let path = format!("backends[{index}]");
        backend(&path, spec, problems);
        if !pools.contains(&spec.pool.as_str()) {
            let close = close_names(&spec.pool, pools.iter().copied());
            problems.push(
                Problem::new(format!("{path}.pool"), format!("there is no pool `{}`", spec.pool))
                    .suggesting(did_you_mean(close.first())),
            );
        }
        for (model, mapping) in spec.models.iter().flatten() {
            let path = format!("{path}.models.{model}");
            if model.is_empty() || mapping.native.as_deref() == Some("") {
                problems.push(Problem::new(&path, "a model's name must not be empty"));
            }
            if model.starts_with(DEMO_PREFIX) != (spec.source == Source::Demo) {
                let message = "names of simulated models, and only they, begin with `demo/`";
                problems.push(Problem::new(&path, message));
            }
            if mapping.context == Some(0) || mapping.max_output == Some(0) {
                problems.push(Problem::new(&path, "context and max_output must be at least 1"));
            }
            if mapping.limits.rpm == Some(0) || mapping.limits.tpm == Some(0) {
                let path = format!("{path}.limits");
                problems.push(Problem::new(path, "rpm and tpm must be at least 1, or be left out"));
            }
            for (kind, amount) in mapping.price.iter().flat_map(crate::money::PriceSpec::amounts) {
                if amount < Amount::ZERO {
                    problems.push(Problem::new(format!("{path}.price.{kind}"), "must not be negative"));
                }
            }
        }
    }
}

fn backend(path: &str, spec: &BackendSpec, problems: &mut Vec<Problem>) {
    name(format!("{path}.name"), &spec.name, problems);
    if let Some(label) = &spec.label {
        name(format!("{path}.label"), label, problems);
    }
    let claims_demo = spec.name == "demo" || spec.label.as_deref() == Some("demo");
    if claims_demo && spec.source != Source::Demo {
        problems.push(Problem::new(path, "the name `demo` belongs to the simulated provider"));
    }
    let is_process = spec.kind == BackendKind::Process && spec.base_url.starts_with("process://");
    if !is_process && crate::backend::host_of(&spec.base_url).is_none() {
        let message = format!("`{}` is not an http or https URL", spec.base_url);
        problems.push(Problem::new(format!("{path}.base_url"), message));
    }
    if spec.dialects.as_ref().is_some_and(Vec::is_empty) {
        problems.push(Problem::new(format!("{path}.dialects"), "a backend must speak something"));
    }
    if spec.weight == 0 {
        problems.push(Problem::new(format!("{path}.weight"), "must be at least 1"));
    }
    if spec.limits.concurrency == Some(0) {
        problems.push(
            Problem::new(format!("{path}.limits.concurrency"), "must be at least 1")
                .suggesting(Some("leave it out for no limit, or set enabled: false".to_owned())),
        );
    }
    if spec.limits.burst == Some(0) {
        problems.push(Problem::new(format!("{path}.limits.burst"), "must be at least 1"));
    }
    if spec.limits.tpm == Some(0) {
        problems.push(Problem::new(format!("{path}.limits.tpm"), "must be at least 1"));
    }
    deadlines(&format!("{path}.deadlines"), &spec.deadlines, problems);
}

fn deadlines(path: &str, deadlines: &Deadlines, problems: &mut Vec<Problem>) {
    let Deadlines { connect, first_event, answer, idle, total } = *deadlines;
    for (field, wait) in [
        ("connect", connect),
        ("first_event", first_event),
        ("answer", answer),
        ("idle", idle),
        ("total", total),
    ] {
        if wait.is_zero() || wait > WAIT_MAX {
            problems.push(Problem::new(format!("{path}.{field}"), "must be more than 0 and at most 24 h"));
        } else if wait > total {
            problems.push(Problem::new(format!("{path}.{field}"), "must not be longer than total"));
        }
    }
}

fn keys(draft: &Draft, problems: &mut Vec<Problem>) {
    twice(draft.keys.iter().map(|key| key.id.as_str()), |index| format!("keys[{index}].id"), problems);
    twice(draft.keys.iter().map(|key| key.name.as_str()), |index| format!("keys[{index}].name"), problems);
    twice(
        draft.teams.iter().map(|team| team.name.as_str()),
        |index| format!("teams[{index}].name"),
        problems,
    );
    let mut owners: HashMap<[u8; 32], usize> = HashMap::new();
    for (index, spec) in draft.keys.iter().enumerate() {
        let path = format!("keys[{index}]");
        key(&path, spec, problems);
        if let Some(team) = &spec.team
            && !draft.teams.iter().any(|known| known.name == *team)
        {
            let close = close_names(team, draft.teams.iter().map(|team| team.name.as_str()));
            problems.push(
                Problem::new(format!("{path}.team"), format!("there is no team `{team}`"))
                    .suggesting(did_you_mean(close.first())),
            );
        }
        for secret in &spec.secrets {
            let digest = match secret {
                KeySecret::Plain(secret) => draft.digester.digest(secret.expose()),
                KeySecret::Digest(digest) => digest.clone(),
            };
            let owner = *owners.entry(*digest.bytes()).or_insert(index);
            if owner != index {
                problems.push(Problem::new(&path, format!("has the same secret as keys[{owner}]")));
            }
        }
    }
    for (index, team) in draft.teams.iter().enumerate() {
        name(format!("teams[{index}].name"), &team.name, problems);
        key_limits(&format!("teams[{index}].limits"), team.limits, problems);
        if team.body_bytes_max == Some(0) {
            problems.push(Problem::new(format!("teams[{index}].body_bytes_max"), "must be at least 1"));
        }
    }
}

fn key(path: &str, spec: &KeySpec, problems: &mut Vec<Problem>) {
    for (field, text) in [("id", &spec.id), ("name", &spec.name)] {
        if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            let message = format!("must be 1 to {NAME_BYTES_MAX} bytes of readable text");
            problems.push(Problem::new(format!("{path}.{field}"), message));
        }
    }
    if spec.secrets.is_empty() {
        problems.push(Problem::new(path, "has no secret"));
    }
    let blank = |secret: &KeySecret| match secret {
        KeySecret::Plain(secret) => secret.expose().trim().is_empty(),
        KeySecret::Digest(_) => false,
    };
    if spec.secrets.iter().any(blank) {
        problems.push(Problem::new(path, "has an empty secret"));
    }
    if spec.body_bytes_max == Some(0) {
        problems.push(Problem::new(format!("{path}.body_bytes_max"), "must be at least 1"));
    }
    key_limits(&format!("{path}.limits"), spec.limits, problems);
}

fn key_limits(path: &str, limits: KeyLimits, problems: &mut Vec<Problem>) {
    let none = [
        ("rpm", limits.rpm == Some(0)),
        ("tpm", limits.tpm == Some(0)),
        ("concurrency", limits.concurrency == Some(0)),
    ];
    for (field, _) in none.into_iter().filter(|(_, none)| *none) {
        problems.push(
            Problem::new(format!("{path}.{field}"), "must be at least 1")
                .suggesting(Some("leave it out for no limit, or set enabled: false".to_owned())),
        );
    }
}

fn settings(settings: &TrafficSettings, problems: &mut Vec<Problem>) {
    let wait = |wait: Duration| wait <= WAIT_MAX;
    let within = [
        ("max_in_flight", settings.max_in_flight >= 1, "must be at least 1"),
        ("queue_timeout", wait(settings.queue_timeout), "must be at most 24 h"),
        ("body_max", settings.body_bytes_max >= 1, "must be at least 1"),
        ("image_body_max", settings.image_body_bytes_max >= 1, "must be at least 1"),
        (
            "client_body_timeout",
            wait(settings.client_body_timeout) && !settings.client_body_timeout.is_zero(),
            "must be more than 0 and at most 24 h",
        ),
        ("low_timeout", wait(settings.low_timeout), "must be at most 24 h"),
        (
            "ageing",
            wait(settings.ageing) && !settings.ageing.is_zero(),
            "must be more than 0 and at most 24 h",
        ),
        ("emergency_percent", settings.emergency_percent <= 100, "must be 0 to 100"),
        ("attempts_max", (1..=20).contains(&settings.attempts_max), "must be 1 to 20"),
        ("retry_share_percent", settings.retry_share_percent <= 100, "must be 0 to 100"),
        (
            "cooldown.base",
            !settings.cooldown.base.is_zero() && settings.cooldown.base <= settings.cooldown.max,
            "must be more than 0 and not longer than cooldown.max",
        ),
        ("cooldown.max", wait(settings.cooldown.max), "must be at most 24 h"),
        ("breaker.failures", settings.breaker.failures >= 1, "must be at least 1"),
        (
            "breaker.base",
            !settings.breaker.base.is_zero() && settings.breaker.base <= settings.breaker.max,
            "must be more than 0 and not longer than breaker.max",
        ),
        ("breaker.max", wait(settings.breaker.max), "must be at most 24 h"),
        (
            "breaker.window",
            wait(settings.breaker.window) && !settings.breaker.window.is_zero(),
            "must be more than 0 and at most 24 h",
        ),
        ("breaker.share_percent", (1..=100).contains(&settings.breaker.share_percent), "must be 1 to 100"),
        ("breaker.calls_min", settings.breaker.calls_min >= 1, "must be at least 1"),
    ];
    for (field, _, message) in within.into_iter().filter(|(_, fine, _)| !fine) {
        problems.push(Problem::new(format!("limits.{field}"), message));
    }
    hedging(settings.hedging, problems);
    probe(settings.probe, problems);
    retreat(&settings.adaptive.retreat, problems);
    keepalive(&settings.keepalive, problems);
    if settings.resume.is_some_and(|rules| rules.grace > WAIT_MAX) {
        problems.push(Problem::new("streams.grace".to_owned(), "must be at most 24 h"));
    }
}

fn keepalive(rules: &KeepaliveRules, problems: &mut Vec<Problem>) {
    const STREAM: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(5);
    const PLAIN: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_mins(1);
    let is_outside = |range: RangeInclusive<Duration>, interval: Option<Duration>| {
        interval.is_some_and(|interval| !range.contains(&interval))
    };
    if is_outside(STREAM, rules.stream) {
        problems.push(Problem::new("keepalive.stream".to_owned(), "must be 0, or 1 s to 5 min"));
    }
    let endpoints = rules.endpoints.iter().map(|(path, interval)| (format!("endpoints.{path}"), *interval));
    for (field, interval) in [("nonstream".to_owned(), rules.plain)].into_iter().chain(endpoints) {
        if is_outside(PLAIN, interval) {
            problems.push(Problem::new(format!("keepalive.{field}"), "must be 0, or 5 s to 60 s"));
        }
    }
}

fn hedging(rules: HedgeRules, problems: &mut Vec<Problem>) {
    if !(50..=99).contains(&rules.quantile_percent) {
        problems.push(Problem::new("hedging.quantile", "must be from 0.5 to 0.99"));
    }
    if rules.spend_max_percent > 100 {
        problems.push(Problem::new("hedging.spend_max_percent", "must be 0 to 100"));
    }
}

fn probe(rules: ProbeRules, problems: &mut Vec<Problem>) {
    const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
    if !INTERVAL.contains(&rules.interval) {
        problems.push(Problem::new("probe.interval", "must be 1 s to 1 h"));
    }
    if rules.timeout.is_zero() || rules.timeout > rules.interval {
        problems.push(Problem::new("probe.timeout", "must be more than 0 and at most `probe.interval`"));
    }
}

fn retreat(rules: &RetreatRules, problems: &mut Vec<Problem>) {
    const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
    let within = [
        ("window", WINDOW.contains(&rules.window), "must be 1 s to 1 h"),
        ("calm_for", rules.calm_for <= *WINDOW.end(), "must be at most 1 h"),
        ("factor_percent", (1..=99).contains(&rules.factor_percent), "must be 1 to 99"),
        ("floor_rpm", rules.floor_rpm >= 1, "must be at least 1"),
        ("step_rpm", rules.step_rpm >= 1, "must be at least 1"),
        ("enter_percent", (1..=100).contains(&rules.enter_percent), "must be 1 to 100"),
        ("again_percent", (1..=100).contains(&rules.again_percent), "must be 1 to 100"),
        ("calm_percent", (1..=100).contains(&rules.calm_percent), "must be 1 to 100"),
        ("alert_percent", rules.alert_percent <= 100, "must be 0 to 100"),
    ];
    for (field, _, message) in within.into_iter().filter(|(_, fine, _)| !fine) {
        problems.push(Problem::new(format!("adaptive.retreat.{field}"), message));
    }
}

fn name(path: String, name: &str, problems: &mut Vec<Problem>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        let message = format!("must be 1 to {NAME_BYTES_MAX} letters, digits, `.`, `_` or `-`");
        problems.push(Problem::new(path, message));
    }
}

/// Says which values stand a second time.
fn twice<T: Hash + Eq + std::fmt::Display>(
    values: impl Iterator<Item = T>,
    path: impl Fn(usize) -> String,
    problems: &mut Vec<Problem>,
) {
    let mut seen = HashMap::new();
    for (index, value) in values.enumerate() {
        if let Some(first) = seen.get(&value) {
            problems.push(Problem::new(path(index), format!("`{value}` is already taken by number {first}")));
        } else {
            seen.insert(value, index);
        }
    }
}
