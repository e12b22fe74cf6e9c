//! What a draft means and what is wrong with one: where names lead, who may take them, and every problem at once.

mod teams;

use std::net::IpAddr;

use super::*;
use crate::access::{Denial, may_enter, may_take, may_use};
use crate::backend::BackendKind;
use crate::catalog::{NoSuchModel, Route};
use crate::identity::{Digester, KeyLimits, Secret};
use crate::money::{Amount, PriceBook, PriceSpec};
use crate::testing::{backend, draft, epoch, key, snapshot, wildcard};
use crate::timestamp::Timestamp;

fn built(draft: Draft) -> Snapshot {
    snapshot(draft, &Live::new())
}

/// Where a name leads: `model@pool: backend=native ...` for each tier, or the close names.
fn leads(snapshot: &Snapshot, key: &Key, asked: &str) -> Vec<String> {
    let tier = |tier: &crate::catalog::Tier| {
        let candidates = tier.candidates.iter().map(|one| {
            let name = &snapshot.backend(one.backend).expect("of this snapshot").name;
            format!(" {name}={}", one.native)
        });
        format!("{}@{}:{}", tier.model, tier.pool, candidates.collect::<String>())
    };
    match snapshot.catalog.resolve(asked, key) {
        Ok(route) => route.tiers.iter().map(tier).collect(),
        Err(NoSuchModel { close, .. }) => vec![format!("close: {}", close.join(" "))],
    }
}

fn check(snapshot: &Snapshot, asked: &str, expected: &[&str]) {
    assert_eq!(leads(snapshot, snapshot.identity.anonymous(), asked), expected, "{asked}");
}

fn route(snapshot: &Snapshot, asked: &str) -> Arc<Route> {
    snapshot.catalog.resolve(asked, snapshot.identity.anonymous()).expect("it leads somewhere")
}

fn in_pool(pool: &str, mut spec: BackendSpec) -> BackendSpec {
    pool.clone_into(&mut spec.pool);
    spec
}

fn listing(models: &[&str], mut spec: BackendSpec) -> BackendSpec {
    spec.discovered = Some(models.iter().map(|model| (*model).to_owned()).collect());
    spec
}

fn demo(name: &str) -> BackendSpec {
    let mut spec = backend(name, &["demo/echo=echo"]);
    (spec.kind, spec.source) = (BackendKind::Demo, Source::Demo);
    spec
}

#[test]
fn mapped_names_lead_through_the_pools_in_order() {
    let mut draft = draft([
        in_pool("spare", backend("d", &["m=d-native"])),
        in_pool("fallback", backend("c", &["m=c-native"])),
        backend("a", &["m=a-native", "n"]),
        backend("b", &["m"]),
    ]);
    draft.pools = vec![PoolSpec { name: "spare".into(), strategy: Strategy::RoundRobin, rank: 7 }];
    let snapshot = built(draft);
    check(&snapshot, "m", &["m@primary: a=a-native b=m", "m@fallback: c=c-native", "m@spare: d=d-native"]);
    check(&snapshot, "n", &["n@primary: a=n"]);
    check(&snapshot, "M", &["close: m"]);
    check(&snapshot, "", &["close: "]);
    let route = route(&snapshot, "m");
    assert_eq!((route.renamed, route.tiers[2].strategy), (false, Strategy::RoundRobin));
}

#[test]
fn an_alias_leads_to_models_in_order_and_is_given_back() {
    let mut draft = draft([
        backend("a", &["big", "small"]),
        in_pool("fallback", backend("b", &["big"])),
        wildcard("free", "https://api.groq.com/openai/v1"),
    ]);
    draft.aliases = [("gpt", vec!["big"]), ("smart", vec!["big", "small"]), ("small", vec!["small", "big"])]
        .into_iter()
        .map(|(name, targets)| (name.to_owned(), targets.into_iter().map(str::to_owned).collect()))
        .collect();
    draft.aliases.insert("fast".into(), vec!["groq/anything".into()]);
    let snapshot = built(draft);
    check(&snapshot, "gpt", &["big@primary: a=big", "big@fallback: b=big"]);
    check(&snapshot, "smart", &["big@primary: a=big", "big@fallback: b=big", "small@primary: a=small"]);
    check(&snapshot, "small", &["small@primary: a=small", "big@primary: a=big", "big@fallback: b=big"]);
    check(&snapshot, "fast", &["anything@primary: free=anything"]);
    let route = route(&snapshot, "smart");
    assert_eq!((&*route.asked, &*route.model, route.renamed), ("smart", "big", true));
}

