//! Jobs of a queue, their order and their states. Decisions only: it starts nothing, and writes nothing.

use super::job::{Job, JobEnd, JobId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Distance between two places in the order, so that a job can be moved between them.
const STEP: i64 = 1 << 20;

/// State of a job in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// Waits for its turn.
    Waiting,
    /// Paused, or being paused; bytes received so far are kept.
    Paused,
    /// Runs.
    Running,
    /// Complete.
    Done,
    /// Failed.
    Failed,
}

impl JobState {
    /// Returns true once nothing more happens to the job by itself.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// Place in the order: the lowest starts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The priority, negated.
    last: i64,
    place: i64,
}

/// Record of one change, from which the state can be built again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// Identifiers below this were given out.
    Next(u64),
    /// At the end of those of the negated priority `last`, or right before another job.
    Add {
        id: JobId,
        last: i64,
        before: Option<JobId>,
        paused: bool,
        job: Job,
    },
    Pause(JobId),
    Resume(JobId),
    Move {
        id: JobId,
        last: i64,
        before: Option<JobId>,
    },
    Change {
        id: JobId,
        job: Job,
    },
    End {
        id: JobId,
        done: bool,
        #[serde(flatten)]
        end: JobEnd,
    },
    /// It is to be run again, or runs no more.
    Again(JobId),
    Remove(JobId),
}

#[derive(Debug)]
struct Entry {
    rank: Rank,
    state: JobState,
    /// True if it was handed out and has not come back, paused or not.
    out: bool,
    /// The job as text, which takes less than half of the memory.
    job: Box<str>,
    /// Its end.
    end: Option<Box<JobEnd>>,
}

impl Entry {
    fn is_movable(&self) -> bool {
        !self.state.is_ended() && (!self.out || self.state == JobState::Paused)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    next: u64,
    entries: HashMap<JobId, Entry>,
    /// Jobs that are neither out nor ended, in order.
    queued: BTreeMap<Rank, JobId>,
    /// Those of them that are not paused.
    ready: BTreeSet<Rank>,
    /// Ended jobs, the oldest first.
    ended: VecDeque<JobId>,
    /// Number of ended jobs that are kept.
    kept: usize,
}

impl Ledger {
    pub(super) fn new(kept: usize) -> Self {
        Self {
            next: 1,
            entries: HashMap::new(),
            queued: BTreeMap::new(),
            ready: BTreeSet::new(),
            ended: VecDeque::new(),
            kept,
        }
    }

    /// Keeps this number of ended jobs from now on.
    pub(super) fn keep(&mut self, kept: usize) {
        self.kept = kept;
        self.prune();
    }

    /// Takes in a record of an earlier run. One that makes no sense changes nothing.
    pub(super) fn replay(&mut self, record: Record) {
        match record {
            Record::Next(next) => self.next = self.next.max(next),
            Record::Add { id, last, before, paused, job } => {
                self.next = self.next.max(id.0 + 1);
                if !self.entries.contains_key(&id) {
                    let rank = self.rank_before(before, last);
                    self.insert(id, rank, paused, &job);
                }
            }
            Record::Pause(id) => self.set_paused(id, true),
            Record::Resume(id) => self.set_paused(id, false),
            Record::Move { id, last, before } => self.place(id, last, before),
            Record::Change { id, job } => self.put(id, &job),
            Record::End { id, done, end } => {
                self.take_out(id);
                self.close(id, done, end);
            }
            Record::Again(id) => self.open_again(id),
            Record::Remove(id) => {
                self.forget(id);
            }
        }
    }

