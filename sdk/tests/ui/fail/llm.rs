use mesh::prelude::*;

#[mesh::llm(capability = "a")]
async fn without_a_provider(llm: Llm<String>) -> Result<String> {
    Ok(llm.ask("?").await?)
}

#[mesh::llm(provider("llm"))]
async fn without_a_model() {}

#[mesh::tool]
async fn undeclared(llm: Llm<String>) -> Result<String> {
    Ok(llm.ask("?").await?)
}

#[mesh::llm(provider("llm"))]
async fn two(one: Llm<String>, other: Llm<u8>) {}

#[mesh::llm(provider(tags = ["+claude"]))]
async fn of_nothing(llm: Llm<String>) {}

#[mesh::llm(provider = "llm")]
async fn no_brackets(llm: Llm<String>) {}

#[mesh::llm(provider("llm", schema = strict))]
async fn no_schema(llm: Llm<String>) {}

#[mesh::llm(provider("llm"), filter = [weather])]
async fn no_capability(llm: Llm<String>) {}

#[mesh::llm(provider("llm"), filter = [{ tag = "fast" }])]
async fn misspelt(llm: Llm<String>) {}

#[mesh::llm(provider("llm"), filter_mode = "best")]
async fn no_mode(llm: Llm<String>) {}

#[mesh::llm(provider("llm"), max_iterations = 0)]
async fn never(llm: Llm<String>) {}

#[mesh::llm(provider("llm"))]
fn impatient(llm: Llm<String>) {}

#[mesh::route(GET, "/")]
async fn route(llm: Llm<String>) {}

fn main() {}
