#[mesh::main(threads = 4)]
async fn one() {}

#[mesh::main]
async fn main(arguments: Vec<String>) {}
