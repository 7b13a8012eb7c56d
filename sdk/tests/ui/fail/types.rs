use mesh::prelude::*;

struct Plain;

#[mesh::tool]
async fn takes(_plain: Plain) {}

#[mesh::tool]
async fn gives() -> Plain {
    Plain
}

#[mesh::tool]
async fn needs(#[dep("date")] _date: Dep<Plain>) {}

fn main() {}