#[test]
fn some_candidates_come_before_the_others_of_their_model() {
    let mut draft = draft([
        backend("a", &["big", "small"]),
        backend("b", &["big"]),
        in_pool("fallback", backend("c", &["big", "small"])),
        in_pool("fallback", backend("d", &["big"])),
    ]);
    draft.aliases.insert("smart".into(), vec!["big".into(), "small".into()]);
    let snapshot = built(draft);
    let smart = route(&snapshot, "smart");
    let check = |firsts: &[&str], expected: &[&str]| {
        let name =
            |one: &crate::catalog::Candidate| &*snapshot.backend(one.backend).expect("of this snapshot").name;
        let told = smart.first(|one| firsts.contains(&name(one))).map(|route| {
            assert!(route.renamed && route.asked == smart.asked && route.members() == smart.members());
            let tiers = route.tiers.iter().map(|tier| {
                let names: Vec<&str> = tier.candidates.iter().map(name).collect();
                format!("{}@{}: {}", tier.model, tier.pool, names.join(" "))
            });
            tiers.collect::<Vec<_>>()
        });
        assert_eq!(told.unwrap_or_default(), expected, "{firsts:?}");
    };
    let others = ["big@primary: a b", "big@fallback: d", "small@fallback: c", "small@primary: a"];
    check(&["c"], &[&["big@fallback: c"], &others[..]].concat());
    check(
        &["b", "d"],
        &[
            "big@primary: b",
            "big@fallback: d",
            "big@primary: a",
            "big@fallback: c",
            "small@primary: a",
            "small@fallback: c",
        ],
    );
    check(&[], &[]);
    check(&["a", "b", "c", "d"], &[]);
}

#[test]
fn a_prefix_asks_for_that_provider_only() {
    let nvidia = || wildcard("nv", "https://integrate.api.nvidia.com/v1");
    let snapshot = built(draft([
        nvidia(),
        backend("mapped", &["deepseek-v4=deepseek-ai/deepseek-v4-pro", "groq/own-name"]),
        listing(
            &["nvidia/listed-here", "moonshotai/kimi", "deepseek/chat"],
            wildcard("broker", "https://openrouter.ai/api/v1"),
        ),
    ]));
    check(&snapshot, "nvidia/deepseek-ai/v4", &["deepseek-ai/v4@primary: nv=deepseek-ai/v4"]);
    check(&snapshot, "nim/v4", &["v4@primary: nv=v4"]);
    check(&snapshot, "nv/v4", &["v4@primary: nv=v4"]);
    check(&snapshot, "mapped/deepseek-v4", &["deepseek-v4@primary: mapped=deepseek-ai/deepseek-v4-pro"]);
    check(
        &snapshot,
        "mapped/deepseek-ai/deepseek-v4-pro",
        &["deepseek-ai/deepseek-v4-pro@primary: mapped=deepseek-ai/deepseek-v4-pro"],
    );
    check(&snapshot, "groq/own-name", &["groq/own-name@primary: mapped=groq/own-name"]);
    check(&snapshot, "moonshotai/kimi", &["moonshotai/kimi@primary: broker=moonshotai/kimi"]);
    check(&snapshot, "nvidia/listed-here", &["listed-here@primary: nv=listed-here"]);
    check(&snapshot, "openrouter/deepseek/chat", &["deepseek/chat@primary: broker=deepseek/chat"]);
    check(&snapshot, "unknown/name", &["unknown/name@primary: nv=unknown/name"]);

    let own = built(draft([listing(&["nvidia/nemotron", "other"], nvidia())]));
    check(&own, "nvidia/nemotron", &["nvidia/nemotron@primary: nv=nvidia/nemotron"]);
    check(&own, "nvidia/nvidia/nemotron", &["nvidia/nemotron@primary: nv=nvidia/nemotron"]);
    check(&own, "nvidia/other", &["other@primary: nv=other"]);
    check(&own, "nvidia/unlisted", &["unlisted@primary: nv=unlisted"]);
}

