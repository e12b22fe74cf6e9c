//! Backups through the API: made, shown, proven and deleted; a restore needs a gateway that does not run, so it is the
//! command line's.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use store::backup::{BackupFile, BackupVerdict};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::Asked;
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use super::shape;

/// A page of backups, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupList {
    #[schema(value_type = Vec<shape::BackupFile>)]
    backups: Vec<BackupFile>,
    /// Where they are.
    folder: String,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list));
    let running = OpenApiRouter::default().routes(routes!(create)).routes(routes!(verify));
    let removing = OpenApiRouter::default().routes(routes!(remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running)).merge(Role::Admin.may(removing))
}

/// Lists backups, oldest first.
#[utoipa::path(
    get, path = "/api/admin/backups",
    params(Paging),
    responses((status = 200, description = "A page of backups.", body = BackupList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<BackupList>, Refusal> {
    let all = state.records.backups.list().await?;
    let page = paging.cut(all, |backup| backup.name.clone())?;
    let folder = state.records.backups.folder().display().to_string();
    Ok(Json(BackupList { backups: page.items, folder, next: page.next }))
}

/// Makes a backup now, and proves it by opening it. Requests go on meanwhile.
#[utoipa::path(
    post, path = "/api/admin/backups",
    responses((status = 201, description = "It is made and sound.", body = shape::BackupFile)),
)]
pub(crate) async fn create(Acting(state): Acting) -> Result<(StatusCode, Json<BackupFile>), Refusal> {
    let now = state.publisher.now();
    let made = state.records.backups.create(state.author(), now, |_, _| {}).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Opens a backup and looks at all of it.
#[utoipa::path(
    post, path = "/api/admin/backups/{name}/verify",
    params(("name" = String, Path, description = "Its name.", max_length = 64)),
    responses((status = 200, description = "What is in it, and what is wrong with it.", body = shape::BackupVerdict)),
)]
pub(crate) async fn verify(
    State(state): State<AdminState>,
    Path(name): Path<String>,
) -> Result<Json<BackupVerdict>, Refusal> {
    Ok(Json(state.records.backups.verify(&name).await?))
}

/// Deletes a backup.
#[utoipa::path(
    delete, path = "/api/admin/backups/{name}",
    params(("name" = String, Path, description = "Its name.", max_length = 64)),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(Acting(state): Acting, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    state.records.backups.remove(state.author(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
