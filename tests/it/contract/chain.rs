//! A contract on an Anvil of its own, and parties with a key each.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    domain::{Action, Amount, Deal, Digest, Event, JobId, NodeId, Opening, SignedAction, Spec, Timestamp},
    identity::NodeKey,
    rules::Ledger,
    scheduler::{
        Cursor, LogItem, Scheduler,
        contract::{ChainConfig, ContractConfig, ContractScheduler, Deployed, Running, deploy},
        entries,
    },
    store::Db,
};
use futures::StreamExt;
use serde_json::{Value, json};

/// Longest wait for something that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// Anvil and the contract on it.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) anvil: Anvil,
    pub(crate) deployed: Deployed,
}

/// A key, its backend and its database.
pub(crate) struct Member {
    pub(crate) key: NodeKey,
    pub(crate) scheduler: ContractScheduler,
    pub(crate) running: Running,
    pub(crate) db: Db,
}

impl Chain {
    /// With a time, the chain's clock stands there until it is set; else it goes with the machine's.
    pub(crate) async fn start(timestamp: Option<u64>) -> Self {
        let anvil = Anvil::start(AnvilOptions { timestamp, ..AnvilOptions::default() }).await;
        let anvil = anvil.expect("these tests need Anvil");
        let deployed =
            deploy(std::slice::from_ref(&anvil.rpc_url), None, &anvil.accounts[0].key).await.unwrap();
        let chain = Self { anvil, deployed };
        if timestamp.is_some() {
            chain.rpc("anvil_setBlockTimestampInterval", &json!([0]));
        }
        chain
    }

    pub(crate) fn config(&self) -> ChainConfig {
        ChainConfig {
            rpc_urls: vec![self.anvil.rpc_url.clone()],
            contract: self.deployed.contract,
            chain_id: Some(self.deployed.chain_id),
            confirmations: None,
            max_fee_per_gas: None,
        }
    }

    /// A party with money for gas.
    pub(crate) async fn member(&self) -> Member {
        self.member_with(self.config(), self.funded_key(), Db::in_memory().unwrap()).await
    }

    pub(crate) fn funded_key(&self) -> NodeKey {
        let key = NodeKey::generate().unwrap();
        self.give_gas(key.node_id());
        key
    }

    pub(crate) fn give_gas(&self, node: NodeId) {
        self.rpc("anvil_setBalance", &json!([node, format!("{:#x}", 1000 * ETHER)]));
    }

    pub(crate) async fn member_with(&self, chain: ChainConfig, key: NodeKey, db: Db) -> Member {
        let config = ContractConfig {
            chain,
            first_block: self.deployed.receipt.block,
            db: db.clone(),
            key: key.clone(),
            clock: Arc::new(|| Timestamp::ZERO),
            signed: None,
        };
        let (scheduler, running) = ContractScheduler::start(config).await.unwrap();
        Member { key, scheduler, running, db }
    }

    /// Asks Anvil by hand, blocking: for what is no business of the program.
    pub(crate) fn rpc(&self, method: &str, params: &Value) -> Value {
        rpc(&self.anvil.rpc_url, method, params)
    }

    /// Makes so many blocks, a second apart. Anvil prints a line for each, and stops when nobody reads them: so this
    /// runtime must not wait for the answer, as [`Self::rpc`] does.
    pub(crate) async fn mine(&self, blocks: u64) {
        let url = self.anvil.rpc_url.clone();
        let mined = tokio::task::spawn_blocking(move || rpc(&url, "anvil_mine", &json!([blocks])));
        mined.await.unwrap();
    }

    /// Makes a block at `at`, if the chain is not there yet.
    pub(crate) fn set_now(&self, at: Timestamp) {
        let block = self.rpc("eth_getBlockByNumber", &json!(["latest", false]));
        let hex = block["timestamp"].as_str().unwrap();
        let now = u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap();
        if at.as_secs() > now {
            self.rpc("evm_setNextBlockTimestamp", &json!([at.as_secs()]));
            self.rpc("evm_mine", &json!([]));
        }
    }
}

impl Member {
    pub(crate) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub(crate) fn sign(&self, job: JobId, revision: Digest, sequence: u64, event: Event) -> SignedAction {
        let action = Action { job, revision, sequence, seen: Digest::ZERO, event };
        let signature = self.key.sign(action.signing_digest(self.scheduler.domain()));
        SignedAction { action, signature }
    }

    /// A job of this party's, to be submitted.
    pub(crate) fn submission(&self, deal: &Deal, nonce: u64) -> SignedAction {
        let spec = Spec::sample().to_document();
        let revision = deal.revision();
        let job = self.scheduler.domain().job_id(self.id(), nonce, Spec::hash_document(&spec), revision);
        self.sign(job, revision, 0, Event::Submitted { deal: deal.clone(), spec, nonce })
    }

    /// Acts as the next thing that this party does in a job, and returns the place of it.
    pub(crate) async fn act(&self, job: JobId, revision: Digest, event: Event) -> Cursor {
        let own = self.read().await.into_iter();
        let own = own.filter(|item| item.stamped.job == job && item.stamped.author == self.id()).count();
        let action = self.sign(job, revision, u64::try_from(own).unwrap(), event);
        self.scheduler.submit(action).await.unwrap()
    }

    /// Everything that this party's log has now.
    pub(crate) async fn read(&self) -> Vec<LogItem> {
        let mut items = Vec::new();
        let mut events = entries(self.scheduler.events(Cursor(0)));
        // As stored: the level that readers wait for rises a moment later, when some may have read the entry.
        let stored = assay::store::EventLog::new(self.db.clone()).read_after(0, u32::MAX).unwrap();
        let head = stored.last().map_or(0, |entry| entry.cursor);
        while items.last().is_none_or(|item: &LogItem| item.cursor.0 < head) && head > 0 {
            items.push(events.next().await.unwrap().unwrap());
        }
        items
    }

    /// Waits until this party's log has so many entries.
    pub(crate) async fn read_until(&self, count: usize) {
        let read = entries(self.scheduler.events(Cursor(0))).take(count).count();
        assert_eq!(tokio::time::timeout(PATIENCE, read).await.expect("they come in time"), count);
    }

    pub(crate) async fn free(&self) -> Amount {
        self.scheduler.client().reader().account(self.id()).await.unwrap().free
    }
}

/// Asks a chain of this machine by hand, blocking.
pub(crate) fn rpc(url: &str, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(body.get("error").is_none(), "{method}: {body}");
    body["result"].clone()
}

pub(crate) fn fold(member: &Member, items: &[LogItem]) -> Ledger {
    let mut ledger = Ledger::new(member.scheduler.domain());
    for item in items {
        ledger.apply(&item.stamped).unwrap();
    }
    ledger
}

/// Seats agree, but for those in `liars`.
pub(crate) fn opening(seat: u8, liars: &[u8]) -> Opening {
    Opening {
        result_hash: Digest::new([if liars.contains(&seat) { 2 } else { 1 }; 32]),
        output_root: Digest::new([3; 32]),
        exit_code: 0,
        fingerprint: assay::domain::FingerprintWord([0; 32]),
        summary: assay::domain::SummaryWord::VOID,
        salt: Digest::new([seat; 32]),
    }
}
