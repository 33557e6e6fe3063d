//! TLS for whatever this program asks over HTTPS or secure WebSockets: rustls with ring, and the certificate
//! authorities that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
//!
//! ```
//! let client = assay::tls::http_client().build()?;
//! let request = client.get("https://example.org/").build()?;
//! assert_eq!(request.url().scheme(), "https");
//! # Ok::<(), reqwest::Error>(())
//! ```

use reqwest::ClientBuilder;

/// Makes ring do the cryptography of every connection of this process. Once more is no error.
pub(crate) fn prepare() {
    // An error means that it is done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// HTTP clients begin here: without this, building one panics.
#[expect(clippy::disallowed_methods, reason = "this is where clients begin")]
pub fn http_client() -> ClientBuilder {
    prepare();
    reqwest::Client::builder()
}
