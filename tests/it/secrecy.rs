//! Before a job has ended, nothing that helps to copy a result leaves a node, whichever way it is asked.
//!
//! What the run printed and wrote, its exit code, trace and fingerprint, and every hash of it are searched for
//! in all that a node answers, after it has finished and committed and while another seat still runs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use assay::{
    api::types::BlobInfo,
    domain::{
        Action, Chunk, ChunkRequest, Deal, Digest, Event, FailureKind, Input, InputKind, Job, JobId,
        JobState, Method, NodeId, Offer, SeatStatus, SignedAction, Spec,
    },
    executor::{FakeExecutor, Reading, RunOutcome, Script, Trace},
    node::{RequestError, Transfer, TransferError},
    scheduler::Scheduler as _,
    store::{Limits, pack},
};
use futures::future::BoxFuture;

use crate::town::{Citizen, Town, deal, end, key_of, printing};

/// Whether the secret stands in the answer; a number not as a part of a longer one or of a hash.
fn tells(answer: &str, secret: &str) -> bool {
    let is_number = secret.chars().all(|character| character.is_ascii_digit() || character == ':');
    answer.match_indices(secret).any(|(at, found)| {
        let (before, after) = (answer[..at].chars().next_back(), answer[at + found.len()..].chars().next());
        let is_joined = |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_ascii_alphanumeric());
        let is_part = (is_joined(before) && !found.starts_with(':')) || is_joined(after);
        !(is_number && is_part)
    })
}

const STDOUT: &str = "the answer is 42";
const OUTPUT: &str = "a secret table";
const EXIT_CODE: i32 = 97;
const RSS_KIB: u32 = 123_456;
const CPU_MS: u64 = 76_543;

fn telling() -> FakeExecutor {
    FakeExecutor::new(|_| {
        let reading = |t_ms| Reading { t_ms, rss_kib: RSS_KIB, cpu_ms: CPU_MS, faults: 0 };
        let trace =
            Trace { readings: (0..9).map(reading).collect(), duration_ms: 10, cpu_ms: CPU_MS, faults: 0 };
        Script {
            outcome: Ok(RunOutcome { exit_code: EXIT_CODE, trace }),
            stdout: STDOUT.into(),
            outputs: vec![("table.csv".to_owned(), OUTPUT.into())],
        }
    })
}