#[test]
fn an_unknown_name_goes_to_those_whose_list_nobody_could_read() {
    let unread = || wildcard("unread", "http://127.0.0.1:8080/v1");
    let read = || listing(&["one", "two"], wildcard("read", "http://127.0.0.1:8081/v1"));
    let snapshot = built(draft([backend("mapped", &["m"]), read(), unread(), demo("sim")]));
    check(&snapshot, "anything", &["anything@primary: unread=anything"]);
    check(&snapshot, "one", &["one@primary: read=one"]);
    check(&snapshot, "m", &["m@primary: mapped=m"]);
    let snapshot = built(draft([backend("mapped", &["m"]), read()]));
    check(&snapshot, "twoo", &["close: two"]);
}

#[test]
fn simulated_models_never_mix_with_real_ones() {
    let real = listing(&["demo/echo", "real"], wildcard("real", "http://127.0.0.1:8080/v1"));
    let snapshot = built(draft([real, demo("sim"), wildcard("unread", "http://127.0.0.1:1/v1")]));
    check(&snapshot, "demo/echo", &["demo/echo@primary: sim=echo"]);
    check(&snapshot, "echo", &["echo@primary: unread=echo"]);
    check(&snapshot, "demo/ech", &["close: demo/echo"]);
    let any = |snapshot: &Snapshot| -> Vec<Arc<str>> {
        let candidates = snapshot.catalog.any_route().tiers.iter().flat_map(|tier| &tier.candidates);
        candidates
            .map(|one| Arc::clone(&snapshot.backend(one.backend).expect("of this snapshot").name))
            .collect()
    };
    assert_eq!(any(&snapshot).iter().map(|name| &**name).collect::<Vec<_>>(), ["real", "unread"]);
    let alone = built(draft([demo("sim")]));
    check(&alone, "gpt-4o", &["close: "]);
    assert_eq!(any(&alone).iter().map(|name| &**name).collect::<Vec<_>>(), ["sim"]);
    let listed = {
        let mut spec = listing(&["echo", "demo/slow"], demo("sim"));
        spec.models = None;
        built(draft([spec]))
    };
    check(&listed, "demo/echo", &["demo/echo@primary: sim=echo"]);
    check(&listed, "demo/slow", &["demo/slow@primary: sim=demo/slow"]);
}

#[test]
fn a_key_has_its_own_names_and_sees_only_what_it_may_use() {
    let mut draft = draft([backend("a", &["big", "small", "secret-model"])]);
    let mut narrow = key("narrow");
    narrow.models = vec!["small".into(), "mine".into()];
    narrow.aliases = [("mine".to_owned(), vec!["big".to_owned()])].into();
    narrow.default_model = Some("small".into());
    draft.keys = vec![narrow, key("wide")];
    draft.aliases = [("tiny".to_owned(), vec!["small".to_owned()])].into();
    let snapshot = built(draft);
    let [narrow, wide] = snapshot.identity.keys() else { panic!("two keys") };
    assert_eq!(leads(&snapshot, narrow, "mine"), ["big@primary: a=big"]);
    assert_eq!(leads(&snapshot, narrow, ""), ["small@primary: a=small"]);
    assert_eq!(leads(&snapshot, narrow, "secret-mode"), ["close: "]);
    assert_eq!(leads(&snapshot, wide, "mine"), ["close: "]);
    assert_eq!(leads(&snapshot, wide, "secret-mode"), ["close: secret-model"]);
    let names = |key: &Key| -> Vec<String> {
        snapshot.catalog.list(key).into_iter().map(|listing| listing.id.to_string()).collect()
    };
    assert_eq!(names(narrow), ["mine", "small", "tiny"]);
    assert_eq!(names(wide), ["big", "secret-model", "small", "tiny"]);
    for (asked, allowed) in [("small", true), ("mine", true), ("tiny", true), ("big", false)] {
        let route = snapshot.catalog.resolve(asked, narrow).expect("known");
        assert_eq!(may_take(narrow, &route).is_ok(), allowed, "{asked}");
    }
    assert_eq!(may_use(narrow, "big"), Err(Denial::ModelNotAllowed { model: "big".into() }));
    assert_eq!(may_use(wide, "big"), Ok(()));
}

