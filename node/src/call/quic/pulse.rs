//! Whether a member still answers: a byte there and back, again and again, while calls are under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mesh_gossip::transport::quic::{AskError, MemberStream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::lines::{Line, Shared};
use super::{CONNECT_BUDGET, PULSES};

/// How often the member is asked. Half of it is how often we look whether it has answered.
const PERIOD: Duration = Duration::from_millis(40);

/// How long a member that is near may be silent.
const PATIENCE: Duration = Duration::from_millis(140);

/// The same while megabytes are on their way: both ends, and the buffers between them, have much to do.
const BULK_PATIENCE: Duration = Duration::from_secs(1);

/// The longest patience, with one that is far or slow.
const MAX_PATIENCE: Duration = Duration::from_secs(2);

/// A look that comes this much late says that it is we who are slow.
const LATE: Duration = Duration::from_millis(20);

/// How long the stream stays open for the next call.
const LINGER: Duration = Duration::from_secs(2);

/// How long to wait before another stream is tried after one that broke.
const REOPEN: Duration = Duration::from_millis(500);

/// The most pulses on their way.
const MAX_UNANSWERED: usize = 64;

/// Sends every pulse back, until the member has no more.
pub(super) async fn answer(mut stream: MemberStream) {
    let mut pulses = [0; MAX_UNANSWERED];
    while let Ok(Some(count)) = stream.receive.read(&mut pulses).await {
        if stream.send.write_all(&pulses[..count]).await.is_err() {
            return;
        }
    }
}

/// Pulses the member of `line` while calls are under way to it or it is silent, and a little longer.
pub(super) async fn keep(shared: Arc<Shared>, line: Arc<Line>) {
    let mut looks = interval(PERIOD / 2);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    let (mut last_look, mut last_use, mut next_pulse, mut next_open) = (begun, begun, begun + PERIOD / 2, begun);
    let mut judge = Judge::new(begun);
    let mut stream: Option<MemberStream> = None;
    let mut opening: Option<BoxFuture<'_, Result<MemberStream, AskError>>> = None;
    let mut echoes = [0; MAX_UNANSWERED];
    while !line.is_gone() {
        tokio::select! {
            _ = looks.tick() => {
                let now = Instant::now();
                judge.looked(now, (now - last_look).saturating_sub(PERIOD / 2));
                last_look = now;
                if line.calls() > 0 || line.is_silent() {
                    last_use = now;
                } else if now - last_use > LINGER && line.rest() {
                    return;
                }
                if last_use == now && now >= next_pulse && let Some(stream) = &mut stream {
                    next_pulse = now + PERIOD;
                    if judge.asks(now) {
                        // One that cannot be written waits for its answer as well; one that broke shows when read.
                        let _ = stream.send.write(&[0]).now_or_never();
                    }
                }
                if stream.is_none() && opening.is_none() && now >= next_open {
                    opening = Some(shared.gossip.open(line.member, PULSES, CONNECT_BUDGET).boxed());
                }
                let patience = if line.has_bulk() { BULK_PATIENCE } else { PATIENCE };
                if judge.finds_silence(now, line.heard(), patience) {
                    line.found_silent();
                }
            }
            opened = come(&mut opening) => {
                opening = None;
                stream = opened.ok();
                next_open = Instant::now() + REOPEN;
            }
            count = read(&mut stream, &mut echoes) => {
                let now = Instant::now();
                match count {
                    Some(count) => {
                        judge.answered(now, count);
                        line.hear();
                    }
                    None => {
                        judge.forget();
                        stream = None;
                        next_open = now + REOPEN;
                    }
                }
            }
        }
    }
}

