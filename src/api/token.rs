//! Access to a node's API: anyone who can read the file with its token.
//!
//! The token is new at each start, and only the node's owner can read it (mode 0600). So a dead node's token is
//! worthless, and a client reads the file again for each request. The token appears in no flag, no address and no log; a
//! browser gets it for a [ticket](super::tickets).

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::explain::Hint;

use alloy_primitives::hex;
use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq as _;
use tempfile::NamedTempFile;

/// Length of a token file: the hex digits and the end of the line.
const MAX_FILE_BYTES: u64 = 2 * 32 + 2;

/// How a request bears the token: `Authorization: Bearer <64 hex digits>`.
const SCHEME: &str = "Bearer ";

/// A token that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The operating system refused.
    #[error("cannot use the token file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner have rights to the file.
    #[error("the token file {} has mode {mode:04o}: other users of this machine can use it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{} does not hold the token of a node's API", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Hint for TokenError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { .. } | Self::Malformed { .. } => {
                "name the file api.token in the data directory of a running node with ASSAY_API_TOKEN_FILE"
                    .to_owned()
            }
            Self::Exposed { path, .. } => {
                format!("run: chmod 600 {}, and start the node again for a new token", path.display())
            }
        })
    }
}

/// The secret of one node's API.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Makes a new token and writes it to `path`, in place of an earlier one.
    ///
    /// # Errors
    /// [`TokenError::Io`].
    pub fn create(path: &Path) -> Result<Self, TokenError> {
        let io_error = |source| TokenError::Io { path: path.to_owned(), source };
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| io_error(io::Error::other(error)))?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Open to the owner alone from the start, and renamed when it is whole.
        let mut file = NamedTempFile::new_in(dir).map_err(io_error)?;
        writeln!(file, "{}", hex::encode(bytes)).map_err(io_error)?;
        file.persist(path).map_err(|error| io_error(error.error))?;
        Ok(Self(bytes))
    }

    /// Reads the token at `path`, or makes one where there is none. It stays until somebody removes it, so that a program that
    /// asks often can be given it once.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(super) fn keep(path: &Path) -> Result<Self, TokenError> {
        match Self::read(path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(path)
            }
            Err(TokenError::Malformed { .. }) => Self::create(path),
            read => read,
        }
    }

    /// Reads the token that a node left.
    ///
    /// # Errors
    /// [`TokenError::Exposed`] if group or world have any right to the file.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let io_error = |source| TokenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(io_error)?;
        Self::from_hex(text.trim()).ok_or_else(|| TokenError::Malformed { path: path.to_owned() })
    }

    /// The value of the Authorization header that bears it. Shows itself in no log.
    pub fn header(&self) -> HeaderValue {
        let text = format!("{SCHEME}{}", self.text());
        let mut value = HeaderValue::try_from(text).expect("hex digits may stand in a header");
        value.set_sensitive(true);
        value
    }

    /// The hex digits, for a client that has shown a ticket.
    pub(super) fn text(&self) -> String {
        hex::encode(self.0)
    }

    /// Whether a request bears it. How long that takes says nothing about the token.
    pub(super) fn is_borne_by(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let borne = value.to_str().ok().and_then(|text| text.strip_prefix(SCHEME)).and_then(Self::from_hex);
        borne.is_some_and(|borne| borne.0.ct_eq(&self.0).into())
    }

    fn from_hex(text: &str) -> Option<Self> {
        if text.starts_with("0x") {
            return None;
        }
        Some(Self(hex::decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn bearing(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_file_is_its_owners_alone_and_new_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        let first = Token::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::read(&path).unwrap().0, first.0);
        let second = Token::create(&path).unwrap();
        assert_ne!(first.0, second.0);
        assert_eq!(Token::read(&path).unwrap().0, second.0);
        assert!(!fs::read_to_string(&path).unwrap().contains(&format!("{second:?}")));
    }

    #[test]
    fn a_token_that_is_kept_stays_until_its_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.token");
        let first = Token::keep(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::keep(&path).unwrap().0, first.0);
        fs::write(&path, "torn").unwrap();
        assert_ne!(Token::keep(&path).unwrap().0, first.0);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::keep(&path), Err(TokenError::Exposed { .. })));
    }

    #[test]
    fn a_token_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        Token::create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = Token::read(&path).unwrap_err();
        assert!(matches!(error, TokenError::Exposed { mode: 0o640, .. }), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"));
    }

    #[test]
    fn a_file_with_something_else_holds_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.token");
        let hex = "ab".repeat(32);
        for text in
            ["", "\n", "hello", &hex[1..], &format!("{hex}ab"), &format!("0x{}", &hex[2..]), &"z".repeat(64)]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Token::read(&path), Err(TokenError::Malformed { .. })), "{text:?}");
        }
        fs::write(&path, [0xff; 8]).unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Io { .. })));
    }

    #[test]
    fn only_the_whole_token_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::create(&dir.path().join("api.token")).unwrap();
        let right = token.header();
        let right = right.to_str().unwrap();
        assert!(token.is_borne_by(&bearing(&[right])));
        let last = if right.ends_with('0') { '1' } else { '0' };
        let almost = format!("{}{last}", &right[..right.len() - 1]);
        let basic = right.replace("Bearer", "Basic");
        for wrong in [&almost, &basic, &right[..right.len() - 2], &right[SCHEME.len()..], "Bearer ", ""] {
            assert!(!token.is_borne_by(&bearing(&[wrong])), "{wrong}");
        }
        assert!(!token.is_borne_by(&bearing(&[])));
        assert!(!token.is_borne_by(&bearing(&[&almost, right])), "two say nothing");
    }
}
