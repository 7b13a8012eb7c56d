//! The node's clock, and what the core asked to be woken for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::moment::Moment;
use crate::timer::Timer;

/// Moments are counted from the start of the node.
pub(super) struct Timers {
    start: Instant,
    waiting: BinaryHeap<Reverse<(Moment, Timer)>>,
    /// One for all of them, so that waiting costs nothing while the earliest stays.
    alarm: Pin<Box<Sleep>>,
    set_for: Moment,
    /// When to ring in any case.
    nudge: Option<Moment>,
}

/// How long the alarm may be off while nothing waits; then it rings for nothing.
const LONG: Duration = Duration::from_secs(3600);

impl Timers {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        let alarm = Box::pin(sleep_until(start + LONG));
        Self { start, waiting: BinaryHeap::new(), alarm, set_for: Moment::ZERO.after(LONG), nudge: None }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::ZERO.after(self.start.elapsed())
    }

    pub(super) fn add(&mut self, at: Moment, timer: Timer) {
        self.waiting.push(Reverse((at, timer)));
    }

    /// Has the alarm ring at `at` as well, whatever waits; or no longer.
    pub(super) fn nudge(&mut self, at: Option<Moment>) {
        self.nudge = at;
    }

    /// Forgets everything, for a core that starts anew.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The next timer whose moment has come.
    pub(super) fn due(&mut self, now: Moment) -> Option<Timer> {
        let Reverse((at, _)) = self.waiting.peek()?;
        if *at > now {
            return None;
        }
        self.waiting.pop().map(|Reverse((_, timer))| timer)
    }

    /// Waits until some timer is due, or until `instead`. Dropping the future loses nothing.
    pub(super) async fn ring(&mut self, instead: Option<Moment>) {
        let now = self.now();
        if self.nudge.take_if(|at| *at <= now).is_some() {
            return;
        }
        let timers = self.waiting.peek().map(|Reverse((at, _))| *at);
        let next = instead.or_else(|| timers.into_iter().chain(self.nudge).min()).unwrap_or_else(|| now.after(LONG));
        if next != self.set_for || self.alarm.is_elapsed() {
            self.set_for = next;
            self.alarm.as_mut().reset(self.start + next.since(Moment::ZERO));
        }
        self.alarm.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Moment, Timer, Timers};

    #[tokio::test(start_paused = true)]
    async fn timers_come_in_their_order_and_not_before_their_time() {
        let mut timers = Timers::new();
        let at = |millis| Moment::ZERO.after(Duration::from_millis(millis));
        timers.add(at(30), Timer::Push);
        timers.add(at(10), Timer::Probe);
        timers.ring(None).await;
        assert!(timers.now() >= at(10) && timers.now() < at(30));
        assert_eq!(timers.due(timers.now()), Some(Timer::Probe));
        assert_eq!(timers.due(timers.now()), None);
        timers.add(at(20), Timer::Seeds);
        timers.ring(None).await;
        assert_eq!(timers.due(timers.now()), Some(Timer::Seeds));
        timers.ring(None).await;
        assert_eq!(timers.due(timers.now()), Some(Timer::Push));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nudge_rings_once_also_when_its_moment_has_passed_already() {
        let mut timers = Timers::new();
        let at = |millis| Moment::ZERO.after(Duration::from_millis(millis));
        timers.add(at(30), Timer::Push);
        timers.nudge(Some(at(10)));
        timers.ring(None).await;
        assert!(timers.now() >= at(10) && timers.now() < at(30));
        timers.ring(None).await;
        assert!(timers.now() < at(30));
        timers.ring(None).await;
        assert_eq!(timers.due(timers.now()), Some(Timer::Push));
    }
}
