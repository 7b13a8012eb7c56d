//! A scenario as it is written: every name known, every typo refused with its line.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::text::{Group, Preset, Share, Time};
use super::{Comparison, Expectation, Fault, KeyOf, Refused, Scenario, Start};
use crate::network::{Latency, Weather};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    about: String,
    members: Spanned<u32>,
    #[serde(default = "three")]
    seeds: u32,
    #[serde(default)]
    preset: Preset,
    #[serde(default)]
    start: StartWritten,
    runs_for: Spanned<Time>,
    #[serde(default)]
    records: RecordsWritten,
    providers: Option<Spanned<Group>>,
    packet_cost: Option<Time>,
    courier: Option<bool>,
    #[serde(default)]
    network: NetworkWritten,
    #[serde(default, rename = "fault")]
    faults: Vec<Spanned<FaultWritten>>,
    #[serde(default, rename = "expect")]
    expectations: Vec<Spanned<ExpectationWritten>>,
    compare: Option<ComparisonWritten>,
}

fn three() -> u32 {
    3
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartWritten {
    joining_over: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsWritten {
    count: u32,
    bytes: usize,
}

impl Default for RecordsWritten {
    fn default() -> Self {
        Self { count: 10, bytes: 100 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComparisonWritten {
    plain_at_least: u64,
    ours_at_most_one_in: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkWritten {
    latency: Option<LatencyWritten>,
    regions: Option<Spanned<RegionsWritten>>,
    loss: Option<Share>,
    duplicate: Option<Share>,
    straggle: Option<Share>,
    straggle_by: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyWritten {
    min: Time,
    max: Time,
}

/// Regions: how members are spread over them, and the one-way times between them as a square.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionsWritten {
    names: Vec<String>,
    one_way: Vec<Vec<Time>>,
    spread: Option<Share>,
}

/// One fault: a time and exactly one verb.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWritten {
    at: Time,
    partition: Option<Group>,
    one_way: Option<OneWayWritten>,
    heal: Option<Everything>,
    crash: Option<Group>,
    restart: Option<RestartWritten>,
    rolling_restart: Option<RollingWritten>,
    stall: Option<StallWritten>,
    loss: Option<Share>,
    delay: Option<DelayWritten>,
    skew: Option<SkewWritten>,
    slow: Option<SlowWritten>,
    flap: Option<FlapWritten>,
    join: Option<JoinWritten>,
    leave: Option<Group>,
    set_records: Option<SetWritten>,
    churn: Option<ChurnWritten>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Everything {
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneWayWritten {
    from: Group,
    to: Group,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartWritten {
    who: Group,
    #[serde(default)]
    key: KeyWritten,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeyWritten {
    #[default]
    Same,
    New,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollingWritten {
    who: Group,
    every: Time,
    down: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StallWritten {
    who: Group,
    time: Time,
    every: Option<Time>,
    until: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelayWritten {
    who: Group,
    by: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkewWritten {
    who: Group,
    fast_by_ppm: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowWritten {
    who: Group,
    per_packet: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlapWritten {
    who: Group,
    down: Time,
    up: Time,
    until: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinWritten {
    count: u32,
    over: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetWritten {
    who: Group,
    #[serde(default = "one")]
    records: u32,
    #[serde(default = "two_hundred")]
    bytes: usize,
}

fn one() -> u32 {
    1
}

fn two_hundred() -> usize {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChurnWritten {
    every: Time,
    down: Time,
    until: Time,
}

/// One expectation: exactly one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectationWritten {
    agreed_at: Option<Time>,
    crash_known_within: Option<Time>,
    leave_known_within: Option<Time>,
    join_known_within: Option<Time>,
    news_known_within: Option<Time>,
    false_deaths_at_most: Option<u64>,
    falsely_dead_at_most: Option<Time>,
    bytes_per_second_at_most: Option<u64>,
    providers_gone_within: Option<Time>,
}

/// What is wrong, and at which byte of the file.
struct Wrong {
    at: usize,
    message: String,
}

fn wrong<T>(at: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, message: message.into() })
}

pub(super) fn parse(file: &str, toml: &str) -> Result<Scenario, Refused> {
    let refuse = |Wrong { at, message }: Wrong| {
        let before = &toml.as_bytes()[..at.min(toml.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Refused { file: file.to_owned(), line, message }
    };
    let written: Written = toml::from_str(toml).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        refuse(Wrong { at, message: error.message().to_owned() })
    })?;
    check(written).map_err(refuse)
}

fn check(written: Written) -> Result<Scenario, Wrong> {
    let members_at = written.members.span().start;
    let members = written.members.into_inner();
    if !(2..=20_000).contains(&members) {
        return wrong(members_at, "members must be between 2 and 20000");
    }
    let seeds = written.seeds;
    if !(1..=members).contains(&seeds) {
        return wrong(members_at, "there must be at least one seed, and no more seeds than members");
    }
    let runs_at = written.runs_for.span().start;
    let runs_for = written.runs_for.into_inner().0;
    if runs_for < Duration::from_secs(1) {
        return wrong(runs_at, "runs_for must be at least 1s");
    }
    let providers = match written.providers.map(|providers| (providers.span().start, providers.into_inner())) {
        None => 0..0,
        Some((_, Group::Range(from, to))) if to <= members => from..to,
        Some((at, _)) => return wrong(at, "providers must be a range of members that exist, such as \"10..30\""),
    };
    let mut faults = Vec::new();
    for fault in written.faults {
        let at = fault.span().start;
        let (when, fault) = check_fault(at, fault.into_inner(), runs_for)?;
        if when >= runs_for {
            return wrong(at, "this fault comes after the end of the run (runs_for)");
        }
        faults.push((when, fault));
    }
    faults.sort_by_key(|(when, _)| *when);
    let mut expectations = Vec::new();
    for expectation in written.expectations {
        let at = expectation.span().start;
        expectations.extend(check_expectation(at, &expectation.into_inner(), runs_for)?);
    }
    Ok(Scenario {
        name: written.name,
        about: written.about.split_whitespace().collect::<Vec<_>>().join(" "),
        members,
        seeds,
        preset: written.preset,
        start: written.start.joining_over.map_or(Start::Converged, |over| Start::Joining(over.0)),
        runs_for,
        records: (written.records.count, written.records.bytes),
        providers,
        packet_cost: written.packet_cost.map_or(Duration::ZERO, |cost| cost.0),
        courier: written.courier.unwrap_or(true),
        weather: check_network(written.network)?,
        faults,
        expectations,
        compare: written.compare.map(|compare| Comparison {
            plain_at_least: compare.plain_at_least,
            ours_at_most_one_in: compare.ours_at_most_one_in.max(1),
        }),
    })
}

fn check_network(written: NetworkWritten) -> Result<Weather, Wrong> {
    let mut weather = Weather::default();
    if let Some(latency) = written.latency {
        weather.latency = Latency::Uniform { min: latency.min.0, max: latency.max.0.max(latency.min.0) };
    }
    if let Some(regions) = written.regions {
        let at = regions.span().start;
        let regions = regions.into_inner();
        let size = regions.names.len();
        if size == 0 || regions.one_way.len() != size || regions.one_way.iter().any(|row| row.len() != size) {
            return wrong(at, format!("one_way must be {size} rows of {size} times, one for each name"));
        }
        let size = u16::try_from(size).or_else(|_| wrong(at, "too many regions"))?;
        weather.latency = Latency::Regions {
            region_of: (0..size).collect(),
            between: regions.one_way.iter().map(|row| row.iter().map(|time| time.0).collect()).collect(),
            spread: regions.spread.map_or(0.1, |spread| spread.0),
        };
    }
    weather.loss = written.loss.map_or(weather.loss, |share| share.0);
    weather.duplicate = written.duplicate.map_or(weather.duplicate, |share| share.0);
    weather.straggle = written.straggle.map_or(weather.straggle, |share| share.0);
    weather.straggle_by = written.straggle_by.map_or(weather.straggle_by, |time| time.0);
    Ok(weather)
}

fn check_fault(at: usize, written: FaultWritten, runs_for: Duration) -> Result<(Duration, Fault), Wrong> {
    let when = written.at.0;
    let mut named = Vec::new();
    named.extend(written.partition.map(Fault::Partition));
    named.extend(written.one_way.map(|it| Fault::OneWay(it.from, it.to)));
    named.extend(written.heal.map(|Everything::All| Fault::Heal));
    named.extend(written.crash.map(Fault::Crash));
    named.extend(written.restart.map(|it| {
        let key = match it.key {
            KeyWritten::Same => KeyOf::Before,
            KeyWritten::New => KeyOf::Nobody,
        };
        Fault::Restart(it.who, key)
    }));
    named.extend(written.rolling_restart.map(|it| Fault::Rolling { who: it.who, every: it.every.0, down: it.down.0 }));
    named.extend(written.stall.map(|it| Fault::Stall {
        who: it.who,
        time: it.time.0,
        every: it.every.map(|every| every.0.max(Duration::from_millis(1))),
        until: it.until.map_or(runs_for, |until| until.0),
    }));
    named.extend(written.loss.map(|share| Fault::Loss(share.0)));
    named.extend(written.delay.map(|it| Fault::Delay(it.who, it.by.0)));
    named.extend(written.skew.map(|it| Fault::Skew(it.who, it.fast_by_ppm.clamp(-500_000, 500_000))));
    named.extend(written.slow.map(|it| Fault::Slow(it.who, it.per_packet.0)));
    named.extend(written.flap.map(|it| Fault::Flap {
        who: it.who,
        down: it.down.0.max(Duration::from_millis(1)),
        up: it.up.0,
        until: it.until.0,
    }));
    named.extend(written.join.map(|it| Fault::Join(it.count, it.over.map_or(Duration::ZERO, |over| over.0))));
    named.extend(written.leave.map(Fault::Leave));
    named.extend(written.set_records.map(|it| Fault::Set { who: it.who, records: it.records, bytes: it.bytes }));
    named.extend(written.churn.map(|it| Fault::Churn {
        every: it.every.0.max(Duration::from_millis(1)),
        down: it.down.0,
        until: it.until.0,
    }));
    match <[Fault; 1]>::try_from(named) {
        Ok([fault]) => Ok((when, fault)),
        Err(none) if none.is_empty() => wrong(at, "this fault has a time but says nothing that happens"),
        Err(_) => wrong(at, "one fault is one thing that happens: write a [[fault]] for each"),
    }
}

fn check_expectation(at: usize, written: &ExpectationWritten, runs_for: Duration) -> Result<Vec<Expectation>, Wrong> {
    let mut named = Vec::new();
    named.extend(written.agreed_at.map(|time| Expectation::AgreedAt(time.0)));
    named.extend(written.crash_known_within.map(|time| Expectation::CrashKnownWithin(time.0)));
    named.extend(written.leave_known_within.map(|time| Expectation::LeaveKnownWithin(time.0)));
    named.extend(written.join_known_within.map(|time| Expectation::JoinKnownWithin(time.0)));
    named.extend(written.news_known_within.map(|time| Expectation::NewsKnownWithin(time.0)));
    named.extend(written.false_deaths_at_most.map(Expectation::FalseDeathsAtMost));
    named.extend(written.falsely_dead_at_most.map(|time| Expectation::FalselyDeadAtMost(time.0)));
    named.extend(written.bytes_per_second_at_most.map(Expectation::BytesPerSecondAtMost));
    named.extend(written.providers_gone_within.map(|time| Expectation::ProvidersGoneWithin(time.0)));
    if named.is_empty() {
        return wrong(at, "this expectation expects nothing");
    }
    if named.iter().any(|it| matches!(it, Expectation::AgreedAt(time) if *time > runs_for)) {
        return wrong(at, "agreed_at comes after the end of the run (runs_for)");
    }
    Ok(named)
}
