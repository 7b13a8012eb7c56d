//! What a tool or route says when it fails.

use std::fmt;

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mesh_node::call::CallError;
use mesh_node::tool::{Fault, FaultKind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::dep::DepError;
use crate::llm::LlmError;

/// What the body of a tool returns. `?` works on every error, those of `anyhow` included.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a tool, a route or an agent failed. Made from any error by `?`; the constructors say more than that it failed.
pub struct Error(Box<Inner>);

struct Inner {
    kind: FaultKind,
    source: anyhow::Error,
    data: Option<Value>,
}

impl Error {
    /// It failed, for the reason that `message` gives.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Failed, anyhow::Error::msg(message.into()))
    }

    /// The caller gave arguments that will not do. It should fix them rather than try again.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::of(FaultKind::InvalidArguments, anyhow::Error::msg(message.into()))
    }

    /// The caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Forbidden, anyhow::Error::msg(message.into()))
    }

    /// There is too much to do at the moment, *and nothing was done*: the caller may at once try another replica.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::of(FaultKind::Overloaded, anyhow::Error::msg(message.into()))
    }

    /// The same with more about it, for programs. What cannot be JSON is left out.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.0.data = serde_json::to_value(data).ok();
        self
    }

    /// What the caller may do.
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// The error that it was made from, if it was made from an `E`.
    pub fn downcast_ref<E: fmt::Display + fmt::Debug + Send + Sync + 'static>(&self) -> Option<&E> {
        self.0.source.downcast_ref()
    }

    /// Why a call to a dependency failed, if that is what failed.
    pub fn call_error(&self) -> Option<&CallError> {
        let of_dependency = self.downcast_ref::<DepError>().and_then(DepError::call_error);
        let of_model = || self.downcast_ref::<LlmError>().and_then(LlmError::call_error);
        of_dependency.or_else(of_model).or_else(|| self.downcast_ref())
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> StatusCode {
        let kind = match self.call_error() {
            Some(CallError::Unresolved { .. } | CallError::Unreachable { .. } | CallError::Overloaded(_)) => {
                FaultKind::DependencyUnavailable
            }
            Some(CallError::TimedOut { .. }) => FaultKind::TimedOut,
            // The credentials are the client's own: they were passed on as they came.
            Some(CallError::NoCredentials { .. }) => return StatusCode::UNAUTHORIZED,
            Some(CallError::Fault { fault, .. }) if fault.kind == FaultKind::Forbidden => FaultKind::Forbidden,
            _ => self.0.kind,
        };
        match kind {
            FaultKind::InvalidArguments => StatusCode::BAD_REQUEST,
            FaultKind::Forbidden => StatusCode::FORBIDDEN,
            FaultKind::DependencyUnavailable | FaultKind::Overloaded | FaultKind::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FaultKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    // The failure of a call that a body makes is a failure of that body: it may have done things by then, so that
    // nobody may conclude that it did not run.
    fn of(kind: FaultKind, source: anyhow::Error) -> Self {
        Self(Box::new(Inner { kind, source, data: None }))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::of(FaultKind::Failed, error.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let data = error.0.data.as_ref().map(|data| Bytes::from(data.to_string()));
        Self { kind: error.0.kind, message: error.to_string(), data }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let name = match (status, self.call_error()) {
            (StatusCode::SERVICE_UNAVAILABLE, Some(_)) => "dependency_unavailable",
            (StatusCode::BAD_REQUEST, _) => "invalid_arguments",
            (StatusCode::UNAUTHORIZED, _) => "no_credentials",
            (StatusCode::FORBIDDEN, _) => "forbidden",
            (StatusCode::SERVICE_UNAVAILABLE, _) => "overloaded",
            (StatusCode::GATEWAY_TIMEOUT, _) => "timed_out",
            _ => "failed",
        };
        let mut body = json!({ "error": name, "message": self.to_string() });
        if let Some(data) = self.0.data {
            body["data"] = data;
        }
        let mut response = (status, axum::Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With its causes, on one line.
        write!(f, "{:#}", self.0.source)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<i32> {
        Ok(text.parse::<i32>()?)
    }

    fn through_anyhow() -> Result {
        Err(anyhow::anyhow!("deep").context("shallow"))?
    }

    fn twice(text: &str) -> Result<i32> {
        Ok(number(text)? * 2)
    }

    #[test]
    fn any_error_becomes_one_with_its_causes() {
        assert_eq!(twice("x").map_err(|error| error.to_string()), Err("invalid digit found in string".into()));
        assert_eq!(through_anyhow().map_err(|error| error.to_string()), Err("shallow: deep".into()));
    }

    #[test]
    fn a_failed_call_inside_a_body_never_claims_that_the_body_did_not_run() {
        let error = Error::from(CallError::Unresolved { wanted: "date".into(), why: "nobody".into() });
        assert!(!error.kind().did_not_run());
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn kinds_become_faults_and_statuses() {
        let error = Error::invalid_argument("no such town").with_data(json!({ "town": "x" }));
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        let fault = Fault::from(error);
        assert_eq!(fault.kind, FaultKind::InvalidArguments);
        assert_eq!(fault.data.as_deref(), Some(br#"{"town":"x"}"#.as_slice()));
    }
}
