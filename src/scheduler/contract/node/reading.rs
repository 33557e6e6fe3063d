//! Waits until the log has what the chain has.

use std::time::Duration;

use tokio::time::timeout;

use super::{Answered, State};
use crate::{
    domain::Action,
    scheduler::{BackendError, SubmitError},
};

/// Longest wait until this node has read what the chain has.
const CATCH_UP: Duration = Duration::from_secs(30);

impl State {
    /// Waits until every event that is deep enough now is in the log.
    pub(super) async fn catch_up(&self) -> Result<(), SubmitError> {
        let (head, _) = self.client.reader().head().await.map_err(SubmitError::NotOrdered)?;
        self.read_up_to(head.saturating_sub(self.client.confirmations())).await
    }

    /// Waits until this node has read this block.
    pub(in super::super) async fn read_up_to(&self, block: u64) -> Result<(), SubmitError> {
        self.wake.notify_one();
        let mut seen = self.seen.clone();
        let read = timeout(CATCH_UP, seen.wait_for(|seen| seen.read >= block));
        let late = || BackendError::Chain { reason: format!("block {block} is not read yet") };
        tokio::select! {
            biased;
            read = read => match read {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(SubmitError::NotOrdered(self.ended())),
                Err(_) => Err(SubmitError::NotOrdered(late())),
            },
            () = self.stop.cancelled() => Err(SubmitError::NotOrdered(self.ended())),
        }
    }

    /// The place of a submission that another transaction of this node brought to the contract: nobody else can give a job
    /// this id. It is not deep enough yet. The caller bounds the wait.
    pub(super) async fn when_here(&self, submission: &Action) -> Answered {
        let mut seen = self.seen.clone();
        loop {
            if let Ok(cursor) = self.log.find(submission) {
                return Ok(cursor);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(SubmitError::NotOrdered(self.ended())),
                read = seen.changed() => read.map_err(|_| SubmitError::NotOrdered(self.ended()))?,
            }
        }
    }
}
