//! What every call carries, whoever makes it: about a kilobyte of JSON, parsed and written at both ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The arguments and the result of the tool that everybody offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Note {
    /// Which one.
    pub(crate) number: u64,
    /// Who wrote it.
    pub(crate) author: Author,
    /// In a line.
    pub(crate) subject: String,
    /// Words to find it by.
    pub(crate) tags: Vec<String>,
    /// Something measured.
    pub(crate) readings: Vec<f64>,
    /// All of it.
    pub(crate) body: String,
}

/// Who wrote a note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Author {
    /// As people say it.
    pub(crate) name: String,
    /// Where answers go.
    pub(crate) mail: String,
}

impl Note {
    /// The one that is sent around.
    pub(crate) fn example() -> Self {
        let sentence = "The harbour opens at six, the first ferry leaves a quarter past, and whoever misses it walks. ";
        Self {
            number: 1,
            author: Author { name: "Grethe Lind".to_owned(), mail: "grethe.lind@harbour.example".to_owned() },
            subject: "Timetable of the coming winter, with \"quotes\" and a line\nbreak".to_owned(),
            tags: ["ferry", "winter", "timetable", "harbour", "public"].map(str::to_owned).to_vec(),
            readings: (0..16u8).map(|step| 1.5 * f64::from(step) + 0.125).collect(),
            body: sentence.repeat(6),
        }
    }

    /// What a tool answers: the same with the next number, so that nothing passes through unread.
    pub(crate) fn answered(mut self) -> Self {
        self.number += 1;
        self
    }
}
