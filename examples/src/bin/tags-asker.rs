//! Asks for a sum in three ways; start it with `tags-providers`, which says how.

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

/// What came of the three ways.
#[derive(Serialize, JsonSchema)]
struct Sums {
    /// Of somebody fast if there is one, else of anybody.
    preferred: String,
    /// Of somebody precise and nobody else.
    precise: Option<String>,
    /// Of anybody whose version is below 2.
    old: Option<String>,
}

/// Adds up, by different providers.
#[mesh::tool(capability = "sums")]
async fn ask(
    numbers: Vec<f64>,
    #[dep("sum", tags = ["+fast"])] preferred: Dep<String>,
    #[dep("sum", tags = ["precise"])] precise: Option<Dep<String>>,
    #[dep("sum", version = "<2")] old: Option<Dep<String>>,
) -> Result<Sums> {
    let numbers = args! { numbers };
    Ok(Sums {
        preferred: preferred.call(&numbers).await?,
        precise: match precise {
            Some(precise) => Some(precise.call(&numbers).await?),
            None => None,
        },
        old: match old {
            Some(old) => Some(old.call(&numbers).await?),
            None => None,
        },
    })
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("sum-asker").tool::<ask>().run().await
}
