//! Reads what an API call or the directory says of a backend or a key, by the same rules as the file; it never
//! resolves `${VAR}` or `file:`, which would let a caller read the host.

use policy::{
    BackendSpec, BudgetSpec, CaptureSpec, Deadlines, KeyLimits, KeySecret, KeySpec, Secret, Source, TeamSpec,
    Timestamp,
};
use serde_json::Value as Json;
use store::directory::StoredSpec;

use super::backend;
use super::bind::{Bind, Binder, References, Table, choice, shape};
use super::callers;
use super::check::Checker;
use super::file::{self, Class};
use super::leaf::{ModelName, Moment, Name, Network, OneOrMany, Text};
use super::money;
use super::problem::{Problem, Report};
use super::process::{self, ProcessAccount};
use super::quantity::{Count, Size, Span};
use super::read::{self, Format, Place};
use super::tree::{Node, Path};
use crate::prices::PriceEntry;

shape! {
    /// What an API call says of a gateway key; its secret is made, never given.
    pub(crate) struct KeyBody {
        /// What people call it.
        pub name: Name,
        /// The team it belongs to.
        pub team: Option<Name>,
        /// Requests per minute.
        pub rpm: Option<Count<1, 10_000_000>>,
        /// Tokens per minute.
        pub tpm: Option<Count<1, 1_000_000_000_000>>,
        /// Requests at once.
        pub concurrency: Option<Count<1, 1_000_000>>,
        /// Models it may use; `*` stands for any run of characters.
        pub models: Option<Vec<ModelName>>,
        /// What it may ask for.
        pub endpoints: Option<Vec<file::EndpointName>>,
        /// Addresses it may be used from.
        pub ip_allow: Option<Vec<Network>>,
        /// The best class it may ask for.
        pub priority_max: Option<Class>,
        /// Its share of what frees up while several keys wait in one class.
        pub weight: Option<Count<1, 100>>,
        /// Whether what a dialect cannot carry is refused.
        pub strict: Option<bool>,
        /// The model of a request that names none.
        pub default_model: Option<ModelName>,
        /// Other names for models, for this key alone.
        pub aliases: Option<Table<OneOrMany<ModelName>>>,
        /// What it pays, in US dollars per million tokens, for a model whose price nobody knows.
        pub unpriced: Option<file::Price>,
        /// The longest body it may send.
        pub body_max: Option<Size<1024, { 4 << 30 }>>,
        /// Tags that each of its receipts bears.
        pub metadata: Option<file::Metadata>,
        /// What people should remember of it.
        pub note: Option<Text>,
        /// When it stops being valid.
        pub expires: Option<Moment>,
        /// Whether it is in use.
        pub enabled: Option<bool>,
    }
}

shape! {
    /// What an API call says of a key's rotation.
    pub(crate) struct RotateBody {
        /// How long the old secret stays valid. Default: 0s.
        pub grace: Option<Span<0, { 90 * 86_400_000 }>>,
    }
}

shape! {
    /// What an API call says of requests to capture: those of a key, those for a model, or, where it names neither, all.
    pub(crate) struct CaptureRuleBody {
        /// The key whose requests are captured.
        pub key: Option<Name>,
        /// The model, by any name that is asked for.
        pub model: Option<ModelName>,
        /// When it ends; this or `lasts`.
        pub until: Option<Moment>,
        /// How long it goes on; this or `until`.
        pub lasts: Option<Span<1000, { 7 * 86_400_000 }>>,
    }
}

choice! {
    /// What an admin token may do.
    pub(crate) enum TokenRole {
        /// Looks, and changes nothing.
        Viewer = "viewer",
        /// Runs the gateway: no secrets, no tokens, no vault.
        Operator = "operator",
        /// Everything.
        Admin = "admin",
    }
}

shape! {
    /// What an API call says of an admin token; its secret is made, never given.
    pub(crate) struct TokenBody {
        /// What people call it.
        pub name: Name,
        /// What it may do.
        pub role: TokenRole,
        /// When it stops being valid.
        pub expires: Option<Moment>,
    }
}

/// Reads a backend. `pools` are the ones it may be in.
pub(crate) fn backend_body(text: &str, pools: &[&str]) -> Result<file::Backend, Report> {
    backend_from(&Place::Request, text, pools)
}

