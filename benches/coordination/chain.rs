//! Anvil by itself: how fast it takes the transactions that a devstack sent to another one.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    tls::http_client,
};
use futures::future::try_join_all;
use reqwest::Client;
use serde_json::{Value, json};

use crate::{Outcome, orders, say};

/// What an account has before its first transaction: 10,000 ether.
const RICH: &str = "0x21e19e0c9bab2400000";

/// How long nothing may be mined while transactions wait.
const STANDSTILL: Duration = Duration::from_millis(100);

/// One endpoint.
struct Rpc {
    http: Client,
    url: String,
}

impl Rpc {
    fn new(url: &str) -> Outcome<Self> {
        Ok(Self { http: http_client().build()?, url: url.to_owned() })
    }

    async fn ask(&self, method: &str, parameters: Value) -> Outcome<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let mut answer: Value = self.http.post(&self.url).json(&body).send().await?.json().await?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}").into()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Sends a signed transaction; returns its receipt once it is mined.
    async fn send(&self, raw: &Value) -> Outcome<Value> {
        self.ask("eth_sendRawTransactionSync", json!([raw])).await
    }
}

pub(crate) async fn serve() -> Outcome<()> {
    let _anvil = Anvil::start(AnvilOptions::default()).await?;
    say(&json!({ "ready": true }));
    let mut orders = orders()?;
    while orders.next_line().await?.is_some() {}
    Ok(())
}

/// The newest block of a chain.
pub(crate) async fn head(url: &str) -> Outcome<u64> {
    let head = Rpc::new(url)?.ask("eth_blockNumber", json!([])).await?;
    let digits = head.as_str().and_then(|text| text.strip_prefix("0x")).ok_or("a block has no number")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Sends every transaction of a chain, byte for byte, to an Anvil where the same accounts have money: first those up to
/// block `set_up`, then the others, which are timed. Those of one job are sent in their order, those of different jobs
/// at the same time, so that Anvil always has some to mine. They must do there what they did here.
pub(crate) async fn replay(url: &str, set_up: u64) -> Outcome<Value> {
    let chain = Rpc::new(url)?;
    let anvil = Anvil::start(AnvilOptions::default()).await?;
    let empty = Rpc::new(&anvil.rpc_url)?;
    let (mut before, mut jobs) = (Vec::new(), BTreeMap::<String, Vec<Value>>::new());
    for block in 1..=head(url).await? {
        let found = chain.ask("eth_getBlockByNumber", json!([format!("{block:#x}"), true])).await?;
        for found in found["transactions"].as_array().ok_or("a block has no transactions")? {
            let (hash, sender) = (&found["hash"], &found["from"]);
            empty.ask("anvil_setBalance", json!([sender, RICH])).await?;
            let raw = chain.ask("eth_getRawTransactionByHash", json!([hash])).await?;
            if block <= set_up {
                before.push(raw);
                continue;
            }
            let receipt = chain.ask("eth_getTransactionReceipt", json!([hash])).await?;
            // Every event of a job names it first.
            let job = receipt["logs"][0]["topics"][1].as_str();
            jobs.entry(job.ok_or("a transaction was refused")?.to_owned()).or_default().push(raw);
        }
    }
    // Each empty block lowers the base fee by an eighth. The first chain had mined many by and by, and its transactions
    // offer no more than that needed.
    empty.ask("anvil_mine", json!(["0x100"])).await?;
    for raw in &before {
        empty.send(raw).await?;
    }
    let begun = Instant::now();
    let mined = AtomicUsize::new(0);
    let sent = jobs.values().map(async |job| {
        for raw in job {
            let receipt = empty.send(raw).await?;
            if receipt["status"] != "0x1" {
                return Err(format!("on an empty chain, it is refused: {receipt}").into());
            }
            mined.fetch_add(1, Ordering::Relaxed);
        }
        Outcome::Ok(())
    });
    tokio::select! {
        sent = try_join_all(sent) => drop(sent?),
        failed = poke(&empty, &mined) => failed?,
    }
    let transactions = mined.into_inner();
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({ "seconds": seconds, "transactions": transactions }))
}

/// Under automine a transaction may stay pending until another one is sent, and the last ones for ever: has a block made
/// whenever nothing was mined for a while. Ends with an error only.
async fn poke(chain: &Rpc, mined: &AtomicUsize) -> Outcome<()> {
    let mut before = None;
    loop {
        tokio::time::sleep(STANDSTILL).await;
        let now = Some(mined.load(Ordering::Relaxed));
        if now == before {
            chain.ask("evm_mine", json!([])).await?;
        }
        before = now;
    }
}
