#[mesh::tool]
async fn without_capability(#[dep] date: Dep<String>) {}

#[mesh::tool]
async fn only_keys(#[dep(version = "1")] date: Dep<String>) {}

#[mesh::tool]
async fn bad_capability(#[dep("date service")] date: Dep<String>) {}

#[mesh::tool]
async fn bad_version(#[dep("date", version = ">>1")] date: Dep<String>) {}

#[mesh::tool]
async fn bad_tag(#[dep("date", tags = ["+"])] date: Dep<String>) {}

#[mesh::tool]
async fn bad_key(#[dep("date", tag = "fast")] date: Dep<String>) {}

#[mesh::tool]
async fn bad_schema(#[dep("date", schema = loose)] date: Dep<String>) {}

#[mesh::tool]
async fn bad_timeout(#[dep("date", timeout = 5)] date: Dep<String>) {}

fn main() {}
