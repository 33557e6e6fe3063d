//! Read-only questions of a user or the API about a node's jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use tokio::sync::watch;

use super::{About, ComputeLimits, Links, Load, Node, RequestError, Warning, board::Snapshot};
use crate::{
    domain::{
        Asset, Deal, Digest, Job, JobId, JobState, LogDomain, NodeId, Offer, Span, Spec, Tally, Timestamp,
        TooFew, too_few,
    },
    policy::{
        Purses,
        admission::Admission,
        outlook::{Outlook, OutlookView, outlook},
    },
    scheduler::{Anchor, Cursor, Evidence, LogOrder},
    store::{EndedJob, Execution},
};

/// Most ended jobs that an ambiguous id is said to match.
const MOST_MATCHES: u32 = 1000;

/// How late a requester's due entry may be before the requester counts as gone.
const GONE_AFTER: Span = Span::from_secs(30);

impl Node {
    /// The job as soon as the node's log satisfies `is_so`. The caller bounds the wait.
    pub async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        self.board.when(job, is_so).await
    }

    /// Waits until the node has folded everything up to `cursor`; the caller bounds the wait.
    pub async fn reached(&self, cursor: Cursor) {
        self.board.reached(cursor).await;
    }

    /// How far the node has folded its log. Changes with every entry.
    pub(crate) fn progress(&self) -> watch::Receiver<Cursor> {
        self.board.progress()
    }

    /// Waits until the node has folded all that its log held at the start. The caller bounds the wait.
    pub async fn caught_up(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.caught_up.subscribe().wait_for(|caught_up| *caught_up).await;
    }

    /// Whether the node has folded all that its log held when it started.
    pub fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// The node's id.
    pub const fn id(&self) -> NodeId {
        self.me.id
    }

    /// The node's place in the network.
    pub(crate) const fn about(&self) -> &About {
        &self.config.about
    }

    /// Slots: how many jobs it runs at once.
    pub(crate) const fn compute_slots(&self) -> usize {
        self.config.compute_slots
    }

    /// The limits on the jobs that it takes on.
    pub(crate) const fn limits(&self) -> &ComputeLimits {
        &self.config.limits
    }

    /// How its slots are used.
    pub(crate) fn load(&self) -> Load {
        self.workload.load(self.clock.moment().elapsed_ms)
    }

    /// What its own seats came to; `None` before the first.
    pub(crate) fn own_tally(&self) -> Option<Tally> {
        self.counts().get(&self.me.id).map(|standing| standing.tally)
    }

    /// What its operator lets it work for, and when.
    pub(crate) const fn admission(&self) -> &Admission {
        &self.config.admission
    }

    /// The log that it reads.
    pub(crate) fn domain(&self) -> LogDomain {
        self.ports.scheduler.domain()
    }

    /// What its log counts money in.
    pub(crate) fn asset(&self) -> Asset {
        self.ports.scheduler.asset()
    }

    /// The other nodes that it knows.
    pub(crate) fn members(&self) -> Vec<NodeId> {
        self.ports.scheduler.members()
    }

    /// What nodes say they take on, including this one.
    pub(crate) fn offers(&self) -> BTreeMap<NodeId, Offer> {
        let own = self.config.limits.offer(self.config.compute_slots).map(|offer| (self.me.id, offer));
        self.ports.transfer.offers().into_iter().chain(own).collect()
    }

    /// How this node is connected, if its transport has connections.
    pub(crate) fn links(&self) -> Option<Links> {
        self.ports.transfer.links()
    }

    /// Whether too few of the known nodes take on such a job.
    pub(crate) fn too_few(&self, spec: &Spec, deal: &Deal) -> Option<TooFew> {
        let (offers, members) = (self.offers(), self.ports.scheduler.members());
        let silent = members.iter().filter(|member| !offers.contains_key(member)).count();
        too_few(&offers.into_values().collect::<Vec<_>>(), silent, spec, deal)
    }

    /// The program of a seeded spec that its seed does not reach, if this node can tell. The spec's image is pinned.
    pub(crate) async fn unseeded_program(&self, spec: &Spec) -> Option<String> {
        if spec.seeded { self.ports.executor.static_program(spec).await } else { None }
    }

    /// Why each known node, and each that bid, has a seat in a job or none.
    pub(crate) fn outlooks(&self, job: JobId) -> Result<Vec<(NodeId, Outlook)>, RequestError> {
        let job = self.known_job(job)?;
        let (offers, members, counts) = (self.offers(), self.members(), self.counts());
        let (is_own, declined) = (job.requester == self.me.id, self.declines(&job));
        let found = self.findings.of(job.id);
        let runs_here = (self.config.compute_slots > 0).then_some(self.me.id);
        let nodes: BTreeSet<NodeId> =
            members.iter().copied().chain(job.bids.keys().copied()).chain(runs_here).collect();
        let funds = |node| self.ports.scheduler.funds(node);
        let of = |node: NodeId| {
            let view = OutlookView {
                purses: Purses(&funds),
                job: &job,
                now: self.now(),
                node,
                is_known: node == self.me.id || members.contains(&node),
                offer: offers.get(&node),
                standing: is_own.then(|| counts.get(&node).copied().unwrap_or_default()),
                declined: if node == self.me.id { &declined } else { &[] },
                found: found.as_deref().filter(|_| node == self.me.id),
            };
            (node, outlook(&view))
        };
        Ok(nodes.into_iter().map(of).collect())
    }

    /// How many warnings there are of each obstacle, by its name.
    pub(crate) fn warning_counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for warning in self.warnings.current(None) {
            *counts.entry(warning.obstacle.name()).or_default() += 1;
        }
        counts
    }

    /// What keeps the node from its obligations, in one job or in all.
    pub(crate) fn warnings(&self, job: Option<JobId>) -> Vec<Warning> {
        self.warnings.current(job)
    }

    /// Applies `read` to every job that has not left memory; the results by id. `read` also learns whether the job's log is
    /// broken.
    pub(crate) fn read_jobs<T>(&self, mut read: impl FnMut(&Job, bool) -> T) -> Vec<T> {
        let broken = self.board.broken();
        self.board.read_all(|job| read(job, broken.contains(&job.id)))
    }

    /// The newest jobs that left memory, or those behind this one in their list, at most `limit` of them.
    pub(crate) fn ended_jobs(
        &self,
        after: Option<(Timestamp, JobId)>,
        limit: usize,
    ) -> Result<Vec<EndedJob>, RequestError> {
        let ended = &self.records.ended;
        Ok(after.map_or_else(|| ended.newest(limit), |after| ended.older(after, limit))?)
    }

    /// The ended jobs of this node's own groups whose ids begin so.
    pub(crate) fn ended_of_group(&self, group: &str) -> Result<Vec<EndedJob>, RequestError> {
        Ok(self.records.ended.of_group(self.me.id, group)?)
    }

    /// How many jobs are in each state.
    pub(crate) fn states(&self) -> Result<BTreeMap<JobState, usize>, RequestError> {
        let now = self.now();
        // A job that leaves memory is on the disk before it is gone from here: it is looked for here first, and counts once.
        let here = self.read_jobs(|job, _| (job.id, job.state_at(now).0));
        let ended = self.records.ended.states(here.iter().map(|(job, _)| *job))?;
        let ended = JobState::ALL.iter().filter_map(|state| Some((*state, *ended.get(state.name())?)));
        let mut states: BTreeMap<_, _> = ended.collect();
        for (_, state) in here {
            *states.entry(state).or_insert(0) += 1;
        }
        Ok(states)
    }

    /// Whether the one node that can end this job in its log fails to. This is not an end: the requester may be cut off from
    /// this node alone, and its log may go on elsewhere.
    pub(crate) fn misses_requester(&self, job: &Job, now: Timestamp) -> bool {
        let orders = matches!(self.ports.scheduler.order(job.id), LogOrder::Requester { .. });
        orders && job.requester != self.me.id && job.is_overdue(now.minus(GONE_AFTER))
    }

    /// The proof that the log of a job was forked, if there is one.
    pub(crate) fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.ports.scheduler.evidence(job)
    }

    /// The length of a stored result, in bytes.
    pub(crate) fn result_length(&self, root: Digest, holder: NodeId) -> Option<u64> {
        self.shelf.content().length(root, holder).ok()
    }

    /// Opens a stored result.
    pub(crate) fn open_result(&self, root: Digest, holder: NodeId) -> Result<File, RequestError> {
        self.shelf.content().open(root, holder).map_err(RequestError::Blob)
    }

    /// The time on the log's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.moment().now
    }

    /// The job with this id, or the only one whose id starts this way. The text may leave out `0x`.
    ///
    /// # Errors
    /// [`RequestError::UnknownPrefix`], [`RequestError::AmbiguousPrefix`].
    pub fn find_job(&self, text: &str) -> Result<JobId, RequestError> {
        let prefix = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
        let begins_so = |job: &Job| {
            let id = job.id.to_string();
            (!prefix.is_empty() && id.trim_start_matches("0x").starts_with(&prefix)).then_some(job.id)
        };
        let mut found: BTreeSet<JobId> = self.board.read_all(begins_so).into_iter().flatten().collect();
        let end = |digit: &str| format!("{prefix}{}", digit.repeat(64_usize.saturating_sub(prefix.len())));
        if let (false, Ok(first), Ok(last)) = (prefix.is_empty(), end("0").parse(), end("f").parse()) {
            found.extend(self.records.ended.between(first, last, MOST_MATCHES)?);
        }
        // Foreign text goes back to its sender, but shortened.
        let shown = || text.chars().take(2 + 64).collect();
        // A job that is leaving memory is on the disk already: it is found twice, and is one.
        match found.len() {
            0 | 1 => found.pop_first().ok_or_else(|| RequestError::UnknownPrefix { prefix: shown() }),
            matches => Err(RequestError::AmbiguousPrefix { prefix: shown(), matches }),
        }
    }

    pub(crate) fn known_job(&self, job: JobId) -> Result<Job, RequestError> {
        Ok(self.board.snapshot(job).ok_or(RequestError::NoSuchJob(job))?.job)
    }

    /// A job, its follow-up, and why this node can no longer follow it.
    pub(crate) fn describe(&self, job: JobId) -> Result<Snapshot, RequestError> {
        self.board.snapshot(job).ok_or(RequestError::NoSuchJob(job))
    }

    /// Where the entries of a job are on a chain, if its log is there.
    pub(crate) async fn anchors(&self, job: JobId) -> Result<Vec<Anchor>, RequestError> {
        self.ports.scheduler.anchors(job).await.map_err(RequestError::Backend)
    }

    /// This node's own run of a job.
    pub(crate) fn execution(&self, job: JobId) -> Result<Option<Execution>, RequestError> {
        Ok(self.records.executions.get(job)?)
    }
}
