#[mesh::main]
fn main() {}