/// Everything that a node says over HTTP about a job.
async fn all_answers(node: &Citizen, job: &str, others: &[&Citizen]) -> Vec<(String, String)> {
    let mut paths: Vec<String> = ["node", "nodes", "jobs", "blobs", "metrics"].map(str::to_owned).into();
    for tail in ["", "/log", "/results", "/output", "/logs", "/executions"] {
        paths.push(format!("jobs/{job}{tail}"));
    }
    for other in others.iter().copied().chain([node]) {
        for part in ["archive", "last-words"] {
            paths.push(format!("jobs/{job}/results/{}/{part}", other.id()));
        }
    }
    let mut answers = Vec::new();
    for path in paths {
        let (_, body) = node.get(&path).await;
        answers.push((path, String::from_utf8_lossy(&body).into_owned()));
    }
    // A stream of a running job does not end: what there is comes first.
    let mut events = node.http().get(node.url(&format!("jobs/{job}/events"))).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    answers.push(("events".to_owned(), String::from_utf8_lossy(&first).into_owned()));
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_helps_to_copy_leaves_a_node_before_the_end() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let done = town.node(2, 1, Arc::new(telling())).await;
    let still = Arc::new(telling().hold());
    let running = town.node(3, 1, Arc::clone(&still) as _).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    for citizen in [&requester, &done, &running] {
        citizen.when(job, |job| !job.committed.is_empty()).await;
    }
    still.started().wait_for(|started| *started == 1).await.unwrap();

    // All that the first node has on disk by now, found the way an owner of the machine would.
    let blobs: Vec<Digest> = stored(done.dir.path());
    assert!(!blobs.is_empty(), "the result is kept as content");
    let mut secrets: Vec<String> = blobs.iter().map(|digest| digest.to_string()[2..].to_owned()).collect();
    secrets.extend([STDOUT, OUTPUT].map(str::to_owned));
    secrets.extend([format!(":{EXIT_CODE}"), RSS_KIB.to_string(), CPU_MS.to_string()]);
    secrets.extend(["exit_code", "fingerprint", "result_hash", "salt"].map(|key| format!("\"{key}\":")));
    for node in [&requester, &done, &running] {
        for (path, answer) in all_answers(node, &job.to_string(), &[&requester, &done, &running]).await {
            for secret in &secrets {
                assert!(!tells(&answer, secret), "{path} tells {secret}: {answer}");
            }
        }
    }
    // Nor over the transfer of content, whoever asks and for whatever the node has.
    for asker in [&requester, &running] {
        for digest in &blobs {
            let request = ChunkRequest { job, digest: *digest, offset: 0, length: 9999 };
            assert!(asker.transfer.fetch_chunk(done.id(), request).await.is_err());
        }
    }

    // The same questions afterwards find it all, so that they are the right ones.
    still.release(1);
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let answers = all_answers(&requester, &job.to_string(), &[&done]).await;
    let told = |secret: &String| answers.iter().any(|(_, answer)| tells(answer, secret));
    let untold: Vec<_> = secrets.iter().filter(|secret| !told(secret)).collect();
    assert!(untold.is_empty(), "nobody would have found {untold:?}");
    let seat = ended.seats.iter().find(|seat| seat.node == done.id()).unwrap();
    let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
    assert!(blobs.contains(&opening.output_root));
    for citizen in [requester, done, running] {
        end(citizen.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_pays_for_stays_with_its_node() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let honest = [town.node(2, 1, printing("true")).await, town.node(3, 1, printing("true")).await];
    let liar = town.node(4, 1, printing("false")).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(3, 2)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let root_of = |node: &Citizen| {
        let seat = ended.seats.iter().find(|seat| seat.node == node.id()).unwrap();
        let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
        opening.output_root
    };
    for node in &honest {
        node.ended(job).await;
        let request = ChunkRequest { job, digest: root_of(node), offset: 0, length: 9999 };
        assert!(requester.transfer.fetch_chunk(node.id(), request).await.is_ok());
    }
    liar.ended(job).await;
    let request = ChunkRequest { job, digest: root_of(&liar), offset: 0, length: 9999 };
    for asker in [&requester, &honest[0]] {
        assert!(asker.transfer.fetch_chunk(liar.id(), request).await.is_err());
    }
    let path = format!("jobs/{job}/results/{}/archive", liar.id());
    let (status, body) = requester.get(&path).await;
    let body = String::from_utf8(body).unwrap();
    assert!(status == 409 && body.contains("not paid for"), "{status} {body}");
    assert_eq!(liar.get(&path).await.0, 200, "its own it may read");
    for node in [requester, liar].into_iter().chain(honest) {
        end(node.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_result_goes_to_anybody_after_the_end_and_to_nobody_before() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let done = town.node(2, 1, printing("true")).await;
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("true")).hold());
    let last = town.node(3, 1, Arc::clone(&held) as _).await;
    let stranger = town.node(4, 0, printing("")).await;
    // Both results have the same bytes, so whoever has one has the other.
    for public_result in [false, true] {
        let spec = Spec { public_result, ..Spec::sample() };
        let (job, _) = requester.node().submit_job(spec, deal(2, 2)).await.unwrap();
        for citizen in [&done, &stranger] {
            citizen.when(job, |job| !job.committed.is_empty()).await;
        }
        let ask = |digest| {
            let request = ChunkRequest { job, digest, offset: 0, length: 9999 };
            stranger.transfer.fetch_chunk(done.id(), request)
        };
        for digest in stored(done.dir.path()) {
            assert!(ask(digest).await.is_err(), "nothing leaves before the end");
        }
        assert!(matches!(
            stranger.node().result_of(job, done.id()).await,
            Err(RequestError::NotDecided { .. })
        ));
        held.release(1);
        for citizen in [&done, &stranger] {
            assert_eq!(citizen.ended(job).await.state, JobState::Verified);
        }
        let fetched = stranger.node().result_of(job, done.id()).await;
        assert_eq!(fetched.is_ok(), public_result, "{fetched:?}");
    }
    for node in [requester, done, last, stranger] {
        end(node.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_result_of_an_inconclusive_job_that_pays_nobody() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let nodes = [town.node(2, 1, printing("one")).await, town.node(3, 1, printing("two")).await];
    let deal = Deal { method: Method::Hash, ..deal(2, 2) };
    let (job, _) = requester.node().submit_job(Spec::sample(), deal).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Inconclusive);
    for (node, seat) in nodes.iter().flat_map(|node| ended.seats.iter().map(move |seat| (node, seat))) {
        node.ended(job).await;
        let SeatStatus::Revealed(opening) = seat.status else { panic!("{seat:?}") };
        let request = ChunkRequest { job, digest: opening.output_root, offset: 0, length: 9999 };
        assert!(requester.transfer.fetch_chunk(node.id(), request).await.is_err());
    }
    for node in nodes.into_iter().chain([requester]) {
        end(node.handle).await;
    }
}

/// The digests of all content below a data directory.
fn stored(dir: &std::path::Path) -> Vec<Digest> {
    let mut pending = vec![dir.join("blobs")];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.extend(path.file_name().and_then(|name| name.to_str()?.parse::<Digest>().ok()));
        }
    }
    found
}

/// What each party answers to whoever asks it for content, and how many bytes of it have been sent.
#[derive(Debug, Default)]
struct Sends {
    content: Mutex<BTreeMap<NodeId, Vec<u8>>>,
    bytes: AtomicUsize,
}

impl Transfer for Sends {
    fn fetch_chunk(
        &self,
        from: NodeId,
        request: ChunkRequest,
    ) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        let content = self.content.lock().unwrap().get(&from).cloned().unwrap_or_default();
        let rest = &content[usize::try_from(request.offset).unwrap().min(content.len())..];
        let bytes = rest[..rest.len().min(usize::try_from(request.length).unwrap())].to_vec();
        self.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        let total_bytes = content.len().try_into().unwrap();
        Box::pin(std::future::ready(Ok(Chunk { total_bytes, bytes })))
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        BTreeMap::new()
    }
}

