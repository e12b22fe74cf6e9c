//! Shows how budgets stand; never changes one: they are written in the configuration.

use axum::Json;
use axum::extract::State;
use policy::BudgetStatus;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::role::Role;

/// Every budget in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetList {
    #[schema(value_type = Vec<Object>)]
    budgets: Vec<BudgetStatus>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    Role::Viewer.may(OpenApiRouter::default().routes(routes!(list)))
}

/// Lists every budget in force, with what is spent and held.
#[utoipa::path(
    get, path = "/api/admin/budgets",
    responses((status = 200, description = "All budgets.", body = BudgetList)),
)]
pub(crate) async fn list(State(state): State<AdminState>) -> Json<BudgetList> {
    Json(BudgetList { budgets: state.live.budget_status(state.publisher.now()) })
}
