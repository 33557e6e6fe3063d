//! A node that is killed while it folds and stores what the chain has. Needs Anvil.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use assay::{
    identity::NodeKey,
    scheduler::Scheduler as _,
    store::{DataDir, Db},
};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

use super::User;
use crate::contract::{
    chain::{Chain, PATIENCE},
    faulty::{Fault, Faulty},
    long_deal,
};

/// When the node is killed, in milliseconds after it was told of new events: it stores them for about a hundred.
const KILLED_AFTER_MS: [u64; 6] = [0, 4, 11, 23, 47, 90];

/// Jobs that are new at each of its starts, each in a block of its own.
const JOBS: u64 = 30;

#[expect(clippy::disallowed_methods, reason = "the moment of a crash is chosen, nothing is waited for")]
fn pass(time: Duration) {
    thread::sleep(time);
}

/// A node to be killed, and who is told how it ended; nobody once it was.
type Victim = Arc<Mutex<Option<(Child, oneshot::Sender<ExitStatus>)>>>;

/// Kills the node some time after it was told of events, and says how it ended.
fn kills(victim: &Victim, after: Duration) -> impl Fn(&str, &Value) -> Fault + Send + Sync + 'static {
    let victim = Arc::clone(victim);
    move |method, params| {
        let reads_all = method == "eth_getLogs" && params[0]["topics"].as_array().is_none_or(Vec::is_empty);
        if !reads_all {
            return Fault::None;
        }
        let victim = Arc::clone(&victim);
        Fault::Altered(Arc::new(move |logs| {
            if let Some((mut node, ended)) = victim.lock().unwrap().take() {
                thread::spawn(move || {
                    pass(after);
                    node.kill().unwrap();
                    ended.send(node.wait().unwrap())
                });
            }
            logs
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_while_it_stores_events_loses_and_doubles_none() {
    let chain = Chain::start(None).await;
    let (member, user) = (chain.member().await, User::new());
    let key = NodeKey::generate().unwrap();
    key.save(&user.home.path().join("key"), None).unwrap();
    chain.give_gas(key.node_id());
    let (contract, first) = (chain.deployed.contract.to_string(), chain.deployed.receipt.block.to_string());
    let mut jobs = 0;
    for after in KILLED_AFTER_MS {
        for _ in 0..JOBS {
            member.scheduler.submit(member.submission(&long_deal(), jobs)).await.unwrap();
            jobs += 1;
        }
        let (victim, (said, ended)) = (Victim::default(), oneshot::channel());
        let rule = kills(&victim, Duration::from_millis(after));
        let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
        let words = ["serve", "--slots", "0", "--api", "127.0.0.1:0", "--data-dir", "data", "--key", "key"];
        let way = ["--scheduler", "contract", "--rpc-url", &endpoint.url, "--contract", &contract];
        let rest = ["--first-block", &first, "--listen", "/ip4/127.0.0.1/tcp/0"];
        let mut command = user.command(&[&words[..], &way, &rest].concat());
        let node = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        *victim.lock().unwrap() = Some((node, said));
        let ended = timeout(PATIENCE, ended).await.expect("it is killed in time").unwrap();
        assert_eq!(ended.signal(), Some(9), "it does not end by itself: {ended}");
    }
    let db = Db::open(&DataDir::open(&user.home.path().join("data")).unwrap()).unwrap();
    let again = chain.member_with(chain.config(), key, db).await;
    again.read_until(usize::try_from(jobs).unwrap()).await;
    assert_eq!(again.read().await, member.read().await, "every event once, in the same order");
}