async fn come<T>(future: &mut Option<BoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// How many bytes came; `None` when the stream is no more.
async fn read(stream: &mut Option<MemberStream>, bytes: &mut [u8]) -> Option<usize> {
    match stream {
        Some(stream) => stream.receive.read(bytes).await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// Decides whether a member is silent, from when it was asked and when it answered.
struct Judge {
    /// When the pulses were sent that wait for their answers, oldest first.
    unanswered: VecDeque<Instant>,
    /// How long an answer takes, smoothed as in RFC 6298, and how much that varies.
    round_trip: Option<(Duration, Duration)>,
    /// Before that nobody is judged: we were late ourselves, and answers may lie unread.
    not_before: Instant,
    /// When the member was last found silent.
    found: Option<Instant>,
}

impl Judge {
    fn new(now: Instant) -> Self {
        Self { unanswered: VecDeque::new(), round_trip: None, not_before: now, found: None }
    }

    fn looked(&mut self, now: Instant, late: Duration) {
        if late > LATE {
            self.not_before = now + PERIOD;
        }
    }

    /// Whether to ask once more.
    fn asks(&mut self, now: Instant) -> bool {
        let has_room = self.unanswered.len() < MAX_UNANSWERED;
        if has_room {
            self.unanswered.push_back(now);
        }
        has_room
    }

    fn answered(&mut self, now: Instant, count: usize) {
        self.found = None;
        let count = count.min(self.unanswered.len());
        if let Some(asked) = self.unanswered.drain(..count).next_back() {
            let took = now - asked;
            self.round_trip = Some(match self.round_trip {
                None => (took, took / 2),
                Some((smooth, varies)) => ((smooth * 7 + took) / 8, (varies * 3 + smooth.abs_diff(took)) / 4),
            });
        }
    }

    /// The stream broke: nothing that was asked on it will be answered.
    fn forget(&mut self) {
        self.unanswered.clear();
    }

    /// Whether the member has been silent too long, once per patience, which is at least as given. `heard` is when it
    /// last said anything else.
    fn finds_silence(&mut self, now: Instant, heard: Option<Instant>, patience: Duration) -> bool {
        let Some(&asked) = self.unanswered.front() else { return false };
        let since = asked.max(heard.unwrap_or(asked)).max(self.found.unwrap_or(asked));
        let is_silent = now >= self.not_before && now.saturating_duration_since(since) >= self.patience(patience);
        if is_silent {
            self.found = Some(now);
        }
        is_silent
    }

    fn patience(&self, least: Duration) -> Duration {
        let usual = self.round_trip.map_or(least, |(smooth, varies)| 2 * (smooth + 4 * varies));
        usual.clamp(least, MAX_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Asks every 40 ms until `until`, each answered after `round_trip`.
    fn talk(judge: &mut Judge, start: Instant, until: u32, round_trip: u32) {
        for at in (0..until).step_by(40) {
            assert!(judge.asks(start + at * MS));
            judge.answered(start + (at + round_trip) * MS, 1);
            assert!(!judge.finds_silence(start + (at + round_trip) * MS, None, PATIENCE));
        }
    }

    fn silence(judge: &mut Judge, start: Instant, after: u32) -> Option<u32> {
        (after..after + 5_000).find(|&at| {
            if at % 40 == 0 {
                judge.asks(start + at * MS);
            }
            judge.finds_silence(start + at * MS, None, PATIENCE)
        })
    }

    #[test]
    fn a_near_member_is_silent_after_less_than_four_pulses_and_again_while_it_stays_so() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        talk(&mut judge, start, 1_000, 1);
        assert_eq!(silence(&mut judge, start, 1_001), Some(1_180));
        assert_eq!(silence(&mut judge, start, 1_181), Some(1_320));
        judge.answered(start + 1_321 * MS, 1);
        assert!(!judge.finds_silence(start + 1_330 * MS, Some(start + 1_321 * MS), PATIENCE));
    }

    #[test]
    fn a_slow_member_is_given_more_time() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        talk(&mut judge, start, 4_000, 39);
        let usual = silence(&mut judge, start, 4_001);
        let mut slow = Judge::new(start);
        for at in (0..4_000).step_by(400) {
            slow.asks(start + at * MS);
            slow.answered(start + (at + 300) * MS, 1);
        }
        assert!(silence(&mut slow, start, 4_001) > usual.map(|at| at + 300));
    }

    #[test]
    fn other_words_of_the_member_count_and_our_own_lateness_is_not_its_silence() {
        let start = Instant::now();
        let mut judge = Judge::new(start);
        judge.asks(start);
        assert!(!judge.finds_silence(start + 200 * MS, Some(start + 100 * MS), PATIENCE));
        judge.looked(start + 300 * MS, 100 * MS);
        assert!(!judge.finds_silence(start + 301 * MS, Some(start + 100 * MS), PATIENCE));
        assert!(judge.finds_silence(start + 341 * MS, Some(start + 100 * MS), PATIENCE));
        judge.forget();
        assert!(!judge.finds_silence(start + 1_000 * MS, None, PATIENCE), "nothing is owed on a stream that broke");
    }
}
