//! What is answered while a node reads its logs.

use assay::{
    api::{
        self, ApiConfig, Token,
        types::{ErrorCode, ErrorReply, Health, NodeInfo, Readiness},
    },
    scheduler::Loading,
    tls::http_client,
};
use tokio::sync::watch;

use super::read;
use crate::town::{PATIENCE, Town, end, printing};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_loads_says_how_far_it_is_until_it_answers() {
    let town = Town::new();
    let mut node = town.node(1, 0, printing("")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let (told, loading) = watch::channel(Loading::default());
    let listening = api::listen(ApiConfig::default(), &file, loading).await.unwrap();
    let address = listening.address();
    let token = Token::read(&file).unwrap().header();
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    let url = |path: &str| format!("http://{address}/api/v1/{path}");
    let ask =
        async |path: &str| node_answer(http.get(url(path)).header("authorization", token.clone())).await;

    for (far, said) in [
        (Loading::Starting, "starting"),
        (Loading::Jobs { read: 120, total: 600 }, "120 of 600 jobs"),
        (Loading::Jobs { read: 600, total: 600 }, "600 jobs"),
        (Loading::Blocks { read: 7, total: 9 }, "7 of 9 blocks"),
    ] {
        told.send_replace(far);
        for path in ["node", "nodes", "jobs", "jobs/0x12", "jobs/0x12/events"] {
            let response = http.get(url(path)).header("authorization", token.clone()).send().await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["retry-after"]),
                (503, &"1".parse().unwrap())
            );
            let ErrorReply { error } = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert!(error.code == ErrorCode::Loading && error.message.contains(said), "{path}: {error:?}");
            assert_eq!(error.hint.as_deref(), Some("try again in a moment"));
        }
        let health: Health = read(ask("health").await);
        assert_eq!(health.state, Readiness::Loading);
    }
    let document = std::fs::read("docs/openapi.json").unwrap();
    assert_eq!(ask("openapi.json").await, (200, document), "what the API takes does not depend on the logs");
    let stranger = node_answer(http.post(url("jobs")).body("{}")).await;
    assert_eq!(stranger.0, 401, "how far a node is, is for those who may ask it");

    listening.serve(&mut node.handle);
    let info: NodeInfo = read(ask("node").await);
    assert_eq!((info.id, info.api), (node.id(), format!("http://{address}")));
    let health: Health = read(ask("health").await);
    assert_eq!(health.state, Readiness::Ready);
    end(node.handle).await;
    assert!(http.get(url("node")).send().await.is_err(), "it ends with its node");
}

async fn node_answer(request: reqwest::RequestBuilder) -> (u16, Vec<u8>) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}
