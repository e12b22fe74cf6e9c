//! Decides what holds for everything that people edit: what the file gives is shown and never changed; what was made here is
//! found by its id or its name, tried on a copy before it is stored, and changed only as it was seen last. It never knows
//! what a thing means.

use std::future::Future;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{Source, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::directory::{Kind, NewSpec, SpecChange, StoredBackend, StoredKey, StoredSpec, Target};
use store::{Directory, StoreError};
use utoipa::ToSchema;

use super::extract::{etag, expected_revision, merge, object};
use super::page::{Page, Paging};
use super::refusal::Refusal;
use super::{AdminState, origin};
use crate::config::body::with_name;
use crate::keygen;
use crate::publish::Gathered;

/// What tells one row of the directory from others, and from what it was.
pub(super) struct Row<'s> {
    pub(super) id: &'s str,
    pub(super) name: &'s str,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) revision: u64,
}

/// What the directory keeps as a row.
pub(super) trait Kept {
    fn row(&self) -> Row<'_>;
}

/// Whence a thing comes, as its view shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Provenance {
    id: String,
    name: String,
    source: &'static str,
    /// Why it is not in force, when what is stored does not hold any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[schema(value_type = Option<i64>)]
    created: Option<Timestamp>,
    #[schema(value_type = Option<i64>)]
    updated: Option<Timestamp>,
    revision: Option<u64>,
}

impl Provenance {
    /// Of what the file or the environment gives: its name is all that tells it from others.
    pub(super) fn given(name: &str, source: Source) -> Self {
        Self {
            id: name.to_owned(),
            name: name.to_owned(),
            source: origin(source),
            problem: None,
            created: None,
            updated: None,
            revision: None,
        }
    }

    /// Of what was made here, read or not.
    pub(super) fn stored<T, E: ToString>(stored: &impl Kept, read: &Result<T, E>) -> Self {
        let Row { id, name, created, updated, revision } = stored.row();
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            source: origin(Source::Api),
            problem: read.as_ref().err().map(ToString::to_string),
            created: Some(created),
            updated: Some(updated),
            revision: Some(revision),
        }
    }
}

/// One sort of thing that people edit.
pub(super) trait Resource: Sized {
    /// What one of them is called.
    const NOUN: &'static str;
    /// One that the file or the environment gives.
    type Given;
    /// One that was made here.
    type Stored: Kept;
    /// One as it is shown.
    type View: Serialize;
    /// What views tell beside the thing itself; looked up once for all of an answer.
    type Beside;

    fn given(state: &AdminState) -> Vec<Self::Given>;
    fn name_of(given: &Self::Given) -> String;
    fn source_of(given: &Self::Given) -> Source;
    fn stored(directory: &Directory) -> impl Future<Output = Result<Vec<Self::Stored>, StoreError>> + Send;
    fn among(gathered: &mut Gathered) -> &mut Vec<Self::Stored>;
    fn forget(
        directory: &Directory,
        target: Target<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    fn beside(state: &AdminState) -> impl Future<Output = Result<Self::Beside, Refusal>> + Send;
    fn view(found: &Found<Self>, beside: &Self::Beside) -> Self::View;
}

/// One as it was found: given by somebody else, or changeable.
pub(super) enum Found<R: Resource> {
    Given(R::Given),
    Stored(R::Stored),
}

impl<R: Resource> Found<R> {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Given(given) => R::name_of(given),
            Self::Stored(stored) => stored.row().name.to_owned(),
        }
    }

    /// A stored one can have the name that the file gives to another since.
    fn order(&self) -> String {
        match self {
            Self::Given(given) => R::name_of(given),
            Self::Stored(stored) => format!("{} {}", stored.row().name, stored.row().id),
        }
    }
}

/// A page of them, by name.
pub(super) async fn list<R: Resource>(state: &AdminState, paging: &Paging) -> Result<Page<R::View>, Refusal> {
    let given = R::given(state).into_iter().map(Found::Given);
    let stored = R::stored(&state.directory).await?.into_iter().map(Found::Stored);
    let page = paging.cut(given.chain(stored).collect(), Found::<R>::order)?;
    let beside = R::beside(state).await?;
    Ok(Page { items: page.items.iter().map(|found| R::view(found, &beside)).collect(), next: page.next })
}

/// Shows the one of that id or name.
pub(super) async fn show<R: Resource>(state: &AdminState, id: &str) -> Result<Response, Refusal> {
    answer(state, StatusCode::OK, &find::<R>(state, id).await?).await
}

/// The one of that id or name.
pub(super) async fn find<R: Resource>(state: &AdminState, id: &str) -> Result<Found<R>, Refusal> {
    if let Some(given) = R::given(state).into_iter().find(|given| R::name_of(given) == id) {
        return Ok(Found::Given(given));
    }
    let stored = R::stored(&state.directory).await?;
    let found = stored.into_iter().find(|stored| stored.row().id == id || stored.row().name == id);
    found.map(Found::Stored).ok_or_else(|| Refusal::not_found(R::NOUN, id))
}

/// The one of that id or name, where it was made here.
pub(super) async fn own<R: Resource>(state: &AdminState, id: &str) -> Result<R::Stored, Refusal> {
    match find::<R>(state, id).await? {
        Found::Stored(stored) => Ok(stored),
        Found::Given(given) => Err(Refusal::read_only(R::NOUN, origin(R::source_of(&given)))),
    }
}

