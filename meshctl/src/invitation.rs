//! What a second machine needs to join a mesh, as one word that can be pasted.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What an invitation begins with; the number is that of its format.
const PREFIX: &str = "mesh1.";

/// No invitation is longer: four keys and a few addresses are well below.
const MAX_BYTES: usize = 4_096;

/// An invitation. It holds the keys of the mesh: whoever reads it can join.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    /// The name of the mesh.
    pub(crate) mesh: String,
    /// Its keys in base64, the one that seals first.
    pub(crate) keys: Vec<String>,
    /// First contacts, as `host:port`.
    pub(crate) seeds: Vec<String>,
    /// The operator whom its nodes obey, if there is one.
    pub(crate) operator: Option<String>,
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(text))
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invitation to {:?} at {:?}", self.mesh, self.seeds)
    }
}

impl FromStr for Invitation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "this is no invitation: paste the whole line that `meshctl invite` prints".to_owned();
        let text = text.trim().strip_prefix(PREFIX).filter(|text| text.len() <= MAX_BYTES).ok_or_else(wrong)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        serde_json::from_slice(&bytes).map_err(|_| wrong())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{Strategy, any, proptest};

    use super::Invitation;

    #[test]
    fn an_invitation_is_one_word_and_reads_back() {
        let invitation = Invitation {
            mesh: "default".into(),
            keys: vec!["a".into()],
            seeds: vec!["10.0.0.1:7745".into()],
            operator: None,
        };
        let text = invitation.to_string();
        assert!(!text.contains(char::is_whitespace) && !text.contains(['\'', '"', '$']));
        assert_eq!(format!(" {text}\n").parse::<Invitation>().unwrap(), invitation);
        assert!(text[..text.len() - 3].parse::<Invitation>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_an_invitation_or_panics(text in any::<String>().prop_map(|text| format!("mesh1.{text}"))) {
            assert!(text.parse::<Invitation>().is_err());
        }
    }
}
