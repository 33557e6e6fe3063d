//! The newest block of a chain: asked once for all nodes of this process that follow it by the same endpoint, and told
//! to all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use alloy::{
    eips::BlockNumberOrTag,
    providers::{DynProvider, Provider as _},
    rpc::types::Header,
    transports::{TransportError, TransportErrorKind},
};
use tokio::{sync::watch, time::Instant};

/// An answer, and when it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) asked_at: Instant,
    pub(super) header: Header,
}

/// What is known of the newest block of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Newest {
    told: watch::Sender<Option<Told>>,
    asking: tokio::sync::Mutex<()>,
}

/// Those in use, by the URL of their endpoint.
static IN_USE: Mutex<BTreeMap<String, Weak<Newest>>> = Mutex::new(BTreeMap::new());

impl Newest {
    /// That of the endpoint with this URL.
    pub(super) fn of(url: &str) -> Arc<Self> {
        // Each change is one insertion or removal.
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = in_use.get(url).and_then(Weak::upgrade) {
            return newest;
        }
        in_use.retain(|_, newest| newest.strong_count() > 0);
        let newest = Arc::new(Self::default());
        in_use.insert(url.to_owned(), Arc::downgrade(&newest));
        newest
    }

    /// The answer to a question that was asked at `since` or later, by whomever; asks unless there is one.
    ///
    /// # Errors
    /// That of `ask`, to its caller alone.
    pub(super) async fn since<E>(
        &self,
        since: Instant,
        ask: impl Future<Output = Result<Header, E>>,
    ) -> Result<Header, E> {
        let known = || self.told.borrow().as_ref().filter(|told| told.asked_at >= since).cloned();
        if let Some(told) = known() {
            return Ok(told.header);
        }
        let _turn = self.asking.lock().await;
        // Others were answered meanwhile.
        if let Some(told) = known() {
            return Ok(told.header);
        }
        let asked_at = Instant::now();
        let header = ask.await?;
        self.told.send_if_modified(|told| {
            let is_news = told.as_ref().is_none_or(|told| told.header.hash != header.hash);
            *told = Some(Told { asked_at, header: header.clone() });
            is_news
        });
        Ok(header)
    }

    /// Changes with every new block that a node of this process hears of.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Told>> {
        self.told.subscribe()
    }
}

/// The header of a block.
///
/// # Errors
/// Also when the endpoint does not have the block, so that another one is asked.
pub(super) async fn header(
    provider: &DynProvider,
    block: BlockNumberOrTag,
) -> Result<Header, TransportError> {
    let found = provider.get_block_by_number(block).await?;
    found
        .map(|block| block.header)
        .ok_or_else(|| TransportErrorKind::non_retryable_str(&format!("it has no block {block}")))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU64, Ordering},
    };

    use futures::future::join_all;

    use super::*;

    fn header(number: u64) -> Header {
        let mut header: Header = Header::default();
        header.inner.number = number;
        header.hash = alloy::primitives::B256::left_padding_from(&number.to_be_bytes());
        header
    }

    #[tokio::test]
    async fn many_that_ask_at_a_time_ask_once_and_later_ones_again() {
        let (newest, asked) = (Newest::of("http://one.test"), AtomicU64::new(0));
        let same = Newest::of("http://one.test");
        assert!(Arc::ptr_eq(&newest, &same) && !Arc::ptr_eq(&newest, &Newest::of("http://other.test")));
        let ask = async || {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(header(asked.fetch_add(1, Ordering::SeqCst)))
        };
        let begun = Instant::now();
        let mut watched = newest.watch();
        let all = join_all((0..5).map(|_| newest.since(begun, ask()))).await;
        assert!(all.into_iter().all(|answer| answer.unwrap().number == 0));
        assert!(watched.has_changed().unwrap());
        watched.borrow_and_update();
        // Who accepts an older answer asks nothing.
        same.since(begun, ask()).await.unwrap();
        assert_eq!((asked.load(Ordering::SeqCst), watched.has_changed().unwrap()), (1, false));
        let later = same.since(Instant::now(), ask()).await.unwrap();
        assert_eq!((later.number, watched.has_changed().unwrap()), (1, true));
    }

    #[tokio::test]
    async fn a_failure_is_its_askers_alone() {
        let newest = Newest::default();
        let now = Instant::now();
        assert_eq!(newest.since(now, async { Err("away") }).await, Err("away"));
        let answered = newest.since(now, async { Ok::<_, Infallible>(header(7)) }).await;
        assert_eq!(answered.unwrap().number, 7);
    }
}
