//! Rumours waiting to be told: what goes into the room that a datagram has left.
//!
//! Accusations, alive records, records and orders have queues of their own, served in turn, so that a storm of one kind
//! cannot starve another. Each rumour is told a bounded number of times (SWIM §4.1), the least told first; a newer one
//! about the same subject replaces it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::MemberId;
use crate::moment::Moment;
use crate::packet::{RUMOUR_OVERHEAD, Rumour, Writer};

/// What a rumour is about; one rumour per subject is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Somebody's being suspect or dead.
    Accused(MemberId),
    /// Somebody's alive record.
    Alive(MemberId),
    /// A record of somebody's, by its version.
    Record(MemberId, u64),
    /// The news that large records of somebody's can be pulled here.
    Holding(MemberId),
    /// An order of the operator, by its number.
    Order(u64),
}

impl Subject {
    fn class(&self) -> usize {
        match self {
            Self::Order(_) => 0,
            Self::Accused(_) => 1,
            Self::Alive(_) => 2,
            Self::Record(..) | Self::Holding(_) => 3,
        }
    }
}

const CLASSES: usize = 4;

/// The most rumours of one class that wait. When full, the one told most often makes room.
const CLASS_MAX: usize = 4_096;

/// How many rumours of a class count when the backlog is estimated: beyond them pushing is at its most anyway.
const BACKLOG_LOOK: usize = 1_024;

/// From so many rumours of a class on they are told less often: each that is heard once more counts as told a few times,
/// since whoever told it has told others as well. What is missed for it shows in the next comparison of views.
const MANY: usize = 32;
const HEARD_COUNTS: u32 = 3;

/// So many newcomers within this time are a crowd. Each telling then counts as so many: everybody tells everything, and asks
/// for what it lacks, many things at once.
const CROWD: usize = 32;
const CROWD_WITHIN: Duration = Duration::from_secs(5);
const TOLD_COUNTS: u32 = 3;

/// The most records told at a time.
const RECORDS_TOLD_MAX: usize = 256;

#[derive(Debug)]
struct Entry {
    encoded: Vec<u8>,
    born: Moment,
    told: u32,
    order: u64,
}

/// One class of rumours: by subject, and in the order of telling.
#[derive(Debug, Default)]
struct Class {
    entries: BTreeMap<Subject, Entry>,
    queue: BTreeMap<(u32, u64), Subject>,
}

impl Class {
    fn insert(&mut self, subject: Subject, entry: Entry) {
        self.remove(&subject);
        if self.entries.len() >= CLASS_MAX
            && let Some((_, worn)) = self.queue.pop_last()
        {
            self.entries.remove(&worn);
        }
        self.queue.insert((entry.told, entry.order), subject.clone());
        self.entries.insert(subject, entry);
    }

    fn remove(&mut self, subject: &Subject) {
        if let Some(entry) = self.entries.remove(subject) {
            self.queue.remove(&(entry.told, entry.order));
        }
    }
}

/// Which rumours a packet may take along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Those that have not been told often enough yet.
    Untold,
    /// Also those that have, while they are fresh: for somebody whose view differs from ours.
    Fresh,
}

/// The rumours this member still tells.
#[derive(Debug, Default)]
pub struct Rumours {
    classes: [Class; CLASSES],
    next_order: u64,
    /// When the last ones came, as many as make a crowd.
    newcomers: VecDeque<Moment>,
}

impl Rumours {
    /// Somebody has come to the mesh.
    pub fn welcome(&mut self, now: Moment) {
        self.newcomers.push_back(now);
        if self.newcomers.len() > CROWD {
            self.newcomers.pop_front();
        }
    }

