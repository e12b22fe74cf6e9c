//! Prices through the API: what every known model costs and who says so; what was set here stands above the prices file, and
//! that above the built-in table.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use policy::{Amount, PriceSpec, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::directory::{Kind, NewSpec, StoredSpec, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::acting::Acting;
use super::extract::{Asked, Seen, Text, expected_revision, object};
use super::page::Paging;
use super::refusal::Refusal;
use super::role::Role;
use super::span::bounded;
use crate::config::body;
use crate::keygen;
use crate::prices::{PriceEntry, PriceTable, TABLE_VERSION};

/// What a model costs, and who says so.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceView {
    /// Where it was set through the API.
    id: Option<String>,
    /// The provider's own name of the model, alone or behind the provider's.
    model: String,
    /// `built_in`, `file` or `api`.
    source: &'static str,
    /// From when on it holds; from the beginning, where nothing is said.
    #[schema(value_type = Option<i64>)]
    since: Option<Timestamp>,
    /// Why what was stored is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    amounts: Option<PriceAmounts>,
    revision: Option<u64>,
}

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Serialize, ToSchema)]
struct PriceAmounts {
    /// What receipts name it by.
    version: String,
    #[schema(value_type = String)]
    input: Amount,
    #[schema(value_type = Option<String>)]
    cached_input: Option<Amount>,
    #[schema(value_type = Option<String>)]
    cache_write: Option<Amount>,
    #[schema(value_type = Option<String>)]
    cache_write_1h: Option<Amount>,
    #[schema(value_type = String)]
    output: Amount,
    #[schema(value_type = Option<String>)]
    reasoning: Option<Amount>,
    #[schema(value_type = Option<String>)]
    audio_input: Option<Amount>,
    #[schema(value_type = Option<String>)]
    audio_output: Option<Amount>,
    /// Each picture that was made, in US dollars.
    #[schema(value_type = String)]
    image: Amount,
    /// Each call, in US dollars.
    #[schema(value_type = String)]
    request: Amount,
}

/// A page of prices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceList {
    /// The built-in table.
    table: &'static str,
    prices: Vec<PriceView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// How many prices were changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PricesChanged {
    changed: usize,
}

/// Which prices.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// A part of the model's name, however it is spelled; nothing is a part of every one.
    #[param(max_length = 256)]
    search: Option<String>,
    /// Only those of one source.
    #[param(inline)]
    source: Option<PriceSource>,
    /// How many at most; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(max_length = 512)]
    cursor: Option<String>,
}

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PriceSource {
    BuiltIn,
    File,
    Api,
}

impl PriceSource {
    fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// A page is taken over within a second or two; more belong into the prices file.
const PUT_MAX: usize = 10_000;

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list));
    let running = OpenApiRouter::default().routes(routes!(put)).routes(routes!(remove));
    Role::Viewer.may(reading).merge(Role::Operator.may(running))
}

/// Lists prices by model: those set here, of the prices file, and of the built-in table.
#[utoipa::path(
    get, path = "/api/admin/prices",
    params(Search),
    responses((status = 200, description = "A page of prices.", body = PriceList)),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    Asked(asked): Asked<Search>,
) -> Result<Json<PriceList>, Refusal> {
    let now = state.publisher.now();
    let stored = state.directory.specs(Kind::Price).await?;
    let of_api = stored.iter().map(PriceView::stored);
    let loaded = state.publisher.loaded();
    let of_file =
        loaded.settings.prices.iter().map(|entry| PriceView::given(entry.clone(), PriceSource::File));
    let built_in =
        PriceTable::all(now).into_iter().map(|entry| PriceView::given(entry, PriceSource::BuiltIn));
    let wanted = asked.search.as_deref().filter(|text| !text.is_empty());
    let wanted = bounded("search", wanted)?.unwrap_or_default().to_ascii_lowercase();
    let fits = |view: &PriceView| {
        view.model.to_ascii_lowercase().contains(&wanted)
            && asked.source.is_none_or(|source| source.name() == view.source)
    };
    let all = of_api.chain(of_file).chain(built_in).filter(fits).collect();
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    let page = paging.cut(all, |view: &PriceView| {
        format!("{} {} {}", view.model, view.source, view.since.map_or(0, |at| at.0))
    })?;
    Ok(Json(PriceList { table: TABLE_VERSION, prices: page.items, next: page.next }))
}

