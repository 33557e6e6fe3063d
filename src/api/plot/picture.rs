//! Which charts the picture of a job has, and what is on them.

use std::collections::BTreeMap;

use super::{
    chart::{Band, Chart, HEIGHT, Line, Scale, Standing, Unit, WIDTH, escaped, key},
    traces::Point,
};
use crate::{
    api::types::{Judgement, SeatView},
    domain::{JobId, Method, NodeId, TENTHS},
    verdict::Work,
};

/// The height of the key above the charts.
const KEY: u64 = 28;

type Curves = BTreeMap<NodeId, Vec<Point>>;

/// What a picture is of.
pub(super) struct Subject<'a> {
    pub(super) job: JobId,
    pub(super) method: Method,
    /// Whether the job has ended.
    pub(super) is_over: bool,
    pub(super) seats: &'a [SeatView],
}

/// A run with something to draw.
struct Run<'a> {
    seat: &'a SeatView,
    standing: Standing,
    words: String,
}

/// The picture of a job: what its runs revealed, and whole curves where they are given.
pub(super) fn svg(view: &Subject<'_>, curves: &Curves) -> String {
    let runs: Vec<Run<'_>> = view.seats.iter().filter(|seat| seat.result.is_some()).map(run).collect();
    let compared = compared(view, &runs);
    let charts: Vec<Chart<'_>> =
        [memory_over_time(&runs, curves), compared, cpu(&runs, curves)].into_iter().flatten().collect();
    let has_band = charts.iter().any(|chart| chart.band.is_some());
    let mut body = String::new();
    let mut top = 0;
    if !charts.is_empty() {
        let mut standings: Vec<Standing> = runs.iter().map(|run| run.standing).collect();
        standings.sort_unstable();
        standings.dedup();
        key(&mut body, &standings, has_band, top);
        top += KEY;
    }
    for chart in &charts {
        chart.draw(&mut body, top);
        top += HEIGHT;
    }
    if charts.is_empty() {
        body = format!("<text x=\"4\" y=\"20\" fill=\"#37424d\">{}</text>\n", nothing(view));
        top = 32;
    }
    let (title, told) = (escaped(&format!("Runs of job {}", view.job.short())), escaped(&told(&runs)));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         role=\"img\" aria-labelledby=\"picture-title picture-told\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\">\n<title id=\"picture-title\">{title}</title>\n<desc id=\"picture-told\">{told}</desc>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn run(seat: &SeatView) -> Run<'_> {
    let standing = match seat.judgement {
        Some(Judgement::Accepted) => Standing::Accepted,
        Some(Judgement::Rejected) => Standing::Rejected,
        Some(Judgement::Absent) | None => Standing::Open,
    };
    let why = seat.reason.as_deref().unwrap_or("not judged yet");
    Run { seat, standing, words: format!("{} {}: {why}", seat.node.short(), standing_words(standing)) }
}

const fn standing_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Accepted => "accepted",
        Standing::Rejected => "rejected",
        Standing::Open => "without a verdict",
    }
}

/// The picture in words.
fn told(runs: &[Run<'_>]) -> String {
    let all: Vec<&str> = runs.iter().map(|run| run.words.as_str()).collect();
    all.join(". ")
}

fn nothing(view: &Subject<'_>) -> &'static str {
    if !view.is_over {
        "Nothing to draw yet: nodes reveal what their runs took once all have committed."
    } else if view.seats.iter().any(|seat| seat.result.is_some()) {
        "Nothing to draw: the runs were too short to be measured."
    } else {
        "Nothing to draw: no run has revealed a result."
    }
}

impl<'a> Run<'a> {
    fn line(&'a self, points: Vec<(u64, u64)>, is_marked: bool) -> Line<'a> {
        Line { node: self.seat.node, standing: self.standing, words: &self.words, points, is_marked }
    }

    fn row(&self) -> Option<[u32; TENTHS]> {
        self.seat.result.and_then(|result| result.memory_kib)
    }
}

/// The lines of those runs that have one, and the largest coordinates; `None` without any.
fn lines<'a>(
    runs: &'a [Run<'_>],
    points: impl Fn(&Run<'_>) -> Option<Vec<(u64, u64)>>,
    is_marked: bool,
) -> Option<(Vec<Line<'a>>, (u64, u64))> {
    let lines: Vec<Line<'_>> =
        runs.iter().filter_map(|run| Some(run.line(points(run)?, is_marked))).collect();
    let most = |of: fn(&(u64, u64)) -> u64| lines.iter().flat_map(|line| &line.points).map(of).max();
    let (x, y) = (most(|point| point.0)?, most(|point| point.1)?);
    Some((lines, (x, y)))
}

fn memory_over_time<'a>(runs: &'a [Run<'_>], curves: &Curves) -> Option<Chart<'a>> {
    let of = |point: &Point| (point.t_ms, point.rss_kib);
    let points = |run: &Run<'_>| Some(curves.get(&run.seat.node)?.iter().map(of).collect());
    let (lines, (x, y)) = lines(runs, points, false)?;
    Some(Chart {
        title: "Memory over time, from the results",
        across: "time since the start of the run",
        x: Scale::of(Unit::Ms, x),
        y: Scale::of(Unit::Kib, y),
        band: None,
        lines,
    })
}

/// The ten numbers of each run that verdicts compare.
fn compared<'a>(view: &Subject<'_>, runs: &'a [Run<'_>]) -> Option<Chart<'a>> {
    let (lines, (_, y)) = lines(runs, |run| Some(samples(run.row()?.map(u64::from))), true)?;
    let band = ball(view, runs);
    let most = band.iter().flat_map(|band| &band.high).map(|point| point.1).max().unwrap_or(0);
    let (title, across) = match view.method {
        Method::KMeans => ("Memory as compared: the mean of each tenth", "time of the run"),
        Method::Ball | Method::Hash | Method::Near => {
            ("Memory as compared: ten samples", "share of the run that stayed within so much memory")
        }
    };
    Some(Chart {
        title,
        across,
        x: Scale::of(Unit::Share, 100),
        y: Scale::of(Unit::Kib, y.max(most)),
        band,
        lines,
    })
}

