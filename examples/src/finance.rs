//! Six agents that report on an account: five that know or work something out, and one whose model asks them.

pub mod compliance;
pub mod market;
pub mod news;
pub mod portfolio;
pub mod report;
pub mod risk;

use crate::team::Make;

/// The agents, by name.
pub const AGENTS: [(&str, Make); 6] = [
    ("market-data-agent", || Ok(market::agent())),
    ("news-agent", || Ok(news::agent())),
    ("portfolio-agent", || Ok(portfolio::agent())),
    ("risk-agent", || Ok(risk::agent())),
    ("compliance-agent", || Ok(compliance::agent())),
    ("report-agent", || Ok(report::agent())),
];
