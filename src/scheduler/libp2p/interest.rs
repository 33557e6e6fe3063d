//! Which jobs of strangers a node follows.

use std::{fmt, sync::Arc};

use crate::domain::{Deal, Resources};

/// Whether a node may bid under a deal for a job with these limits. It follows no other jobs of strangers.
#[derive(Clone)]
pub struct Interest(Arc<IsForMe>);

type IsForMe = dyn Fn(&Deal, Resources) -> bool + Send + Sync;

impl Interest {
    /// Interest in jobs for which `is_for_me` returns true.
    pub fn new(is_for_me: impl Fn(&Deal, Resources) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_for_me))
    }

    /// Interest in every job.
    pub fn all() -> Self {
        Self::new(|_, _| true)
    }

    pub(super) fn includes(&self, deal: &Deal, asked: Resources) -> bool {
        (self.0)(deal, asked)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").finish_non_exhaustive()
    }
}
