//! A sender in front of an endpoint that answers as a test says.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use alloy::{eips::Decodable2718, primitives::keccak256};
use alloy_sol_types::SolCall as _;
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use super::{super::abi::IJobScheduler as abi, *};

/// What an endpoint says to a request.
enum Says {
    /// As a chain on which nothing was sent yet.
    Usual,
    Error(&'static str),
    /// It cannot be used.
    Away,
    /// It never answers.
    Nothing,
}

/// Says what an endpoint answers to a method with these bytes: those of the call, or of the signed transaction. Last comes
/// how many transactions were sent to it before.
type Rule = fn(&str, &[u8], usize) -> Says;

struct Town {
    sender: Sender,
    handle: SenderHandle,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    _server: JoinSet<()>,
}

impl Town {
    async fn start(rule: Rule) -> Self {
        let calls = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let counted = Arc::clone(&calls);
        let app = Router::new().route(
            "/",
            post(move |question: axum::body::Bytes| {
                let counted = Arc::clone(&counted);
                async move { answer(rule, &counted, &question).await }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoints = Endpoints::new(&[format!("http://{}", listener.local_addr().unwrap())]).unwrap();
        let server = JoinSet::from_iter([async move { axum::serve(listener, app).await.unwrap() }]);
        let policy = Policy { chain_id: 1, confirmations: 0, max_fee_per_gas: None, shares: true };
        let signer = PrivateKeySigner::from_slice(&[7; 32]).unwrap();
        let (sender, handle) =
            Sender::new(Arc::new(endpoints), signer, policy, Outbox::in_memory(), Arc::new(|_| {}));
        Self { sender, handle, calls, _server: server }
    }

    /// How often a method was called.
    fn calls(&self, method: &str) -> usize {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(method).copied().unwrap_or_default()
    }

    /// Gathers a step for each number, which is its call.
    fn gather(&mut self, steps: impl IntoIterator<Item = u8>) -> Vec<oneshot::Receiver<Outcome>> {
        let gather = |number| {
            let (reply, answer) = oneshot::channel();
            self.sender.gathering.add(call(number, true), JobId::ZERO, reply);
            answer
        };
        steps.into_iter().map(gather).collect()
    }

    /// How many steps each transaction in flight takes.
    fn sizes(&self) -> Vec<usize> {
        self.sender.pending.iter().map(|pending| steps_of(&pending.transaction.input).max(1)).collect()
    }

    /// Has as many transactions in flight as there may be, less so many.
    async fn fill_but(&mut self, room: usize) {
        for _ in room..MAX_PENDING {
            self.sender.place(call(0, false), oneshot::channel().0).await;
        }
        assert_eq!(self.sender.pending.len(), MAX_PENDING - room);
    }
}

fn call(number: u8, shares: bool) -> Call {
    let data = Bytes::from(vec![number]);
    let shares = shares.then_some(JobId::ZERO);
    Call { to: Some(Address::ZERO), data, value: U256::ZERO, gas_limit: None, shares }
}

/// How many steps a call shares with others; 0 if it is none that several share.
fn steps_of(input: &[u8]) -> usize {
    abi::multicallCall::abi_decode(input).map_or(0, |call| call.steps.len())
}

async fn answer(rule: Rule, calls: &Mutex<BTreeMap<String, usize>>, question: &[u8]) -> Response {
    let question: Value = serde_json::from_slice(question).unwrap();
    let method = question["method"].as_str().unwrap();
    let before = {
        let mut calls = calls.lock().unwrap();
        let before = calls.get(SEND).copied().unwrap_or_default();
        *calls.entry(method.to_owned()).or_default() += 1;
        before
    };
    let params = &question["params"];
    let hex = if params[0].is_string() { &params[0] } else { &params[0]["input"] };
    let bytes: Bytes = hex.as_str().unwrap_or("0x").parse().unwrap_or_default();
    let result = match method {
        "eth_estimateGas" => json!("0x27100"),
        "eth_getTransactionCount" => json!("0x0"),
        "eth_sendRawTransaction" => json!(keccak256(&bytes)),
        "eth_feeHistory" => json!({
            "oldestBlock": "0x1", "baseFeePerGas": ["0x3b9aca00", "0x3b9aca00"], "gasUsedRatio": [0.5],
            "reward": [["0x1"]],
        }),
        other => panic!("{other}"),
    };
    let said = match rule(method, &bytes, before) {
        Says::Usual => json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }),
        Says::Error(message) => {
            let error = json!({ "code": -32000, "message": message });
            json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })
        }
        Says::Away => return StatusCode::NOT_FOUND.into_response(),
        Says::Nothing => std::future::pending().await,
    };
    ([("content-type", "application/json")], said.to_string()).into_response()
}

/// The call of a signed transaction.
fn input_of(raw: &[u8]) -> Bytes {
    let envelope = TxEnvelope::decode_2718(&mut &*raw).unwrap();
    envelope.as_eip1559().unwrap().tx().input.clone()
}

const SEND: &str = "eth_sendRawTransaction";

#[tokio::test]
async fn while_too_many_transactions_are_in_flight_no_step_is_due_at_any_time() {
    let mut town = Town::start(|_, _, _| Says::Usual).await;
    town.fill_but(0).await;
    let _steps = town.gather(0..2);
    assert_eq!(town.sender.release_at(), None, "so the sender does not wake for them");
    assert!(!town.sender.are_steps_due());
    town.sender.pending.pop();
    assert!(town.sender.release_at().is_some());
}

