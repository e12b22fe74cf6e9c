//! The one place where errors of the admin API become responses (RFC 9457); it never repeats a secret.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::config::{self, Report};
use crate::publish::PublishError;

/// Why a call was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    pub(super) code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// One thing wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where it is, as in `limits.rpm`.
    path: String,
    /// What is wrong.
    message: String,
    /// What would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
}

/// Why a call was refused (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `code` tells the sort.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable word for programs.
    code: &'static str,
    /// What happened, for people.
    detail: String,
    /// Each thing that is wrong with what was said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// No token was shown, or not one that counts.
    pub(crate) fn unauthorized() -> Self {
        let detail = "the admin token is missing or wrong";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(64).filter(|c| !c.is_control()).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{shown}`"))
    }

    pub(crate) fn read_only(what: &str, source: &str) -> Self {
        let detail = format!("this {what} comes from the {source}; change it there and reload");
        Self::new(StatusCode::CONFLICT, "read_only", detail)
    }

    /// What is said of one field can be read and does not hold.
    pub(crate) fn field(path: &str, message: impl Into<String>) -> Self {
        let error = FieldError { path: path.to_owned(), message: message.into(), suggestion: None };
        let mut refusal =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "what was said does not hold");
        refusal.errors.push(error);
        refusal
    }

    /// What the query says of `name` does not do.
    pub(crate) fn query(name: &str, what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", format!("`{name}` {what}"))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }
}

impl From<Report> for Refusal {
    fn from(report: Report) -> Self {
        let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the body does not hold");
        refusal.errors = report.problems().iter().map(FieldError::from).collect();
        refusal
    }
}

impl From<&config::Problem> for FieldError {
    fn from(problem: &config::Problem) -> Self {
        Self {
            path: problem.path.to_string(),
            message: problem.message.clone(),
            suggestion: problem.suggestion.clone(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, name } => Self::not_found(what, &name),
            StoreError::Changed { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "changed", error.to_string())
            }
            StoreError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the database is not available to the admin API");
                let detail = "the database is not available now; the data plane goes on";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
            }
            StoreError::Newer { .. }
            | StoreError::Foreign(_)
            | StoreError::Corrupt(_)
            | StoreError::Unsafe(_)
            | StoreError::Unreadable(_)
            | StoreError::Vault(_)
            | StoreError::Journal(_)
            | StoreError::File { .. } => {
                tracing::error!(%error, "the store failed an admin call");
                let detail = "the store failed; the log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", detail)
            }
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(problems) => {
                let detail = "the change does not fit what is in force; nothing was changed";
                let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "does_not_fit", detail);
                refusal.errors = problems
                    .into_iter()
                    .map(|problem| FieldError {
                        path: problem.path,
                        message: problem.message,
                        suggestion: problem.suggestion,
                    })
                    .collect();
                refusal
            }
            PublishError::Config(report) => {
                let detail = "the configuration does not hold; what was in force stays";
                let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_config", detail);
                let located = |problem: &config::Problem| FieldError {
                    path: format!("{}: {}", problem.origin, problem.path),
                    ..FieldError::from(problem)
                };
                refusal.errors = report.problems().iter().map(located).collect();
                refusal
            }
            PublishError::Clash(news) => Self::new(StatusCode::CONFLICT, "conflict", news.join("; ")),
            PublishError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(header) = self.header {
            headers.insert(header.0, header.1);
        }
        response
    }
}

pub(crate) async fn no_such_route() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such resource")
}

pub(crate) async fn no_such_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this resource does not do that")
}
