#[mesh::tool]
async fn undeclared(date: Dep<String>) {}

#[mesh::tool]
async fn undeclared_option(date: Option<Dep<String>>) {}

#[mesh::tool]
async fn not_a_dependency(#[dep("date")] date: String) {}

#[mesh::tool]
async fn default_of_an_option(#[default("x")] name: Option<String>) {}

#[mesh::tool]
async fn default_of_nothing(#[default] name: String) {}

#[mesh::tool]
async fn both(#[default("x")] #[dep("date")] date: Dep<String>) {}

#[mesh::tool]
async fn two_states(one: State<u8>, two: State<u16>) {}

#[mesh::tool]
async fn same_name(name: String, name: String) {}

fn main() {}