/// Ten values at the middles of the tenths.
fn samples(row: [u64; TENTHS]) -> Vec<(u64, u64)> {
    (0..).map(|tenth| 10 * tenth + 5).zip(row).collect()
}

/// What runs were measured beside: the run at the centre, or the mean of those that agree.
fn ball(view: &Subject<'_>, runs: &[Run<'_>]) -> Option<Band> {
    let work = |run: &Run<'_>| run.seat.measured.and_then(|reason| reason.work);
    let limit = runs.iter().find_map(work)?.memory_limit_kib;
    let centre: [u64; TENTHS] = match view.method {
        Method::KMeans => {
            let kept = runs.iter().filter(|run| run.standing == Standing::Accepted);
            let rows: Vec<[u32; TENTHS]> = kept.filter_map(Run::row).collect();
            let count = u64::try_from(rows.len()).ok().filter(|count| *count > 0)?;
            std::array::from_fn(|tenth| rows.iter().map(|row| u64::from(row[tenth])).sum::<u64>() / count)
        }
        Method::Ball | Method::Hash | Method::Near => {
            let is_centre = |work: Work| work.memory_apart_kib == 0;
            runs.iter().find(|run| work(run).is_some_and(is_centre))?.row()?.map(u64::from)
        }
    };
    let low = samples(centre.map(|kib| kib.saturating_sub(limit)));
    let high = samples(centre.map(|kib| kib.saturating_add(limit)));
    Some(Band { low, high })
}

/// CPU time over the run; where the result is not here, its end alone.
fn cpu<'a>(runs: &'a [Run<'_>], curves: &Curves) -> Option<Chart<'a>> {
    let longest =
        curves.values().filter_map(|curve| curve.last()).map(|point| point.t_ms).max().unwrap_or(100);
    let points = |run: &Run<'_>| {
        let total = run.seat.result?.cpu_ms?;
        let Some(curve) = curves.get(&run.seat.node) else { return Some(vec![(longest, total)]) };
        Some(curve.iter().map(|point| (point.t_ms, point.cpu_ms)).collect())
    };
    let (mut lines, (_, y)) = lines(runs, points, false)?;
    for line in &mut lines {
        line.is_marked = line.points.len() == 1;
    }
    let allowed = runs.iter().find_map(|run| run.seat.measured?.work?.cpu);
    let most = allowed.and_then(|cpu| cpu.most_ms).unwrap_or(0).min(y.saturating_mul(4));
    let y = y.max(most);
    let band = allowed.map(|cpu| {
        let across = |ms: u64| vec![(0, ms), (longest, ms)];
        Band { low: across(cpu.least_ms), high: across(cpu.most_ms.unwrap_or(y).min(y)) }
    });
    let across = if curves.is_empty() { "totals at exit" } else { "time since the start of the run" };
    let x = Scale::of(if curves.is_empty() { Unit::Share } else { Unit::Ms }, longest);
    Some(Chart { title: "CPU time", across, x, y: Scale::of(Unit::Ms, y), band, lines })
}

#[cfg(test)]
mod tests;
