//! One running node: it reads the log, plays its roles, runs containers and moves content.
//!
//! [`crate::policy`] makes each role's decisions. This module asks, acts, and asks again. It names no backend and no
//! executor: [`NodeParts`] brings them.
//!
//! - `start`: the parts of a node, and its tasks.
//! - `follow`: reads the log into the `board`, and starts a `driver` for every job that needs one.
//! - `retire`: has ended jobs leave memory; `past`: reads them from the disk.
//! - `retention`: deletes what ended jobs left.
//! - `driver`: one task per job, in which the roles take turns; `submit` signs and sends, `work` runs a container,
//!   `sweep` removes what runs left, `told` is what the requester of a failed run hears.
//! - `transfer`: who may have which content; `fetch`: gets content and checks it, at the rate that `pace` demands; `peers`:
//!   both ends of the network protocol.
//! - `url`: inputs that come from URLs, and where this node looks for them.
//! - `requests`, `queries`, `entries`, `results`: what a user asks for; `once`: retried requests; `earnings`: what seats brought.
//! - `memory`: what it remembers of others as a requester; `trust`: what follows for its jobs; `own_run`: runs that check results of its own jobs.
//! - `warnings`: what keeps the node from its obligations; `health`: the backend's problems among them.
//! - `findings`: why it does not bid for jobs that it has looked at.
//! - `clock`: the only reader of the wall clock.
//!
//! # Stopping
//!
//! `pause` makes a node take nothing on outside its hours, and until its operator lets it, also after a restart (`intake`).
//! `leave` makes a node take nothing on and settle what it owes, within the time that its owner allows.
//!
//! One token ends a node, in this order. Attached parts such as the API take no more requests. The drivers send nothing more
//! and cancel their runs, which get [`NodeConfig::stop_grace`] to remove their containers. Then the node stops reading the
//! log and joins all tasks. A cancelled run stays recorded as started, and the next start runs it again. The owner closes
//! the backend after [`NodeHandle::join`]. A task that ends by itself ends the node with its error.
//!
//! A node on a log in memory. `examples/job_in_memory.rs` runs a job on several:
//!
//! ```
//! use std::sync::Arc;
//!
//! use assay::{
//!     domain::{LogDomain, Timestamp},
//!     executor::NoEngine,
//!     identity::NodeKey,
//!     node::{LocalHub, Node, NodeConfig, NodeParts, Shelf},
//!     scheduler::local::LocalLog,
//!     store::{Blobs, Content, DataDir, Db},
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let dir = DataDir::open(directory.path())?;
//! let db = Db::open(&dir)?;
//! let key = NodeKey::generate()?;
//! let id = key.node_id();
//! let shelf = Shelf::new(Content::new(db.clone(), Blobs::open(&dir.blobs(), 3 << 29)?));
//! let hub = Arc::new(LocalHub::default());
//! let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(1_700_000_000));
//! let parts = NodeParts {
//!     db,
//!     dir,
//!     scheduler: Arc::new(log.join(id)),
//!     executor: Arc::new(NoEngine),
//!     transfer: Arc::new(hub.join(id, Arc::clone(&shelf))),
//!     shelf,
//!     key,
//! };
//! let handle = Node::start(NodeConfig { compute_slots: 0, ..NodeConfig::default() }, parts).await?;
//! assert_eq!(handle.id(), id);
//! handle.stop_token().cancel();
//! handle.join().await?;
//! # Ok(())
//! # }
//! ```

mod board;
mod clock;
mod config;
mod disk;
mod driver;
mod earnings;
mod entries;
mod error;
mod fetch;
mod findings;
mod follow;
mod health;
mod intake;
mod leave;
mod memory;
mod once;
mod own_run;
mod pace;
mod past;
mod pause;
#[cfg(feature = "libp2p")]
mod peers;
mod queries;
mod requests;
mod results;
mod retention;
mod retire;
mod start;
mod state;
mod submit;
mod sweep;
mod told;
mod transfer;
mod trust;
mod url;
mod warnings;
mod work;
mod work_error;
mod workload;

pub use crate::policy::{
    ComputeLimits, Hours, ParseHoursError, ParsePatternError, Pattern,
    admission::{Admission, Declined, Together},
    capacity::Obligations,
    delivery,
    outlook::Outlook,
    replication::{OwnRun, Plan, Replication},
    retention::{Keep, Kind, Why},
};
pub(crate) use board::Snapshot;
pub use clock::wall_clock;
pub use config::{About, NodeConfig, NodeParts};
pub(crate) use earnings::Earning;
pub use error::NodeError;
pub use fetch::{FetchBounds, FetchError};
pub use once::{InvalidKey, RequestKey};
pub(crate) use past::Summary;
#[cfg(feature = "libp2p")]
pub use peers::PeerTransfer;
pub use requests::{Ended, RequestError};
pub(crate) use retention::{Forgotten, Gone, Part, Pruned, Usage};
pub use start::NodeHandle;
pub use state::Node;
pub use transfer::{Links, LocalHub, LocalTransfer, NamedPeer, Shelf, Transfer, TransferError};
pub(crate) use trust::Replicated;
pub use url::{UrlError, UrlLimits};
pub use warnings::{Obstacle, Warning};
pub(crate) use workload::Load;