#[tokio::test]
async fn steps_that_find_no_room_wait_again() {
    let mut town = Town::start(|_, _, _| Says::Usual).await;
    town.fill_but(1).await;
    let mut steps = town.gather(0..120);
    town.sender.send_gathered().await;
    assert_eq!(town.sizes().pop(), Some(50));
    assert_eq!(town.sender.pending.len(), MAX_PENDING, "and no more");
    assert!(steps.iter_mut().all(|step| step.try_recv().is_err()), "nobody is told anything");
    town.sender.pending.clear();
    town.sender.send_gathered().await;
    assert_eq!(town.sizes(), [50, 20], "none is lost");
}

#[tokio::test]
async fn a_call_that_shares_nothing_does_not_hold_up_those_that_were_gathered() {
    let mut town = Town::start(|_, _, _| Says::Usual).await;
    for number in 1..4 {
        town.handle.queue.try_send((call(number, false), oneshot::channel().0)).unwrap();
    }
    town.sender.take(call(0, true), oneshot::channel().0).await;
    assert_eq!(town.sender.pending.len(), 1, "the first of them");
    assert_eq!(town.sender.queue.len(), 2);
    assert!(!town.sender.gathering.is_empty());
}

#[tokio::test]
async fn an_outage_is_told_to_all_steps_without_an_estimate_for_each() {
    let rules: [(Rule, usize); 2] = [
        (|_, _, _| Says::Away, 0),
        (|method, _, _| if method == "eth_estimateGas" { Says::Away } else { Says::Usual }, 8),
    ];
    for (rule, most) in rules {
        let mut town = Town::start(rule).await;
        let steps = town.gather(0..200);
        town.sender.send_gathered().await;
        for mut step in steps {
            let told = step.try_recv().unwrap();
            assert!(matches!(told, Err(SendError::Failed(BackendError::Chain { .. }))), "{told:?}");
        }
        assert!(town.calls("eth_estimateGas") <= most, "{}", town.calls("eth_estimateGas"));
        assert_eq!(town.calls(SEND), 0);
    }
}

#[tokio::test]
async fn a_sender_that_waits_for_an_answer_can_be_stopped() {
    let mut town = Town::start(|_, _, _| Says::Nothing).await;
    let steps = town.gather(0..2);
    let (stop, calls) = (CancellationToken::new(), Arc::clone(&town.calls));
    let mut running = JoinSet::from_iter([town.sender.run(stop.clone())]);
    let asked = async {
        while calls.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap();
    stop.cancel();
    // Much sooner than the endpoint is given up.
    timeout(Duration::from_secs(5), running.join_next()).await.unwrap();
    for step in steps {
        step.await.unwrap_err();
    }
}

#[tokio::test]
async fn a_step_that_takes_too_much_gas_keeps_no_other_from_being_sent() {
    const TOO_MUCH: Says = Says::Error("gas required exceeds allowance (30000000)");
    let together: Rule = |method, bytes, _| match method {
        "eth_estimateGas" if bytes == [1] => TOO_MUCH,
        _ => Says::Usual,
    };
    // No endpoint takes several at once: they are sent one by one, and only then one is found to take too much.
    let one_by_one: Rule = |method, bytes, sent| match method {
        "eth_estimateGas" if bytes == [1] && sent > 0 => TOO_MUCH,
        SEND if steps_of(&input_of(bytes)) > 0 => Says::Error("it is not taken"),
        _ => Says::Usual,
    };
    let rules: [(Rule, &[usize]); 2] = [(together, &[3]), (one_by_one, &[1, 1, 1])];
    for (rule, sizes) in rules {
        let mut town = Town::start(rule).await;
        let mut steps = town.gather(0..4);
        town.sender.send_gathered().await;
        assert_eq!(town.sizes(), sizes);
        let told: Vec<_> = steps.iter_mut().map(|step| step.try_recv().is_ok()).collect();
        assert_eq!(told, [false, true, false, false]);
    }
}

#[tokio::test]
async fn an_account_that_cannot_pay_for_all_steps_at_once_shares_smaller_transactions() {
    let mut town = Town::start(|method, bytes, _| match method {
        SEND if steps_of(&input_of(bytes)) > 3 => Says::Error("insufficient funds for gas * price + value"),
        _ => Says::Usual,
    })
    .await;
    let mut steps = town.gather(0..10);
    town.sender.send_gathered().await;
    assert_eq!(town.sizes(), [3, 2, 3, 2]);
    assert!(steps.iter_mut().all(|step| step.try_recv().is_err()), "they are in flight");
}

#[tokio::test]
async fn an_account_that_can_pay_for_nothing_tells_all_steps_so() {
    let mut town = Town::start(|method, _, _| match method {
        SEND => Says::Error("insufficient funds for gas * price + value"),
        _ => Says::Usual,
    })
    .await;
    let steps = town.gather(0..10);
    town.sender.send_gathered().await;
    for mut step in steps {
        let told = step.try_recv().unwrap();
        assert!(matches!(told, Err(SendError::Failed(BackendError::NoEther { .. }))), "{told:?}");
    }
    // Ten, five, three, two and one.
    assert_eq!(town.calls(SEND), 5);
}
