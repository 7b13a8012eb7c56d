use mesh::prelude::*;

struct Plain;

#[mesh::tool]
async fn takes(plain: Plain) {}

#[mesh::tool]
async fn gives() -> Plain {
    Plain
}

fn main() {
    let dependency: Dep<Plain> = Dep::fake(|_, _| async { Ok("x".into()) });
    let _ = dependency.call(());
}
