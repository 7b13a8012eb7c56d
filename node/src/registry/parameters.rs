//! Parameters of requests, and what is said of those that cannot be read.

use std::ops::RangeInclusive;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::routes::query_pairs;

/// The parameters of one query; of several with one name the first counts.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

/// A parameter that cannot be read. The caller has to change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid format for parameter {name}: {wrong}")]
pub(super) struct BadParameter {
    name: &'static str,
    wrong: String,
}

impl Parameters {
    /// Those of a query.
    pub(super) fn of(query: Option<&str>) -> Self {
        Self(query_pairs(query.unwrap_or_default()))
    }

    /// The text of `name`, if there is any.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// The number of `name`, `otherwise` when there is none; what is out of `range` becomes its nearest end.
    ///
    /// # Errors
    /// [`BadParameter`].
    pub(super) fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<usize>,
        otherwise: usize,
    ) -> Result<usize, BadParameter> {
        let Some(text) = self.text(name) else { return Ok(otherwise) };
        let is_number = text.strip_prefix('-').unwrap_or(text).bytes().all(|digit| digit.is_ascii_digit());
        if !is_number || text == "-" {
            let shown: String = text.chars().take(64).collect();
            return Err(BadParameter { name, wrong: format!("{shown:?} is no whole number") });
        }
        let number = if text.starts_with('-') { 0 } else { text.parse().unwrap_or(usize::MAX) };
        Ok(number.clamp(*range.start(), *range.end()))
    }
}

impl IntoResponse for BadParameter {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"msg": self.to_string()}))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn numbers_are_clamped_and_what_is_none_is_refused() {
        let limit =
            |query: &str| Parameters::of(Some(query)).number("limit", 1..=500, 50).map_err(|why| why.to_string());
        for (query, expected) in [
            ("", 50),
            ("limit=", 50),
            ("limit=7&limit=8", 7),
            ("limit=0", 1),
            ("limit=-3", 1),
            ("limit=501", 500),
            ("limit=99999999999999999999999", 500),
        ] {
            assert_eq!(limit(query), Ok(expected), "{query}");
        }
        for query in ["limit=x", "limit=1.5", "limit=-", "limit=%00", "limit=1%20"] {
            let refused = limit(query).err().unwrap_or_default();
            assert!(refused.starts_with("Invalid format for parameter limit: "), "{query}: {refused}");
        }
    }
}
