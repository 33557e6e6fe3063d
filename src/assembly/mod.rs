//! One node put together: its backend chosen by name, its directory, key, executor and API.
//!
//! With `cli` and `devstack`, which start nodes, the only place that names a backend.
//!
//! - `backend`: who orders the events, and how the node reaches the others
//! - `host`: a node with everything that it works with
//!
//! ```
//! use assay::{assembly::Backend, domain::NodeId, scheduler::contract::ChainConfig};
//!
//! let chain = ChainConfig {
//!     rpc_urls: vec!["http://127.0.0.1:8545".to_owned()],
//!     contract: NodeId::new([7; 20]),
//!     chain_id: Some(31337),
//!     confirmations: None,
//!     max_fee_per_gas: None,
//! };
//! let backends = [Backend::Libp2p, Backend::Contract { chain, first_block: 0 }];
//! assert_eq!(backends.map(|backend| backend.to_string()), ["libp2p", "contract"]);
//! ```

mod backend;
mod deliver;
mod host;

pub use backend::{Backend, BackendStartError};
pub(crate) use host::Disk;
pub use host::{Host, HostConfig, HostError, Opening, Seams};