#[test]
fn only_what_enabled_backends_serve_is_listed() {
    let mut off = backend("off", &["m", "n"]);
    off.enabled = false;
    let mut on = backend("on", &["m"]);
    on.label = Some("corp".into());
    let snapshot = built(draft([on, off]));
    let listings = snapshot.catalog.list(snapshot.identity.anonymous());
    assert_eq!(listings.len(), 1);
    assert_eq!((&*listings[0].id, &*listings[0].owned_by), ("m", "corp"));
    check(&snapshot, "n", &["n@primary: off=n"]);
}

#[test]
fn a_backend_is_probed_where_it_says_else_where_its_vendor_says() {
    let openrouter = "https://openrouter.ai/api/v1";
    for (kind, url, written, path) in [
        ("openai_compatible", "http://localhost:8080/v1", None, "models"),
        ("openai_compatible", "http://localhost:8080/v1", Some("/health"), "/health"),
        ("openai_compatible", openrouter, None, "key"),
        ("openrouter", "https://proxy.example/v1", None, "key"),
        ("openrouter", openrouter, Some("models"), "models"),
        ("nvidia", "https://integrate.api.nvidia.com/v1", None, "models"),
    ] {
        let kind = BackendKind::named(kind).expect("a kind");
        let mut spec = BackendSpec::new("a", kind, url);
        spec.health_path = written.map(str::to_owned);
        let snapshot = built(draft([spec]));
        assert_eq!(&*snapshot.backends[0].health_path, path, "{kind:?} at {url}, {written:?}");
    }
}

#[test]
fn keys_are_found_by_any_of_their_secrets() {
    let mut draft = draft([]);
    let mut rotated = key("lg-new");
    let old = draft.digester.digest("lg-old");
    rotated.secrets.push(KeySecret::Digest(old));
    draft.keys = vec![rotated, key("lg-other")];
    let snapshot = built(draft);
    let found = |secret: &str| snapshot.identity.find(secret).map(|key| &*key.name);
    assert_eq!(found("lg-new"), Some("lg-new"));
    assert_eq!(found("lg-old"), Some("lg-new"));
    assert_eq!(found("lg-other"), Some("lg-other"));
    assert_eq!((found("lg-ne"), found("")), (None, None));
    assert!(!snapshot.identity.is_open());
    assert!(built(Draft::new(Digester::new(&[0; 32]))).identity.is_open());
}

#[test]
fn a_key_is_good_only_here_and_now() {
    let mut draft = draft([]);
    let mut guarded = key("guarded");
    guarded.ip_allow = vec!["10.0.0.0/8".parse().expect("a net"), "::1/128".parse().expect("a net")];
    guarded.expires = Some(Timestamp(1000));
    let mut off = key("off");
    off.enabled = false;
    draft.keys = vec![guarded, off, key("free")];
    let snapshot = built(draft);
    let [guarded, off, free] = snapshot.identity.keys() else { panic!("three keys") };
    for (key, ip, at, expected) in [
        (guarded, "10.1.2.3", 999, Ok(())),
        (guarded, "::ffff:10.1.2.3", 999, Ok(())),
        (guarded, "::1", 999, Ok(())),
        (guarded, "11.1.2.3", 999, Err(Denial::IpNotAllowed)),
        (guarded, "10.1.2.3", 1000, Err(Denial::KeyExpired)),
        (off, "10.1.2.3", 0, Err(Denial::KeyDisabled)),
        (free, "11.1.2.3", i64::MAX, Ok(())),
    ] {
        let ip: IpAddr = ip.parse().expect("an address");
        assert_eq!(may_enter(key, ip, Timestamp(at)), expected, "{} {ip} {at}", key.name);
    }
}

