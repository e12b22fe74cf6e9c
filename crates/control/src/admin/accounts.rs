//! Who local processes are signed in as, through the API: accounts go into the vault and take effect at once, and whatever is
//! stored can be taken away; those that the file or the environment gives are told of, never changed, and no secret is shown.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use policy::Secret;
use serde::Serialize;
use serde_json::Value;
use store::directory::{NewAccount, StoredAccount};
use store::{Directory, StoreError};
use tokio::sync::SemaphorePermit;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acting::Acting;
use super::extract::{Text, merge, object};
use super::refusal::Refusal;
use super::role::Role;
use super::{AdminState, origin};
use crate::config::{ProcessAccount, ProcessInstance, ProcessPool, body};

/// What is shown of a password, of which every letter says too much.
const MASK: &str = "***";

/// Who a local process is to be signed in as.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = InstanceAccount)]
pub(crate) struct AccountView {
    /// Whose account it is.
    instance: String,
    /// Who gave it: `file`, `env` or `api`; nothing where it has none.
    source: Option<&'static str>,
    /// What it signs in with: `password`, `token` or `key`.
    signs_in_with: Option<&'static str>,
    username: Option<String>,
    /// Masked.
    password: Option<String>,
    /// Masked.
    token: Option<String>,
    /// Masked.
    access_key: Option<String>,
    /// Masked.
    secret_key: Option<String>,
    organization: Option<String>,
    /// Why it cannot be used, when what is stored does not hold any more.
    problem: Option<String>,
}

/// An account that is stored, and whom it serves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredInstanceAccount)]
pub(crate) struct StoredView {
    /// The place it is for: a pool of local processes and the number of the instance in it, as in `lingma/1`.
    place: String,
    /// The instance that is signed in with it; nothing where it serves none.
    instance: Option<String>,
    /// What it signs in with: `password`, `token` or `key`; nothing where it cannot be read.
    signs_in_with: Option<&'static str>,
    /// Why it serves none.
    problem: Option<String>,
}

/// All accounts that are stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredInstanceAccounts)]
pub(crate) struct StoredList {
    accounts: Vec<StoredView>,
}

/// An instance that runs, as far as its account is concerned.
struct Seat {
    name: String,
    /// Where its account is stored: instances are counted through all pools, so their names may move.
    place: String,
    given: Option<(&'static str, ProcessAccount)>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let own = routes!(account, set_account, change_account, remove_account);
    Role::Admin
        .may(OpenApiRouter::default().routes(own).routes(routes!(all_stored)).routes(routes!(remove_stored)))
}

/// Lists all accounts of local processes that are stored, also those of instances that are no more.
#[utoipa::path(
    get, path = "/api/admin/instance-accounts",
    responses((status = 200, description = "The stored accounts.", body = StoredList)),
)]
async fn all_stored(State(state): State<AdminState>) -> Result<Json<StoredList>, Refusal> {
    let mut pools = state.publisher.started_with().settings.processes.clone();
    let stored = state.directory.accounts().await?;
    let views = stored.into_iter().map(|stored| {
        let served = served(&stored, &mut pools);
        let StoredAccount { place, account } = stored;
        let signs_in_with =
            body::stored_account(account.expose()).ok().map(|account| account.signs_in_with());
        match served {
            Ok((one, _)) => {
                StoredView { place, instance: Some(one.name.clone()), signs_in_with, problem: None }
            }
            Err(problem) => StoredView { place, instance: None, signs_in_with, problem: Some(problem) },
        }
    });
    Ok(Json(StoredList { accounts: views.collect() }))
}

