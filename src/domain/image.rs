//! Image names, by the grammar that engines and registries share.
//!
//! A stranger writes the name in an announcement. Parsing comes before every other use, so a name cannot smuggle a foreign
//! path, query or host into the API of an engine or a registry.

use std::fmt;

/// The longest repository name with its registry, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The longest tag, in bytes.
const MAX_TAG_BYTES: usize = 128;

/// The registry of a name that states none.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// An image name: `[registry[:port]/]path[:tag][@sha256:digest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageName<'a> {
    registry: Option<&'a str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Why a text is not an image name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// The repository is longer than 255 bytes.
    #[error("names a repository of more than {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// The registry is not a host with an optional port.
    #[error("names a registry that is not a host")]
    Registry,
    /// The repository path breaks its grammar.
    #[error("needs a path of lower-case letters and digits, separated by . _ - or /")]
    Path,
    /// The tag breaks its grammar.
    #[error("has a tag that is not 1 to {MAX_TAG_BYTES} letters, digits, dots, dashes or underscores")]
    Tag,
    /// The digest is not `sha256:` and 64 hexadecimal digits.
    #[error("has a digest that is not sha256: and 64 hexadecimal digits in lower case")]
    Digest,
}

impl<'a> ImageName<'a> {
    /// Parses a name.
    ///
    /// # Errors
    /// [`ImageNameError`] for the first part that breaks the grammar; nothing is repaired.
    pub fn parse(text: &'a str) -> Result<Self, ImageNameError> {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(ImageNameError::Digest);
        }
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash starts a port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ImageNameError::Tag);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(ImageNameError::TooLong);
        }
        let (registry, path) = match name.split_once('/') {
            // Without a dot, a colon or `localhost`, the first component belongs to the path.
            Some((first, path)) if first == "localhost" || first.contains(['.', ':', '[']) => {
                (Some(first), path)
            }
            _ => (None, name),
        };
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return Err(ImageNameError::Registry);
        }
        if !path.split('/').all(is_component) {
            return Err(ImageNameError::Path);
        }
        Ok(Self { registry, path, tag, digest })
    }

    /// The name's registry: a host with an optional port.
    pub fn registry(&self) -> &'a str {
        match self.registry {
            None | Some("index.docker.io") => DEFAULT_REGISTRY,
            Some(registry) => registry,
        }
    }

    /// The name within the registry.
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// The digest, `sha256:..`, if the name has one.
    pub const fn digest(&self) -> Option<&'a str> {
        self.digest
    }

    /// Whether the name has a tag or a digest.
    pub const fn is_exact(&self) -> bool {
        self.tag.is_some() || self.digest.is_some()
    }
}

impl fmt::Display for ImageName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(self.path)?;
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether `text` is `sha256:` and 64 lower-case hexadecimal digits: an image id or a digest.
pub fn is_digest(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|digest| digest.len() == 64 && digest.bytes().all(hex))
}

/// Whether `image` names its content in full: `name@sha256:..`, or an image id `sha256:..`.
///
/// A tag may mean another image tomorrow or on another node. A shortened id means any image whose id starts that way.
pub fn is_pinned(image: &str) -> bool {
    is_digest(image) || ImageName::parse(image).is_ok_and(|name| name.digest.is_some())
}

/// Whether `text` is a host with an optional port, as at the start of an image name.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        return address.len() >= 2 && address.contains(':') && address.bytes().all(digit);
    }
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes
            .first()
            .zip(bytes.last())
            .is_some_and(|(a, b)| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    text.len() <= MAX_NAME_BYTES && host.split('.').all(label)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG_BYTES).contains(&tag.len())
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Letters and digits, separated by one dot, one or two underscores, or any number of dashes.
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    let mut separators = bytes.split(alphanumeric).filter(|separator| !separator.is_empty());
    ends && separators.all(|separator| {
        matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_by_the_grammar_of_registries() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, registry) in [
            ("busybox", "docker.io"),
            ("library/busybox:1.36", "docker.io"),
            ("docker.io/library/busybox", "docker.io"),
            ("index.docker.io/library/busybox", "docker.io"),
            ("localhost/x", "localhost"),
            ("registry.example:5000/a/b-c__d.e:V1_x.y-z", "registry.example:5000"),
            ("[::1]:5000/x", "[::1]:5000"),
            ("[2001:db8::1]/x", "[2001:db8::1]"),
            ("127.0.0.1:5999/x", "127.0.0.1:5999"),
            ("a---b/c", "docker.io"),
            ("sha256:00", "docker.io"),
        ] {
            for text in [text.to_owned(), format!("{text}@{digest}")] {
                let name = ImageName::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!((name.registry(), name.to_string()), (registry, text.clone()));
            }
        }
    }

    #[test]
    fn what_could_mean_more_than_an_image_is_no_name() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "x/../../version?a=",
            "x/../../version",
            "a?b",
            "a#b",
            "a%2f",
            "a b",
            "a\n",
            "a\0",
            "a\u{1b}[31m",
            "A",
            "a:",
            ":a",
            "a:-b",
            "a..b",
            "a___b",
            "a-",
            "-a",
            "_a",
            "é",
            "http://a/b",
            "user@host/a",
            "a@b",
            "a:b:c",
            "[::1/a",
            "[]/a",
            "[x]/a",
            "host.:5/a",
            "host.example:/a",
            "host.example:99999/a",
            "host.example:+5/a",
            "-.example/a",
            "a.b\\c/d",
            "busybox/get?x=a",
        ] {
            assert!(ImageName::parse(text).is_err(), "{text:?}");
            assert!(ImageName::parse(&format!("{text}@{digest}")).is_err(), "{text:?}");
        }
        for digest in [
            "sha256:",
            "sha256:0",
            "sha512:00",
            &digest.to_uppercase(),
            &format!("{digest}0"),
            &format!("{digest}@{digest}"),
        ] {
            assert_eq!(ImageName::parse(&format!("a@{digest}")), Err(ImageNameError::Digest));
        }
        assert_eq!(ImageName::parse(&"a".repeat(256)), Err(ImageNameError::TooLong));
        assert_eq!(ImageName::parse(&format!("a:{}", "b".repeat(129))), Err(ImageNameError::Tag));
    }

    #[test]
    fn only_a_whole_digest_pins_an_image() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert!(is_pinned(&digest) && is_pinned(&format!("mirror.example:5000/busybox:1@{digest}")));
        for loose in [
            "busybox",
            "busybox:latest",
            "sha256:0a0a",
            "busybox@sha256:0a",
            &digest[7..],
            &digest.to_uppercase(),
            "x/../y?a=@",
        ] {
            assert!(!is_pinned(loose) && !is_pinned(&format!("x/../../version?a={loose}")), "{loose}");
        }
        assert!(!is_pinned(&format!("x/../../version?a=@{digest}")));
    }

    proptest! {
        #[test]
        fn a_name_that_is_read_is_written_the_same(text in "[a-zA-Z0-9.:/@_\\[\\]%?-]{0,40}") {
            if let Ok(name) = ImageName::parse(&text) {
                prop_assert_eq!(name.to_string(), text.clone());
                prop_assert!(!text.contains("..") && !text.contains(['?', '%', '#', '\\']));
            }
        }
    }
}
