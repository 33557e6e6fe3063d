//! The API as a client sees it: over HTTP, on the loopback address.

mod access;
mod dashboard;
mod loading;
mod once;
mod operating;
mod pages;

use assay::{
    api::types::{
        BlobInfo, CancelReply, ErrorCode, ErrorReply, JobList, JobView, Judgement, LogEntry, NodeInfo,
        NodeRow, Replication, ResultRow, SubmitReply, SubmitRequest,
    },
    api::{self, ApiConfig, ServeError},
    domain::{Deal, Digest, Event, Input, InputKind, JobId, JobState, LogDomain, Resources},
    node::ComputeLimits,
    rules::Ledger,
    store::{Limits, pack},
    verdict::Rule,
};
use serde::de::DeserializeOwned;

use crate::town::{Citizen, Town, deal, end, printing};

fn request(deal: Deal) -> SubmitRequest {
    SubmitRequest {
        image: "demo".to_owned(),
        entrypoint: vec![],
        command: vec!["true".to_owned()],
        environment: Default::default(),
        working_directory: None,
        inputs: vec![],
        resources: Resources::default(),
        seeded: false,
        text_files: Vec::new(),
        public_result: false,
        summary_file: assay::domain::SUMMARY_FILE.to_owned(),
        scratch_dir: assay::domain::SCRATCH_DIR.to_owned(),
        platform: None,
        deal,
        replication: Replication::Fixed,
    }
}

