#[mesh::tool]
async fn greet(#[default(5)] name: String) -> String {
    name
}

fn main() {}
