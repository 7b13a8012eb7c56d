#[mesh::tool(capability = "good morning")]
async fn capability() {}

#[mesh::tool(capability = "greeting", version = "latest")]
async fn version() {}

#[mesh::tool(capability = "greeting", tags = ["+fast"])]
async fn operator_in_a_tag() {}

#[mesh::tool(capability = "greeting", tags = ["a", ["b", "c"]])]
async fn group_in_tags() {}

#[mesh::tool(capability = "greeting", timeout = "5")]
async fn timeout() {}

#[mesh::tool(name = "say hello")]
async fn name() {}

#[mesh::tool(retry_count = 1000)]
async fn count() {}

#[mesh::tool(custom_headers = [("X Y", "z")])]
async fn header() {}

fn main() {}
