//! Inputs that come from URLs: taken whole, checked, and told at once where something is wrong.

use std::{sync::Arc, time::Duration};

use assay::{
    api::types::{InputEvent, InputRequest, Outlook, OutlookRow},
    domain::{Digest, FailureKind, Input, InputKind, Job, JobId, JobState, Spec},
    executor::{FakeExecutor, Script},
};
use tokio::time::{Instant, interval, timeout};

use super::end_all;
use crate::{
    secrecy::announce,
    town::{Citizen, PATIENCE, Town, deal, printing},
    web::{Web, content},
};

/// A dead URL is told sooner than this.
const SOON: Duration = Duration::from_secs(5);

fn input(url: &str, digest: Digest, bytes: usize) -> Spec {
    let (target, url) = ("/in".to_owned(), Some(url.to_owned()));
    let bytes = bytes.try_into().unwrap();
    Spec { inputs: vec![Input { digest, bytes, target, kind: InputKind::File, url }], ..Spec::sample() }
}

/// Prints the SHA-256 of what is mounted.
fn hashing() -> Arc<FakeExecutor> {
    Arc::new(FakeExecutor::new(|request| {
        let found = std::fs::read(&request.inputs[0].source).unwrap();
        Script::printing(Digest::sha256(found).to_string())
    }))
}

/// Has a node take a file; the last event.
async fn take(citizen: &Citizen, url: &str, digest: Digest) -> InputEvent {
    let request = InputRequest { url: url.to_owned(), digest };
    let (status, body) = citizen.post("inputs", serde_json::to_vec(&request).unwrap()).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{body}");
    let last = body.lines().filter_map(|line| line.strip_prefix("data:")).next_back().unwrap();
    serde_json::from_str(last).unwrap()
}

/// What the first of these nodes says of the other and a job.
async fn outlook_of(asked: &Citizen, job: JobId, node: &Citizen) -> Outlook {
    let (status, body) = asked.get(&format!("jobs/{job}/nodes")).await;
    assert_eq!(status, 200);
    let rows: Vec<OutlookRow> = serde_json::from_slice(&body).unwrap();
    rows.into_iter().find(|row| row.node == node.id()).unwrap().outlook
}

