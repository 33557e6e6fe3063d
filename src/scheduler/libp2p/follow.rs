//! Polls the requesters of followed jobs for new entries, so that lost messages and restarts cost nothing.
//!
//! Requesters push entries to the nodes that take part, so polling is the fallback. It is frequent in jobs that this
//! node takes part in and rare in others, slows down while nothing is new, and runs at once after a gap. Stops with
//! the backend.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use super::shared::Shared;
use crate::domain::{Backoff, JobId, Span};

/// Jobs asked for at a time.
const MAX_ASKING: usize = 16;

/// Pauses in a job that this node takes part in: entries are pushed to it, and lost ones must not cost a deadline.
const PAUSES_OF_PARTY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(8) };

/// Pauses in other jobs, whose entries are only news.
const PAUSES_OF_READER: Backoff =
    Backoff { first: Duration::from_secs(20), longest: Duration::from_secs(60) };

/// Unanswered polls in a row before a job that this node has no part in is given up until it is announced again.
const MAX_UNANSWERED: u32 = 5;

/// How long after its last possible deadline an unfinished job is given up: its requester is gone.
const GIVE_UP_AFTER: Span = Span::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Poll {
    due: Instant,
    pause: Duration,
    /// A poll is in flight, and whether another was requested meanwhile: the answer may be older than that.
    asking: Option<bool>,
    /// Unanswered polls in a row.
    unanswered: u32,
}

/// The outcome of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It was not answered.
    Silence,
    /// Nothing is new.
    Nothing,
    /// Entries came.
    News,
}

impl Poll {
    const fn new(due: Instant, pause: Duration) -> Self {
        Self { due, pause, asking: None, unanswered: 0 }
    }

    /// Requests a poll as soon as possible.
    const fn want(&mut self, now: Instant) {
        (self.due, self.pause) = (now, Duration::ZERO);
        if self.asking.is_some() {
            self.asking = Some(true);
        }
    }

    /// Polls as often as in a job that this node takes part in, from now on.
    fn join(&mut self, now: Instant) {
        let due = now + PAUSES_OF_PARTY.first;
        if self.due > due {
            (self.due, self.pause) = (due, PAUSES_OF_PARTY.first);
        }
    }

    /// When to ask again after this; `None` to ask no more until the job is announced again. A job in which this node
    /// has a bid or a seat is polled until its deadlines are over.
    fn after(self, asked: Asked, takes_part: bool, now: Instant) -> Option<Self> {
        let unanswered = if asked == Asked::Silence { self.unanswered + 1 } else { 0 };
        if self.asking == Some(true) {
            return Some(Self { asking: None, unanswered, ..self });
        }
        let pauses = if takes_part { PAUSES_OF_PARTY } else { PAUSES_OF_READER };
        let pause = if asked == Asked::News { pauses.first } else { pauses.after(self.pause) };
        let is_worth_it = takes_part || unanswered < MAX_UNANSWERED;
        is_worth_it.then_some(Self { due: now + pause, pause, asking: None, unanswered })
    }
}

pub(super) async fn run(shared: Arc<Shared>) {
    let mut polls: BTreeMap<JobId, Poll> = BTreeMap::new();
    let mut asking: JoinSet<(JobId, Asked)> = JoinSet::new();
    for job in shared.logs.followed_unfinished() {
        shared.want(job);
    }
    loop {
        let wanted = std::mem::take(&mut *shared.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        for job in wanted {
            polls.entry(job).or_insert(Poll::new(now, Duration::ZERO)).want(now);
        }
        for job in std::mem::take(&mut *shared.joined.lock().unwrap_or_else(PoisonError::into_inner)) {
            let pause = PAUSES_OF_PARTY.first;
            polls.entry(job).or_insert(Poll::new(now + pause, pause)).join(now);
        }
        for job in std::mem::take(&mut *shared.heard.lock().unwrap_or_else(PoisonError::into_inner)) {
            let pause = PAUSES_OF_READER.first;
            polls.entry(job).or_insert(Poll::new(now + pause, pause));
        }
        let takes_part = |job| shared.logs.view(job).is_some_and(|view| view.takes_part);
        for job in next_asked(&polls, now, MAX_ASKING.saturating_sub(asking.len()), takes_part) {
            polls.entry(job).and_modify(|poll| poll.asking = Some(false));
            asking.spawn(ask(Arc::clone(&shared), job));
        }
        let idle = polls.values().filter(|poll| poll.asking.is_none());
        let next = idle.map(|poll| poll.due).min().filter(|_| asking.len() < MAX_ASKING);
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = shared.wake_follower.notified() => {}
            () = sleep_until(next) => {}
            Some(asked) = asking.join_next() => match asked {
                Ok((job, asked)) => {
                    reschedule(&shared, &mut polls, job, asked);
                }
                // The job stays in flight and is not polled again; retrying could spin.
                Err(error) => tracing::error!(%error, "asking for a log panicked"),
            },
        }
    }
    asking.shutdown().await;
}

