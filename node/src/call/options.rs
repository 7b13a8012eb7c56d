//! How a capability wants to be called, and how a consumer wants to call it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Options of a dependency. A tool advertises them (in the `kwargs` of its offer); a consumer may tighten them. What is
/// `None` or empty was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long a call may take. The shorter one counts.
    pub timeout: Option<Duration>,
    /// How often a call may be repeated after a failure. The smaller one counts.
    pub retry_count: Option<u32>,
    /// Whether a call whose fate is unknown may be repeated. Both have to agree when both say something.
    pub idempotent: Option<bool>,
    /// Whether results come in chunks.
    pub streaming: Option<bool>,
    /// Headers that go with every call.
    pub custom_headers: BTreeMap<String, String>,
    /// Whether calls without a session key are refused.
    pub session_required: Option<bool>,
    /// Whether calls without credentials are refused.
    pub auth_required: Option<bool>,
}
