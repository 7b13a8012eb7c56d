//! The command line of the simulations.

fn main() {
    println!("no scenarios yet");
}
