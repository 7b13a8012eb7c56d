#[mesh::route("/plan")]
async fn without_method() {}

#[mesh::route(FETCH, "/plan")]
async fn no_method() {}

#[mesh::route(GET)]
async fn without_path() {}

#[mesh::route(GET, "plan")]
async fn relative() {}

#[mesh::route(GET, "/plan")]
fn waits_for_nothing() {}

#[mesh::route(GET, "/plan")]
async fn context(context: Context) {}

#[mesh::route(GET, "/plan")]
async fn default(#[default(5)] number: u8) {}

#[mesh::route(GET, "/plan")]
async fn undeclared(planner: Dep<String>) {}

fn main() {}
