//! Small values as they are written in a scenario: times, shares, groups of members.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A time, written as a number and a unit: `250ms`, `10s`, `2m`, `40us`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: write a number and a unit, such as \"250ms\", \"10s\" or \"2m\"")]
pub struct NoTime(String);

impl TryFrom<String> for Time {
    type Error = NoTime;

    fn try_from(text: String) -> Result<Self, NoTime> {
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(NoTime(text)),
        };
        let number: f64 = number.trim().parse().map_err(|_| NoTime(text.clone()))?;
        if !(0.0..=1e9).contains(&number) {
            return Err(NoTime(text));
        }
        let micros = (number * seconds * 1e6).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, below 2^53")]
        let micros = micros as u64;
        Ok(Self(Duration::from_micros(micros)))
    }
}

/// Some of the members, as a scenario names them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Group {
    /// `all`: everybody who is up.
    All,
    /// `seeds`.
    Seeds,
    /// `crashed`: everybody who is down without having left.
    Crashed,
    /// `30%`: so many of those who are up and no seeds, chosen by the run's seed.
    Share(f64),
    /// `half`: the first half by number, the same in every run.
    Half,
    /// `4`, `4..9` (the last not included): by number.
    Range(u32, u32),
}

/// A text that is no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no group of members: write \"all\", \"seeds\", \"half\", \"crashed\", a share such as \"30%\", a number \
     such as \"4\", or a range such as \"4..9\""
)]
pub struct NoGroup(String);

impl TryFrom<String> for Group {
    type Error = NoGroup;

    fn try_from(text: String) -> Result<Self, NoGroup> {
        match text.as_str() {
            "all" => return Ok(Self::All),
            "seeds" => return Ok(Self::Seeds),
            "half" => return Ok(Self::Half),
            "crashed" => return Ok(Self::Crashed),
            _ => {}
        }
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
                _ => Err(NoGroup(text)),
            };
        }
        let number = |part: &str| part.trim().parse::<u32>().map_err(|_| NoGroup(text.clone()));
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (number(from)?, number(to)?);
            return if from < to { Ok(Self::Range(from, to)) } else { Err(NoGroup(text)) };
        }
        let one = number(&text)?;
        Ok(Self::Range(one, one + 1))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Seeds => f.write_str("seeds"),
            Self::Crashed => f.write_str("all that crashed"),
            Self::Share(share) => write!(f, "{:.0}%", share * 100.0),
            Self::Half => f.write_str("half"),
            Self::Range(from, to) if to - from == 1 => write!(f, "{from}"),
            Self::Range(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

/// A share of something, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(pub f64);

/// A number that is no share.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no share: it must be between 0 and 1")]
pub struct NoShare(f64);

impl TryFrom<f64> for Share {
    type Error = NoShare;

    fn try_from(number: f64) -> Result<Self, NoShare> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(NoShare(number)) }
    }
}

/// Parameters of the core by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// One machine.
    Local,
    /// One data centre.
    #[default]
    Lan,
    /// Several continents.
    Wan,
    /// For simulations of thousands.
    Sim,
}

/// A text that is no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset `{0}`, only local, lan, wan and sim")]
pub struct NoPreset(String);

impl FromStr for Preset {
    type Err = NoPreset;

    fn from_str(text: &str) -> Result<Self, NoPreset> {
        Ok(match text {
            "local" => Self::Local,
            "lan" => Self::Lan,
            "wan" => Self::Wan,
            "sim" => Self::Sim,
            other => return Err(NoPreset(other.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        let time = |text: &str| Time::try_from(text.to_owned()).map(|time| time.0);
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1.5 m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "10", "ten s", "10 weeks", "-1s", "NaNs"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn groups_are_named_shared_or_numbered() {
        let group = |text: &str| Group::try_from(text.to_owned());
        assert_eq!(group("30%"), Ok(Group::Share(0.3)));
        assert_eq!(group("4..9"), Ok(Group::Range(4, 9)));
        assert_eq!(group("7"), Ok(Group::Range(7, 8)));
        for wrong in ["101%", "9..4", "some", "-1", "4294967296"] {
            assert!(group(wrong).is_err(), "{wrong}");
        }
    }
}