/// The archive of a directory with one file `secret.txt`.
fn private_input() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret.txt"), "nobody else's business").unwrap();
    let mut archive = Vec::new();
    pack(dir.path(), &mut archive, &Limits::with_bytes(1 << 20)).unwrap();
    archive
}

fn reading(digest: Digest, bytes: u64) -> Spec {
    Spec {
        inputs: vec![Input {
            digest,
            bytes,
            target: "/in".to_owned(),
            kind: InputKind::Directory,
            url: None,
        }],
        ..Spec::sample()
    }
}

/// Puts a job into the log past all that its requester's own node would check.
pub(crate) async fn announce(town: &Town, key: u8, spec: &Spec, deal: Deal) -> JobId {
    let key = key_of(key);
    let scheduler = town.log.join(key.node_id());
    let (document, revision, nonce) = (spec.to_document(), deal.revision(), 77);
    let hash = Spec::hash_document(&document);
    let job = scheduler.domain().job_id(key.node_id(), nonce, hash, revision);
    let event = Event::Submitted { deal, spec: document, nonce };
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    let signature = key.sign(action.signing_digest(scheduler.domain()));
    scheduler.submit(SignedAction { action, signature }).await.unwrap();
    job
}

fn lacked_its_input(job: &Job) -> bool {
    job.failures[usize::from(FailureKind::Input.index())] == 1
}

/// An owner, a stranger, and a node that has the owner's input and a result made from it.
struct Leak {
    town: Town,
    owner: Citizen,
    stranger: Citizen,
    node: Citizen,
    sends: Arc<Sends>,
    archive: Vec<u8>,
    digest: Digest,
    /// The root of the result, which is in the log.
    root: Digest,
}

