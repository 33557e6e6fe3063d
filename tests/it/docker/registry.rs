//! A registry of images on the loopback, which engines trust without TLS.

use std::collections::HashMap;

use assay::domain::Digest;
use axum::{Router, extract::Path as Url, http::StatusCode, response::IntoResponse as _, routing::get};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry with one image of one small layer, under every tag; gone with the test.
pub(super) struct Registry {
    /// Address and port, as image names begin.
    pub(super) host: String,
    /// Of the image's manifest.
    pub(super) digest: String,
    _server: JoinSet<()>,
}

impl Registry {
    pub(super) async fn start() -> Self {
        Self::serving(true).await
    }

    /// One that never sends the layer.
    pub(super) async fn stalling() -> Self {
        Self::serving(false).await
    }

    async fn serving(whole: bool) -> Self {
        let mut layer = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        layer.append_data(&mut header, "hello", &b"hello"[..]).unwrap();
        let layer = layer.into_inner().unwrap();
        let rootfs = json!({ "type": "layers", "diff_ids": [digest_of(&layer)] });
        let config =
            json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs }).to_string();
        let part = |media: &str, content: &[u8]| {
            let media = format!("application/vnd.docker.{media}");
            json!({ "mediaType": media, "size": content.len(), "digest": digest_of(content) })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": part("container.image.v1+json", config.as_bytes()),
            "layers": [part("image.rootfs.diff.tar.gzip", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = digest_of(&manifest);
        let withheld = (!whole).then(|| digest_of(&layer));
        let blobs =
            HashMap::from([(digest_of(&layer), layer), (digest_of(config.as_bytes()), config.into_bytes())]);
        let known = ["latest".to_owned(), "1".to_owned(), digest.clone()];
        let headers = [("content-type", MANIFEST.to_owned()), ("docker-content-digest", digest.clone())];
        let app = Router::new()
            .route("/v2/", get(async || "{}"))
            .route(
                "/v2/tiny/manifests/{reference}",
                get(async move |Url(reference): Url<String>| match known.contains(&reference) {
                    true => (headers, manifest).into_response(),
                    false => StatusCode::NOT_FOUND.into_response(),
                }),
            )
            .route(
                "/v2/tiny/blobs/{digest}",
                get(async move |Url(digest): Url<String>| {
                    if withheld == Some(digest.clone()) {
                        std::future::pending::<()>().await;
                    }
                    blobs.get(&digest).cloned().ok_or(StatusCode::NOT_FOUND)
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { host, digest, _server: server }
    }
}

fn digest_of(content: &[u8]) -> String {
    Digest::sha256(content).to_string().replace("0x", "sha256:")
}