/// Forgets a stored account by its place, whether there is such an instance or not. One that is signed in with it is signed out.
#[utoipa::path(
    delete, path = "/api/admin/instance-accounts/{id}",
    params(("id" = String, Path, description = "The place that it is for, as in `lingma/1`.")),
    responses((status = 204, description = "It is forgotten.")),
)]
async fn remove_stored(Acting(state): Acting, Path(at): Path<String>) -> Result<StatusCode, Refusal> {
    let loaded = state.publisher.started_with();
    let instance = loaded.settings.processes.iter().find_map(|pool| instance_at(pool, &at));
    let _turn = state.publisher.turn().await;
    state.directory.remove_account(&at).await?;
    // One that the file or the environment gives an account keeps that.
    if let Some(instance) = instance.filter(|instance| instance.account.is_none()) {
        state.instances.set_account(&instance.name, None);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Shows whose a local process is; secrets only masked.
#[utoipa::path(
    get, path = "/api/admin/instances/{id}/account",
    params(("id" = String, Path, description = "The instance's name.")),
    responses((status = 200, description = "Whose it is.", body = AccountView)),
)]
async fn account(
    State(state): State<AdminState>,
    Path(name): Path<String>,
) -> Result<Json<AccountView>, Refusal> {
    let seat = seat(&state, &name)?;
    if let Some((source, given)) = &seat.given {
        return Ok(Json(AccountView::of(&seat, source, given)));
    }
    let Some(stored) = stored(&state, &seat).await? else {
        return Ok(Json(AccountView { instance: seat.name, ..AccountView::default() }));
    };
    Ok(Json(match body::stored_account(stored.expose()) {
        Ok(account) => AccountView::of(&seat, origin(policy::Source::Api), &account),
        Err(report) => AccountView {
            instance: seat.name,
            source: Some(origin(policy::Source::Api)),
            problem: Some(report.to_string()),
            ..AccountView::default()
        },
    }))
}

/// Gives a local process an account, in place of any before. Whoever had it before is signed out.
#[utoipa::path(
    put, path = "/api/admin/instances/{id}/account",
    params(("id" = String, Path, description = "The instance's name.")),
    request_body = ref("#/components/schemas/ProcessAccount"),
    responses((status = 200, description = "It is in force.", body = AccountView)),
)]
async fn set_account(
    Acting(state): Acting,
    Path(name): Path<String>,
    Text(text): Text,
) -> Result<Json<AccountView>, Refusal> {
    Change::begin(&state, &name).await?.put(&object(&text)?).await
}

/// Changes what the body names of an account that was given here; null takes a part away. A new password signs nobody out.
#[utoipa::path(
    patch, path = "/api/admin/instances/{id}/account",
    params(("id" = String, Path, description = "The instance's name.")),
    request_body = ref("#/components/schemas/ProcessAccountPatch"),
    responses((status = 200, description = "It is in force.", body = AccountView)),
)]
async fn change_account(
    Acting(state): Acting,
    Path(name): Path<String>,
    Text(text): Text,
) -> Result<Json<AccountView>, Refusal> {
    let change = Change::begin(&state, &name).await?;
    let patch = object(&text)?;
    refuse_masked(&patch)?;
    let stored = stored(&state, &change.seat).await?;
    let stored = stored.ok_or_else(|| Refusal::not_found("account of", &name))?;
    let mut whole: Value = serde_json::from_str(stored.expose()).unwrap_or_default();
    merge(&mut whole, patch);
    change.put(&whole).await
}

/// Takes the account of a local process away, and signs it out.
#[utoipa::path(
    delete, path = "/api/admin/instances/{id}/account",
    params(("id" = String, Path, description = "The instance's name.")),
    responses((status = 204, description = "It is nobody's.")),
)]
async fn remove_account(Acting(state): Acting, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    let Change { seat, _turn, .. } = Change::begin(&state, &name).await?;
    state.directory.remove_account(&seat.place).await?;
    state.instances.set_account(&seat.name, None);
    Ok(StatusCode::NO_CONTENT)
}

/// A change of one account that may be made here. Each waits for the one before: what is stored last is what the instance is
/// given last.
struct Change<'a> {
    state: &'a AdminState,
    seat: Seat,
    _turn: SemaphorePermit<'a>,
}

impl<'a> Change<'a> {
    async fn begin(state: &'a AdminState, name: &str) -> Result<Self, Refusal> {
        let seat = own(state, name)?;
        Ok(Self { state, seat, _turn: state.publisher.turn().await })
    }

    /// Stores an account, and hands it to its instance.
    async fn put(self, whole: &Value) -> Result<Json<AccountView>, Refusal> {
        let Self { state, seat, _turn } = self;
        refuse_masked(whole)?;
        let text = whole.to_string();
        let account = body::account_body(&text)?;
        let (place, kind) = (seat.place.clone(), account.signs_in_with());
        let new = NewAccount { place, kind, account: Secret::new(text) };
        state.directory.put_account(new, state.publisher.now()).await?;
        state.instances.set_account(&seat.name, Some(&account));
        Ok(Json(AccountView::of(&seat, origin(policy::Source::Api), &account)))
    }
}