impl Leak {
    async fn new() -> Self {
        let town = Town::new();
        let (owner, stranger) = (town.node(1, 0, printing("")).await, town.node(2, 0, printing("")).await);
        let archive = private_input();
        let sends = Arc::new(Sends::default());
        sends.content.lock().unwrap().insert(owner.id(), archive.clone());
        let echoes = FakeExecutor::new(|request| {
            let found = std::fs::read(request.inputs[0].source.join("secret.txt"));
            Script::printing(found.unwrap_or_else(|_| b"no such file".to_vec()))
        });
        let node = town.worker(3, Arc::new(echoes), Arc::clone(&sends) as _).await;
        let (status, told) = owner.ask(owner.http().post(owner.url("blobs")).body(archive.clone())).await;
        assert_eq!(status, 200);
        let BlobInfo { digest, bytes } = serde_json::from_slice(&told).unwrap();
        let (job, _) = owner.node().submit_job(reading(digest, bytes), deal(1, 1)).await.unwrap();
        let ended = node.ended(job).await;
        assert_eq!(ended.state, JobState::Verified);
        let SeatStatus::Revealed(opening) = ended.seats[0].status else { panic!("{ended:?}") };
        let root = opening.output_root;
        assert!(stored(node.dir.path()).contains(&digest) && stored(node.dir.path()).contains(&root));
        Self { town, owner, stranger, node, sends, archive, digest, root }
    }

    async fn end(self) {
        for citizen in [self.owner, self.stranger, self.node] {
            end(citizen.handle).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_job_gets_no_content_that_it_only_names() {
    let leak = Leak::new().await;
    let length = u64::try_from(leak.archive.len()).unwrap();
    leak.sends.content.lock().unwrap().insert(leak.stranger.id(), private_input()[..1024].to_vec());
    for named in [leak.digest, leak.root] {
        let spec = Spec { command: vec![named.to_string()], ..reading(named, length) };
        let job = announce(&leak.town, 2, &spec, deal(1, 1)).await;
        leak.stranger.when(job, lacked_its_input).await;
    }
    leak.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_content_may_use_it_and_sends_it_in_full() {
    let leak = Leak::new().await;
    let sent = || leak.sends.bytes.load(Ordering::SeqCst);
    leak.sends.content.lock().unwrap().insert(leak.stranger.id(), leak.archive.clone());
    let (before, length) = (sent(), leak.archive.len());
    // How much is asked for says nothing about what the node has of others.
    for (run, expected) in [(1, length), (2, length)] {
        let spec =
            Spec { command: vec![run.to_string()], ..reading(leak.digest, u64::try_from(length).unwrap()) };
        let job = announce(&leak.town, 2, &spec, deal(1, 1)).await;
        assert_eq!(leak.stranger.ended(job).await.state, JobState::Verified);
        assert_eq!(sent() - before, expected, "what it has sent once is taken from the store");
    }
    leak.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_cannot_name_content_that_came_for_others() {
    let leak = Leak::new().await;
    let absent = Digest::sha256("nobody has this");
    let mut refusals = Vec::new();
    for named in [leak.digest, leak.root, absent] {
        let refused = leak.node.node().submit_job(reading(named, 1024), deal(1, 1)).await.unwrap_err();
        refusals.push(refused.to_string().replace(&named.to_string(), "IT"));
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[2]), "they tell no difference: {refusals:?}");
    leak.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_nothing_that_others_hold_though_a_job_of_its_own_names_it() {
    let leak = Leak::new().await;
    let seat = leak.town.node(4, 1, printing("x")).await;
    let length = u64::try_from(leak.archive.len()).unwrap();
    let deal = Deal { allow_list: vec![seat.id()], ..deal(1, 1) };
    // Node 3 names the owner's input as its own, past its checks.
    let job = announce(&leak.town, 3, &reading(leak.digest, length), deal).await;
    let known = leak.node.when(job, |job| !job.seats.is_empty()).await;
    assert_eq!(known.seats[0].node, seat.id(), "it has a seat, and so a right to the job's inputs");
    let request = ChunkRequest { job, digest: leak.digest, offset: 0, length: 9999 };
    assert!(seat.transfer.fetch_chunk(leak.node.id(), request).await.is_err());
    end(seat.handle).await;
    leak.end().await;
}
