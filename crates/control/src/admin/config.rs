//! Shows the configuration in force, changes its hot settings and reads it again on request; it never shows a
//! secret in clear.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Text, etag, expected_tag, object};
use super::refusal::Refusal;
use super::role::Role;
use crate::config::is_hot;
use crate::publish::{Reloaded, SettingsChange, Standing, Trigger};

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(show));
    let changing = OpenApiRouter::default().routes(routes!(change)).routes(routes!(reload));
    Role::Viewer.may(reading).merge(Role::Operator.may(changing))
}

/// The header by which settings that somebody else changed meanwhile are kept.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only described")]
struct SeenSettings {
    /// The `ETag` that was seen last; `*` or nothing: whatever it is now.
    #[param(rename = "if-match", pattern = r#"^(\*|[0-9a-f]{16}|"[0-9a-f]{16}")$"#)]
    if_match: Option<String>,
}

/// Shows the configuration in force, each setting with where it comes from, and what was wrong with the last change.
#[utoipa::path(
    get, path = "/api/admin/config",
    responses((
        status = 200, description = "How things stand.", body = Standing,
        headers(("etag" = String, description = "The tag of the settings that are shown.")),
    )),
)]
pub(crate) async fn show(State(state): State<AdminState>) -> impl IntoResponse {
    let standing = state.publisher.standing();
    ([(header::ETAG, etag(standing.tag()))], Json(standing))
}

/// Reads the configuration again and takes it into force, whole or not at all.
#[utoipa::path(
    post, path = "/api/admin/reload",
    responses((status = 200, description = "It is in force.", body = Reloaded)),
)]
pub(crate) async fn reload(Acting(state): Acting) -> Result<Json<Reloaded>, Refusal> {
    Ok(Json(state.reloader.reload(Trigger::Request, state.author()).await?))
}

/// Changes the hot settings that the body names, in the shape of the file; null leaves a setting to the defaults again.
#[utoipa::path(
    patch, path = "/api/admin/config",
    params(SeenSettings),
    request_body = ref("#/components/schemas/SettingsPatch"),
    responses((status = 200, description = "It is in force.", body = Reloaded)),
)]
pub(crate) async fn change(
    Acting(state): Acting,
    headers: HeaderMap,
    Text(body): Text,
) -> Result<Response, Refusal> {
    let mut changes = Vec::new();
    scalars("", object(&body)?, &mut changes)?;
    if let Some((cold, _)) = changes.iter().find(|(path, _)| !is_hot(path)) {
        let message = "is no setting that can be changed here; write it in the file and reload";
        return Err(Refusal::field(cold, message));
    }
    let seen = expected_tag(&headers).map(str::to_owned);
    let changed = state.reloader.change(SettingsChange { changes, seen, author: state.author() }).await?;
    let tag = etag(state.publisher.standing().tag());
    Ok(([(header::ETAG, tag)], Json(changed)).into_response())
}

/// The settings that an object names, each by its path. As deep as the parser of JSON goes.
fn scalars(path: &str, value: Value, found: &mut Vec<(String, Option<Value>)>) -> Result<(), Refusal> {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = if path.is_empty() { name } else { format!("{path}.{name}") };
                scalars(&below, value, found)?;
            }
        }
        Value::Null => found.push((path.to_owned(), None)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push((path.to_owned(), Some(value))),
        Value::Array(_) => return Err(Refusal::field(path, "must be a single value")),
    }
    Ok(())
}
