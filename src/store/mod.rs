//! What a node keeps on disk: the log, its own executions, content by digest.
//!
//! Everything lives in one [`DataDir`], which one process at a time may hold. The calls block: they are short
//! (one transaction, one chunk of a file), and where they are not, the caller uses `spawn_blocking`.
//! Nothing here knows what a log entry means; its bytes are opaque.
//!
//! ```
//! use assay::store::{Limits, pack, unpack};
//!
//! let (from, to) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! std::fs::write(from.path().join("data"), "42")?;
//! let (mut archive, limits) = (Vec::new(), Limits::with_bytes(1 << 20));
//! let packed = pack(from.path(), &mut archive, &limits)?;
//! unpack(archive.as_slice(), &to.path().join("copy"), packed.digest, &limits)?;
//! assert_eq!(std::fs::read_to_string(to.path().join("copy/data"))?, "42");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod blobs;
mod canonical;
mod chains;
mod check;
mod compared;
mod comparison;
mod content;
mod db;
mod differences;
mod dir;
mod ended;
mod entries;
mod executions;
mod full;
mod last_words;
mod layout;
mod limits;
mod log;
mod manifest;
mod reputation;
mod requests;
mod result;
mod tree;
mod trust;
mod unpack;

pub use archive::{FILE, PackError, Packed, is_of_one_file, pack, pack_result};
pub use blobs::{BlobError, BlobWriter, Blobs, MAX_RANGE_BYTES};
pub use canonical::{MAX_TEXT_BYTES, canonical};
pub use chains::{Chains, ReadUpTo, SentTransaction};
pub use check::{BackedUp, CheckError, Checked, Repaired, back_up, check, repair};
pub use compared::{Compared, summary_content};
pub use comparison::Comparison;
pub use content::{Content, EndedUse, JobContent, KeptContent};
pub use db::{Db, DbError};
pub use differences::{Difference, Entry, differences};
pub use dir::{DataDir, DirError};
pub use ended::{EndedJob, EndedJobs};
pub use entries::{NewEntry, StoredEntry};
pub use executions::{Execution, ExecutionError, Executions, MAX_STARTS, Stage};
pub use full::{is_of_damage, is_of_full_disk};
pub use last_words::{
    LastWords, LastWordsStore, MAX_LAST_WORDS_BYTES, MAX_REASON_BYTES, MAX_TAIL_BYTES, MalformedLastWords,
};
pub use layout::{EXIT_CODE, OUTPUTS, STDERR, STDOUT, TRACE};
pub use limits::Limits;
pub use log::{EventLog, Head, LogError};
pub use manifest::manifest;
pub use reputation::Reputation;
pub use requests::{Asked, Requests};
pub use result::{ResultError, empty_result_hash, output_hash, result_hash};
pub use tree::{TreeError, UnsupportedKind};
pub use trust::{Replicated, TrustBook, TrustRow};
pub use unpack::{UnpackError, unpack};
