//! The log on an EVM chain: a contract orders the events, checks them by the same rules, and holds the money.
//!
//! - `probe`: one endpoint, looked at once; `reader`: one contract, as anybody reads it; [`client`]: a key's way to it, and its money there.
//! - `sender`: the one task that sends a key's transactions; `outbox`: what it may have to send again.
//! - `follow` and `log`: the contract's events, read once they are deep enough, stored and folded; `window`: checks
//!   that none is left out; `span`: how many
//!   blocks an endpoint takes at a time; `newest`: the newest block, asked once for all nodes of a process; `health`: what that tells of chain, endpoint and clock; `decode`: what an event says.
//! - `signed`: actions that others bring to the contract.
//! - `anchors`: the blocks and transactions of a job, and their gas.
//! - `history`: the events of one job, or of all, read at once, without a node.
//! - `calls`, `convert` and `packed`: our values as the contract takes and gives them.
//! - `rpc`: the endpoints, and when to ask the next one or again; `http` and `socket`: the bounds on
//!   their answers; `words`: what they mean by them.
//! - `token`: the ERC-20 that a contract may count in.
//! - `unlocked`: money for nodes on a chain for development.
//! - [`mod@deploy`]: puts the contract on a chain; `artifact`: its code.
//!
//! Outside of the signed path an action's signature is checked but not sent: the sender of a transaction is its author. So
//! a backend submits actions of its own key alone.

mod abi;
mod anchors;
mod artifact;
mod bidders;
mod calls;
pub mod client;
mod consumer;
mod convert;
mod decode;
pub mod deploy;
mod error;
mod follow;
mod funds;
mod health;
mod history;
mod http;
mod log;
mod newest;
mod node;
mod outbox;
mod packed;
mod probe;
mod reader;
mod rpc;
mod sender;
mod signed;
mod socket;
mod span;
mod token;
mod unlocked;
mod window;
mod words;

pub use client::{ChainClient, ChainConfig, DEFAULT_CONFIRMATIONS, Receipt};
pub use consumer::DeliveryError;
pub use decode::read_log;
pub use deploy::{DEPLOYER, DeployError, Deployed, Placement, deploy, deploy_everywhere};
pub use error::{ConnectError, MoneyError};
pub use follow::Seen;
pub use history::{History, HistoryError, history, locked};
pub use log::NodeAddresses;
pub use node::{ContractConfig, ContractScheduler, Running, StartError};
pub use probe::{Probe, probe};
pub use reader::{Account, Code, ContractReader};
pub use rpc::EndpointError;
pub use sender::Notice;
pub use signed::{
    courier::{Courier, GATHER, SignedPath, Unreached},
    wire::{Answer, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, PROTOCOL},
};
pub use unlocked::{FundError, fund_from_unlocked};
