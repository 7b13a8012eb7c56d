//! What is to happen when. What is written down for the same moment happens in the order in which it was written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An agenda of `T`s.
pub(super) struct Agenda<T> {
    written: u64,
    /// When, the how manieth entry it is, and where the entry is: moving these three about is cheap.
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { written: 0, heap: BinaryHeap::new(), entries: Vec::new(), free: Vec::new() }
    }

    pub(super) fn write(&mut self, at: u64, what: T) {
        let place = if let Some(place) = self.free.pop() {
            self.entries[place as usize] = Some(what);
            place
        } else {
            self.entries.push(Some(what));
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 things are pending")
        };
        self.written += 1;
        self.heap.push(Reverse((at, self.written, place)));
    }

    /// Strikes out what is next, if it is due by `until`, and says when it is.
    pub(super) fn next_by(&mut self, until: u64) -> Option<(u64, T)> {
        let &Reverse((at, _, place)) = self.heap.peek()?;
        if at > until {
            return None;
        }
        self.heap.pop();
        self.free.push(place);
        let what = self.entries[place as usize].take().expect("an agenda item has its entry");
        Some((at, what))
    }
}
