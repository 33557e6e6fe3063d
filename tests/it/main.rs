//! The single integration binary: everything that needs more than the pure core.

mod conformance;
mod docker;
