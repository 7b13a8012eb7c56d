//! Points in time: as people type them, and as they stand at the beginning of log lines.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::duration;

/// How far into a line its time stamp may begin.
const MAX_START: usize = 40;

/// Reads a length of time before now (`5m`, `2d`), a date, a date and time, or a time of today, in the zone of `now`.
///
/// # Errors
/// What can be written.
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    let wrong = || {
        format!("{text:?} is no time: write `5m`, `2h`, `3d`, `2026-01-31`, `2026-01-31 14:30[:00]` or `14:30[:00]`")
    };
    if let Ok(ago) = duration::parse(text) {
        let ago = SignedDuration::try_from(ago).map_err(|_| wrong())?;
        return now.timestamp().checked_sub(ago).map_err(|_| wrong());
    }
    let time = |text: &str| Time::strptime("%H:%M:%S", text).or_else(|_| Time::strptime("%H:%M", text)).ok();
    let date = |text: &str| Date::strptime("%Y-%m-%d", text).ok();
    let civil = match text.split_once([' ', 'T']) {
        Some((day, rest)) => date(day).zip(time(rest)).map(|(day, time)| day.to_datetime(time)),
        None => date(text)
            .map(|day| day.to_datetime(Time::midnight()))
            .or_else(|| time(text).map(|time| now.date().to_datetime(time))),
    };
    civil.and_then(|civil| instant(civil, now.time_zone())).ok_or_else(wrong)
}

/// The time stamp of a log line: the first one in its beginning. Without a zone of its own it is of `zone`.
pub(crate) fn of_line(line: &str, zone: &TimeZone) -> Option<Timestamp> {
    let starts = line.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_START);
    let digits = starts.filter(|at| line[*at..].starts_with(|letter: char| letter.is_ascii_digit()));
    digits.into_iter().find_map(|at| read(&line[at..], zone))
}

fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let day = Date::strptime("%Y-%m-%d", text.get(..10)?).ok()?;
    let time = Time::strptime("%H:%M:%S", text.get(11..19)?).ok()?;
    if !matches!(text.as_bytes().get(10), Some(b'T' | b' ')) {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction = |rest: &str| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let rest = rest.strip_prefix(['.', ',']).map_or(rest, |digits| &digits[digits.len() - fraction(digits)..]);
    let civil = day.to_datetime(time);
    if rest.starts_with('Z') {
        return instant(civil, &TimeZone::UTC);
    }
    match offset(rest) {
        Some(offset) => offset.to_timestamp(civil).ok(),
        None => instant(civil, zone),
    }
}

/// `+02:00`, `-0500`.
fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|letter| *letter != ':').take(4).collect();
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4)?.parse().ok()?;
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()
}

/// A time on the wall; the earlier one where the clock was set back.
fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use jiff::{Timestamp, Zoned};

    use super::{of_line, parse};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone() -> TimeZone {
        TimeZone::fixed(Offset::from_hours(2).unwrap())
    }

    #[test]
    fn times_are_typed_as_ages_dates_and_hours() {
        let now: Zoned = at("2026-03-04T10:00:00Z").to_zoned(zone());
        assert_eq!(parse("90m", &now).unwrap(), at("2026-03-04T08:30:00Z"));
        assert_eq!(parse("2026-03-04", &now).unwrap(), at("2026-03-03T22:00:00Z"));
        assert_eq!(parse("2026-03-04 01:02", &now).unwrap(), at("2026-03-03T23:02:00Z"));
        assert_eq!(parse("2026-03-04 01:02:03", &now).unwrap(), at("2026-03-03T23:02:03Z"));
        assert_eq!(parse("11:59:58", &now).unwrap(), at("2026-03-04T09:59:58Z"));
        for wrong in ["", "yesterday", "25:00", "2026-13-01"] {
            assert!(parse(wrong, &now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_stamp_of_a_line_is_found_in_the_formats_that_programs_write() {
        let expected = Some(at("2026-03-04T10:00:00Z"));
        for line in [
            "2026-03-04T10:00:00.123456Z  INFO started",
            "\u{1b}[2m2026-03-04T12:00:00+02:00\u{1b}[0m INFO",
            r#"{"timestamp":"2026-03-04T10:00:00.1Z","level":"INFO"}"#,
            "2026-03-04 12:00:00,123 - agent - INFO",
        ] {
            assert_eq!(of_line(line, &zone()), expected, "{line}");
        }
        for none in ["", "no stamp", "12", "2026-03-04", "2026-99-99T10:00:00Z", "é2026-03-é4T10:00:00Z"] {
            assert_eq!(of_line(none, &zone()), None, "{none}");
        }
    }
}