fn read<T: DeserializeOwned>((status, body): (u16, Vec<u8>)) -> T {
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

fn error((status, body): (u16, Vec<u8>)) -> (u16, ErrorCode) {
    let reply: ErrorReply = serde_json::from_slice(&body).unwrap();
    assert!(!reply.error.message.is_empty());
    (status, reply.error.code)
}

async fn submit(node: &Citizen, request: &SubmitRequest) -> JobId {
    let reply: SubmitReply = read(node.post("jobs", serde_json::to_vec(request).unwrap()).await);
    reply.job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_watched_and_its_output_read() {
    let town = Town::new();
    let a = town.node(1, 1, printing("hello\n")).await;
    let b = town.node(2, 1, printing("hello\n")).await;
    let job = submit(&a, &request(deal(2, 2))).await;

    // The stream ends with the job, so that reading all of it is waiting for it.
    let (status, events) = a.get(&format!("jobs/{job}/events")).await;
    assert_eq!(status, 200);
    let events = String::from_utf8(events).unwrap();
    let streamed: Vec<LogEntry> = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let log: Vec<LogEntry> = read(a.get(&format!("jobs/{job}/log")).await);
    assert_eq!(streamed, log);
    assert!(matches!(log.last().unwrap().event, Event::VerdictPosted { .. }));
    let (_, rest) = a.get(&format!("jobs/{job}/events?after={}", log.len() - 1)).await;
    assert_eq!(String::from_utf8(rest).unwrap().matches("data: ").count(), 1);

    // The log alone gives the same verdict to anyone.
    let mut ledger = Ledger::new(LogDomain::default());
    for entry in &log {
        ledger.apply(&entry.stamped(job)).unwrap();
    }
    assert_eq!(ledger.get(job).unwrap().state, JobState::Verified);

    let view: JobView = read(a.get(&format!("jobs/{}", &job.to_string()[..10])).await);
    assert_eq!((view.job, view.state), (job, JobState::Verified));
    assert!(view.seats.iter().all(|seat| seat.judgement == Some(Judgement::Accepted)));
    assert_eq!(view.seats[0].reason.as_deref(), Some("its output equals that of 2 of 2 nodes, 2 needed"));
    assert_eq!(view.verdict.unwrap().accepted.len(), 2);
    assert_eq!(a.get(&format!("jobs/{job}/output")).await, (200, b"hello\n".to_vec()));
    let rows: Vec<ResultRow> = read(a.get(&format!("jobs/{job}/results")).await);
    for row in rows {
        let (status, archive) = a.get(&format!("jobs/{job}/results/{}/archive", row.node)).await;
        assert_eq!((status, Digest::sha256(&archive)), (200, row.output_root));
    }
    let JobList { total, jobs: rows, .. } = read(a.get("jobs?limit=5").await);
    assert_eq!(total, rows.len());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].accepted, Some(2));
    let now = rows[0].submitted_at.as_secs();
    for (query, count) in [
        ("state=verified,failed", 1),
        ("state=open", 0),
        (&*format!("since={now}"), 1),
        (&*format!("since={}", now + 1), 0),
        ("state=verified&since=0&limit=1", 1),
    ] {
        let JobList { total, jobs, .. } = read(a.get(&format!("jobs?{query}")).await);
        assert_eq!((total, jobs.len()), (count, count), "{query}");
    }
    for wrong in ["state=opne", "state=", "since=never", "sort=age"] {
        assert_eq!(error(a.get(&format!("jobs?{wrong}")).await), (400, ErrorCode::BadRequest), "{wrong}");
    }
    let nodes: Vec<NodeRow> = read(a.get("nodes").await);
    assert_eq!(nodes.iter().map(|row| row.accepted).collect::<Vec<_>>(), [1, 1]);
    let info: NodeInfo = read(a.get("node").await);
    assert_eq!((info.id, info.members, info.jobs[&JobState::Verified]), (a.id(), 1, 1));
    let (told, own) = (info.limits.unwrap(), ComputeLimits::default());
    assert_eq!((told.resources, told.run, told.reveal), (own.max_resources, own.max_run, own.max_reveal));
    end(a.handle).await;
    end(b.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_input_reaches_the_node_that_runs() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let reads = assay::executor::FakeExecutor::new(|request| {
        let content = std::fs::read(request.inputs[0].source.join("data.txt")).unwrap();
        assay::executor::Script::printing(content)
    });
    let node = town.node(2, 1, std::sync::Arc::new(reads)).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data.txt"), "from afar").unwrap();
    let mut archive = Vec::new();
    pack(dir.path(), &mut archive, &Limits::with_bytes(1 << 20)).unwrap();
    let info: BlobInfo = read(requester.post("blobs", archive).await);
    let input = Input {
        digest: info.digest,
        bytes: info.bytes,
        target: "/in".to_owned(),
        kind: InputKind::Directory,
        url: None,
    };
    let job = submit(&requester, &SubmitRequest { inputs: vec![input], ..request(deal(1, 1)) }).await;
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    assert_eq!(requester.get(&format!("jobs/{job}/output")).await, (200, b"from afar".to_vec()));
    end(requester.handle).await;
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form_and_the_status_that_fits() {
    let town = Town::new();
    let a = town.node(1, 1, printing("x")).await;
    let submit_error =
        async |request: &SubmitRequest| error(a.post("jobs", serde_json::to_vec(request).unwrap()).await);
    assert_eq!(submit_error(&request(deal(1, 2))).await, (422, ErrorCode::InvalidDeal));
    assert_eq!(submit_error(&request(deal(9, 2))).await, (409, ErrorCode::NotEnoughNodes));
    let input = Input {
        digest: Digest::ZERO,
        bytes: 1,
        target: "/in".to_owned(),
        kind: InputKind::Directory,
        url: None,
    };
    let absent = SubmitRequest { inputs: vec![input], ..request(deal(1, 1)) };
    assert_eq!(submit_error(&absent).await, (422, ErrorCode::UnknownInput));
    let image = SubmitRequest { image: String::new(), ..request(deal(1, 1)) };
    assert_eq!(submit_error(&image).await, (422, ErrorCode::InvalidSpec));
    assert_eq!(error(a.post("jobs", "{").await), (400, ErrorCode::BadRequest));
    assert_eq!(error(a.post("jobs", vec![b' '; 1 << 20]).await), (413, ErrorCode::TooLarge));
    assert_eq!(error(a.post("blobs", "no archive").await), (400, ErrorCode::BadRequest));
    assert_eq!(error(a.get("jobs/0xabc").await), (404, ErrorCode::NoSuchJob));
    assert_eq!(error(a.get("jobs?limit=many").await), (400, ErrorCode::BadRequest));
    assert_eq!(error(a.get("nothing").await), (404, ErrorCode::NotFound));
    assert_eq!(error(a.post("node", "").await), (400, ErrorCode::BadRequest));
    let foreign = a.http().get(a.url("node")).header("host", "evil.example");
    assert_eq!(error(a.ask(foreign).await), (403, ErrorCode::ForbiddenHost));
    let page = a.http().post(a.url("jobs")).header("origin", "http://evil.example");
    assert_eq!(error(a.ask(page).await), (403, ErrorCode::ForbiddenHost));
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_and_its_deal_updated() {
    let town = Town::new();
    let a = town.node(1, 1, printing("x")).await;
    let b = town.node(2, 0, printing("x")).await;
    let nobody = Deal { allow_list: vec![b.id()], ..deal(1, 1) };
    let job = submit(&a, &request(nobody.clone())).await;
    let longer = Deal { reveal: assay::domain::Span::from_secs(90), ..nobody };
    let path = format!("jobs/{job}/deal");
    assert_eq!(a.post(&path, serde_json::to_vec(&longer).unwrap()).await.0, 200);
    let view: JobView = read(a.get(&format!("jobs/{job}")).await);
    assert_eq!((view.state, view.deal, view.verdict), (JobState::Open, longer, None));
    let output = format!("jobs/{job}/output");
    assert_eq!(error(a.get(&output).await), (409, ErrorCode::NotDecided));
    b.when(job, |_| true).await;
    assert_eq!(error(b.post(&format!("jobs/{job}/cancel"), "").await), (403, ErrorCode::NotRequester));
    let cancelled: CancelReply = read(a.post(&format!("jobs/{job}/cancel"), "").await);
    assert_eq!(cancelled, CancelReply { job, stopped: false });
    assert_eq!(error(a.get(&output).await), (409, ErrorCode::NoResult));
    assert_eq!(error(a.post(&format!("jobs/{job}/cancel"), "").await), (409, ErrorCode::Refused));
    end(a.handle).await;
    end(b.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_listens_on_this_machine_alone_unless_told_otherwise() {
    let town = Town::new();
    let mut a = town.node(1, 1, printing("x")).await;
    let address = "0.0.0.0:0".parse().unwrap();
    let refused = api::serve(&mut a.handle, ApiConfig { address, beyond_loopback: false }).await;
    assert!(matches!(refused, Err(ServeError::NotLoopback { .. })));
    let open = api::serve(&mut a.handle, ApiConfig { address, beyond_loopback: true }).await;
    assert_ne!(open.unwrap().port(), 0);
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_disagrees_is_counted_against() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let nodes = [
        town.node(2, 1, printing("x")).await,
        town.node(3, 1, printing("x")).await,
        town.node(4, 1, printing("y")).await,
    ];
    let job = submit(&requester, &request(deal(3, 2))).await;
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    let view: JobView = read(requester.get(&format!("jobs/{job}")).await);
    let liar = view.seats.iter().find(|seat| seat.node == nodes[2].id()).unwrap();
    assert_eq!(liar.judgement, Some(Judgement::Rejected));
    let why = "its output differs from the majority's; 1 of 3 nodes have it, 2 needed";
    assert_eq!(liar.reason.as_deref(), Some(why));
    assert_eq!(liar.measured.map(|measured| (measured.rule, measured.alike)), Some((Rule::Outputs, 1)));
    // A node's own job of one seat says nothing about it.
    let alone = submit(&requester, &request(deal(1, 1))).await;
    requester.ended(alone).await;
    let rows: Vec<NodeRow> = read(requester.get("nodes").await);
    for row in rows {
        let expected = if row.is_self {
            (0, 0)
        } else if row.id == nodes[2].id() {
            (0, 1)
        } else {
            (1, 0)
        };
        assert_eq!((row.accepted, row.rejected), expected, "{row:?}");
    }
    end(requester.handle).await;
    for node in nodes {
        end(node.handle).await;
    }
}
