//! Keys that must not be seen.

use std::fmt;

/// A text that is never printed: neither by `{:?}` nor in what a vendor sends back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Keeps `text`, without the blanks around it that copying brings along; `None` when nothing is left.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text itself, for the request that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without this secret in it.
    pub(crate) fn strike(&self, text: &str) -> String {
        // Shorter ones would strike half of every sentence, and are no keys.
        if self.0.len() < 8 { text.to_owned() } else { text.replace(&self.0, "***") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::Secret;

    #[test]
    fn a_secret_is_not_shown_and_is_struck_from_what_others_say() {
        let key = Secret::new(" sk-ant-12345678\n").unwrap();
        assert_eq!(format!("{key:?} {:?}", Some(key.clone())), "*** Some(***)");
        assert_eq!(key.strike("wrong key: sk-ant-12345678!"), "wrong key: ***!");
        assert_eq!(key.reveal(), "sk-ant-12345678");
        assert_eq!(Secret::new("  "), None);
    }
}