    /// Records that build the present state, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let mut ids: Vec<_> = self.entries.keys().copied().collect();
        ids.sort_unstable_by_key(|id| self.entries[id].rank);
        let of = move |id: JobId| {
            let entry = &self.entries[&id];
            let paused = entry.state == JobState::Paused;
            let last = entry.rank.last;
            let add = self.job(id).map(|job| Record::Add { id, last, before: None, paused, job });
            let done = entry.state == JobState::Done;
            let end = entry.state.is_ended().then(|| Record::End {
                id,
                done,
                end: entry.end.as_deref().cloned().unwrap_or_default(),
            });
            add.into_iter().chain(end)
        };
        let ended = self.ended.iter().copied();
        let open = ids.into_iter().filter(|id| !self.entries[id].state.is_ended());
        std::iter::once(Record::Next(self.next)).chain(ended.chain(open).flat_map(of))
    }

    // ---- changes: each returns its record, or nothing if it makes no sense --------------------------------

    /// Adds a job at the end of those of its priority, or at `index` among those that wait.
    pub(super) fn add(&mut self, job: Job, index: Option<usize>, paused: bool) -> (JobId, Record) {
        let id = JobId(self.next);
        self.next += 1;
        let priority = -i64::from(job.priority);
        let before = index.and_then(|index| self.queued.values().nth(index).copied());
        let last = match index {
            Some(_) => self.last_at(before, priority),
            None => priority,
        };
        let rank = self.rank_before(before, last);
        self.insert(id, rank, paused, &job);
        (id, Record::Add { id, last, before, paused, job })
    }

    pub(super) fn pause(&mut self, id: JobId) -> Option<Record> {
        let may = matches!(self.state(id)?, JobState::Waiting | JobState::Running);
        may.then(|| {
            self.set_paused(id, true);
            Record::Pause(id)
        })
    }

    pub(super) fn resume(&mut self, id: JobId) -> Option<Record> {
        (self.state(id)? == JobState::Paused).then(|| {
            self.set_paused(id, false);
            Record::Resume(id)
        })
    }

    /// Moves a job to `index` among those that are not out. One that is out must be paused: it takes that place when it comes back.
    pub(super) fn move_to(&mut self, id: JobId, index: usize) -> Option<Record> {
        let rank = self.entries.get(&id).filter(|entry| entry.is_movable())?.rank;
        let mut others = self.queued.values().copied().filter(|other| *other != id);
        let before = others.nth(index);
        let last = self.last_at(before, rank.last);
        self.place(id, last, before);
        Some(Record::Move { id, last, before })
    }

    /// Changes a job; one that has ended is run with it only if it is queued again.
    pub(super) fn change(&mut self, id: JobId, job: Job) -> Option<Record> {
        self.entries.get(&id)?;
        self.put(id, &job);
        Some(Record::Change { id, job })
    }

    /// Hands out the next job to be started.
    pub(super) fn start_next(&mut self) -> Option<(JobId, Job)> {
        loop {
            let rank = self.ready.pop_first()?;
            let id = self.queued.remove(&rank)?;
            // Text that this program wrote can be read again.
            let job = self.job(id);
            if let Some(entry) = self.entries.get_mut(&id) {
                (entry.state, entry.out) = (JobState::Running, true);
            }
            match job {
                Some(job) => return Some((id, job)),
                None => {
                    let text = "its record cannot be read".to_owned();
                    self.close(id, false, JobEnd { text, ..JobEnd::default() });
                }
            }
        }
    }

    /// A job that was handed out has come to its end.
    pub(super) fn end(&mut self, id: JobId, done: bool, end: JobEnd) -> Option<Record> {
        self.entries.get(&id).filter(|entry| entry.out)?;
        self.close(id, done, end.clone());
        Some(Record::End { id, done, end })
    }

    /// A job that was handed out comes back unfinished, to be started again: paused if it was.
    pub(super) fn give_back(&mut self, id: JobId) {
        let Some(before) = self.entries.get(&id).filter(|entry| entry.out).map(|entry| entry.rank) else {
            return;
        };
        // Another job may have taken its place meanwhile: it comes right before that one.
        let taken = self.queued.get(&before).copied();
        let rank = taken.map_or(before, |taken| self.rank_before(Some(taken), before.last));
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        (entry.out, entry.rank) = (false, rank);
        if entry.state == JobState::Running {
            entry.state = JobState::Waiting;
        }
        let waits = entry.state == JobState::Waiting;
        self.queued.insert(rank, id);
        if waits {
            self.ready.insert(rank);
        }
    }

