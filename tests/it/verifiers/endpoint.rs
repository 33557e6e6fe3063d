//! An RPC endpoint that does not tell the truth.

use axum::{Router, body::Bytes, routing::post};
use tokio::{net::TcpListener, task::JoinSet};

/// Answers until dropped.
pub(crate) struct Endpoint {
    url: String,
    _server: JoinSet<()>,
}

impl Endpoint {
    /// Passes on what the endpoint at `url` answers, with `truth` replaced.
    pub(crate) async fn altering(url: &str, truth: &str, lie: &str) -> Self {
        let (url, truth, lie) = (url.to_owned(), truth.to_owned(), lie.to_owned());
        let http = assay::tls::http_client().no_proxy().build().unwrap();
        let answer = async move |question: Bytes| {
            let asked = http.post(&url).header("content-type", "application/json").body(question);
            asked.send().await.unwrap().text().await.unwrap().replace(&truth, &lie)
        };
        Self::serve(Router::new().route("/", post(answer))).await
    }

    /// Answers what nobody can make sense of.
    pub(crate) async fn garbage() -> Self {
        Self::serve(Router::new().route("/", post(async || "<html>welcome</html>"))).await
    }

    async fn serve(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, _server: server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
