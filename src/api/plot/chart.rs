//! One chart of a picture: scales, axes and lines.
//!
//! Colours are attributes, so that a picture is whole by itself and a style sheet can change them. Runs differ by colour, by
//! dash and by mark, so that nobody needs to see colours.

use std::fmt::Write as _;

use crate::domain::NodeId;

/// The width of a picture, and the place of a chart in it.
pub(super) const WIDTH: u64 = 720;
const LEFT: u64 = 76;
const RIGHT: u64 = 700;
const TOP: u64 = 30;
const BOTTOM: u64 = 190;

/// The height of a chart with its words.
pub(super) const HEIGHT: u64 = 240;

/// How a run stands, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Accepted,
    Rejected,
    /// Without a verdict.
    Open,
}

impl Standing {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Open => "open",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Accepted => "#0b63c5",
            Self::Rejected => "#c2185b",
            Self::Open => "#5f6b76",
        }
    }

    const fn dash(self) -> &'static str {
        match self {
            Self::Accepted => "none",
            Self::Rejected => "7 4",
            Self::Open => "2 3",
        }
    }
}

/// What an axis measures, and its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    unit: Unit,
    most: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Kib,
    Ms,
    /// Of a run, in percent.
    Share,
}

impl Scale {
    /// A scale that holds `most`, and ends at a round number.
    pub(super) fn of(unit: Unit, most: u64) -> Self {
        let step = match unit {
            Unit::Kib => (most.max(1024).next_power_of_two() / 8).max(1),
            Unit::Ms => (10_u64.pow(most.max(10).ilog10()) / 2).max(1),
            Unit::Share => 100,
        };
        Self { unit, most: most.max(1).div_ceil(step) * step }
    }

    fn words(self, value: u64) -> String {
        match self.unit {
            Unit::Kib => crate::explain::bytes(value.saturating_mul(1024)),
            Unit::Ms if self.most < 1000 => format!("{value} ms"),
            Unit::Ms => format!("{}.{:02} s", value / 1000, value % 1000 / 10),
            Unit::Share => format!("{value} %"),
        }
    }

    /// The place of a value in so many pixels.
    fn place(self, value: u64, pixels: u64) -> u64 {
        u64::try_from(u128::from(value.min(self.most)) * u128::from(pixels) / u128::from(self.most))
            .unwrap_or(pixels)
    }
}

/// One run on a chart.
pub(super) struct Line<'a> {
    pub(super) node: NodeId,
    pub(super) standing: Standing,
    /// What a pointer that rests on it reads.
    pub(super) words: &'a str,
    pub(super) points: Vec<(u64, u64)>,
    /// Whether each point is one that was compared.
    pub(super) is_marked: bool,
}

/// The lines between which runs agree.
pub(super) struct Band {
    pub(super) low: Vec<(u64, u64)>,
    pub(super) high: Vec<(u64, u64)>,
}

/// A chart.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) band: Option<Band>,
    pub(super) lines: Vec<Line<'a>>,
}