/// Sets prices, in place of those of the same model and the same beginning; all of them or none.
#[utoipa::path(
    put, path = "/api/admin/prices",
    request_body = ref("#/components/schemas/Prices"),
    responses((status = 200, description = "They are in force, each from its own beginning.", body = PricesChanged)),
)]
pub(crate) async fn put(Acting(state): Acting, Text(text): Text) -> Result<Json<PricesChanged>, Refusal> {
    let whole = object(&text)?;
    let typed = body::prices_body(&text)?;
    let written = whole["prices"].as_array().map(Vec::as_slice).unwrap_or_default();
    if typed.len() > PUT_MAX {
        return Err(Refusal::field("prices", format!("has more than {PUT_MAX} entries")));
    }
    let one = |(entry, spec): (&PriceEntry, &Value)| NewSpec {
        id: keygen::id("price"),
        name: entry.name(),
        spec: spec.clone(),
    };
    let all: Vec<NewSpec> = typed.iter().zip(written).map(one).collect();
    let now = state.publisher.now();
    let copy = all.clone();
    let changed = state
        .publisher
        .edit(
            move |gathered| {
                for NewSpec { id, name, spec } in copy {
                    gathered.prices.retain(|known| known.name != name);
                    gathered.prices.push(StoredSpec {
                        id,
                        name,
                        spec,
                        created: now,
                        updated: now,
                        revision: 0,
                    });
                }
            },
            state.directory.put_specs(Kind::Price, all, now),
        )
        .await?;
    Ok(Json(PricesChanged { changed }))
}

/// Removes a price that was set here: the prices file, or the built-in table, holds again.
#[utoipa::path(
    delete, path = "/api/admin/prices/{id}",
    params(Seen),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(
    Acting(state): Acting,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let stored = state.directory.specs(Kind::Price).await?;
    let stored = stored.into_iter().find(|price| price.id == id || price.name == id);
    let stored = stored.ok_or_else(|| Refusal::not_found("price", &id))?;
    let target = Target { id: &stored.id, revision: expected_revision(&headers)? };
    state
        .publisher
        .edit(
            |gathered| gathered.prices.retain(|price| price.id != stored.id),
            state.directory.remove_spec(Kind::Price, target),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl PriceView {
    fn given(PriceEntry { model, since, spec }: PriceEntry, source: PriceSource) -> Self {
        Self {
            id: None,
            model,
            source: source.name(),
            since,
            problem: None,
            amounts: Some(PriceAmounts::of(spec)),
            revision: None,
        }
    }

    /// What cannot be read any more is shown by the name that it was stored under, so that it can be removed.
    fn stored(stored: &StoredSpec) -> Self {
        let (id, revision) = (Some(stored.id.clone()), Some(stored.revision));
        match body::stored_price(stored) {
            Ok(entry) => Self { id, revision, ..Self::given(entry, PriceSource::Api) },
            Err(report) => Self {
                id,
                model: stored.name.clone(),
                source: PriceSource::Api.name(),
                since: None,
                problem: Some(report.to_string()),
                amounts: None,
                revision,
            },
        }
    }
}

impl PriceAmounts {
    fn of(spec: PriceSpec) -> Self {
        let million = |amount: Amount| amount.times(1_000_000);
        let PriceSpec { version, input, output, image, request, .. } = spec;
        Self {
            version,
            input: million(input),
            cached_input: spec.cached_input.map(million),
            cache_write: spec.cache_write.map(million),
            cache_write_1h: spec.cache_write_1h.map(million),
            output: million(output),
            reasoning: spec.reasoning.map(million),
            audio_input: spec.audio_input.map(million),
            audio_output: spec.audio_output.map(million),
            image,
            request,
        }
    }
}
