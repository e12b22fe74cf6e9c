//! Which requests are captured: rules that administrators make, each with an end. They end by themselves, or are ended; none
//! is ever without an end.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use policy::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use store::audit::Author;
use store::directory::{Kind, NewSpec, SpecChange, StoredSpec, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::AdminState;
use super::super::acting::Acting;
use super::super::extract::{Asked, Text};
use super::super::page::Paging;
use super::super::refusal::Refusal;
use super::super::role::Role;
use crate::config::body;
use crate::keygen;

/// Far more than anybody watches at once.
const RULES_MAX: usize = 100;
/// No rule is forgotten for longer than that.
const LASTS_MAX: Duration = Duration::from_hours(7 * 24);

/// Requests that are captured: those of a key, those for a model, or, where it names neither, all.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureRuleView {
    id: String,
    /// The name of the key.
    key: Option<String>,
    /// The model, by any name that is asked for.
    model: Option<String>,
    /// When it ends by itself.
    #[schema(value_type = i64)]
    until: Timestamp,
    #[schema(value_type = i64)]
    created: Timestamp,
}

/// A page of rules.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureRuleList {
    rules: Vec<CaptureRuleView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AdminState> {
    let ruling = OpenApiRouter::default().routes(routes!(create_rule)).routes(routes!(remove_rule));
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list_rules))).merge(Role::Admin.may(ruling))
}

/// Lists what is captured now.
#[utoipa::path(
    get, path = "/api/admin/captures/rules",
    params(Paging),
    responses((status = 200, description = "A page of rules.", body = CaptureRuleList)),
)]
async fn list_rules(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<CaptureRuleList>, Refusal> {
    let (now, stored) = (state.publisher.now(), state.directory.specs(Kind::CaptureRule).await?);
    let in_force = stored.iter().filter_map(CaptureRuleView::of).filter(|rule| rule.until > now);
    let page = paging.cut(in_force.collect(), |rule: &CaptureRuleView| rule.id.clone())?;
    Ok(Json(CaptureRuleList { rules: page.items, next: page.next }))
}

/// Captures the requests of a key, those for a model, or all, for a while. A rule for the same requests is replaced.
#[utoipa::path(
    post, path = "/api/admin/captures/rules",
    request_body = ref("#/components/schemas/CaptureRuleBody"),
    responses((status = 201, description = "They are captured from now on.", body = CaptureRuleView)),
)]
async fn create_rule(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    let typed = body::capture_rule_body(&text)?;
    let now = state.publisher.now();
    let until = end(&typed, now)?;
    let key = typed.key.as_ref().map(|key| known_key(&state, key.as_str())).transpose()?;
    let model = typed.model.map(|model| model.0);
    let name = target(key.as_deref(), model.as_deref());
    let mut spec = Map::from_iter([("until".to_owned(), Value::String(until.to_utc()))]);
    spec.extend(key.map(|key| ("key".to_owned(), Value::String(key))));
    spec.extend(model.map(|model| ("model".to_owned(), Value::String(model))));
    let stored = put(&state, name, Value::Object(spec)).await?;
    let view = CaptureRuleView::of(&stored).ok_or_else(|| Refusal::not_found("rule", &stored.id))?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Ends a rule before its time. What it captured stays.
#[utoipa::path(
    delete, path = "/api/admin/captures/rules/{id}",
    responses((status = 204, description = "Nothing more is captured by it.")),
)]
async fn remove_rule(Acting(state): Acting, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let stored = state.directory.specs(Kind::CaptureRule).await?;
    let named = stored.into_iter().find(|rule| rule.id == id);
    let named = named.ok_or_else(|| Refusal::not_found("capture rule", &id))?;
    let target = Target { id: &named.id, revision: None };
    state
        .publisher
        .edit(
            |gathered| gathered.capture_rules.retain(|rule| rule.id != named.id),
            state.directory.remove_spec(Kind::CaptureRule, target),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn end(typed: &body::CaptureRuleBody, now: Timestamp) -> Result<Timestamp, Refusal> {
    let until = match (&typed.until, &typed.lasts) {
        (Some(until), None) => until.0,
        (None, Some(lasts)) => now.after(lasts.0),
        (None, None) => return Err(Refusal::field("lasts", "is needed, or `until`: a rule has an end")),
        (Some(_), Some(_)) => return Err(Refusal::field("lasts", "and `until` both say when it ends")),
    };
    if until <= now {
        return Err(Refusal::field("until", "is past"));
    }
    if until > now.after(LASTS_MAX) {
        return Err(Refusal::field("until", "is more than 7 days away"));
    }
    Ok(until)
}

/// The name of a key that exists, given by its name or its id.
fn known_key(state: &AdminState, named: &str) -> Result<String, Refusal> {
    let snapshot = state.publisher.snapshot();
    let mut keys = snapshot.iter().flat_map(|snapshot| snapshot.identity.keys());
    let found = keys.find(|key| *key.name == *named || *key.id == *named).map(|key| key.name.to_string());
    found.ok_or_else(|| Refusal::field("key", "is no key of this gateway"))
}

/// What people call a rule; there is one of each.
fn target(key: Option<&str>, model: Option<&str>) -> String {
    match (key, model) {
        (None, None) => "all requests".to_owned(),
        (Some(key), None) => format!("key {key}"),
        (None, Some(model)) => format!("model {model}"),
        (Some(key), Some(model)) => format!("key {key}, model {model}"),
    }
}

/// Stores a rule in the place of the one for the same requests. Rules that are over go first.
async fn put(state: &AdminState, name: String, spec: Value) -> Result<StoredSpec, Refusal> {
    let now = state.publisher.now();
    let (in_force, over): (Vec<_>, Vec<_>) = state
        .directory
        .specs(Kind::CaptureRule)
        .await?
        .into_iter()
        .partition(|rule| CaptureRuleView::of(rule).is_some_and(|rule| rule.until > now));
    let gateway = state.directory.by(Author::gateway());
    for rule in over {
        gateway.remove_spec(Kind::CaptureRule, Target { id: &rule.id, revision: None }).await?;
    }
    if let Some(same) = in_force.iter().find(|rule| rule.name == name) {
        let change = SpecChange { name, spec };
        let (copy, target) = (change.clone(), Target { id: &same.id, revision: Some(same.revision) });
        let replace = |rule: &mut StoredSpec| {
            if rule.id == same.id {
                rule.spec.clone_from(&copy.spec);
            }
        };
        let changed = state.directory.change_spec(Kind::CaptureRule, target, change, now);
        return Ok(state
            .publisher
            .edit(|gathered| gathered.capture_rules.iter_mut().for_each(replace), changed)
            .await?);
    }
    if in_force.len() >= RULES_MAX {
        let detail = format!("there are {RULES_MAX} rules already; end one first");
        return Err(Refusal::new(StatusCode::CONFLICT, "too_many", detail));
    }
    let new = NewSpec { id: keygen::id("capture"), name, spec };
    let NewSpec { id, name, spec } = new.clone();
    let candidate = StoredSpec { id, name, spec, created: now, updated: now, revision: 0 };
    let added = state.directory.add_spec(Kind::CaptureRule, new, now);
    Ok(state.publisher.edit(|gathered| gathered.capture_rules.push(candidate), added).await?)
}

impl CaptureRuleView {
    /// Nothing, where what is stored is no rule any more.
    fn of(stored: &StoredSpec) -> Option<Self> {
        let spec = body::stored_capture_rule(stored).ok()?;
        Some(Self {
            id: stored.id.clone(),
            key: spec.key,
            model: spec.model,
            until: spec.until,
            created: stored.created,
        })
    }
}
