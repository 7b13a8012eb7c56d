#[mesh::tool]
async fn generic<T>(value: T) {}

struct Shelf;

impl Shelf {
    #[mesh::tool]
    async fn method(&self) {}
}

#[mesh::tool]
unsafe fn dangerous() {}

#[mesh::tool]
fn waits(#[dep("date")] date: Dep<String>) {}

#[mesh::tool]
struct NotAFunction;

#[mesh::tool]
async fn pattern((a, b): (u8, u8)) {}

fn main() {}
