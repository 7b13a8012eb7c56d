//! Errors of the HTTP client and of vendors, by what whoever asked does next.

use std::time::{Duration, SystemTime};

use genai::webc;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::failure::Failure;
use crate::vendor::Vendor;

/// The most characters of what a vendor says.
const MAX_SAID: usize = 400;

/// How long an account without money is left alone.
const EMPTY_ACCOUNT: Duration = Duration::from_secs(60);

/// What `error` means. `strike` takes the key out of what the vendor says.
pub(super) fn of(error: &genai::Error, vendor: Vendor, strike: impl Fn(&str) -> String) -> Failure {
    match error {
        genai::Error::HttpError { status, body, headers, .. } => {
            of_status(status.as_u16(), body, headers, vendor, strike)
        }
        genai::Error::WebModelCall { webc_error, .. } | genai::Error::WebAdapterCall { webc_error, .. } => {
            of_web(webc_error, vendor, strike)
        }
        genai::Error::WebStream { error, cause, .. } => {
            if let Some(inner) = error.downcast_ref::<genai::Error>() {
                return of(inner, vendor, strike);
            }
            match error.downcast_ref::<reqwest::Error>() {
                Some(inner) => of_transport(inner, vendor),
                None => Failure::unavailable(format!("{vendor} broke off: {}", short(&strike(cause)))),
            }
        }
        genai::Error::ChatResponse { body, .. } => of_event(body, vendor, strike),
        genai::Error::ChatResponseGeneration { cause, .. } => {
            Failure::unavailable(format!("{vendor} answered with something else than an answer: {}", short(cause)))
        }
        genai::Error::StreamParse { serde_error, .. } => {
            Failure::unavailable(format!("{vendor} sent a piece that is no JSON: {serde_error}"))
        }
        genai::Error::ChatReqHasNoMessages { .. }
        | genai::Error::LastChatMessageIsNotUser { .. }
        | genai::Error::MessageRoleNotSupported { .. }
        | genai::Error::MessageContentTypeNotSupported { .. }
        | genai::Error::JsonModeWithoutInstruction
        | genai::Error::AdapterNotSupported { .. }
        | genai::Error::CacheBreakpointNoEligibleContent { .. } => {
            Failure::rejected(short(&strike(&error.to_string())))
        }
        // Whatever else there is, with no more of it than a line: some of them print whole requests.
        other => Failure::unavailable(format!("{vendor}: {}", short(&strike(&other.to_string())))),
    }
}

fn of_web(error: &webc::Error, vendor: Vendor, strike: impl Fn(&str) -> String) -> Failure {
    match error {
        webc::Error::ResponseFailedStatus { status, body, headers } => {
            of_status(status.as_u16(), body, headers, vendor, strike)
        }
        webc::Error::Reqwest(error) => of_transport(error, vendor),
        webc::Error::ResponseFailedNotJson { content_type, .. } => {
            Failure::unavailable(format!("{vendor} answered with {content_type:?} instead of JSON"))
        }
        webc::Error::ResponseFailedInvalidJson { cause, .. } => {
            Failure::unavailable(format!("{vendor} answered with broken JSON: {}", short(cause)))
        }
        webc::Error::JsonValueExt(error) => {
            Failure::unavailable(format!("{vendor} answered with something else than an answer: {error}"))
        }
    }
}

fn of_transport(error: &reqwest::Error, vendor: Vendor) -> Failure {
    let why = match error {
        _ if error.is_connect() => "cannot be reached",
        _ if error.is_timeout() => "fell silent",
        _ => "broke off",
    };
    // The last cause is the one that says something; the address is that of the operator's own configuration.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::unavailable(format!("{vendor} {why}: {}", short(&cause.to_string())))
}

