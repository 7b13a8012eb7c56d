//! Where all chance comes from: one seed, mixed with what it is for.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// The generator that everything random in a world draws from.
pub type Dice = Pcg64Mcg;

/// A generator for one purpose. The same seed and purpose always give the same numbers; different purposes give
/// unrelated ones.
pub fn dice(seed: u64, purpose: u64) -> Dice {
    Dice::seed_from_u64(mix(seed, purpose))
}

/// A number that follows from two numbers and looks like neither.
pub fn mix(a: u64, b: u64) -> u64 {
    scramble(scramble(a).wrapping_add(b))
}

/// A number between 0 (included) and 1 (excluded) that follows from `bits`.
pub fn fraction(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let part = (bits >> 11) as f64;
    part / 9_007_199_254_740_992.0
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, 2014).
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
