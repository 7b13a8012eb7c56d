//! An agent of ours among agents of another SDK: it asks them, and their model.

use mesh::prelude::*;

/// Asks the neighbours for the date, and for a sum.
#[mesh::tool(capability = "neighbourly")]
async fn ask_around(
    #[dep("date_service", tags = ["+time"])] date: Dep<String>,
    #[dep("sum")] sum: Dep<i64>,
    #[dep("failures")] failures: Dep<String>,
) -> Result<String> {
    let failure = match failures.call(()).await {
        Ok(said) => said,
        Err(error) => error.to_string(),
    };
    Ok(format!("{} {} {failure}", date.call(()).await?, sum.call(args! { a: 40 }).await?))
}

/// Asks their model, which may ask for the date.
#[mesh::llm(capability = "musing", provider("llm", tags = ["stock"]), filter = ["date_service"], max_iterations = 4)]
async fn muse(question: String, llm: Llm<String>) -> Result<String> {
    Ok(llm.ask(question).await?)
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("neighbour").tool::<ask_around>().tool::<muse>().run().await
}
