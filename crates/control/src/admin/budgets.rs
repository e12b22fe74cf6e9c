//! Budgets through the API: what may be spent, what was and what is held; those that the file defines are only shown.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use policy::{Amount, BudgetOf, BudgetSpec, BudgetStatus, Period, Source, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::directory::{Kind, SpecChange, StoredSpec, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, object};
use super::page::{Page, Paging};
use super::refusal::Refusal;
use super::resource::{self, Found, Provenance, Resource, Spec};
use super::role::Role;
use crate::config::body;
use crate::publish::Gathered;

/// A budget and how it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetView {
    /// Its name says whose it is, and in what time: there is one of each.
    #[serde(flatten)]
    provenance: Provenance,
    key: Option<String>,
    team: Option<String>,
    #[schema(value_type = Option<String>)]
    amount: Option<Amount>,
    #[schema(value_type = Option<String>)]
    per: Option<Period>,
    /// Spent in this period.
    #[schema(value_type = Option<String>)]
    spent: Option<Amount>,
    /// Held for requests that are not settled.
    #[schema(value_type = Option<String>)]
    reserved: Option<Amount>,
    /// What a further request may cost.
    #[schema(value_type = Option<String>)]
    left: Option<Amount>,
    /// When this period began.
    #[schema(value_type = Option<i64>)]
    since: Option<Timestamp>,
    /// When it begins anew.
    #[schema(value_type = Option<i64>)]
    resets_at: Option<Timestamp>,
}

/// A page of budgets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetList {
    budgets: Vec<BudgetView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(show));
    let running =
        OpenApiRouter::default().routes(routes!(create)).routes(routes!(change)).routes(routes!(remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running))
}

/// Lists every budget, with what is spent and held.
#[utoipa::path(
    get, path = "/api/admin/budgets",
    params(Paging),
    responses((status = 200, description = "A page of budgets.", body = BudgetList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<BudgetList>, Refusal> {
    let Page { items: budgets, next } = resource::list::<Budgets>(&state, &paging).await?;
    Ok(Json(BudgetList { budgets, next }))
}

/// Shows one budget and how it stands.
#[utoipa::path(
    get, path = "/api/admin/budgets/{id}",
    responses((status = 200, description = "The budget.", body = BudgetView)),
)]
pub(crate) async fn show(
    State(state): State<AdminState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    resource::show::<Budgets>(&state, &id).await
}

/// Makes a budget. What was spent in its running period is read from the ledger.
#[utoipa::path(
    post, path = "/api/admin/budgets",
    request_body = ref("#/components/schemas/Budget"),
    responses((status = 201, description = "It is in force.", body = BudgetView)),
)]
pub(crate) async fn create(Acting(state): Acting, Text(text): Text) -> Result<Response, Refusal> {
    resource::create_spec::<Budgets>(&state, &text).await
}

/// Changes what the body names of a budget that was made here. A changed amount keeps what is spent and held.
#[utoipa::path(
    patch, path = "/api/admin/budgets/{id}",
    params(Seen),
    request_body = ref("#/components/schemas/BudgetPatch"),
    responses((status = 200, description = "It is in force.", body = BudgetView)),
)]
pub(crate) async fn change(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, Refusal> {
    resource::change_spec::<Budgets>(&state, &id, &headers, &text).await
}

/// Removes a budget that was made here. What was spent stays recorded.
#[utoipa::path(
    delete, path = "/api/admin/budgets/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    resource::remove::<Budgets>(&state, &id, &headers).await
}

struct Budgets;

impl Resource for Budgets {
    const NOUN: &'static str = "budget";
    type Given = BudgetSpec;
    type Stored = StoredSpec;
    type Beside = Standing;
    type View = BudgetView;

    fn given(state: &AdminState) -> Vec<BudgetSpec> {
        state.publisher.loaded().settings.budgets.clone()
    }

    fn name_of(given: &BudgetSpec) -> String {
        given.name()
    }

    fn source_of(_: &BudgetSpec) -> Source {
        Source::File
    }

    async fn stored(directory: &Directory) -> Result<Vec<StoredSpec>, StoreError> {
        directory.specs(Kind::Budget).await
    }

    fn among(gathered: &mut Gathered) -> &mut Vec<StoredSpec> {
        &mut gathered.budgets
    }

    async fn forget(directory: &Directory, target: Target<'_>) -> Result<(), StoreError> {
        directory.remove_spec(Kind::Budget, target).await
    }

    async fn beside(state: &AdminState) -> Result<Standing, Refusal> {
        Ok(Standing::of(state))
    }

    fn view(found: &Found<Self>, standing: &Standing) -> BudgetView {
        match found {
            Found::Given(given) => standing.given(given),
            Found::Stored(stored) => standing.stored(stored),
        }
    }
}

impl Spec for Budgets {
    const KIND: Kind = Kind::Budget;

    fn read(text: &str) -> Result<SpecChange, Refusal> {
        Ok(SpecChange { name: body::budget_body(text)?.name(), spec: object(text)? })
    }

    /// Its name says whose it is, and is not given.
    fn whole(stored: &StoredSpec) -> Value {
        stored.spec.clone()
    }
}

/// How all budgets in force stand, by name.
struct Standing(HashMap<Arc<str>, BudgetStatus>);

impl Standing {
    fn of(state: &AdminState) -> Self {
        let all = state.live.budget_status(state.publisher.now());
        Self(all.into_iter().map(|status| (Arc::clone(&status.budget.id), status)).collect())
    }

    fn given(&self, spec: &BudgetSpec) -> BudgetView {
        self.view(Provenance::given(&spec.name(), Source::File), Some(spec))
    }

    fn stored(&self, stored: &StoredSpec) -> BudgetView {
        let spec = body::stored_budget(stored);
        self.view(Provenance::stored(stored, &spec), spec.as_ref().ok())
    }

    fn view(&self, provenance: Provenance, spec: Option<&BudgetSpec>) -> BudgetView {
        let (key, team) = match spec.map(|spec| &spec.of) {
            None | Some(BudgetOf::Gateway) => (None, None),
            Some(BudgetOf::Team(team)) => (None, Some(team.clone())),
            Some(BudgetOf::Key(key)) => (Some(key.clone()), None),
        };
        let amount = spec.map(|spec| spec.amount);
        let status = spec.and_then(|spec| self.0.get(spec.name().as_str()));
        let left = |status: &BudgetStatus| {
            let left = amount?.saturating_sub(status.spent).saturating_sub(status.reserved);
            Some(left.max(Amount::ZERO))
        };
        BudgetView {
            provenance,
            key,
            team,
            amount,
            per: spec.map(|spec| spec.per),
            spent: status.map(|status| status.spent),
            reserved: status.map(|status| status.reserved),
            left: status.and_then(left),
            since: status.and_then(|status| status.since),
            resets_at: status.and_then(|status| status.resets_at),
        }
    }
}
