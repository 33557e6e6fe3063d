//! The swarm of a node: encrypted connections to other nodes, gossip, and three request protocols.
//!
//! One task, the [`Driver`], owns the swarm. Everybody else holds a [`NetworkHandle`] and sends it commands over a
//! bounded channel. Requests and gossip of others wait in one queue a peer and leave the driver in turn, over another
//! bounded channel; a message without room is answered with "busy" or dropped, and counted. The driver awaits nothing
//! but its own `select!`. It knows neither jobs nor logs: readers judge announcements, and requests about logs are
//! bytes to it ([`RequestProtocol`]).
//!
//! A peer is a [`NodeId`](crate::domain::NodeId): the Ethereum address of the secp256k1 key that its peer id
//! embeds. Peers with keys of other types are disconnected.
//!
//! ```
//! use assay::{
//!     identity::NodeKey,
//!     network::node_of_peer,
//! };
//!
//! let key = NodeKey::generate()?;
//! let peer = key.libp2p_keypair().public().to_peer_id();
//! assert_eq!(node_of_peer(&peer), Some(key.node_id()));
//! # Ok::<(), assay::identity::KeyError>(())
//! ```

mod behaviour;
mod blob;
mod book;
mod bucket;
mod carried;
mod config;
mod crowd;
mod driver;
mod exchange;
mod handle;
mod links;
mod listening;
mod outgoing;
mod pace;
mod peer;
mod places;
mod reach;
mod redial;
mod status;
mod turns;
mod unsent;
mod wire;

pub use ::libp2p::{Multiaddr, PeerId};
pub use blob::{BlobDenied, BlobSource, NoBlobs};
pub(crate) use bucket::Buckets;
pub use carried::RequestProtocol;
pub use config::{Limits, NetworkConfig, NetworkError};
pub use driver::{Driver, start};
pub use handle::{
    Announcement, FetchError, Inbound, Judgement, LONGEST_WAIT, NetworkHandle, PublishError, RequestError,
    Responder,
};
pub use peer::node_of_peer;
pub use status::{Counters, PeerLink, Status};
pub use wire::WireBytes;
