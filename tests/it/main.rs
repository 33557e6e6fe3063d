//! The single integration binary: everything that needs more than the pure core.
#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod api;
mod cli;
mod conformance;
mod contract;
mod devstack;
mod differential;
mod docker;
mod examples;
mod hostile;
mod libp2p;
mod node;
mod peers;
mod secrecy;
mod sim;
mod town;
mod verifiers;
mod web;