fn backend_from(place: &Place, text: &str, pools: &[&str]) -> Result<file::Backend, Report> {
    let (typed, tree) = bind::<file::Backend>(place, text)?;
    let mut report = Report::default();
    Checker { tree: &tree, report: &mut report }.backend(&typed, &Path::default(), Some(pools));
    if typed.kind.as_ref().is_some_and(|kind| kind.0 == "process") {
        report.add(Problem {
            origin: tree.origin.clone(),
            path: Path::dotted("kind"),
            message: "local processes are started by what the file says".to_owned(),
            suggestion: None,
        });
    }
    if report.is_empty() { Ok(typed) } else { Err(report) }
}

/// Reads a key.
pub(crate) fn key_body(text: &str) -> Result<KeyBody, Report> {
    bind(&Place::Request, text).map(|(typed, _)| typed)
}

shape! {
    /// What an API call says of an alias.
    pub(crate) struct AliasBody {
        /// The name that clients ask for.
        pub name: ModelName,
        /// The models it leads to, in the order in which they are tried.
        pub targets: OneOrMany<ModelName>,
    }
}

impl AliasBody {
    /// The models it leads to.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.0.iter().map(|target| target.0.clone()).collect()
    }
}

/// Reads an alias.
pub(crate) fn alias_body(text: &str) -> Result<AliasBody, Report> {
    bind(&Place::Request, text).map(|(typed, _)| typed)
}

/// A whole body again of what is kept beside its name.
pub(crate) fn with_name(kept: &Json, name: &str) -> Json {
    let mut body = kept.clone();
    if let Json::Object(fields) = &mut body {
        fields.insert("name".to_owned(), Json::String(name.to_owned()));
    }
    body
}

/// What an alias of the directory leads to.
pub(crate) fn stored_alias(stored: &StoredSpec) -> Result<Vec<String>, Report> {
    let body = with_name(&stored.spec, &stored.name);
    bind::<AliasBody>(&Place::Stored, &body.to_string()).map(|(typed, _)| typed.targets())
}

/// Reads a rule of what to capture.
pub(crate) fn capture_rule_body(text: &str) -> Result<CaptureRuleBody, Report> {
    bind(&Place::Request, text).map(|(typed, _)| typed)
}

/// A rule of the directory as a snapshot needs it.
pub(crate) fn stored_capture_rule(stored: &StoredSpec) -> Result<CaptureSpec, Report> {
    let (typed, _) = bind::<CaptureRuleBody>(&Place::Stored, &stored.spec.to_string())?;
    Ok(CaptureSpec {
        key: typed.key.map(|key| key.as_str().to_owned()),
        model: typed.model.map(|model| model.0),
        // One without an end would go on for ever; none can be made, and none is believed.
        until: typed.until.map_or(Timestamp(0), |until| until.0),
    })
}

/// Reads an admin token.
pub(crate) fn token_body(text: &str) -> Result<TokenBody, Report> {
    bind(&Place::Request, text).map(|(typed, _)| typed)
}

/// Reads a rotation; no body at all is one without grace.
pub(crate) fn rotate_body(text: &str) -> Result<RotateBody, Report> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    bind(&Place::Request, text).map(|(typed, _)| typed)
}

fn bind<T: Bind>(place: &Place, text: &str) -> Result<(T, Node), Report> {
    let mut report = Report::default();
    let Some(tree) = read::read(text, Format::Json, place, &mut report) else {
        return Err(report);
    };
    let mut binder = Binder::new(References::Refused);
    let typed = T::bind(&tree, &mut binder);
    report.absorb(binder.report);
    match typed {
        Some(typed) if report.is_empty() => Ok((typed, tree)),
        Some(_) | None => Err(report),
    }
}

/// A backend of the directory as a snapshot needs it.
pub(crate) fn stored_backend(
    stored: &store::directory::StoredBackend,
    pools: &[&str],
    common: Deadlines,
) -> Result<BackendSpec, Report> {
    let mut body = with_name(&stored.spec, &stored.name);
    if let Json::Object(fields) = &mut body {
        fields.insert("enabled".to_owned(), Json::Bool(stored.enabled));
    }
    let typed = backend_from(&Place::Stored, &body.to_string(), pools)?;
    let mut spec = backend::backend(&typed, common, Source::Api).ok_or_else(Report::default)?;
    spec.credential = stored.credential.clone();
    Ok(spec)
}