#[test]
fn a_team_narrows_its_keys() {
    let mut draft = draft([backend("a", &["m", "n"])]);
    let mut member = key("member");
    member.team = Some("crew".into());
    member.limits = KeyLimits { rpm: Some(100), tpm: None, concurrency: Some(2) };
    draft.keys = vec![member];
    let limits = KeyLimits { rpm: Some(10), tpm: Some(5), concurrency: Some(9) };
    let crew = TeamSpec {
        name: "crew".into(),
        models: vec!["m".into()],
        limits,
        default_model: Some("m".into()),
        aliases: [("a".to_owned(), vec!["m".to_owned()]), ("b".to_owned(), vec!["m".to_owned()])].into(),
        metadata: [("site", "hq"), ("desk", "1")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        ..TeamSpec::default()
    };
    draft.teams = vec![crew];
    draft.keys[0].aliases = [("b".to_owned(), vec!["n".to_owned(), "m".to_owned()])].into();
    draft.keys[0].metadata = [("desk".to_owned(), "2".to_owned())].into();
    let snapshot = built(draft);
    let member = &snapshot.identity.keys()[0];
    assert_eq!(member.limits, KeyLimits { rpm: Some(100), tpm: None, concurrency: Some(2) });
    assert_eq!(snapshot.identity.teams()[0].limits, limits);
    assert!(may_use(member, "m").is_ok() && may_use(member, "n").is_err());
    assert_eq!(member.default_model.as_deref(), Some("m"), "as its team has it");
    let first = |asked| {
        let route = snapshot.catalog.resolve(asked, member).expect("an alias of the key or its team");
        route.model.to_string()
    };
    assert_eq!((first("a").as_str(), first("b").as_str()), ("m", "n"), "the key's own goes first");
    let metadata: Vec<_> = member.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(metadata, ["desk=2", "site=hq"]);
}

#[test]
fn prices_come_from_the_mapping_then_the_book() {
    let price = |version: &str| PriceSpec { version: version.into(), ..PriceSpec::default() };
    let mut own = backend("own", &["m=native", "n=native", "o"]);
    if let Some(model) = own.models.as_mut().and_then(|models| models.get_mut("m")) {
        model.price = Some(price("mapping"));
    }
    let mut draft = draft([own, wildcard("free", "https://api.groq.com/openai/v1")]);
    draft.prices =
        PriceBook::from_iter([("native", price("book").price()), ("groq/native", price("groq").price())]);
    let snapshot = built(draft);
    for (asked, version) in
        [("m", Some("mapping")), ("n", Some("book")), ("o", None), ("groq/native", Some("groq"))]
    {
        let candidate = &route(&snapshot, asked).tiers[0].candidates[0];
        assert_eq!(candidate.price.as_ref().map(|price| &*price.version), version, "{asked}");
    }
}

#[test]
fn ids_stay_with_names_over_reloads() {
    let live = Live::new();
    let first = snapshot(draft([backend("a", &["m"]), backend("b", &["m"])]), &live);
    let second = snapshot(draft([backend("c", &["m"]), backend("b", &["m"])]), &live);
    let id = |snapshot: &Snapshot, name: &str| snapshot.backend_named(name).map(|backend| backend.id);
    assert_eq!(id(&first, "b"), id(&second, "b"));
    assert_ne!(id(&first, "a"), id(&second, "c"));
    assert!(second.backend(id(&first, "a").expect("it was there")).is_none());
}

fn problems(draft: Draft) -> Vec<String> {
    let problems = Snapshot::build(draft, &Live::new(), 1, epoch()).expect_err("something is wrong with it");
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn every_problem_is_told_at_once() {
    let mut draft = draft([]);
    let mut broken = BackendSpec::new("a b", BackendKind::OpenAi, "ftp://x");
    broken.weight = 0;
    broken.limits.concurrency = Some(0);
    broken.deadlines.idle = broken.deadlines.total * 2;
    broken.pool = "primry".into();
    let mut again = backend("twin", &["", "demo/x", "m"]);
    if let Some(model) = again.models.as_mut().and_then(|models| models.get_mut("m")) {
        model.context = Some(0);
        model.price = Some(PriceSpec { input: Amount(-1), ..PriceSpec::default() });
    }
    draft.backends = vec![broken, again, backend("twin", &[]), backend("demo", &[])];
    let mut lost = key("k");
    lost.team = Some("crw".into());
    lost.limits.rpm = Some(0);
    lost.secrets.push(KeySecret::Plain(Secret::from(" ")));
    let mut same = key("k2");
    same.secrets = vec![KeySecret::Plain(Secret::from("k"))];
    draft.keys = vec![lost, same];
    draft.teams = vec![TeamSpec { name: "crew".into(), ..TeamSpec::default() }];
    draft.settings.attempts_max = 0;
    draft.settings.cooldown.base = draft.settings.cooldown.max * 2;
    assert_eq!(
        problems(draft),
        [
            "backends[2].name: `twin` is already taken by number 1",
            "backends[0].name: must be 1 to 64 letters, digits, `.`, `_` or `-`",
            "backends[0].base_url: `ftp://x` is not an http or https URL",
            "backends[0].weight: must be at least 1",
            "backends[0].limits.concurrency: must be at least 1 \
             (leave it out for no limit, or set enabled: false)",
            "backends[0].deadlines.idle: must not be longer than total",
            "backends[0].pool: there is no pool `primry` (did you mean `primary`?)",
            "backends[1].models.: a model's name must not be empty",
            "backends[1].models.demo/x: names of simulated models, and only they, begin with `demo/`",
            "backends[1].models.m: context and max_output must be at least 1",
            "backends[1].models.m.price.input: must not be negative",
            "backends[3]: the name `demo` belongs to the simulated provider",
            "keys[0]: has an empty secret",
            "keys[0].limits.rpm: must be at least 1 (leave it out for no limit, or set enabled: false)",
            "keys[0].team: there is no team `crw` (did you mean `crew`?)",
            "keys[1]: has the same secret as keys[0]",
            "limits.attempts_max: must be 1 to 20",
            "limits.cooldown.base: must be more than 0 and not longer than cooldown.max",
        ]
    );
}

#[test]
fn names_that_lead_nowhere_are_problems_while_all_names_are_known() {
    let aliases = || -> BTreeMap<String, Vec<String>> {
        [
            ("typo", vec!["modl"]),
            ("chain", vec!["good"]),
            ("good", vec!["model"]),
            ("model", vec!["other"]),
            ("none", vec![]),
            ("mixed", vec!["demo/echo"]),
        ]
        .into_iter()
        .map(|(name, targets)| (name.to_owned(), targets.into_iter().map(str::to_owned).collect()))
        .collect()
    };
    let mut strict = draft([backend("a", &["model", "other"]), demo("sim")]);
    strict.aliases = aliases();
    let mut lost = key("k");
    lost.default_model = Some("othr".into());
    lost.aliases = [("x".to_owned(), vec!["nothing-like-it".to_owned()])].into();
    strict.keys = vec![lost];
    assert_eq!(
        problems(strict),
        [
            "aliases.chain: leads to `good`, which is an alias itself (name the model: `model`)",
            "aliases.mixed: mixes simulated and real models: names of the former, and only they, begin with `demo/`",
            "aliases.model: is also the name of a model that a backend maps",
            "aliases.none: leads to no model",
            "aliases.typo: no backend serves the model `modl` (did you mean `model`?)",
            "keys[0].aliases.x: no backend serves the model `nothing-like-it`",
            "keys[0].default_model: no backend serves the model `othr` (did you mean `other`?)",
        ]
    );
    let mut open = draft([backend("a", &["model"]), wildcard("any", "http://127.0.0.1:8080/v1")]);
    open.aliases = [("later".to_owned(), vec!["not-listed-yet".to_owned()])].into();
    check(&built(open), "later", &["not-listed-yet@primary: any=not-listed-yet"]);
}