/// One as it is shown, with its tag where it can be changed.
pub(super) async fn answer<R: Resource>(
    state: &AdminState,
    status: StatusCode,
    found: &Found<R>,
) -> Result<Response, Refusal> {
    let view = Json(R::view(found, &R::beside(state).await?));
    Ok(match found {
        Found::Given(_) => (status, view).into_response(),
        Found::Stored(stored) => {
            (status, [(header::ETAG, etag(stored.row().revision))], view).into_response()
        }
    })
}

/// Tries `candidate` beside what is in force, then lets `store` keep it.
pub(super) async fn add<R: Resource>(
    state: &AdminState,
    candidate: R::Stored,
    store: impl Future<Output = Result<R::Stored, StoreError>>,
) -> Result<R::Stored, Refusal> {
    if let Some(given) = R::given(state).iter().find(|given| R::name_of(given) == candidate.row().name) {
        let source = origin(R::source_of(given));
        let detail = format!("the {source} already has the {} `{}`", R::NOUN, candidate.row().name);
        return Err(Refusal::new(StatusCode::CONFLICT, "conflict", detail));
    }
    Ok(state.publisher.edit(|gathered| R::among(gathered).push(candidate), store).await?)
}

/// Tries `candidate` in the place of what it was before, then lets `store` keep it.
pub(super) async fn change<R: Resource>(
    state: &AdminState,
    candidate: R::Stored,
    store: impl Future<Output = Result<R::Stored, StoreError>>,
) -> Result<R::Stored, Refusal> {
    let put = |gathered: &mut Gathered| {
        if let Some(place) = R::among(gathered).iter_mut().find(|one| one.row().id == candidate.row().id) {
            *place = candidate;
        }
    };
    Ok(state.publisher.edit(put, store).await?)
}

/// Removes the one of that id or name.
pub(super) async fn remove<R: Resource>(
    state: &AdminState,
    id: &str,
    headers: &HeaderMap,
) -> Result<StatusCode, Refusal> {
    let stored = own::<R>(state, id).await?;
    let target = seen(&stored, headers)?;
    let cut = |gathered: &mut Gathered| R::among(gathered).retain(|one| one.row().id != target.id);
    state.publisher.edit(cut, R::forget(&state.directory, target)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The row of `stored`, as the caller saw it last.
pub(super) fn seen<'s>(stored: &'s impl Kept, headers: &HeaderMap) -> Result<Target<'s>, Refusal> {
    Ok(Target { id: stored.row().id, revision: expected_revision(headers)? })
}

/// A resource of which the directory keeps a name and what the API was given.
pub(super) trait Spec: Resource<Stored = StoredSpec> {
    const KIND: Kind;

    /// Reads a whole body: its name, and what is kept beside it.
    fn read(text: &str) -> Result<SpecChange, Refusal>;

    /// The whole body of a stored one, as `read` would be given it.
    fn whole(stored: &StoredSpec) -> Value {
        with_name(&stored.spec, &stored.name)
    }
}

/// Makes one of what the body says.
pub(super) async fn create_spec<R: Spec>(state: &AdminState, text: &str) -> Result<Response, Refusal> {
    object(text)?;
    let SpecChange { name, spec } = R::read(text)?;
    let new = NewSpec { id: keygen::id(R::NOUN), name, spec };
    let now = state.publisher.now();
    let NewSpec { id, name, spec } = new.clone();
    let candidate = StoredSpec { id, name, spec, created: now, updated: now, revision: 0 };
    let stored = add::<R>(state, candidate, state.directory.add_spec(R::KIND, new, now)).await?;
    answer::<R>(state, StatusCode::CREATED, &Found::Stored(stored)).await
}

/// Changes what the body names.
pub(super) async fn change_spec<R: Spec>(
    state: &AdminState,
    id: &str,
    headers: &HeaderMap,
    text: &str,
) -> Result<Response, Refusal> {
    let stored = own::<R>(state, id).await?;
    let mut whole = R::whole(&stored);
    merge(&mut whole, object(text)?);
    let change = R::read(&whole.to_string())?;
    let SpecChange { name, spec } = change.clone();
    let candidate = StoredSpec { name, spec, ..stored.clone() };
    let now = state.publisher.now();
    let store = state.directory.change_spec(R::KIND, seen(&stored, headers)?, change, now);
    let changed = self::change::<R>(state, candidate, store).await?;
    answer::<R>(state, StatusCode::OK, &Found::Stored(changed)).await
}

impl Kept for StoredBackend {
    fn row(&self) -> Row<'_> {
        Row {
            id: &self.id,
            name: &self.name,
            created: self.created,
            updated: self.updated,
            revision: self.revision,
        }
    }
}

impl Kept for StoredKey {
    fn row(&self) -> Row<'_> {
        Row {
            id: &self.id,
            name: &self.name,
            created: self.created,
            updated: self.updated,
            revision: self.revision,
        }
    }
}

impl Kept for StoredSpec {
    fn row(&self) -> Row<'_> {
        Row {
            id: &self.id,
            name: &self.name,
            created: self.created,
            updated: self.updated,
            revision: self.revision,
        }
    }
}