/// A masked value is what we show, never what anybody signs in with.
fn refuse_masked(given: &Value) -> Result<(), Refusal> {
    for field in ["password", "token", "access_key", "secret_key"] {
        let text = given.get(field).and_then(Value::as_str).unwrap_or_default();
        // People choose passwords; nobody chooses the others.
        let is_masked = text == MASK || (field != "password" && text.contains(MASK));
        if is_masked {
            return Err(Refusal::field(field, "is a masked value; leave it out to keep the stored one"));
        }
    }
    Ok(())
}

/// What is stored for an instance.
async fn stored(state: &AdminState, seat: &Seat) -> Result<Option<Secret>, Refusal> {
    let all = state.directory.accounts().await?;
    Ok(all.into_iter().find(|one| one.place == seat.place).map(|one| one.account))
}

/// The instance of that name, where its account may be changed here.
fn own(state: &AdminState, name: &str) -> Result<Seat, Refusal> {
    let seat = seat(state, name)?;
    match &seat.given {
        Some((source, _)) => {
            let place = if *source == origin(policy::Source::Env) { "environment" } else { source };
            let detail =
                format!("this account comes from the {place}; change it there, and start the gateway again");
            Err(Refusal::new(StatusCode::CONFLICT, "read_only", detail))
        }
        None => Ok(seat),
    }
}

/// The instance of that name, by the settings that it was started with.
fn seat(state: &AdminState, name: &str) -> Result<Seat, Refusal> {
    let loaded = state.publisher.started_with();
    let settings = &loaded.settings;
    let found = settings.processes.iter().find_map(|pool| {
        let number = pool.instances.iter().position(|one| one.name == name)?;
        Some((pool, number, pool.instances.get(number)?))
    });
    let (pool, number, instance) = found.ok_or_else(|| Refusal::not_found("instance", name))?;
    let source = settings.backends.iter().find(|backend| backend.name == name).map(|backend| backend.source);
    let source = origin(source.unwrap_or(policy::Source::File));
    Ok(Seat {
        name: instance.name.clone(),
        place: place(pool, number),
        given: instance.account.clone().map(|account| (source, account)),
    })
}

/// Where the account of an instance is stored.
fn place(pool: &ProcessPool, number: usize) -> String {
    format!("{}/{}", pool.name, number + 1)
}

/// The instance of a pool whose account is stored there.
fn instance_at<'p>(pool: &'p ProcessPool, at: &str) -> Option<&'p ProcessInstance> {
    let mut numbered = pool.instances.iter().enumerate();
    numbered.find(|(number, _)| place(pool, *number) == at).map(|(_, instance)| instance)
}

/// The instance that a stored account serves, or why it serves none.
fn served<'p>(
    stored: &StoredAccount,
    pools: &'p mut [ProcessPool],
) -> Result<(&'p mut ProcessInstance, ProcessAccount), String> {
    let found = pools.iter_mut().find_map(|pool| {
        let number = (0..pool.instances.len()).find(|number| place(pool, *number) == stored.place)?;
        pool.instances.get_mut(number)
    });
    let instance = found.ok_or("there is no such instance")?;
    if instance.account.is_some() {
        return Err(format!("another account is written for {}", instance.name));
    }
    let account = body::stored_account(stored.account.expose()).map_err(|report| report.to_string())?;
    Ok((instance, account))
}

/// Gives the instances of these pools the accounts that are stored for them; those that are written stay. What cannot be used is
/// told, and keeps nobody from starting.
pub async fn assign(pools: &mut [ProcessPool], directory: &Directory) -> Result<Vec<String>, StoreError> {
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let mut unused = Vec::new();
    for stored in directory.accounts().await? {
        match served(&stored, pools) {
            Ok((instance, account)) => instance.account = Some(account),
            Err(problem) => unused.push(format!("{}: {problem}", stored.place)),
        }
    }
    Ok(unused)
}

impl AccountView {
    fn of(seat: &Seat, source: &'static str, account: &ProcessAccount) -> Self {
        let view = Self {
            instance: seat.name.clone(),
            source: Some(source),
            signs_in_with: Some(account.signs_in_with()),
            ..Self::default()
        };
        match account {
            ProcessAccount::Password(username, _) => {
                Self { username: Some(username.clone()), password: Some(MASK.to_owned()), ..view }
            }
            ProcessAccount::Token(token, organization) => {
                Self { token: Some(token.masked()), organization: organization.clone(), ..view }
            }
            ProcessAccount::Key(access_key, _, organization) => Self {
                access_key: Some(access_key.masked()),
                secret_key: Some(MASK.to_owned()),
                organization: organization.clone(),
                ..view
            },
        }
    }
}
