//! Anvil by itself: how fast it takes the transactions that a devstack sent to another one.

use std::time::{Duration, Instant};

use assay::devstack::anvil::{Anvil, AnvilOptions};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{Outcome, orders, say};

/// Transactions sent in one request: enough that Anvil never waits for the next.
const BATCH: usize = 100;

/// What an account has before its first transaction: 10,000 ether.
const RICH: &str = "0x21e19e0c9bab2400000";

/// How long Anvil may take to mine what it has taken.
const MINED: Duration = Duration::from_secs(30);

/// One endpoint.
struct Rpc {
    http: Client,
    url: String,
}

impl Rpc {
    fn new(url: &str) -> Self {
        Self { http: Client::new(), url: url.to_owned() }
    }

    async fn ask(&self, method: &str, parameters: Value) -> Outcome<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let mut answer: Value = self.http.post(&self.url).json(&body).send().await?.json().await?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}").into()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Sends signed transactions in one request, and returns when the last of them is mined.
    async fn send(&self, transactions: &[(Value, Value)]) -> Outcome<()> {
        let call = |(id, (_, raw)): (usize, &(Value, Value))| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] });
        let calls: Vec<Value> = transactions.iter().enumerate().map(call).collect();
        let answers: Value = self.http.post(&self.url).json(&calls).send().await?.json().await?;
        for answer in answers.as_array().ok_or("Anvil does not answer a batch with a batch")? {
            if let Some(error) = answer.get("error") {
                return Err(format!("Anvil does not take a transaction: {error}").into());
            }
        }
        let Some((last, _)) = transactions.last() else { return Ok(()) };
        let begun = Instant::now();
        while self.ask("eth_getTransactionReceipt", json!([last])).await?.is_null() {
            if begun.elapsed() > MINED {
                return Err(format!("transaction {last} is not mined").into());
            }
        }
        Ok(())
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
    let head = Rpc::new(url).ask("eth_blockNumber", json!([])).await?;
    let digits = head.as_str().and_then(|text| text.strip_prefix("0x")).ok_or("a block has no number")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Sends every transaction of a chain, byte for byte and in its order, to an Anvil where the same accounts have money;
/// times those after block `set_up`. They must do there what they did here.
pub(crate) async fn replay(url: &str, set_up: u64) -> Outcome<Value> {
    let chain = Rpc::new(url);
    let anvil = Anvil::start(AnvilOptions::default()).await?;
    let empty = Rpc::new(&anvil.rpc_url);
    let (mut before, mut timed) = (Vec::new(), Vec::new());
    for block in 1..=head(url).await? {
        let found = chain.ask("eth_getBlockByNumber", json!([format!("{block:#x}"), true])).await?;
        for found in found["transactions"].as_array().ok_or("a block has no transactions")? {
            let (hash, sender) = (&found["hash"], &found["from"]);
            empty.ask("anvil_setBalance", json!([sender, RICH])).await?;
            let raw = chain.ask("eth_getRawTransactionByHash", json!([hash])).await?;
            let part = if block <= set_up { &mut before } else { &mut timed };
            part.push((hash.clone(), raw));
        }
    }
    // Each empty block lowers the base fee by an eighth. The first chain had mined many small ones by and by, and its
    // transactions offer no more than that needed.
    empty.ask("anvil_mine", json!(["0x100"])).await?;
    // One at a time: nonces of a new chain start here.
    for transaction in before {
        empty.send(&[transaction]).await?;
    }
    let begun = Instant::now();
    for batch in timed.chunks(BATCH) {
        empty.send(batch).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    for (hash, _) in &timed {
        let status = empty.ask("eth_getTransactionReceipt", json!([hash])).await?["status"].take();
        if status != "0x1" {
            return Err(
                format!("transaction {hash} does not do on an empty chain what it did: {status}").into()
            );
        }
    }
    Ok(json!({ "seconds": seconds, "transactions": timed.len() }))
}
