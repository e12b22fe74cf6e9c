//! Shows what would become of a request that came now, and for each backend why or why not; it never makes one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use policy::{Class, Explanation, Key, Snapshot, Want};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::Asked;
use super::refusal::Refusal;
use super::role::Role;
use super::shape;
use super::span::bounded;
use crate::publish::moment;

/// The request that is asked about.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// The model it names.
    #[param(min_length = 1, max_length = 256)]
    model: String,
    /// The key it would come with, by name or id; left out: none.
    #[param(min_length = 1, max_length = 256)]
    key: Option<String>,
    /// Its `x-priority`.
    #[param(value_type = Option<shape::Class>, inline)]
    class: Option<Class>,
    /// What tells its session from others, such as its `user` field.
    #[param(min_length = 1, max_length = 256)]
    session: Option<String>,
    /// Tokens it may use, prompt and answer.
    #[serde(default)]
    #[param(required = false)]
    tokens: u32,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(show)))
}

/// Shows what would become of a request that came now, and for each backend why or why not.
#[utoipa::path(
    get, path = "/api/admin/explain",
    params(Question),
    responses((status = 200, description = "The decision, and every candidate.", body = shape::Explanation)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Asked(question): Asked<Question>,
) -> Result<Json<Explanation>, Refusal> {
    let unready = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "nothing is published yet");
    let snapshot = state.publisher.snapshot().ok_or_else(unready)?;
    bounded("model", Some(&question.model))?;
    bounded("key", question.key.as_deref())?;
    bounded("session", question.session.as_deref())?;
    let want = want(&snapshot, &question)?;
    Ok(Json(state.live.explain(&want, moment())))
}

fn want(snapshot: &Snapshot, question: &Question) -> Result<Want, Refusal> {
    let key = caller(snapshot, question.key.as_deref())?;
    let route = snapshot.catalog.resolve(&question.model, key);
    let route = route.map_err(|unknown| Refusal::field("model", unknown.to_string()))?;
    policy::may_take(key, &route).map_err(|denial| Refusal::field("model", denial.to_string()))?;
    let plain = Want::plain(route, key, moment() + snapshot.settings.queue_timeout);
    let class = question.class.unwrap_or_default().capped(key.priority_max);
    let want = Want { class, tokens: u64::from(question.tokens), ..plain };
    Ok(match &question.session {
        Some(session) => want.in_session(session),
        None => want,
    })
}

fn caller<'s>(snapshot: &'s Snapshot, named: Option<&str>) -> Result<&'s Arc<Key>, Refusal> {
    let Some(named) = named else { return Ok(snapshot.identity.anonymous()) };
    let is_named = |key: &&Arc<Key>| &*key.name == named || &*key.id == named;
    snapshot.identity.keys().iter().find(is_named).ok_or_else(|| Refusal::field("key", "names no key"))
}
