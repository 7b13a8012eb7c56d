//! How many files this process may have open: every connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Fewer are few for a seed: each agent that knows nothing of gossip takes a connection or two.
const ENOUGH: u64 = 4096;

/// Has the process open as many files as the system allows it, and says so where those are few.
pub(crate) fn allow_most() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised = soft >= hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    let limit = if raised { hard } else { soft };
    if limit < ENOUGH {
        tracing::warn!(
            limit,
            "few connections fit into the limit of open files: allow this process {ENOUGH} (ulimit -Hn, LimitNOFILE)"
        );
    }
}
