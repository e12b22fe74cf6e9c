//! Local processes through the API: how each is, and what helps when it is not well; never what they are signed in with.

use std::future::Future;
use std::pin::Pin;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AdminState;
use super::extract::{Asked, Text, object};
use super::refusal::{Problem, Refusal};
use super::role::Role;
use crate::config::ProcessAccount;

/// Something that is under way.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps local processes; the server plugs it in.
pub trait Instances: Send + Sync {
    /// All of them.
    fn list(&self) -> Vec<InstanceStatus>;

    /// Starts one again; false where there is none of that name.
    fn restart(&self, name: &str) -> bool;

    /// Forgets what went wrong with one, and starts it if it does not run.
    fn reset(&self, name: &str) -> bool;

    /// Makes one somebody's, or nobody's; whoever had it before is signed out. False where there is none of that name.
    fn set_account(&self, name: &str, account: Option<&ProcessAccount>) -> bool;

    /// Begins to sign one in; nothing where there is none of that name.
    fn log_in<'a>(&'a self, name: &'a str) -> Doing<'a, Option<Begun>>;

    /// Completes a login with the address at which a browser ended; an error is fit for operators.
    fn paste_back<'a>(&'a self, name: &'a str, address: &'a str) -> Doing<'a, Option<Result<(), String>>>;
}

/// Where none are kept: in a command that looks at a store nobody serves from.
pub struct NoInstances;

impl Instances for NoInstances {
    fn list(&self) -> Vec<InstanceStatus> {
        Vec::new()
    }

    fn restart(&self, _: &str) -> bool {
        false
    }

    fn reset(&self, _: &str) -> bool {
        false
    }

    fn set_account(&self, _: &str, _: Option<&ProcessAccount>) -> bool {
        false
    }

    fn log_in<'a>(&'a self, _: &'a str) -> Doing<'a, Option<Begun>> {
        Box::pin(std::future::ready(None))
    }

    fn paste_back<'a>(&'a self, _: &'a str, _: &'a str) -> Doing<'a, Option<Result<(), String>>> {
        Box::pin(std::future::ready(None))
    }
}

/// What became of the wish to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It has begun.
    Running,
    /// It had before.
    AlreadyRunning,
    /// There is nothing to do.
    SignedIn,
    /// The instance cannot do that now.
    Unable,
}

/// One local process.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceStatus {
    /// Its name, which is also its backend's.
    pub id: String,
    /// What sort of program it is.
    pub profile: &'static str,
    /// `stopped`, `starting`, `ready`, `reconnecting`, `failed`, `closed`.
    pub state: &'static str,
    /// Whether it takes turns.
    pub ready: bool,
    /// Who it is signed in as.
    pub login: InstanceLogin,
    /// Turns that run.
    pub in_flight: usize,
    /// Turns whose pushes are heard; none at rest.
    pub turns_heard: usize,
    /// How long it has run.
    pub uptime_s: Option<u64>,
    /// How often it was started again after an end of its own.
    pub restarts: u32,
    /// Its process.
    pub process: Option<u32>,
    /// The port of its socket.
    pub socket_port: Option<u16>,
    /// The port of its HTTP server.
    pub http_port: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What it printed last, without what looks like a secret.
    pub last_lines: Vec<String>,
}

/// Who a local process is signed in as.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct InstanceLogin {
    /// `unknown`, `not_needed`, `signed_out`, `running`, `needs_human`, `failed`, `signed_in`.
    pub state: &'static str,
    /// Why, or how far.
    pub reason: Option<&'static str>,
    /// Whether one that has failed is tried again without being told to: `never`, `later`, `next_request`.
    pub retry: Option<&'static str>,
    /// The page to be opened by a person.
    pub url: Option<String>,
    /// The account's id.
    pub id: Option<String>,
    /// The account's name.
    pub name: Option<String>,
}

/// The local processes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceList {
    instances: Vec<InstanceStatus>,
}

/// An order that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceOrder)]
pub(crate) struct Taken {
    /// Always true.
    ok: bool,
    instance: String,
}

/// A login that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceLoginBegun)]
pub(crate) struct LoginBegun {
    /// Always true.
    ok: bool,
    /// `running`, `already_running`, `already_logged_in`.
    state: &'static str,
    instance: String,
}

/// The address at which a browser ended.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = InstanceLoginPaste)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pasted {
    #[schema(max_length = 16384)]
    text: String,
}

/// How the logins stand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceLogins)]
pub(crate) struct Logins {
    instances: Vec<LoginStanding>,
}

/// How one login stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceLoginStanding)]
pub(crate) struct LoginStanding {
    instance: String,
    state: &'static str,
    reason: Option<&'static str>,
    id: Option<String>,
    name: Option<String>,
}

/// Far above any address that a login ends at.
const ADDRESS_CHARS_MAX: usize = 16_384;

/// Which instance is meant.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Its name; left out: the first.
    #[param(min_length = 1, max_length = 256)]
    instance: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    let reading = OpenApiRouter::default().routes(routes!(list)).routes(routes!(login_status));
    let running = OpenApiRouter::default().routes(routes!(restart)).routes(routes!(reset));
    let signing = OpenApiRouter::default()
        .routes(routes!(log_in))
        .routes(routes!(paste_back))
        .routes(routes!(start_login));
    Role::Viewer.may(reading).merge(Role::Operator.may(running)).merge(Role::Admin.may(signing))
}