/// The jobs to poll now, up to `most`: first those that this node takes part in, then the longest waiting. With
/// another order some jobs might never get their turn.
fn next_asked(
    polls: &BTreeMap<JobId, Poll>,
    now: Instant,
    most: usize,
    takes_part: impl Fn(JobId) -> bool,
) -> Vec<JobId> {
    let due = polls.iter().filter(|(_, poll)| poll.due <= now && poll.asking.is_none());
    let mut due: Vec<_> = due.map(|(job, poll)| (!takes_part(*job), poll.due, *job)).collect();
    due.sort_unstable();
    due.into_iter().take(most).map(|(.., job)| job).collect()
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

async fn ask(shared: Arc<Shared>, job: JobId) -> (JobId, Asked) {
    let asked = match shared.sync(job).await {
        Ok(true) => Asked::News,
        Ok(false) => Asked::Nothing,
        Err(error) => {
            tracing::debug!(%job, %error, "cannot ask for the log");
            Asked::Silence
        }
    };
    if let Err(error) = shared.settle(job).await {
        tracing::debug!(%job, %error, "cannot compare the log with that of another node");
    }
    (job, asked)
}

/// When to ask again; a job that has ended, broke or was given up is forgotten.
fn reschedule(shared: &Shared, polls: &mut BTreeMap<JobId, Poll>, job: JobId, asked: Asked) {
    let Some(view) = shared.logs.view(job) else {
        polls.remove(&job);
        return;
    };
    let broken = view.may_act.is_err() && view.clock_agrees;
    if view.own || view.state.is_terminal() || broken || shared.now() > view.over_by.plus(GIVE_UP_AFTER) {
        polls.remove(&job);
        return;
    }
    let now = Instant::now();
    let poll = polls.get(&job).copied().unwrap_or(Poll::new(now, Duration::ZERO));
    match poll.after(asked, view.takes_part, now) {
        Some(poll) => {
            polls.insert(job, poll);
        }
        None => {
            tracing::debug!(%job, requester = %view.requester, "a requester does not answer; asking it no more");
            polls.remove(&job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(job: u8) -> JobId {
        JobId::new([job; 32])
    }

    #[test]
    fn of_many_logs_that_are_due_those_with_a_stake_come_first_and_then_the_longest_waiting() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut polls: BTreeMap<JobId, Poll> =
            (1..10).map(|job| (id(job), Poll::new(ago(job.into()), Duration::ZERO))).collect();
        polls.insert(id(20), Poll::new(now + Duration::from_secs(1), Duration::ZERO));
        polls.insert(id(21), Poll { asking: Some(false), ..Poll::new(ago(99), Duration::ZERO) });
        let asked = next_asked(&polls, now, 4, |job| job == id(2) || job == id(3));
        assert_eq!(asked, [3, 2, 9, 8].map(id));
    }

    #[test]
    fn a_log_that_is_wanted_while_it_is_asked_for_is_asked_for_again() {
        let now = Instant::now();
        let mut poll = Poll { asking: Some(false), ..Poll::new(now, PAUSES_OF_PARTY.longest) };
        poll.want(now);
        assert_eq!((poll.asking, poll.due), (Some(true), now));
        let mut idle = Poll::new(now + PAUSES_OF_PARTY.longest, PAUSES_OF_PARTY.longest);
        idle.want(now);
        assert_eq!((idle.asking, idle.due), (None, now));
    }

    #[test]
    fn a_log_that_this_node_joins_is_polled_soon_and_not_at_once() {
        let now = Instant::now();
        let soon = now + PAUSES_OF_PARTY.first;
        let mut heard = Poll::new(now + PAUSES_OF_READER.first, PAUSES_OF_READER.first);
        heard.join(now);
        assert_eq!((heard.due, heard.pause), (soon, PAUSES_OF_PARTY.first));
        let mut due = Poll::new(now, Duration::ZERO);
        due.join(now);
        assert_eq!(due.due, now);
    }

    /// Times that a requester is asked in a day if each time ends so.
    fn asked_in_a_day(takes_part: bool, end: impl Fn(u32) -> Asked) -> u32 {
        let start = Instant::now();
        let mut poll = Some(Poll::new(start, Duration::ZERO));
        let mut asked = 0;
        while let Some(due) = poll.filter(|poll| poll.due < start + Duration::from_secs(86_400)) {
            poll = due.after(end(asked), takes_part, due.due);
            asked += 1;
        }
        asked
    }

    #[test]
    fn a_requester_that_does_not_answer_is_given_up_unless_this_node_takes_part() {
        assert_eq!(asked_in_a_day(false, |_| Asked::Silence), MAX_UNANSWERED);
        assert!(asked_in_a_day(true, |_| Asked::Silence) > 10_000);
    }

    #[test]
    fn a_requester_that_answers_now_and_then_is_not_given_up() {
        let now_and_then =
            |times: u32| if times.is_multiple_of(MAX_UNANSWERED) { Asked::Nothing } else { Asked::Silence };
        assert!(asked_in_a_day(false, now_and_then) > 1000);
        assert!(asked_in_a_day(false, |_| Asked::Nothing) > 1000);
    }
}
