//! The curves of runs, from the results of their nodes.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path, sync::Arc, time::Duration};

use futures::{StreamExt as _, future, stream};
use tokio::time::sleep;
use tracing::debug;

use crate::{
    api::types::JobView,
    domain::{JobId, NodeId},
    executor::{Reading, Trace},
    node::{FetchBounds, Node},
    store::TRACE,
};

/// All curves together: a client waits for the picture, and shows it without those that are late.
const MOST_TIME: Duration = Duration::from_secs(20);

/// A result that is longer, or takes longer, is not worth its curve.
const BOUNDS: FetchBounds = FetchBounds { bytes: 4 << 20, time: Duration::from_secs(10) };

/// Results that are fetched at the same time.
const AT_ONCE: usize = 4;

/// A sampler's trace is not longer: see `executor/docker/sampler.rs`.
const MAX_TRACE_BYTES: u64 = 8 << 20;

/// Points of a drawn curve: more cannot be seen.
pub(super) const MAX_POINTS: usize = 240;

/// One reading of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) t_ms: u64,
    pub(super) rss_kib: u64,
    pub(super) cpu_ms: u64,
}

/// The curves by node, of as many results as can be had.
pub(super) async fn of(node: &Arc<Node>, view: &JobView) -> BTreeMap<NodeId, Vec<Point>> {
    if !view.state.is_terminal() {
        return BTreeMap::new();
    }
    let with_result = view.seats.iter().filter(|seat| seat.result.is_some());
    let fetching: Vec<_> = with_result.map(|seat| of_seat(Arc::clone(node), view.job, seat.node)).collect();
    let curves = stream::iter(fetching).buffer_unordered(AT_ONCE).take_until(sleep(MOST_TIME));
    curves.filter_map(future::ready).collect().await
}

async fn of_seat(node: Arc<Node>, job: JobId, holder: NodeId) -> Option<(NodeId, Vec<Point>)> {
    let unpacked = match node.result_within(job, holder, BOUNDS).await {
        Ok((opening, _)) => node.unpacked_result(job, holder, opening.output_root).await,
        Err(error) => Err(error),
    };
    let dir =
        unpacked.inspect_err(|error| debug!(%job, node = %holder, %error, "a curve is missing")).ok()?;
    let reading = tokio::task::spawn_blocking(move || read(&dir.path().join("result").join(TRACE)));
    Some((holder, reading.await.expect("reading returns what it finds")?))
}

fn read(path: &Path) -> Option<Vec<Point>> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_TRACE_BYTES).read_to_string(&mut text).ok()?;
    parse(&text)
}

/// The curve of a trace, thinned; `None` if the text is none.
fn parse(text: &str) -> Option<Vec<Point>> {
    let point = |Reading { t_ms, rss_kib, cpu_ms, .. }| Point { t_ms, rss_kib: u64::from(rss_kib), cpu_ms };
    let points: Vec<Point> = Trace::readings_of(text)?.into_iter().map(point).collect();
    Some(thinned(&points))
}

/// Of each stretch the reading with most memory, so that no peak is lost; the last reading stays.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(MAX_POINTS);
    let mut kept: Vec<Point> = points
        .chunks(stretch)
        .filter_map(|stretch| stretch.iter().max_by_key(|point| point.rss_kib))
        .copied()
        .collect();
    kept.pop();
    kept.extend(points.last());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_and_what_is_none_is_not() {
        let read = parse("t_ms,rss_kib,cpu_ms,faults\n0,3,1,90\n40,25600,17,6400\n").unwrap();
        assert_eq!(read[1], Point { t_ms: 40, rss_kib: 25_600, cpu_ms: 17 });
        assert_eq!(parse("a,b\n1,2,3,4\n"), None);
    }

    #[test]
    fn a_long_trace_keeps_its_peaks_and_its_end() {
        let point = |t_ms| Point { t_ms, rss_kib: if t_ms == 7777 { 900 } else { 5 }, cpu_ms: t_ms };
        let points: Vec<Point> = (0..10_000).map(point).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= MAX_POINTS && kept.is_sorted_by(|a, b| a.t_ms < b.t_ms), "{}", kept.len());
        assert!(kept.iter().any(|point| point.rss_kib == 900));
        assert_eq!(kept.last(), points.last());
    }
}