/// Waits until a node says that this keeps it from a job.
async fn says(node: &Citizen, job: JobId, why: &str) {
    let mut ticks = interval(Duration::from_millis(50));
    let mut last = None;
    let said = timeout(PATIENCE, async {
        loop {
            let outlook = outlook_of(node, job, node).await;
            if matches!(&outlook, Outlook::CannotRun { reason } if reason.contains(why)) {
                return;
            }
            last = Some(outlook);
            ticks.tick().await;
        }
    });
    assert!(said.await.is_ok(), "{why}: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reads_the_file_at_a_url_which_each_node_gets_from_there() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(1, 0, printing("")).await;
    let nodes = [town.node(2, 1, hashing()).await, town.node(3, 1, hashing()).await];
    let (whole, digest) = (content(), Digest::sha256(content()));
    let spec = input(&web.url("/moved"), digest, whole.len());
    let refused = requester.node().submit_job(spec.clone(), deal(2, 2)).await.unwrap_err();
    assert!(refused.to_string().contains("was not uploaded"), "{refused}");
    assert_eq!(take(&requester, &web.url("/moved"), digest).await, InputEvent::Taken(whole.len() as u64));
    let (job, _) = requester.node().submit_job(spec, deal(2, 2)).await.unwrap();
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    let (_, printed) = requester.get(&format!("jobs/{job}/output")).await;
    assert_eq!(String::from_utf8(printed).unwrap(), digest.to_string());
    // Each node looked once before its bid, and asked for the first bytes. The requester and both nodes took it.
    assert_eq!(web.asked("/file first bytes"), 2, "{web:?}");
    assert_eq!(web.asked("/file from None"), 3, "{web:?}");
    end_all(nodes.into_iter().chain([requester])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_connection_ends_early_goes_on_where_it_was() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(1, 0, printing("")).await;
    let (whole, digest) = (content(), Digest::sha256(content()));
    for path in ["/cut", "/cut-anew"] {
        // The second server begins anew, and never comes further than the first time without a range.
        let taken = take(&requester, &web.url(path), digest).await;
        assert_eq!(taken, InputEvent::Taken(whole.len() as u64), "{path}");
        assert!(web.asked(&format!("{path} from Some(")) >= 1, "{web:?}");
        assert_eq!(web.asked(&format!("{path} from None")), 1, "{web:?}");
    }
    end_all([requester]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_url_is_told_soon_and_by_its_name() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(1, 0, printing("")).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let right = Digest::sha256(content());
    let table = [
        (web.url("/file"), Digest::sha256("other"), "has other content: its SHA-256 is"),
        (web.url("/gone"), right, "answers 404"),
        (web.url("/down"), right, "answers 503"),
        (web.url("/loop"), right, "redirects too often"),
        (web.url("/inside"), right, "has the address 169.254.169.254, which is not public"),
        (web.url("/disk"), right, "redirects to a file URL"),
        (web.url("/ftp"), right, "redirects to a ftp URL"),
        (web.url("/slow"), right, "no answer within 4 s"),
        (web.url("/short"), right, "ended after 400000 bytes"),
        (web.url("/trickle"), right, "which is too slow"),
        (format!("http://{nobody}/file"), right, "cannot be reached"),
        ("https://no-such-host.invalid/file".to_owned(), right, "cannot resolve the host"),
        ("file:///no/such/file".to_owned(), right, "cannot read file:///no/such/file"),
        ("file:///dev/zero".to_owned(), right, "it is not a regular file"),
        ("ftp://127.0.0.1/file".to_owned(), right, "no node gets ftp URLs"),
    ];
    for (url, digest, said) in table {
        let begun = Instant::now();
        let InputEvent::Failed(error) = take(&requester, &url, digest).await else { panic!("{url}") };
        assert!(error.message.contains(said), "{url}: {}", error.message);
        assert!(begun.elapsed() < SOON, "{url}");
    }
    assert_eq!(web.asked("/short"), 2, "{web:?}");
    end_all([requester]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_bid_for_no_job_whose_file_is_not_there_and_tell_of_another_not_what_it_is() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(2, 0, printing("")).await;
    let node = town.node(3, 1, hashing()).await;
    let (whole, right) = (content(), Digest::sha256(content()));
    let open = |spec: Spec| {
        let town = &town;
        async move { announce(town, 2, &spec, deal(1, 1)).await }
    };
    let gone = open(input(&web.url("/gone"), right, whole.len())).await;
    let short = open(input(&web.url("/file"), right, whole.len() - 1)).await;
    // From a server that sends the whole, whatever part is asked for.
    let long = open(input(&web.url("/whole"), right, whole.len() + 1)).await;
    let other = open(input(&web.url("/file"), Digest::sha256("other"), whole.len())).await;
    let endless = open(input(&web.url("/endless"), right, 1000)).await;
    let lacked = |job: &Job| job.failures[usize::from(FailureKind::Input.index())] == 1;
    for job in [other, endless] {
        requester.when(job, lacked).await;
    }
    for (look, times) in [("/gone first bytes", 1), ("/file first bytes", 2), ("/whole first bytes", 1)] {
        web.when_asked(look, times).await;
    }
    let length = whole.len();
    for (job, reason) in [
        (gone, "/gone answers 404".to_owned()),
        (short, format!("/file has {length} bytes, not the {} that the job names", length - 1)),
        (long, format!("/whole has {length} bytes, not the {} that the job names", length + 1)),
    ] {
        says(&node, job, &reason).await;
    }
    // Another node's own reason stays with it.
    let of_another = outlook_of(&requester, gone, &node).await;
    assert!(!matches!(of_another, Outlook::CannotRun { .. }), "{of_another:?}");
    for job in [gone, short, long] {
        requester.when(job, |job| job.state == JobState::Open && job.bids.is_empty()).await;
    }
    town.at(100_000);
    for (job, path) in [(other, "/file"), (endless, "/endless")] {
        node.ended(job).await;
        requester.ended(job).await;
        let words = requester.node().last_words_of(job, node.id()).await.unwrap();
        // Neither which of both, nor the length or hash of what is there.
        let url = web.url(path);
        assert_eq!(
            words.reason,
            format!("the input at {url} did not come, or is another than the job names")
        );
    }
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_an_input_too() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(2, 0, printing("")).await;
    let node = town.node(3, 1, hashing()).await;
    let spec = input(&web.url("/empty"), Digest::sha256(""), 0);
    let job = announce(&town, 2, &spec, deal(1, 1)).await;
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    assert_eq!(web.asked("/empty first bytes"), 1, "{web:?}");
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_url_has_no_node_ask_the_servers_of_the_others_again() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(2, 0, printing("")).await;
    let node = town.node(3, 1, hashing()).await;
    let mut spec = input(&web.url("/file"), Digest::sha256(content()), content().len());
    let dead = Input { target: "/other".to_owned(), url: Some(web.url("/down")), ..spec.inputs[0].clone() };
    spec.inputs.push(dead);
    announce(&town, 2, &spec, deal(1, 1)).await;
    web.when_asked("/down", 2).await;
    assert_eq!(web.asked("/file"), 1, "{web:?}");
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_node_has_already_is_mounted_only_for_jobs_that_say_its_length() {
    let (town, web) = (Town::new(), Web::start());
    let requester = town.node(2, 0, printing("")).await;
    let first = town.node(3, 2, hashing()).await;
    let (whole, digest) = (content(), Digest::sha256(content()));
    // The server states no length, so that a node finds out only when it takes the file.
    let said = |bytes| input(&web.url("/endless"), digest, bytes);
    let small = announce(&town, 2, &said(1), deal(2, 2)).await;
    requester.when(small, |job| job.bids.contains_key(&first.id())).await;
    // Now the first node gets the file, by a job that is right, and then sees the job for which it has bid begin.
    let right = announce(&town, 2, &said(whole.len()), deal(1, 1)).await;
    assert_eq!(requester.ended(right).await.state, JobState::Verified);
    let second = town.node(4, 1, hashing()).await;
    requester.when(small, |job| job.failures[usize::from(FailureKind::Input.index())] == 2).await;
    end_all([requester, first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_looks_only_where_its_operator_lets_it() {
    let (town, web) = (Town::careful(), Web::start());
    let requester = town.node(1, 0, printing("")).await;
    for (url, said) in [
        (web.url("/file"), "allows no http URLs"),
        (web.url("/file").replace("http:", "https:"), "has the address 127.0.0.1, which is not public"),
        ("https://[::ffff:10.0.0.1]/file".to_owned(), "which is not public"),
        ("file:///etc/passwd".to_owned(), "allows no file URLs"),
    ] {
        let InputEvent::Failed(error) = take(&requester, &url, Digest::sha256(content())).await else {
            panic!("{url}")
        };
        assert!(error.message.contains(said), "{url}: {}", error.message);
        assert!(error.hint.is_some(), "{url}");
    }
    assert_eq!(web.asked(""), 0, "nobody was asked");
    end_all([requester]).await;
}
