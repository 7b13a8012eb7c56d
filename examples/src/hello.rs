//! The two agents of the first example. Their programs, and the one that runs both, are in `src/bin`.

use std::time::{SystemTime, UNIX_EPOCH};

use mesh::prelude::*;

/// Greets someone, with today's date when somebody in the mesh knows it.
#[mesh::tool(capability = "greeting", tags = ["hello"], version = "1.0.0", idempotent)]
pub async fn greet(
    /// Who to greet.
    #[default("World")]
    name: String,
    /// How to greet them.
    #[default("Hello")]
    salutation: String,
    #[dep("date_service")] date: Option<Dep<String>>,
) -> Result<String> {
    let today = match date {
        Some(date) => date.call(()).await?,
        None => "some day".to_owned(),
    };
    Ok(format!("{salutation}, {name}! It is {today}."))
}

/// Today's date (UTC), such as `2026-05-17`.
#[mesh::tool(capability = "date_service", tags = ["system", "time"], version = "1.0.0", idempotent, read_only)]
pub fn get_date() -> Result<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    Ok(format!("{year}-{month:02}-{day:02}"))
}

/// The agent that greets.
pub fn greeter() -> Agent {
    Agent::new("hello-world").description("Greets people").tool::<greet>()
}

/// The agent that knows the date.
pub fn calendar() -> Agent {
    Agent::new("date-service").description("Knows the date").tool::<get_date>()
}

/// The date that is so many days after 1970-01-01, counted in years that begin in March: leap days come last then.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_greeting_does_without_a_date_and_takes_that_of_whoever_knows_it() {
        assert_eq!(greet("Ada".into(), "Hi".into(), None).await.unwrap(), "Hi, Ada! It is some day.");
        let date = Dep::fake(|_, _| async { Ok("Monday".into()) });
        assert_eq!(greet("Ada".into(), "Hi".into(), Some(date)).await.unwrap(), "Hi, Ada! It is Monday.");
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_590), (2026, 5, 17));
    }
}
