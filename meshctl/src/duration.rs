//! Lengths of time as they are typed: `90`, `1.5`, `250ms`, `1h30m`, `2d`.

use std::time::Duration;

/// Reads a length of time; a bare number counts seconds. For clap's `value_parser`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: write seconds, or `250ms`, `10s`, `5m`, `1h30m`, `2d`");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let value: f64 = rest[..number].parse().map_err(|_| wrong())?;
        rest = &rest[number..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(value * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[unit..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn lengths_of_time_are_read_as_people_and_go_write_them() {
        for (text, millis) in
            [("10", 10_000), ("1.5", 1_500), ("250ms", 250), ("1h30m", 5_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "-1", "s", "10x", "1h30", "nan", "1e400", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