fn of_status(status: u16, body: &str, headers: &HeaderMap, vendor: Vendor, strike: impl Fn(&str) -> String) -> Failure {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let said = said(&answer).map_or_else(|| short(body.lines().next().unwrap_or_default()), short);
    let why = format!("{vendor} answered {status}: {}", strike(&said));
    match status {
        401 | 403 => Failure::Unauthorized { why },
        429 if kind(&answer) == Some("insufficient_quota") => Failure::Busy { retry_after: Some(EMPTY_ACCOUNT), why },
        429 | 503 | 529 => Failure::Busy { retry_after: retry_after(headers, SystemTime::now()), why },
        // Google does not say 401 for a wrong key.
        400 if why.contains("API_KEY_INVALID") || why.contains("API key not valid") => Failure::Unauthorized { why },
        408 => Failure::Unavailable { status: Some(status), why },
        400..500 => Failure::Rejected { status: Some(status), why },
        _ => Failure::Unavailable { status: Some(status), why },
    }
}

/// An error that comes in the midst of a stream.
fn of_event(body: &Value, vendor: Vendor, strike: impl Fn(&str) -> String) -> Failure {
    let said = said(body).map_or_else(|| short(&body.to_string()), short);
    let why = format!("{vendor} ended its answer with an error: {}", strike(&said));
    match kind(body) {
        Some(
            "overloaded_error" | "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" | "UNAVAILABLE",
        ) => Failure::Busy { retry_after: None, why },
        Some("authentication_error" | "permission_error") => Failure::Unauthorized { why },
        Some("invalid_request_error") => Failure::Rejected { status: None, why },
        _ => Failure::Unavailable { status: None, why },
    }
}

/// The error in an answer; Google wraps it into a list when it streams.
fn error_of(answer: &Value) -> &Value {
    let answer = answer.get(0).unwrap_or(answer);
    answer.get("error").unwrap_or(answer)
}

/// What a vendor says in an answer that is an error.
fn said(answer: &Value) -> Option<&str> {
    let error = error_of(answer);
    error.as_str().or_else(|| error.get("message")?.as_str())
}

/// Which error it is.
fn kind(answer: &Value) -> Option<&str> {
    let error = error_of(answer);
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    field("code").or_else(|| field("type")).or_else(|| field("status"))
}

/// When to come back, as the headers say it: milliseconds, seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();
    if let Some(wait) = header("retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let text = header("retry-after")?;
    number(text, 1.0).or_else(|| Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_SAID) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn wait(name: &'static str, value: &str) -> Option<Duration> {
        let headers = [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767))
    }

    #[test]
    fn the_time_to_come_back_is_read_in_all_its_forms() {
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(10)));
        for nonsense in ["-1", "soon", "nan", "inf", "1e400"] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn statuses_say_what_to_do_next() {
        let of = |status, body: &str| of_status(status, body, &HeaderMap::new(), Vendor::OpenAi, str::to_owned);
        let said = r#"{"error":{"message":"no","type":"invalid_request_error","code":null}}"#;
        assert_eq!(of(400, said), Failure::Rejected { status: Some(400), why: "OpenAI answered 400: no".into() });
        assert!(matches!(of(401, said), Failure::Unauthorized { .. }));
        assert!(matches!(of(529, "<html>"), Failure::Busy { retry_after: None, .. }));
        assert!(matches!(of(500, ""), Failure::Unavailable { status: Some(500), .. }));
        assert!(matches!(of(408, ""), Failure::Unavailable { .. }));
        let broke = r#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
        assert!(matches!(of(429, broke), Failure::Busy { retry_after: Some(EMPTY_ACCOUNT), .. }));
        let google = r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]"#;
        assert!(matches!(of(400, google), Failure::Unauthorized { .. }));
    }

    #[test]
    fn what_vendors_say_is_short_and_without_the_key() {
        let strike = |text: &str| text.replace("sk-1", "***");
        let body = format!(r#"{{"error":{{"message":"wrong key sk-1 {}"}}}}"#, "é".repeat(5000));
        let failure = of_status(401, &body, &HeaderMap::new(), Vendor::Anthropic, strike).to_string();
        assert!(failure.starts_with("Anthropic answered 401: wrong key ***"), "{failure}");
        assert!(failure.chars().count() < MAX_SAID + 40);
    }
}
