#[mesh::tool(capabilty = "greeting")]
async fn misspelt() {}

#[mesh::tool("greeting")]
async fn without_a_key() {}

#[mesh::tool(capability = greeting)]
async fn no_text() {}

#[mesh::tool(idempotent, idempotent)]
async fn twice() {}

#[mesh::tool(idempotent = "yes")]
async fn no_flag() {}

#[mesh::tool(tags = ["a"])]
async fn nobody_looks_for_it() {}

fn main() {}
