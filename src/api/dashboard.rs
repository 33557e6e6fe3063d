//! The dashboard: pages for a browser, which use this API as any client does.
//!
//! The files are part of the program and tell nothing about the node, so they need no token; all that they show comes
//! through the API, which asks for it (`tickets` says how a browser gets one). The policy lets the browser load and run what
//! this node serves and nothing else. The code of the page makes elements and sets their text. It parses one document, the
//! picture that this node drew.

use axum::{Router, http::header, response::IntoResponse, routing::get};

/// Where the files are, but for the page itself.
const FOLDER: &str = "/dashboard/";

/// Nothing from elsewhere, no script or style in a page, no frame, and no text that becomes markup but by one policy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types assay-picture";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file, and what it is.
struct Part {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! part {
    ($name:literal, $kind:expr) => {
        Part {
            path: concat!("/dashboard/", $name),
            kind: $kind,
            content: include_str!(concat!("dashboard/", $name)),
        }
    };
}

const PARTS: [Part; 13] = [
    Part { path: "/", kind: HTML, content: include_str!("dashboard/index.html") },
    part!("app.js", SCRIPT),
    part!("api.js", SCRIPT),
    part!("dom.js", SCRIPT),
    part!("words.js", SCRIPT),
    part!("login.js", SCRIPT),
    part!("jobs.js", SCRIPT),
    part!("job.js", SCRIPT),
    part!("outputs.js", SCRIPT),
    part!("nodes.js", SCRIPT),
    part!("submit.js", SCRIPT),
    part!("app.css", STYLE),
    part!("icon.svg", IMAGE),
];

/// Whether this path is a file of the dashboard, or would be one.
pub(super) fn is_part(path: &str) -> bool {
    path == "/" || path.starts_with(FOLDER)
}

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    PARTS.iter().fold(Router::new(), |router, part| router.route(part.path, get(async || served(part))))
}

fn served(part: &'static Part) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, part.kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program may listen here next.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, part.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the dashboard, in bytes.
    const MOST: usize = 150 * 1024;

    #[test]
    fn the_dashboard_is_small_even_before_it_is_compressed() {
        let bytes: usize = PARTS.iter().map(|part| part.content.len()).sum();
        assert!(bytes <= MOST, "{bytes} bytes");
    }

    #[test]
    fn every_file_that_a_file_names_is_served() {
        for part in &PARTS {
            assert!(is_part(part.path));
            for name in part.content.split(['"', '\'']).filter_map(|text| text.strip_prefix("./")) {
                let path = format!("{FOLDER}{name}");
                assert!(PARTS.iter().any(|part| part.path == path), "{} names {path}", part.path);
            }
        }
    }

    #[test]
    fn no_file_loads_anything_from_elsewhere_or_makes_markup_of_text() {
        let marks = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            "onclick=",
        ];
        for part in &PARTS {
            for mark in marks {
                assert!(!part.content.contains(mark), "{}: {mark}", part.path);
            }
            let places =
                part.content.matches("http").count() - part.content.matches("http://www.w3.org/").count();
            assert_eq!(places, 0, "{}", part.path);
        }
        let parses = PARTS.iter().map(|part| part.content.matches("parseFromString").count()).sum::<usize>();
        assert_eq!(parses, 1);
    }
}
