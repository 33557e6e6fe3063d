//! The URL of an input, as far as everybody must agree on it.

/// The longest URL of an input, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// How content is got from a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlScheme {
    /// From a server that proves its name.
    Https,
    /// From any server, unencrypted.
    Http,
    /// From the disk of the node.
    File,
}

impl UrlScheme {
    const ALL: [(Self, &str); 3] =
        [(Self::Https, "https://"), (Self::Http, "http://"), (Self::File, "file:///")];

    /// The scheme of a URL as the command line takes it, and what follows its slashes; `None` if it is not a URL.
    pub fn split(url: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|(scheme, start)| Some((scheme, url.strip_prefix(start)?)))
    }

    /// The scheme of a URL that may be in a spec.
    ///
    /// # Errors
    /// Why it may not.
    pub fn of(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) =
            Self::split(url).ok_or("which begins with neither https:// nor http:// nor file:///")?;
        if url.len() > MAX_URL_BYTES {
            return Err("which is longer than 2048 bytes");
        }
        // Other characters are written as %XX, so that a URL has one form and cannot hide where it leads.
        if !url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte)) {
            return Err("which holds a fragment, or a character that must be written as %XX");
        }
        let host = rest.split(['/', '?']).next().unwrap_or("");
        let is_web = matches!(scheme, Self::Https | Self::Http);
        if rest.is_empty() || (is_web && (host.is_empty() || host.contains('@'))) {
            return Err("which names no host or path, or a user");
        }
        let path = rest.split('?').next().unwrap_or("");
        if path.split('/').any(is_dots) {
            return Err("which has . or .. as a part of its path, so that it leads elsewhere than it says");
        }
        Ok(scheme)
    }
}

/// Whether a part of a path leads to where it is, or above. Those who fetch a URL read `%2e` as a dot.
fn is_dots(part: &str) -> bool {
    let plain = part.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_or_a_path_and_nothing_hides_in_it() {
        for (url, scheme) in [
            ("https://example.org/a.csv", UrlScheme::Https),
            ("http://127.0.0.1:8000/a?b=c", UrlScheme::Http),
            ("http://[::1]/a", UrlScheme::Http),
            ("file:///data/a%20b", UrlScheme::File),
            ("https://example.org/..a/b../.c/...?up=/../", UrlScheme::Https),
        ] {
            assert_eq!(UrlScheme::of(url), Ok(scheme), "{url}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_URL_BYTES));
        for bad in [
            "",
            "ftp://example.org/a",
            "HTTPS://example.org/a",
            "https://",
            "https:///a",
            "https://?a",
            "https://user@example.org/",
            "https://example.org/a#b",
            "https://example.org/a b",
            "https://example.org\\@10.0.0.1/",
            "https://exämple.org/",
            "https://example.org/\n",
            "file:///",
            "file://host/a",
            "https://example.org/a/../b",
            "https://example.org/%2e%2e",
            "https://example.org/a/.%2E?b",
            "https://example.org/./a",
            "file:///data/../etc",
            &long,
        ] {
            assert!(UrlScheme::of(bad).is_err(), "{bad}");
        }
    }
}
