//! Property names as all languages write them: camelCase.

/// `name` in camelCase: `user_id`, `UserID` and `user-id` all become `userId`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in words(name) {
        let lower = word.to_lowercase();
        if camel.is_empty() {
            camel.push_str(&lower);
        } else {
            let mut letters = lower.chars();
            camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            camel.push_str(letters.as_str());
        }
    }
    camel
}

/// Words end at `_`, `-` and space, before a capital after a lower-case letter, and before the last capital of a run
/// when a lower-case letter follows it.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, &letter) in letters.iter().enumerate() {
        if matches!(letter, '_' | '-' | ' ') {
            words.push(String::new());
            continue;
        }
        let after = |test: fn(char) -> bool| at > 0 && test(letters[at - 1]);
        let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let starts_word =
            letter.is_uppercase() && (after(char::is_lowercase) || after(char::is_uppercase) && before_lower);
        if starts_word {
            words.push(String::new());
        }
        words.last_mut().expect("starts with one word").push(letter);
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::camel_case;

    #[test]
    fn names_of_all_languages_meet_in_camel_case() {
        for (name, camel) in [
            ("market_cap", "marketCap"),
            ("URLPath", "urlPath"),
            ("HTTPStatus", "httpStatus"),
            ("userID", "userId"),
            ("already_camelCase", "alreadyCamelCase"),
            ("with space-and_dash", "withSpaceAndDash"),
            ("__x__", "x"),
            ("$ref", "$ref"),
            ("", ""),
        ] {
            assert_eq!(camel_case(name), camel, "{name}");
        }
    }
}
