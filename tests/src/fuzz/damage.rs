//! Genuine bytes, damaged the way that finds holes in decoders.

/// Numbers that look random and come from a seed (splitmix64, Steele et al., OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).expect("below a usize")
    }
}

/// What lengths, counts and versions are replaced with: bincode's marks for wide integers, and the widest of each.
const EXTREMES: &[&[u8]] = &[
    &[0],
    &[0xFA],
    &[0xFB, 0xFF, 0xFF],
    &[0xFC, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
];

/// One of `corpus`, damaged in one to four places; now and then nothing but noise.
pub fn damaged(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let Some(genuine) = corpus.get(dice.below(corpus.len())).filter(|_| dice.below(16) > 0) else {
        let length = dice.below(300);
        return noise(length, dice);
    };
    let mut bytes = genuine.clone();
    for _ in 0..=dice.below(4) {
        damage(&mut bytes, corpus, dice);
    }
    bytes
}

fn noise(length: usize, dice: &mut Dice) -> Vec<u8> {
    (0..length).map(|_| dice.roll().to_le_bytes()[0]).collect()
}

fn damage(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    match dice.below(7) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 if !bytes.is_empty() => bytes[at] = dice.roll().to_le_bytes()[0],
        2 => bytes.truncate(at),
        3 => {
            let length = dice.below(40);
            bytes.extend(noise(length, dice));
        }
        4 => {
            let extreme = EXTREMES[dice.below(EXTREMES.len())];
            let end = bytes.len().min(at + dice.below(extreme.len() + 1));
            bytes.splice(at..end, extreme.iter().copied());
        }
        5 => {
            let from = dice.below(bytes.len());
            let end = bytes.len().min(from + dice.below(64));
            let copied = bytes[from..end].to_vec();
            bytes.splice(at..at, copied);
        }
        _ => {
            let other = &corpus[dice.below(corpus.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[dice.below(other.len())..]);
        }
    }
}