/// A key of the directory as a snapshot needs it. `secrets` are the digests that count now.
pub(crate) fn stored_key(
    stored: &store::directory::StoredKey,
    limits: &Json,
    secrets: Vec<KeySecret>,
) -> Result<KeySpec, Report> {
    let body = with_name(limits, &stored.name);
    let (typed, _) = bind::<KeyBody>(&Place::Stored, &body.to_string())?;
    Ok(KeySpec {
        id: stored.id.clone(),
        name: stored.name.clone(),
        secrets,
        team: stored.team.clone(),
        models: typed.models.iter().flatten().map(|model| model.0.clone()).collect(),
        endpoints: callers::endpoints(typed.endpoints.as_deref()),
        ip_allow: typed.ip_allow.iter().flatten().map(|network| network.0).collect(),
        limits: KeyLimits {
            rpm: typed.rpm.map(Count::get32),
            tpm: typed.tpm.map(|count| count.0),
            concurrency: typed.concurrency.map(Count::get32),
        },
        priority_max: callers::class(typed.priority_max),
        weight: typed.weight.map_or(1, Count::get32),
        strict: typed.strict.unwrap_or(false),
        default_model: typed.default_model.as_ref().map(|model| model.0.clone()),
        aliases: callers::aliases(typed.aliases.as_ref()),
        body_bytes_max: typed.body_max.map(|size| size.0),
        ceiling: typed.unpriced.as_ref().map(backend::ceiling),
        metadata: callers::metadata(typed.metadata.as_ref()),
        note: typed.note.as_ref().map(|note| note.0.clone()),
        expires: stored.expires,
        enabled: stored.enabled,
        source: Source::Api,
    })
}

/// Reads a team.
pub(crate) fn team_body(text: &str) -> Result<TeamSpec, Report> {
    bind::<file::Team>(&Place::Request, text).map(|(typed, _)| callers::team(&typed, Source::Api))
}

/// A team of the directory as a snapshot needs it.
pub(crate) fn stored_team(stored: &StoredSpec) -> Result<TeamSpec, Report> {
    let body = with_name(&stored.spec, &stored.name);
    bind::<file::Team>(&Place::Stored, &body.to_string()).map(|(typed, _)| callers::team(&typed, Source::Api))
}

/// Reads a budget.
pub(crate) fn budget_body(text: &str) -> Result<BudgetSpec, Report> {
    budget_from(&Place::Request, text)
}

/// A budget of the directory as a snapshot needs it.
pub(crate) fn stored_budget(stored: &StoredSpec) -> Result<BudgetSpec, Report> {
    budget_from(&Place::Stored, &stored.spec.to_string())
}

fn budget_from(place: &Place, text: &str) -> Result<BudgetSpec, Report> {
    let (typed, tree) = bind::<file::Budget>(place, text)?;
    let mut report = Report::default();
    Checker { tree: &tree, report: &mut report }.budget(&typed, &Path::default());
    if report.is_empty() { Ok(money::budget(&typed)) } else { Err(report) }
}

/// Reads prices.
pub(crate) fn prices_body(text: &str) -> Result<Vec<PriceEntry>, Report> {
    bind::<file::Prices>(&Place::Request, text).map(|(typed, _)| money::entries(&typed, "api"))
}

/// A price of the directory as a snapshot needs it.
pub(crate) fn stored_price(stored: &StoredSpec) -> Result<PriceEntry, Report> {
    bind::<file::ModelPrice>(&Place::Stored, &stored.spec.to_string())
        .map(|(typed, _)| money::entry(&typed, "api"))
}

/// Reads an account of a local process.
pub(crate) fn account_body(text: &str) -> Result<ProcessAccount, Report> {
    account_from(&Place::Request, text)
}

/// An account of the directory.
pub(crate) fn stored_account(text: &str) -> Result<ProcessAccount, Report> {
    account_from(&Place::Stored, text)
}

fn account_from(place: &Place, text: &str) -> Result<ProcessAccount, Report> {
    let (typed, tree) = bind::<file::ProcessAccount>(place, text)?;
    let mut report = Report::default();
    Checker { tree: &tree, report: &mut report }.account(&typed, &Path::default());
    process::account(&typed).filter(|_| report.is_empty()).ok_or(report)
}

/// The credential that a backend's body gives.
pub(crate) fn credential(typed: &file::Backend) -> Option<Secret> {
    typed.api_key.as_ref().map(|key| key.0.clone())
}
