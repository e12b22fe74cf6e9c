//! Shows which models can be asked for, who serves them and at which price; an unknown price is called unknown, never zero.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use policy::{Amount, Price, Snapshot};
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::place::Place;
use super::running::{Held, Running};
use crate::args::ModelsArguments;
use crate::output;

/// Who says what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Teller {
    Gateway,
    Configuration,
}

#[derive(Debug, Serialize)]
struct Offer {
    told_by: Teller,
    models: Vec<Model>,
    /// Backends that serve whatever they list, and have not been asked.
    unlisted: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Model {
    id: String,
    owned_by: String,
    backends: Vec<Served>,
}

/// A model on one backend. Prices are US dollars per million tokens.
#[derive(Debug, Serialize)]
struct Served {
    backend: String,
    pool: String,
    native: String,
    input_price: Option<Amount>,
    output_price: Option<Amount>,
    context: Option<u64>,
}

/// What is read of a gateway's list.
#[derive(Debug, Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    owned_by: String,
}

pub(super) async fn run(place: &Place, arguments: ModelsArguments) -> anyhow::Result<ExitCode> {
    let listed = if arguments.configured { None } else { ask(place, &arguments).await? };
    // The configuration here may be broken while a gateway elsewhere is well: then its list is all there is.
    let snapshot = match (known(place, listed.as_deref()).await, &listed) {
        (Ok(snapshot), _) => Some(snapshot),
        (Err(_), Some(_)) => None,
        (Err(error), None) => return Err(error),
    };
    let offer = Offer::of(listed, snapshot.as_deref());
    if arguments.shape.json {
        output::print_json(&offer)?;
    } else {
        tell(&offer)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the running gateway lists; none when there is none, unless one was named.
async fn ask(place: &Place, arguments: &ModelsArguments) -> anyhow::Result<Option<Vec<Listed>>> {
    let running =
        Running::find(place, arguments.target.url.as_deref(), Held::Key(&arguments.target.key_env))?;
    let is_named = arguments.target.url.is_some() || place.variable("LOCKGATE_URL").is_some();
    match running.get("/models").await {
        Ok(told) if told.status.is_success() => {
            let list: List = serde_json::from_slice(&told.body)
                .with_context(|| format!("what {} answers is no list of models", running.address))?;
            Ok(Some(list.data))
        }
        Ok(told) if is_named => Err(running.refused(told.status, &told.request_id, &told.body)),
        Err(failure) if is_named => Err(running.unreached(&failure)),
        Ok(told) => {
            let address = &running.address;
            output::remark(&format!(
                "note: what answers at {address} did not list its models (status {}; a gateway with keys wants one in \
                 LOCKGATE_KEY); this is what the configuration offers",
                told.status.as_u16()
            ));
            Ok(None)
        }
        Err(_) => {
            output::remark(&format!(
                "note: no gateway answers at {}; this is what the configuration offers",
                running.address
            ));
            Ok(None)
        }
    }
}

/// What the configuration says, with what a gateway found out about backends that serve whatever they list.
async fn known(place: &Place, listed: Option<&[Listed]>) -> anyhow::Result<std::sync::Arc<Snapshot>> {
    let desk = Desk::look(place)?;
    let snapshot = desk.snapshot().await?;
    let Some(listed) = listed else { return Ok(snapshot) };
    let mut by_owner: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for model in listed {
        by_owner.entry(&model.owned_by).or_default().push(model.id.clone());
    }
    for backend in snapshot.backends.iter().filter(|backend| backend.enabled && backend.lists_models) {
        if let Some(models) = by_owner.get(&*backend.label) {
            desk.discovered(&backend.name, models.clone()).await?;
        }
    }
    desk.snapshot().await
}

impl Offer {
    fn of(listed: Option<Vec<Listed>>, snapshot: Option<&Snapshot>) -> Self {
        let told_by = if listed.is_some() { Teller::Gateway } else { Teller::Configuration };
        let listed = listed.unwrap_or_else(|| configured(snapshot));
        let models = listed.into_iter().map(|model| Model {
            backends: snapshot.map_or_else(Vec::new, |snapshot| served(snapshot, &model.id)),
            id: model.id,
            owned_by: model.owned_by,
        });
        let unlisted = match (told_by, snapshot) {
            (Teller::Configuration, Some(snapshot)) => unlisted(snapshot),
            (Teller::Configuration, None) | (Teller::Gateway, _) => Vec::new(),
        };
        Self { told_by, models: models.collect(), unlisted }
    }
}

fn configured(snapshot: Option<&Snapshot>) -> Vec<Listed> {
    let listings = snapshot.map(|snapshot| snapshot.catalog.list(snapshot.identity.anonymous()));
    let listed = |listing: policy::ModelListing| Listed {
        id: listing.id.to_string(),
        owned_by: listing.owned_by.to_string(),
    };
    listings.into_iter().flatten().map(listed).collect()
}

fn unlisted(snapshot: &Snapshot) -> Vec<String> {
    let backends = snapshot.backends.iter().filter(|backend| backend.enabled && backend.lists_models);
    backends.map(|backend| backend.name.to_string()).collect()
}

/// Everybody who serves a model, in the order in which they are tried.
fn served(snapshot: &Snapshot, model: &str) -> Vec<Served> {
    let Ok(route) = snapshot.catalog.resolve(model, snapshot.identity.anonymous()) else { return Vec::new() };
    let candidates = route.tiers.iter().flat_map(|tier| tier.candidates.iter().map(move |one| (tier, one)));
    let served = candidates.filter_map(|(tier, candidate)| {
        let million = |amount: fn(&Price) -> Amount| {
            candidate.price.as_deref().map(|price| amount(price).times(1_000_000))
        };
        Some(Served {
            backend: snapshot.backend(candidate.backend)?.name.to_string(),
            pool: tier.pool.to_string(),
            native: candidate.native.to_string(),
            input_price: million(|price| price.input),
            output_price: million(|price| price.output),
            context: candidate.context,
        })
    });
    served.collect()
}

fn tell(offer: &Offer) -> anyhow::Result<()> {
    if offer.models.is_empty() && offer.unlisted.is_empty() {
        output::remark(
            "There is no model: add a backend with `lockgate backends add`, or try `lockgate serve --demo`.",
        );
        return Ok(());
    }
    let rows = offer.models.iter().flat_map(Model::rows);
    if !offer.models.is_empty() {
        let header = ["MODEL", "BACKEND", "POOL", "NATIVE", "USD/M IN", "USD/M OUT", "CONTEXT"];
        output::print(&output::columns(&header, rows))?;
    }
    for backend in &offer.unlisted {
        output::remark(&format!(
            "note: {backend} serves what it lists; `lockgate backends test {backend}` asks it"
        ));
    }
    Ok(())
}

impl Model {
    fn rows(&self) -> Vec<Vec<String>> {
        let unknown = || "unknown".to_owned();
        let price = |amount: Option<Amount>| amount.map_or_else(unknown, |amount| amount.to_string());
        if self.backends.is_empty() {
            let cells = [&self.id, &self.owned_by, "-", "-", "unknown", "unknown", "-"];
            return vec![cells.map(ToOwned::to_owned).to_vec()];
        }
        let rows = self.backends.iter().map(|served| {
            vec![
                self.id.clone(),
                served.backend.clone(),
                served.pool.clone(),
                served.native.clone(),
                price(served.input_price),
                price(served.output_price),
                served.context.map_or_else(|| "-".to_owned(), output::count),
            ]
        });
        rows.collect()
    }
}
