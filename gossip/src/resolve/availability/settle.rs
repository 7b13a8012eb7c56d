//! Availability where requirements form loops: everything reachable at once, from the ground up.

use std::collections::BTreeMap;

use super::{Availability, MAX_CHECKS, State, works};
use crate::catalog::{Needs, Row};
use crate::resolve::selector::Selector;

/// Offers and the requirements between them. Offers that work and require the same are one row.
#[derive(Default)]
struct Graph<'a> {
    rows: Vec<&'a Row>,
    /// How often each row has a requirement that is not met yet.
    unmet: Vec<usize>,
    /// Requirements that each row would meet.
    meets: Vec<Vec<usize>>,
    needs: Vec<Need>,
    row_numbers: BTreeMap<Needs, usize>,
    need_numbers: BTreeMap<(&'a str, &'a Selector), usize>,
}

#[derive(Default)]
struct Need {
    /// Rows that have this requirement, once for each time they have it.
    users: Vec<usize>,
    /// How many rows would meet it.
    providers: usize,
    is_met: bool,
}

impl<'a> Availability<'a> {
    /// Decides about `root` and everything it may depend on. Available is what stands on firm ground; looped is what
    /// would be available if loops could hold themselves up; the rest is withdrawn.
    pub(super) fn settle(&mut self, root: &'a Row) {
        self.checks_left = MAX_CHECKS;
        let mut graph = Graph::default();
        graph.add_row(root);
        let mut explored = 0;
        while let Some(&row) = graph.rows.get(explored) {
            self.explore(&mut graph, explored, row);
            explored += 1;
            if self.checks_left == 0 {
                self.known.insert(root.needs, State::Tangled);
                return;
            }
        }
        let mut states = vec![State::Looped; graph.rows.len()];
        graph.fall(&mut states);
        graph.rise(&mut states);
        self.known.extend(graph.rows.iter().map(|row| row.needs).zip(states));
    }

    fn explore(&mut self, graph: &mut Graph<'a>, number: usize, row: &'a Row) {
        let home: &'a str = &row.offer.offers().namespace;
        for selector in row.offer.tool().required() {
            graph.unmet[number] += 1;
            if let Some(&need) = graph.need_numbers.get(&(home, selector)) {
                graph.needs[need].users.push(number);
                continue;
            }
            let need = graph.needs.len();
            graph.need_numbers.insert((home, selector), need);
            graph.needs.push(Need { users: vec![number], ..Need::default() });
            self.touch(&selector.capability);
            let providers = self.catalog.rows(&selector.capability);
            let checked = providers.len().min(self.checks_left);
            self.checks_left -= checked;
            for provider in &providers[..checked] {
                if works(provider) && self.fits(selector, home, provider) {
                    let provider = graph.add_row(provider);
                    graph.meets[provider].push(need);
                    graph.needs[need].providers += 1;
                }
            }
        }
    }
}

impl<'a> Graph<'a> {
    fn add_row(&mut self, row: &'a Row) -> usize {
        let number = *self.row_numbers.entry(row.needs).or_insert(self.rows.len());
        if number == self.rows.len() {
            self.rows.push(row);
            self.unmet.push(0);
            self.meets.push(Vec::new());
        }
        number
    }

    /// From the hopeless up: withdraws those that nobody is there for, then those that nobody is left for, and so on.
    fn fall(&mut self, states: &mut [State]) {
        let hopeless = self.needs.iter().filter(|need| need.providers == 0);
        let mut falling: Vec<usize> = hopeless.flat_map(|need| need.users.iter().copied()).collect();
        while let Some(row) = falling.pop() {
            if std::mem::replace(&mut states[row], State::Withdrawn) == State::Withdrawn {
                continue;
            }
            for &need in &self.meets[row] {
                let need = &mut self.needs[need];
                need.providers -= 1;
                if need.providers == 0 {
                    falling.extend(&need.users);
                }
            }
        }
    }

    /// From the ground up: first those that require nothing, then those that require only what is available, and so on.
    fn rise(&mut self, states: &mut [State]) {
        let mut rising: Vec<usize> = (0..self.rows.len()).filter(|row| self.unmet[*row] == 0).collect();
        while let Some(row) = rising.pop() {
            if states[row] == State::Withdrawn {
                continue;
            }
            states[row] = State::Available;
            for &need in &self.meets[row] {
                let need = &mut self.needs[need];
                if std::mem::replace(&mut need.is_met, true) {
                    continue;
                }
                for &user in &need.users {
                    self.unmet[user] -= 1;
                    if self.unmet[user] == 0 {
                        rising.push(user);
                    }
                }
            }
        }
    }
}