    /// Queues an ended job once more.
    pub(super) fn again(&mut self, id: JobId) -> Option<Record> {
        self.state(id).filter(|state| state.is_ended())?;
        self.open_again(id);
        Some(Record::Again(id))
    }

    /// Removes a job, whatever its state.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Record> {
        self.forget(id).then_some(Record::Remove(id))
    }

    // ---- views ------------------------------------------------------------------------------------------

    pub(super) fn state(&self, id: JobId) -> Option<JobState> {
        self.entries.get(&id).map(|entry| entry.state)
    }

    pub(super) fn job(&self, id: JobId) -> Option<Job> {
        serde_json::from_str(&self.entries.get(&id)?.job).ok()
    }

    /// Jobs with this tag, in any state and order, and its values.
    pub(super) fn tagged(&self, tag: &str) -> Vec<(JobId, String)> {
        // Few jobs have it, so few are parsed.
        let needle = format!("{}:", serde_json::Value::from(tag));
        let having = self.entries.iter().filter(|(_, entry)| entry.job.contains(&needle));
        let value = |(id, entry): (&JobId, &Entry)| {
            let job: Job = serde_json::from_str(&entry.job).ok()?;
            Some((*id, job.tags.get(tag)?.clone()))
        };
        having.filter_map(value).collect()
    }

    /// End of a job.
    pub(super) fn end_of(&self, id: JobId) -> Option<&JobEnd> {
        self.entries.get(&id)?.end.as_deref()
    }

    /// Index among the jobs that wait or are paused in the queue.
    pub(super) fn index(&self, id: JobId) -> Option<usize> {
        let rank = self.entries.get(&id).filter(|entry| !entry.out && !entry.state.is_ended())?.rank;
        Some(self.queued.range(..rank).count())
    }

    /// Jobs that wait or are paused in the queue, in order.
    pub(super) fn queued(&self) -> impl Iterator<Item = JobId> + '_ {
        self.queued.values().copied()
    }

    /// Ended jobs, the oldest first.
    pub(super) fn ended(&self) -> impl Iterator<Item = JobId> + '_ {
        self.ended.iter().copied()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Number of jobs that wait, are paused in the queue, and have ended.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.ready.len(), self.queued.len() - self.ready.len(), self.ended.len())
    }

    // ---- inner ------------------------------------------------------------------------------------------

    fn insert(&mut self, id: JobId, rank: Rank, paused: bool, job: &Job) {
        let state = if paused { JobState::Paused } else { JobState::Waiting };
        // A job is plain data, which always has a text.
        let job = serde_json::to_string(job).unwrap_or_default().into_boxed_str();
        self.entries.insert(id, Entry { rank, state, out: false, job, end: None });
        self.queued.insert(rank, id);
        if !paused {
            self.ready.insert(rank);
        }
    }

    fn set_paused(&mut self, id: JobId, paused: bool) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.state.is_ended()) else {
            return;
        };
        entry.state = match (paused, entry.out) {
            (true, _) => JobState::Paused,
            (false, true) => JobState::Running,
            (false, false) => JobState::Waiting,
        };
        if !entry.out {
            let rank = entry.rank;
            if paused {
                self.ready.remove(&rank)
            } else {
                self.ready.insert(rank)
            };
        }
    }

    /// Puts a job that is not out right before another one, or at the end of those with `last`.
    fn place(&mut self, id: JobId, last: i64, before: Option<JobId>) {
        let Some(entry) = self.entries.get(&id).filter(|entry| entry.is_movable()) else {
            return;
        };
        let (old, is_out) = (entry.rank, entry.out);
        let mut was_ready = false;
        if !is_out {
            self.queued.remove(&old);
            was_ready = self.ready.remove(&old);
        }
        let rank = self.rank_before(before.filter(|before| *before != id), last);
        if !is_out {
            self.queued.insert(rank, id);
        }
        if was_ready {
            self.ready.insert(rank);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.rank = rank;
        }
    }

    fn put(&mut self, id: JobId, job: &Job) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.job = serde_json::to_string(job).unwrap_or_default().into_boxed_str();
        }
    }

    fn take_out(&mut self, id: JobId) {
        if let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.state.is_ended()) {
            self.queued.remove(&entry.rank);
            self.ready.remove(&entry.rank);
            entry.out = true;
        }
    }

    fn close(&mut self, id: JobId, done: bool, end: JobEnd) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.out) else {
            return;
        };
        entry.state = if done { JobState::Done } else { JobState::Failed };
        (entry.out, entry.end) = (false, Some(Box::new(end)));
        self.ended.push_back(id);
        self.prune();
    }

    fn prune(&mut self) {
        while self.ended.len() > self.kept {
            if let Some(oldest) = self.ended.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    fn open_again(&mut self, id: JobId) {
        let Some(priority) = self.job(id).map(|job| -i64::from(job.priority)) else {
            return;
        };
        let rank = self.last_rank(priority);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.state.is_ended()) else {
            return;
        };
        (entry.state, entry.rank, entry.end) = (JobState::Waiting, rank, None);
        self.ended.retain(|ended| *ended != id);
        self.queued.insert(rank, id);
        self.ready.insert(rank);
    }

    fn forget(&mut self, id: JobId) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        if entry.state.is_ended() {
            self.ended.retain(|ended| *ended != id);
        } else if !entry.out {
            self.queued.remove(&entry.rank);
            self.ready.remove(&entry.rank);
        }
        true
    }

    /// Rank after all others of this priority, those that are out included.
    fn last_rank(&self, last: i64) -> Rank {
        let of_priority = Rank { last, place: i64::MIN }..=Rank { last, place: i64::MAX };
        let queued = self.queued.range(of_priority).next_back().map(|(rank, _)| rank.place);
        let newest = i64::try_from(self.next).unwrap_or(i64::MAX / STEP) * STEP;
        Rank { last, place: queued.map_or(newest, |place| newest.max(place + STEP)) }
    }

    /// Negated priority of a job that is moved right before another one, or to the end.
    fn last_at(&self, before: Option<JobId>, own: i64) -> i64 {
        match before.and_then(|before| self.entries.get(&before)) {
            Some(entry) => entry.rank.last,
            None => self.queued.keys().next_back().map_or(own, |rank| rank.last.max(own)),
        }
    }

    /// A free rank right before another job in the queue, or at the end of those with `last`.
    fn rank_before(&mut self, before: Option<JobId>, last: i64) -> Rank {
        loop {
            let after = before.and_then(|before| self.entries.get(&before)).map(|entry| entry.rank);
            let Some(after) = after.filter(|after| self.queued.contains_key(after)) else {
                return self.last_rank(last);
            };
            let neighbour = self.queued.range(..after).next_back().map(|(rank, _)| *rank);
            let place = match neighbour.filter(|rank| rank.last == after.last) {
                Some(neighbour) => neighbour.place + (after.place - neighbour.place) / 2,
                None => after.place - STEP,
            };
            let rank = Rank { place, ..after };
            if !self.queued.contains_key(&rank) {
                return rank;
            }
            self.spread();
        }
    }

    /// Spreads the places of the queue, once there is none between two of them.
    fn spread(&mut self) {
        let queued = std::mem::take(&mut self.queued);
        let ready = std::mem::take(&mut self.ready);
        for (number, (rank, id)) in (1_i64..).zip(queued) {
            let spread = Rank { last: rank.last, place: number * STEP };
            if ready.contains(&rank) {
                self.ready.insert(spread);
            }
            self.queued.insert(spread, id);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.rank = spread;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str) -> JobEnd {
        JobEnd { text: text.to_owned(), ..JobEnd::default() }
    }

    fn job(priority: i32) -> Job {
        let mut job = Job::new(format!("http://h/{priority}"));
        job.priority = priority;
        job
    }

    /// Ids of the queue, in order.
    fn queue(ledger: &Ledger) -> Vec<u64> {
        ledger.queued().map(|id| id.0).collect()
    }

    fn added(ledger: &mut Ledger, priority: i32) -> JobId {
        ledger.add(job(priority), None, false).0
    }

    #[test]
    fn jobs_start_by_priority_and_then_in_the_order_in_which_they_came() {
        let mut ledger = Ledger::new(10);
        for priority in [0, 5, 0, 5, -1] {
            added(&mut ledger, priority);
        }
        assert_eq!(queue(&ledger), [2, 4, 1, 3, 5]);
        ledger.pause(JobId(2)).unwrap();
        let started: Vec<_> = std::iter::from_fn(|| ledger.start_next()).map(|(id, _)| id.0).collect();
        assert_eq!(started, [4, 1, 3, 5]);
        assert_eq!(ledger.counts(), (0, 1, 0));
        assert_eq!(ledger.state(JobId(4)), Some(JobState::Running));
    }

    #[test]
    fn a_job_is_moved_to_any_place_any_number_of_times() {
        let mut ledger = Ledger::new(10);
        (0..4).for_each(|_| {
            added(&mut ledger, 0);
        });
        for (id, index, order) in [
            (4, 0, [4, 1, 2, 3]),
            (4, 99, [1, 2, 3, 4]),
            (1, 2, [2, 3, 1, 4]),
            (2, 0, [2, 3, 1, 4]),
            (3, 3, [2, 1, 4, 3]),
        ] {
            ledger.move_to(JobId(id), index).unwrap();
            assert_eq!(queue(&ledger), order, "{id} to {index}");
        }
        // Far more often than there are places between two neighbours.
        for round in 0..1000 {
            let last = *queue(&ledger).last().unwrap();
            ledger.move_to(JobId(last), 1).unwrap();
            assert_eq!(queue(&ledger)[1], last, "round {round}");
        }
        assert_eq!(ledger.index(JobId(queue(&ledger)[2])), Some(2));
        assert!(ledger.move_to(JobId(77), 0).is_none());
    }

    #[test]
    fn a_job_that_is_out_is_paused_and_comes_back_as_it_was() {
        let mut ledger = Ledger::new(10);
        let id = added(&mut ledger, 0);
        ledger.start_next().unwrap();
        assert!(ledger.move_to(id, 0).is_none());
        ledger.pause(id).unwrap();
        assert!(ledger.pause(id).is_none());
        ledger.give_back(id);
        assert_eq!((ledger.state(id), queue(&ledger)), (Some(JobState::Paused), vec![1]));
        assert!(ledger.start_next().is_none());
        ledger.resume(id).unwrap();
        assert_eq!(ledger.start_next().unwrap().0, id);
    }

    #[test]
    fn ended_jobs_are_kept_up_to_a_number_and_can_be_queued_again() {
        let mut ledger = Ledger::new(2);
        for _ in 0..3 {
            let id = added(&mut ledger, 0);
            ledger.start_next().unwrap();
            ledger.end(id, id.0 != 2, told("text")).unwrap();
        }
        assert_eq!(ledger.ended().map(|id| id.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(ledger.state(JobId(1)), None);
        assert_eq!(
            (ledger.state(JobId(2)), ledger.end_of(JobId(2))),
            (Some(JobState::Failed), Some(&told("text")))
        );
        assert!(ledger.end(JobId(2), true, told("")).is_none() && ledger.resume(JobId(2)).is_none());
        ledger.again(JobId(2)).unwrap();
        assert_eq!((queue(&ledger), ledger.counts()), (vec![2], (1, 0, 1)));
        ledger.remove(JobId(2)).unwrap();
        ledger.remove(JobId(3)).unwrap();
        assert_eq!(ledger.counts(), (0, 0, 0));
    }

    #[test]
    fn a_waiting_job_takes_little_memory() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(i32, Option<usize>, bool),
        Pause(u64),
        Resume(u64),
        Move(u64, usize),
        Change(u64),
        Start,
        End(u64, bool),
        Again(u64),
        Remove(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 1..12_u64;
        prop_oneof![
            4 => (-1..2_i32, proptest::option::of(0..6_usize), proptest::bool::weighted(0.2))
                .prop_map(|(priority, index, paused)| Step::Add(priority, index, paused)),
            1 => id.clone().prop_map(Step::Pause),
            1 => id.clone().prop_map(Step::Resume),
            3 => (id.clone(), 0..8_usize).prop_map(|(id, index)| Step::Move(id, index)),
            1 => id.clone().prop_map(Step::Change),
            3 => Just(Step::Start),
            2 => (id.clone(), any::<bool>()).prop_map(|(id, done)| Step::End(id, done)),
            1 => id.clone().prop_map(Step::Again),
            1 => id.prop_map(Step::Remove),
        ]
    }

    fn take(ledger: &mut Ledger, step: &Step) -> Option<Record> {
        match *step {
            Step::Add(priority, index, paused) => Some(ledger.add(job(priority), index, paused).1),
            Step::Pause(id) => ledger.pause(JobId(id)),
            Step::Resume(id) => ledger.resume(JobId(id)),
            Step::Move(id, index) => ledger.move_to(JobId(id), index),
            Step::Change(id) => ledger.change(JobId(id), Job::new("http://h/changed")),
            Step::Start => {
                ledger.start_next();
                None
            }
            Step::End(id, done) => ledger.end(JobId(id), done, told("text")),
            Step::Again(id) => ledger.again(JobId(id)),
            Step::Remove(id) => ledger.remove(JobId(id)),
        }
    }

    type View = (Vec<u64>, BTreeMap<u64, (Option<JobState>, Option<Job>)>, Vec<u64>, u64);

    /// Everything that a restart must keep: the order of what was not `out`, the states, and the ended jobs.
    fn view(ledger: &Ledger, out: &[JobId]) -> View {
        let queued = ledger.queued().filter(|id| !out.contains(id)).map(|id| id.0).collect();
        let states = ledger.queued().map(|id| (id.0, (ledger.state(id), ledger.job(id)))).collect();
        (queued, states, ledger.ended().map(|id| id.0).collect(), ledger.next)
    }

    proptest! {
        #[test]
        fn the_records_build_the_same_state_again_and_so_do_those_of_the_state(
            steps in proptest::collection::vec(step(), 1..80),
        ) {
            let mut ledger = Ledger::new(3);
            let mut replayed = Ledger::new(3);
            for step in steps {
                if let Some(record) = take(&mut ledger, &step) {
                    let text = serde_json::to_string(&record).unwrap();
                    replayed.replay(serde_json::from_str(&text).unwrap());
                }
                let (waiting, paused, ended) = ledger.counts();
                prop_assert_eq!(waiting + paused, ledger.queued().count());
                prop_assert!(ended <= 3);
            }
            let mut compact = Ledger::new(3);
            ledger.records().for_each(|record| compact.replay(record));
            let out: Vec<_> = ledger.entries.iter().filter(|(_, entry)| entry.out).map(|(id, _)| *id).collect();
            out.iter().for_each(|id| ledger.give_back(*id));
            prop_assert_eq!(view(&compact, &out), view(&ledger, &out));
            prop_assert_eq!(view(&replayed, &out), view(&ledger, &out));
        }
    }
}
