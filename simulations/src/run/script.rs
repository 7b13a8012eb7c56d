//! The faults of a scenario, unrolled into single steps, and what each does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::RngExt;

use super::{Breed, Run};
use crate::network::{HostSet, RuleId, Verdict, Way};
use crate::scenario::{Expectation, Fault, KeyOf, Scenario};

/// How long after it woke, or after a cut healed, a member may still be taken for dead with reason: an accusation made
/// before may come to its end only then.
const GRACE: Duration = Duration::from_secs(5);

/// One thing to do at one time.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Fault(usize),
    Join(u32),
    Crash(u32),
    Restart(u32, KeyOf),
    End(u32),
    Stall { who: Vec<u32>, time: Duration, every: Duration, until: Duration },
    Cut { who: HostSet, down: Duration, up: Duration, until: Duration },
    Lift { rule: RuleId, who: HostSet },
    Churn { every: Duration, down: Duration, until: Duration },
    Pardon,
    Check,
    Sample,
}

/// What is still to be done, in order.
pub(super) struct Script {
    end: Duration,
    order: u64,
    agenda: BinaryHeap<Reverse<(Duration, u64)>>,
    steps: BTreeMap<u64, Step>,
}

impl Script {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut script = Self { end: scenario.runs_for, order: 0, agenda: BinaryHeap::new(), steps: BTreeMap::new() };
        for (index, (at, _)) in scenario.faults.iter().enumerate() {
            script.plan(*at, Step::Fault(index));
        }
        for expectation in &scenario.expectations {
            if let Expectation::AgreedAt(at) = expectation {
                script.plan(*at, Step::Check);
            }
        }
        let looks = 300;
        for look in 0..looks {
            script.plan(scenario.runs_for * look / looks, Step::Sample);
        }
        script
    }

    /// Plans a step; what would come after the end does not come.
    pub(super) fn plan(&mut self, at: Duration, step: Step) {
        if at <= self.end {
            self.order += 1;
            self.agenda.push(Reverse((at, self.order)));
            self.steps.insert(self.order, step);
        }
    }

    pub(super) fn next(&mut self) -> Option<(Duration, Step)> {
        let Reverse((at, order)) = self.agenda.pop()?;
        Some((at, self.steps.remove(&order).expect("planned steps are kept")))
    }
}

