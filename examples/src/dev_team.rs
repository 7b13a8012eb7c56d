//! Four agents that develop a script: one understands what is wanted, one writes it, one tries it, and one runs what
//! they wrote, where it can do no harm.

pub mod confined;
pub mod developer;
pub mod executor;
pub mod intent;
pub mod tester;

use crate::team::Make;

/// The agents, by name.
pub const AGENTS: [(&str, Make); 4] = [
    ("intent-agent", || Ok(intent::agent())),
    ("developer-agent", || Ok(developer::agent())),
    ("qa-agent", || Ok(tester::agent())),
    ("executor-agent", executor::agent),
];
