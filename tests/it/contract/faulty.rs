//! An endpoint with faults: it passes requests on to a real one, and does with answers what a test says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// What happens to one call.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is not passed on; the answer is this status, to be tried again after so many seconds.
    Refused(u16, Option<u64>),
    /// It is passed on, and the answer is lost: this status comes instead.
    Lost(u16),
    /// It is passed on, and the answer is no JSON.
    Garbage,
    /// It is passed on, and the connection ends without an answer.
    Cut,
    /// It is not passed on; an error of JSON-RPC.
    Error(i64, &'static str),
    /// It is passed on, and the result altered.
    Altered(Arc<dyn Fn(Value) -> Value + Send + Sync>),
}

impl Fault {
    /// The result is this instead.
    pub(crate) fn result(value: Value) -> Self {
        Self::Altered(Arc::new(move |_| value.clone()))
    }
}

type Rule = Arc<dyn Fn(&str, &Value) -> Fault + Send + Sync>;

/// Answers until dropped.
pub(crate) struct Faulty {
    pub(crate) url: String,
    is_faulty: Arc<AtomicBool>,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    _server: JoinSet<()>,
}

struct State {
    http: reqwest::Client,
    to: String,
    rule: Rule,
    is_faulty: Arc<AtomicBool>,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Faulty {
    /// In front of the endpoint at `to`; `rule` says what happens to a call, by its method and parameters.
    pub(crate) async fn start(
        to: &str,
        rule: impl Fn(&str, &Value) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let is_faulty = Arc::new(AtomicBool::new(true));
        let calls = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let state = Arc::new(State {
            http: assay::tls::http_client().no_proxy().build().unwrap(),
            to: to.to_owned(),
            rule: Arc::new(rule),
            is_faulty: Arc::clone(&is_faulty),
            calls: Arc::clone(&calls),
        });
        let app = Router::new().route(
            "/",
            post(move |question: Bytes| {
                let state = Arc::clone(&state);
                async move { state.answer(question).await }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, is_faulty, calls, _server: server }
    }

    /// Turns the faults off, or on again.
    pub(crate) fn set_faulty(&self, is_faulty: bool) {
        self.is_faulty.store(is_faulty, Ordering::SeqCst);
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().get(method).copied().unwrap_or_default()
    }
}

impl State {
    async fn answer(&self, question: Bytes) -> Response {
        let question: Value = serde_json::from_slice(&question).unwrap();
        let calls = question.as_array().cloned().unwrap_or_else(|| vec![question.clone()]);
        // A batch without faults goes on as it is.
        let is_kept = calls.len() > 1 && calls.iter().all(|call| matches!(self.fault(call), Fault::None));
        if is_kept {
            return ([("content-type", "application/json")], self.pass(&question).await.to_string())
                .into_response();
        }
        let mut answers = Vec::new();
        for call in calls {
            match self.call(call).await {
                Ok(answer) => answers.push(answer),
                Err(response) => return response,
            }
        }
        let body = if question.is_array() { json!(answers) } else { answers.remove(0) };
        ([("content-type", "application/json")], body.to_string()).into_response()
    }

    fn fault(&self, call: &Value) -> Fault {
        let method = call["method"].as_str().unwrap().to_owned();
        *self.calls.lock().unwrap().entry(method.clone()).or_default() += 1;
        match self.is_faulty.load(Ordering::SeqCst) {
            true => (self.rule)(&method, &call["params"]),
            false => Fault::None,
        }
    }

    async fn call(&self, call: Value) -> Result<Value, Response> {
        let fault = self.fault(&call);
        let status = |status| StatusCode::from_u16(status).unwrap().into_response();
        match fault {
            Fault::None => Ok(self.pass(&call).await),
            Fault::Refused(code, None) => Err(status(code)),
            Fault::Refused(code, Some(seconds)) => {
                let mut response = status(code);
                response.headers_mut().insert("retry-after", seconds.into());
                Err(response)
            }
            Fault::Lost(code) => {
                self.pass(&call).await;
                Err(status(code))
            }
            Fault::Garbage => {
                self.pass(&call).await;
                Err("<html>welcome</html>".into_response())
            }
            Fault::Cut => {
                self.pass(&call).await;
                // A body that fails ends the connection.
                let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
                Err(axum::body::Body::from_stream(broken).into_response())
            }
            Fault::Error(code, message) => {
                let error = json!({ "code": code, "message": message });
                Ok(json!({ "jsonrpc": "2.0", "id": call["id"], "error": error }))
            }
            Fault::Altered(alter) => {
                let mut answer = self.pass(&call).await;
                answer["result"] = alter(answer["result"].take());
                Ok(answer)
            }
        }
    }

    async fn pass(&self, call: &Value) -> Value {
        let asked = self.http.post(&self.to).header("content-type", "application/json");
        let answer = asked.body(call.to_string()).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}
