//! How bad nodes misbehave: decorators around the scheduler and the executor of an otherwise ordinary node.
//!
//! Nothing in the real code knows that they exist. [`corrupt`] wraps what a node is about to be started with.
//!
//! - `kind`: the kinds, and how many nodes are of one
//! - `decorate`: what every decorator passes on unchanged
//! - `invent`: results of runs that never were (idle, faker, collude, and what a copycat has of its own)
//! - `partial`: work that is cut short
//! - `crash`: a node that dies at the start of its run
//! - `silent`: openings that never come
//! - `copycat`: another's commitment and opening, sent as one's own

mod copycat;
mod crash;
mod decorate;
mod invent;
mod kind;
mod partial;
mod silent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use kind::{BadActors, Fault, ParseBadActorsError};

use self::{
    copycat::Copycat,
    crash::Crash,
    decorate::{FaultyExecutor, FaultyScheduler},
    invent::Inventor,
    partial::Partial,
    silent::Silent,
};
use crate::{assembly::Seams, identity::NodeKey};

/// Makes a node misbehave. `key` is the node's own, `die` ends it as if it had crashed.
pub fn corrupt(fault: Fault, seams: Seams, key: &NodeKey, die: CancellationToken) -> Seams {
    let Seams { scheduler, executor } = seams;
    match fault {
        Fault::Idle | Fault::Faker | Fault::Collude => {
            Seams { scheduler, executor: FaultyExecutor::wrap(executor, Inventor::new(fault)) }
        }
        Fault::Copycat => {
            let copycat = Copycat::new(Arc::clone(&scheduler), key.clone());
            Seams {
                scheduler: FaultyScheduler::wrap(scheduler, copycat),
                executor: FaultyExecutor::wrap(executor, Inventor::new(fault)),
            }
        }
        Fault::Partial => Seams { scheduler, executor: FaultyExecutor::wrap(executor, Partial) },
        Fault::Silent => Seams { scheduler: FaultyScheduler::wrap(scheduler, Silent), executor },
        Fault::Crash => Seams { scheduler, executor: FaultyExecutor::wrap(executor, Crash::new(die)) },
    }
}
