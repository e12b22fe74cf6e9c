//! Shows how budgets stand; never changes one: they are written in the configuration.

use axum::Json;
use axum::extract::State;
use policy::BudgetStatus;
use serde::Serialize;

use super::AdminState;

/// Every budget in force.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    budgets: Vec<BudgetStatus>,
}

pub(crate) async fn list(State(state): State<AdminState>) -> Json<Listing> {
    Json(Listing { budgets: state.live.budget_status(state.publisher.now()) })
}
