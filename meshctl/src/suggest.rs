//! What somebody may have meant.

/// The names that are close to `typed`, closest first, at most three.
pub(crate) fn near<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = names
        .map(|name| {
            let related =
                name.starts_with(typed) || (name.len() > 2 && typed.starts_with(name)) || name.contains(typed);
            (if related { 1 } else { distance(typed, name) }, name)
        })
        .filter(|(distance, _)| *distance <= 1 + typed.chars().count() / 3)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let changed = diagonal + usize::from(letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let names = ["hello", "hello-2", "date-service"];
        assert_eq!(near("helo", names.into_iter()), ["hello"]);
        assert_eq!(near("date", names.into_iter()), ["date-service"]);
        assert!(near("zebra", names.into_iter()).is_empty());
    }
}