fn unknown(name: &str) -> Refusal {
    Refusal::not_found("instance", name)
}

fn done(found: Option<()>, name: &str) -> Result<Json<Taken>, Refusal> {
    found.map(|()| Json(Taken { ok: true, instance: name.to_owned() })).ok_or_else(|| unknown(name))
}

/// Lists all local processes, as they are now.
#[utoipa::path(
    get, path = "/api/admin/instances",
    responses((status = 200, description = "The local processes.", body = InstanceList)),
)]
pub(crate) async fn list(State(state): State<AdminState>) -> Json<InstanceList> {
    Json(InstanceList { instances: state.instances.list() })
}

/// Starts a local process again. Turns that run on it are cut.
#[utoipa::path(
    post, path = "/api/admin/instances/{id}/restart",
    params(("id" = String, Path, description = "Its name.", max_length = 256)),
    responses((status = 200, description = "It will be.", body = Taken)),
)]
pub(crate) async fn restart(
    State(state): State<AdminState>,
    Path(name): Path<String>,
) -> Result<Json<Taken>, Refusal> {
    done(state.instances.restart(&name).then_some(()), &name)
}

/// Forgets what went wrong with a local process, and starts it if it does not run.
#[utoipa::path(
    post, path = "/api/admin/instances/{id}/reset",
    params(("id" = String, Path, description = "Its name.", max_length = 256)),
    responses((status = 200, description = "It will be.", body = Taken)),
)]
pub(crate) async fn reset(
    State(state): State<AdminState>,
    Path(name): Path<String>,
) -> Result<Json<Taken>, Refusal> {
    done(state.instances.reset(&name).then_some(()), &name)
}

/// Begins to sign a local process in.
#[utoipa::path(
    post, path = "/api/admin/instances/{id}/login",
    params(("id" = String, Path, description = "Its name.", max_length = 256)),
    responses((status = 200, description = "What became of it.", body = LoginBegun)),
)]
pub(crate) async fn log_in(
    State(state): State<AdminState>,
    Path(name): Path<String>,
) -> Result<Json<LoginBegun>, Refusal> {
    begin(&state, &name).await
}

async fn begin(state: &AdminState, name: &str) -> Result<Json<LoginBegun>, Refusal> {
    let begun = state.instances.log_in(name).await.ok_or_else(|| unknown(name))?;
    let word = match begun {
        Begun::Running => "running",
        Begun::AlreadyRunning => "already_running",
        Begun::SignedIn => "already_logged_in",
        Begun::Unable => {
            let detail = "the instance cannot be signed in now";
            return Err(Refusal::new(StatusCode::CONFLICT, "not_now", detail));
        }
    };
    Ok(Json(LoginBegun { ok: true, state: word, instance: name.to_owned() }))
}

/// Completes a login with the address at which a browser ended.
#[utoipa::path(
    post, path = "/api/admin/instances/{id}/login/paste",
    params(("id" = String, Path, description = "Its name.", max_length = 256)),
    request_body = Pasted,
    responses((status = 200, description = "It is signed in.", body = Taken)),
)]
pub(crate) async fn paste_back(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    Text(body): Text,
) -> Result<Json<Taken>, Refusal> {
    // What was sent is never quoted: it may sign somebody in.
    let pasted = serde_json::from_value::<Pasted>(object(&body)?);
    let Pasted { text } = pasted.map_err(|_| Refusal::field("text", "the body is `{\"text\": \"...\"}`"))?;
    if text.chars().count() > ADDRESS_CHARS_MAX {
        return Err(Refusal::field("text", format!("has at most {ADDRESS_CHARS_MAX} characters")));
    }
    match state.instances.paste_back(&name, &text).await {
        None => Err(unknown(&name)),
        Some(Ok(())) => done(Some(()), &name),
        Some(Err(why)) => Err(Refusal::field("text", why)),
    }
}

/// Begins to sign a local process in, as the older gateway had it.
#[utoipa::path(
    post, path = "/internal/auto-login/start",
    params(Which),
    responses(
        (status = 200, description = "What became of it.", body = LoginBegun),
        (status = 404, description = "There is no such thing.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn start_login(
    State(state): State<AdminState>,
    Asked(which): Asked<Which>,
) -> Result<Json<LoginBegun>, Refusal> {
    let name = match which.instance {
        Some(name) => name,
        None => state.instances.list().into_iter().map(|one| one.id).next().unwrap_or_default(),
    };
    begin(&state, &name).await
}

/// How the logins of all local processes stand: ids, names and states only.
#[utoipa::path(
    get, path = "/internal/auto-login/status",
    responses((status = 200, description = "One entry for each.", body = Logins)),
)]
pub(crate) async fn login_status(State(state): State<AdminState>) -> Json<Logins> {
    let standing = |InstanceStatus { id: instance, login, .. }: InstanceStatus| {
        let InstanceLogin { state, reason, id, name, .. } = login;
        LoginStanding { instance, state, reason, id, name }
    };
    Json(Logins { instances: state.instances.list().into_iter().map(standing).collect() })
}