impl Chart<'_> {
    /// Draws it so far below the top of the picture.
    pub(super) fn draw(&self, out: &mut String, top: u64) {
        self.frame(out, top);
        if let Some(Band { low, high }) = &self.band {
            let around = high.iter().chain(low.iter().rev());
            let points = self.points(around, top);
            put(
                out,
                &format!(r##"<polygon class="ball" points="{points}" fill="#0b63c5" fill-opacity="0.14"/>"##),
            );
        }
        // Rejected runs come last, so that no other run covers them.
        let mut lines: Vec<&Line<'_>> = self.lines.iter().collect();
        lines.sort_by_key(|line| (line.standing == Standing::Rejected, line.node));
        for line in lines {
            self.line(out, line, top);
        }
    }

    fn frame(&self, out: &mut String, top: u64) {
        let text = |out: &mut String, x: u64, y: u64, anchor: &str, words: &str| {
            let words = escaped(words);
            put(
                out,
                &format!(r##"<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#37424d">{words}</text>"##),
            );
        };
        text(out, 4, top + 16, "start", self.title);
        for quarter in [0, 2, 4] {
            let y = top + BOTTOM - (BOTTOM - TOP) * quarter / 4;
            put(
                out,
                &format!(
                    r##"<line class="grid" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}" stroke="#d5dbe1"/>"##
                ),
            );
            text(out, LEFT - 8, y + 4, "end", &self.y.words(self.y.most * quarter / 4));
            let x = LEFT + (RIGHT - LEFT) * quarter / 4;
            let anchor = if quarter == 4 { "end" } else { "middle" };
            text(out, x, top + BOTTOM + 16, anchor, &self.x.words(self.x.most * quarter / 4));
        }
        text(out, LEFT + (RIGHT - LEFT) / 2, top + BOTTOM + 34, "middle", self.across);
    }

    fn line(&self, out: &mut String, line: &Line<'_>, top: u64) {
        let (name, colour, dash) = (line.standing.name(), line.standing.colour(), line.standing.dash());
        let node = line.node;
        put(out, &format!(r#"<g class="run {name}" data-node="{node}">"#));
        put(out, &format!("<title>{}</title>", escaped(line.words)));
        let points = self.points(&line.points, top);
        put(
            out,
            &format!(
                r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>"#
            ),
        );
        if line.is_marked {
            for point in &line.points {
                self.mark(out, *point, line.standing, top);
            }
        }
        if let (Standing::Rejected, Some(last)) = (line.standing, line.points.last()) {
            let (x, y) = self.place(*last, top);
            // Beside its line, and inside the chart.
            let y = if y < top + TOP + 24 { y + 18 } else { y - 8 };
            let (x, anchor) = if x < LEFT + 80 { (x, "start") } else { (x, "end") };
            put(
                out,
                &format!(
                    r#"<text class="name" x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{}</text>"#,
                    node.short()
                ),
            );
        }
        put(out, "</g>");
    }

    fn mark(&self, out: &mut String, point: (u64, u64), standing: Standing, top: u64) {
        let (x, y) = self.place(point, top);
        let colour = standing.colour();
        put(
            out,
            &match standing {
                Standing::Accepted => {
                    format!(r#"<circle class="sample" cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>"#)
                }
                Standing::Open => {
                    format!(
                        r#"<circle class="sample" cx="{x}" cy="{y}" r="3.5" fill="none" stroke="{colour}"/>"#
                    )
                }
                Standing::Rejected => {
                    let (left, right, up, down) = (x - 4, x + 4, y.saturating_sub(4), y + 4);
                    format!(
                        r#"<path class="sample" d="M{left} {up}L{right} {down}M{left} {down}L{right} {up}" stroke="{colour}" stroke-width="2"/>"#
                    )
                }
            },
        );
    }

    fn place(&self, (x, y): (u64, u64), top: u64) -> (u64, u64) {
        (LEFT + self.x.place(x, RIGHT - LEFT), top + BOTTOM - self.y.place(y, BOTTOM - TOP))
    }

    fn points<'p>(&self, points: impl IntoIterator<Item = &'p (u64, u64)>, top: u64) -> String {
        let place = |point: &(u64, u64)| {
            let (x, y) = self.place(*point, top);
            format!("{x},{y}")
        };
        points.into_iter().map(place).collect::<Vec<_>>().join(" ")
    }
}

/// A key to what is drawn, at this height.
pub(super) fn key(out: &mut String, standings: &[Standing], has_band: bool, top: u64) {
    let mut x = 4;
    let mut entry = |drawn: &dyn Fn(u64) -> String, words: &str| {
        put(out, &drawn(x));
        put(out, &format!(r##"<text x="{}" y="{}" fill="#37424d">{words}</text>"##, x + 40, top + 16));
        x += 60 + 8 * u64::try_from(words.len()).unwrap_or(0);
    };
    for standing in standings {
        let (colour, dash, y) = (standing.colour(), standing.dash(), top + 12);
        let drawn = |x: u64| {
            format!(
                r#"<line class="run {}" x1="{x}" y1="{y}" x2="{}" y2="{y}" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>"#,
                standing.name(),
                x + 32
            )
        };
        entry(&drawn, if *standing == Standing::Open { "without a verdict" } else { standing.name() });
    }
    if has_band {
        let drawn = |x: u64| {
            format!(
                r##"<rect class="ball" x="{x}" y="{}" width="32" height="12" fill="#0b63c5" fill-opacity="0.14"/>"##,
                top + 6
            )
        };
        entry(&drawn, "agrees, on average");
    }
}

fn put(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("a string takes all text");
}

/// Text as XML holds it, which knows no control characters.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace(char::is_control, "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers_that_hold_what_is_drawn() {
        let ends = |unit, most: u64| {
            let scale = Scale::of(unit, most);
            assert!(scale.most >= most && scale.most <= (2 * most).max(1024));
            scale.words(scale.most)
        };
        assert_eq!(ends(Unit::Kib, 100 * 1024), "112 MiB");
        assert_eq!(ends(Unit::Kib, 0), "128 KiB");
        assert_eq!(ends(Unit::Ms, 1234), "1.50 s");
        assert_eq!(ends(Unit::Ms, 42), "45 ms");
        assert_eq!(ends(Unit::Share, 100), "100 %");
    }

    #[test]
    fn the_largest_values_overflow_nothing() {
        let scale = Scale::of(Unit::Kib, 1 << 40);
        assert_eq!(scale.place(1 << 40, 100), 100);
        assert_eq!(scale.place(u64::MAX, 100), 100);
    }

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(escaped("<b a=\"1\">&\u{1b}"), "&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}");
    }
}
