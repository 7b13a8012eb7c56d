//! Moments as people and scripts read them: RFC 3339 in UTC, with milliseconds.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 86_400_000;

/// A moment in milliseconds since 1970. As text `2026-11-21T06:37:31.123Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub u64);

/// A text that is no moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as 2026-11-21T06:37:31Z")]
pub struct NotATimestamp;

impl Timestamp {
    /// What this machine's clock says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// How many milliseconds this is after `earlier`; 0 when it is not.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / DAY_MS);
        let ms = self.0 % DAY_MS;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        let text = text.strip_suffix('Z').ok_or(NotATimestamp)?;
        let (date, time) = text.split_once('T').ok_or(NotATimestamp)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !is_date || hour > 23 || minute > 59 || second > 60 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotATimestamp);
        }
        let fraction: String = fraction.chars().chain("00".chars()).take(3).collect();
        let ms: u64 = fraction.parse().map_err(|_| NotATimestamp)?;
        Ok(Self(days_until(year, month, day) * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000 + ms))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATimestamp;

    fn try_from(text: String) -> Result<Self, NotATimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

fn numbers(text: &str, between: char) -> Result<[u64; 3], NotATimestamp> {
    let mut parts = text.split(between).map(|part| part.parse().map_err(|_| NotATimestamp));
    let mut next = || parts.next().ok_or(NotATimestamp)?;
    let numbers = [next()?, next()?, next()?];
    if parts.next().is_some() { Err(NotATimestamp) } else { Ok(numbers) }
}

// Years are counted from March here, so that the leap day is a year's last. 146,097 days are 400 years.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::Timestamp;

    #[test]
    fn moments_are_written_as_everybody_writes_them() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp(1_795_243_051_123).to_string(), "2026-11-21T06:37:31.123Z");
        assert_eq!("2026-11-21T06:37:31Z".parse(), Ok(Timestamp(1_795_243_051_000)));
        assert_eq!("2026-11-21T06:37:31.5Z".parse(), Ok(Timestamp(1_795_243_051_500)));
        for wrong in ["", "Z", "2026-11-21", "2026-13-21T00:00:00Z", "2026-11-21T06:37Z", "2026-11-21T06:37:31.-1Z"] {
            wrong.parse::<Timestamp>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_as_it_was_written(ms in 0..253_402_300_800_000_u64) {
            prop_assert_eq!(Timestamp(ms).to_string().parse(), Ok(Timestamp(ms)));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,30}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