    /// Starts telling a rumour, in place of an older one about the same subject. In a storm of records further ones are not
    /// told: whoever lacks them sees it by the alive record, and pulls many at once for less.
    pub fn tell(&mut self, now: Moment, subject: Subject, rumour: &Rumour) {
        let class = subject.class();
        if matches!(subject, Subject::Record(..)) && self.classes[class].entries.len() >= RECORDS_TOLD_MAX {
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.classes[class].insert(subject, Entry { encoded: rumour.encode(), born: now, told: 0, order });
    }

    /// Stops telling about a subject.
    pub fn forget(&mut self, subject: &Subject) {
        self.classes[subject.class()].remove(subject);
    }

    /// Somebody told us what we tell.
    pub fn heard_again(&mut self, subject: &Subject) {
        let class = &mut self.classes[subject.class()];
        if class.entries.len() >= MANY {
            class.count(subject, HEARD_COUNTS);
        }
    }

    /// Whether there is so much news that views differ for no other reason.
    pub fn are_many(&self) -> bool {
        self.classes.iter().any(|class| class.entries.len() >= MANY)
    }

    /// Whether hundreds are joining, from the first few dozen on.
    pub fn is_crowd(&self) -> bool {
        let (first, last) = (self.newcomers.front(), self.newcomers.back());
        self.newcomers.len() == CROWD && first.zip(last).is_some_and(|(first, last)| last.since(*first) <= CROWD_WITHIN)
    }

    /// Whether some rumour has been told less than `limit` times.
    pub fn has_untold(&self, limit: u32) -> bool {
        self.classes.iter().any(|class| class.queue.first_key_value().is_some_and(|((told, _), _)| *told < limit))
    }

    /// How many bytes wait to be told for the first `limit` times, roughly: what paces pushing.
    pub fn backlog_bytes(&self, limit: u32) -> usize {
        let untold = |class: &Class| {
            class
                .queue
                .iter()
                .take_while(|((told, _), _)| *told < limit)
                .take(BACKLOG_LOOK)
                .map(|(_, subject)| class.entries.get(subject).map_or(0, |entry| entry.encoded.len() + RUMOUR_OVERHEAD))
                .sum::<usize>()
        };
        self.classes.iter().map(untold).sum()
    }

    /// Fills the rest of a packet, the classes taking turns, the least told first. Each one taken counts as told.
    /// Returns how many went in.
    pub fn fill(&mut self, packet: &mut Writer, limit: u32, pick: Pick) -> usize {
        let mut taken: Vec<(usize, Subject)> = Vec::new();
        let mut cursors: [Option<(u32, u64)>; CLASSES] = [None; CLASSES];
        let mut open = [true; CLASSES];
        while open.contains(&true) {
            for class in 0..CLASSES {
                if open[class] {
                    open[class] = self.take_one(class, &mut cursors[class], packet, (limit, pick), &mut taken);
                }
            }
        }
        let times = if self.is_crowd() { TOLD_COUNTS } else { 1 };
        for (class, subject) in &taken {
            self.classes[*class].count(subject, times);
        }
        taken.len()
    }

    /// Moves one rumour of a class into the packet; says whether it is worth asking the class again.
    fn take_one(
        &self,
        class: usize,
        cursor: &mut Option<(u32, u64)>,
        packet: &mut Writer,
        (limit, pick): (u32, Pick),
        taken: &mut Vec<(usize, Subject)>,
    ) -> bool {
        let Class { entries, queue } = &self.classes[class];
        let start = cursor.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        for (at, subject) in queue.range((start, std::ops::Bound::Unbounded)).take(16) {
            *cursor = Some(*at);
            if at.0 >= limit && pick == Pick::Untold {
                return false;
            }
            if entries.get(subject).is_some_and(|entry| packet.push(&entry.encoded)) {
                taken.push((class, subject.clone()));
                return true;
            }
        }
        false
    }

    /// Drops what was told often enough and is no longer fresh.
    pub fn expire(&mut self, now: Moment, limit: u32, window: Duration) {
        self.newcomers.retain(|came| now.since(*came) <= CROWD_WITHIN);
        for class in &mut self.classes {
            let worn: Vec<Subject> = class
                .entries
                .iter()
                .filter(|(_, entry)| entry.told >= limit && now.since(entry.born) > window)
                .map(|(subject, _)| subject.clone())
                .collect();
            for subject in worn {
                class.remove(&subject);
            }
        }
    }

    /// How many rumours wait.
    pub fn len(&self) -> usize {
        self.classes.iter().map(|class| class.entries.len()).sum()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Class {
    /// Counts a rumour as told so many times more.
    fn count(&mut self, subject: &Subject, times: u32) {
        if let Some(entry) = self.entries.get_mut(subject) {
            self.queue.remove(&(entry.told, entry.order));
            entry.told = entry.told.saturating_add(times);
            self.queue.insert((entry.told, entry.order), subject.clone());
        }
    }
}