impl<B: Breed> Run<'_, B> {
    pub(super) fn carry_out(&mut self, at: Duration, step: Step) {
        match step {
            Step::Fault(index) => {
                let fault = self.scenario.faults[index].1.clone();
                self.marks.push((at.as_secs_f64(), label(&fault)));
                self.strike(at, fault);
            }
            Step::Join(host) => self.join(host),
            Step::Crash(host) => self.crash(host),
            Step::Restart(host, key) => self.restart(host, key),
            Step::End(host) => self.world.crash(host),
            Step::Stall { who, time, every, until } => self.stall(at, who, time, every, until),
            Step::Cut { who, down, up, until } => self.cut(at, who, down, up, until),
            Step::Lift { rule, who } => {
                self.world.network().lift(rule);
                self.reunite(at, &who);
            }
            Step::Churn { every, down, until } => self.churn(at, every, down, until),
            Step::Pardon => self.pardon(at),
            Step::Check => self.agreed_at.push((at, self.world.watch.wrong() == 0)),
            Step::Sample => self.sample(at),
        }
    }

    fn strike(&mut self, at: Duration, fault: Fault) {
        match fault {
            Fault::Partition(group) => {
                let who: HostSet = self.members_of(&group).into_iter().collect();
                self.world.network().add_rule(Way::Around(who.clone()), Verdict::Cut);
                self.separate(who);
            }
            Fault::OneWay(from, to) => {
                let (from, to) =
                    (self.members_of(&from).into_iter().collect(), self.members_of(&to).into_iter().collect());
                self.world.network().add_rule(Way::OneWay(from, to), Verdict::Cut);
            }
            Fault::Heal => {
                self.world.network().lift_all();
                for (_, who) in self.divided.clone() {
                    self.reunite(at, &who);
                }
                self.expect_reunion();
            }
            Fault::Crash(group) => self.for_each(&group, Self::crash),
            Fault::Restart(group, key) => self.for_each(&group, |run, host| run.restart(host, key)),
            Fault::Rolling { who, every, down } => {
                for (turn, host) in (0..).zip(self.members_of(&who)) {
                    self.script.plan(at + every * turn, Step::Crash(host));
                    self.script.plan(at + every * turn + down, Step::Restart(host, KeyOf::Before));
                }
            }
            Fault::Stall { who, time, every, until } => {
                let who = self.members_of(&who);
                self.stall(at, who, time, every.unwrap_or(Duration::MAX), until);
            }
            Fault::Loss(share) => self.world.network().weather().loss = share,
            Fault::Delay(group, by) => {
                let who = self.members_of(&group).into_iter().collect();
                self.world.network().add_rule(Way::Around(who), Verdict::Slow(by));
            }
            Fault::Skew(group, ppm) => self.for_each(&group, |run, host| run.world.skew(host, ppm)),
            Fault::Slow(group, per_packet) => {
                self.for_each(&group, |run, host| run.world.slow_down(host, per_packet));
            }
            Fault::Flap { who, down, up, until } => {
                let who = self.members_of(&who).into_iter().collect();
                self.cut(at, who, down, up, until);
            }
            Fault::Join(count, over) => {
                let next = self.world.len();
                for newcomer in 0..count {
                    self.script.plan(at + over * newcomer / count, Step::Join(next + newcomer));
                }
            }
            Fault::Leave(group) => self.for_each(&group, Self::leave),
            Fault::Set { who, records, bytes } => {
                self.for_each(&who, |run, host| run.set_records(host, records, bytes));
            }
            Fault::Churn { every, down, until } => self.churn(at, every, down, until),
        }
    }

    fn for_each(&mut self, group: &crate::scenario::text::Group, mut act: impl FnMut(&mut Self, u32)) {
        for host in self.members_of(group) {
            act(self, host);
        }
    }

    fn stall(&mut self, at: Duration, who: Vec<u32>, time: Duration, every: Duration, until: Duration) {
        for host in &who {
            self.world.stall(*host, time);
            self.stalled.push((at + time + GRACE, *host));
        }
        self.pardon(at);
        self.script.plan(at + time + GRACE, Step::Pardon);
        let next = at.saturating_add(every);
        if next < until {
            self.script.plan(next, Step::Stall { who, time, every, until });
        }
    }

    /// Renews the list of those whose death would be nobody's fault.
    fn pardon(&mut self, at: Duration) {
        self.stalled.retain(|(until, _)| *until > at);
        self.world.watch.excuse(self.stalled.iter().map(|(_, host)| *host).collect());
        self.divided.retain(|(until, _)| *until > at);
        self.world.watch.divide(self.divided.iter().map(|(_, who)| who.clone()).collect());
    }

    fn separate(&mut self, who: HostSet) {
        self.divided.push((Duration::MAX, who));
        self.world.watch.divide(self.divided.iter().map(|(_, who)| who.clone()).collect());
    }

    fn reunite(&mut self, at: Duration, who: &HostSet) {
        for (until, _) in self.divided.iter_mut().filter(|(until, set)| *until == Duration::MAX && set == who) {
            *until = at + GRACE;
        }
        self.script.plan(at + GRACE, Step::Pardon);
    }

    fn cut(&mut self, at: Duration, who: HostSet, down: Duration, up: Duration, until: Duration) {
        let rule = self.world.network().add_rule(Way::Around(who.clone()), Verdict::Cut);
        self.separate(who.clone());
        self.script.plan(at + down, Step::Lift { rule, who: who.clone() });
        let next = at + down + up;
        if next < until {
            self.script.plan(next, Step::Cut { who, down, up, until });
        }
    }

    fn churn(&mut self, at: Duration, every: Duration, down: Duration, until: Duration) {
        let candidates: Vec<u32> = self.everybody_up().filter(|host| *host >= self.scenario.seeds).collect();
        if !candidates.is_empty() {
            let victim = candidates[self.dice.random_range(0..candidates.len())];
            self.crash(victim);
            self.script.plan(at + down, Step::Restart(victim, KeyOf::Before));
        }
        if at + every < until {
            self.script.plan(at + every, Step::Churn { every, down, until });
        }
    }
}

/// What a fault is called in a plot.
fn label(fault: &Fault) -> String {
    match fault {
        Fault::Partition(who) => format!("{who} cut off"),
        Fault::OneWay(from, to) => format!("{from} cannot reach {to}"),
        Fault::Heal => "healed".to_owned(),
        Fault::Crash(who) => format!("{who} crash"),
        Fault::Restart(who, _) => format!("{who} restart"),
        Fault::Rolling { who, .. } => format!("{who} restart in turn"),
        Fault::Stall { who, time, .. } => format!("{who} stall {time:?}"),
        Fault::Loss(share) => format!("{:.0}% loss", share * 100.0),
        Fault::Delay(who, by) => format!("{who} slower by {by:?}"),
        Fault::Skew(who, ppm) => format!("clocks of {who} off by {ppm} ppm"),
        Fault::Slow(who, cost) => format!("{who} need {cost:?} a packet"),
        Fault::Flap { who, .. } => format!("{who} flap"),
        Fault::Join(count, _) => format!("{count} join"),
        Fault::Leave(who) => format!("{who} leave"),
        Fault::Set { who, records, .. } => format!("{who} change {records} records"),
        Fault::Churn { every, .. } => format!("one crashes every {every:?}"),
    }
}
