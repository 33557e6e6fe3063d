//! The dashboard's files, and how a browser gets the token.

use assay::{
    api::types::{ErrorCode, SessionReply, SessionRequest, TicketReply},
    tls::http_client,
};

use super::{error, read};
use crate::town::{Citizen, PATIENCE, Town, end, printing};

/// What a browser without the token is answered.
async fn redeem(node: &Citizen, ticket: &str) -> (u16, Vec<u8>) {
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    let body = serde_json::to_vec(&SessionRequest { ticket: ticket.to_owned() }).unwrap();
    node.ask(http.post(node.url("session")).header("content-type", "application/json").body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_gives_one_browser_the_token() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let TicketReply { ticket, seconds } = read(a.post("tickets", Vec::new()).await);
    assert_eq!((ticket.len(), seconds), (64, 60));
    let made_up = "7".repeat(64);
    for wrong in ["", "ticket", &made_up] {
        assert_eq!(error(redeem(&a, wrong).await), (401, ErrorCode::Unauthorized));
    }
    let SessionReply { token } = read(redeem(&a, &ticket).await);
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    assert_eq!(a.ask(http.get(a.url("node")).bearer_auth(&token)).await.0, 200);
    assert_eq!(error(redeem(&a, &ticket).await), (401, ErrorCode::Unauthorized), "it was used");
    assert_eq!(error(redeem(&a, &"x".repeat(4096)).await).0, 413);
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_need_no_token_and_may_load_nothing_from_elsewhere() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/app.css", "text/css; charset=utf-8"),
    ] {
        let reply = http.get(format!("http://{}{path}", a.api)).send().await.unwrap();
        let headers = reply.headers().clone();
        assert_eq!(
            (reply.status().as_u16(), headers["content-type"].to_str().unwrap()),
            (200, kind),
            "{path}"
        );
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let missing = http.get(format!("http://{}/dashboard/../jobs", a.api)).send().await.unwrap();
    assert_eq!(missing.status(), 401, "what is not of the dashboard needs the token");
    let foreign = http.get(format!("http://{}/", a.api)).header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    end(a.handle).await;
}
