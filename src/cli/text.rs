//! Values formatted for people.

use std::cmp::Ordering;

use alloy_primitives::U256;

pub(super) use crate::explain::bytes;
use crate::{
    api::types::{JobView, Judgement, SeatState, SeatView},
    audit::Claim,
    domain::{Amount, Asset, Deal, Exceeded, JobId, JobState, Limit, Method, NodeId, Span, Timestamp},
};

/// A job in a table or a sentence: enough digits to name it again.
pub(super) fn job(job: JobId) -> String {
    job.short()
}

/// A node in a table or a sentence.
pub(super) fn node(node: NodeId) -> String {
    node.short()
}

/// A span, in its two largest units.
pub(super) fn span(secs: u64) -> String {
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) if seconds == 0 => format!("{minutes}m"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, 0) => format!("{hours}h"),
        (0, _, _) => format!("{hours}h{minutes}m"),
        (_, 0, _) => format!("{days}d"),
        _ => format!("{days}d{hours}h"),
    }
}

/// How long ago `then` was at `now`.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.as_secs().saturating_sub(then.as_secs()))
}

/// A time relative to now, in the past or the future.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    match at.cmp(&now) {
        Ordering::Less => format!("{} ago", age(at, now)),
        Ordering::Equal => "now".to_owned(),
        Ordering::Greater => format!("in {}", age(now, at)),
    }
}

/// The time of day, for a time that is near.
pub(super) fn clock(at: Timestamp) -> String {
    let secs = at.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02} UTC", secs / 3600, secs / 60 % 60, secs % 60)
}

/// The day in UTC, such as 2026-01-31.
pub(super) fn date(at: Timestamp) -> String {
    const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Nothing here happens after the year 9999, and a broken clock must not keep this busy.
    let (mut year, mut day) = (1970, (at.as_secs() / 86_400).min(2_932_896));
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    while let days = MONTHS[month] + u64::from(month == 1 && is_leap(year))
        && day >= days
    {
        day -= days;
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, day + 1)
}

/// A term of the deal.
pub(super) fn term(term: Span) -> String {
    span(term.as_secs().into())
}

/// An address's balance of an asset, which may be more than a contract of ours can hold.
pub(super) fn holding(units: U256, asset: &Asset) -> String {
    let fits = u128::try_from(units).ok().and_then(Amount::new);
    fits.map_or_else(|| format!("{units} smallest units of {asset}"), |amount| asset.show(amount))
}

/// What a node asks for or allows, in an asset.
fn money(units: u128, asset: &Asset) -> String {
    holding(U256::from(units), asset)
}

/// Thousandths as a decimal number.
pub(super) fn thousandths(thousandths: u32) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() }
}

/// What a job asks for that no known node allows.
pub(super) fn exceeded(exceeded: &Exceeded, asset: &Asset) -> String {
    let Exceeded { limit, asked, most } = *exceeded;
    let small = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    let seconds = |number: u128| span(small(number));
    let (name, asked, most) = match limit {
        Limit::Memory => ("memory", bytes(small(asked)), bytes(small(most))),
        Limit::Disk => ("disk", bytes(small(asked)), bytes(small(most))),
        Limit::Scratch if most == 0 => {
            return format!("scratch {}, but there is none", bytes(small(asked)));
        }
        Limit::Scratch => ("scratch", bytes(small(asked)), bytes(small(most))),
        Limit::Cpus => {
            let cpus = |number: u128| thousandths(u32::try_from(number).unwrap_or(u32::MAX));
            ("CPUs", cpus(asked), cpus(most))
        }
        Limit::Processes => ("processes", asked.to_string(), most.to_string()),
        Limit::Timeout => ("timeout", seconds(asked), seconds(most)),
        Limit::Run => ("run", seconds(asked), seconds(most)),
        Limit::Reveal => ("reveal", seconds(asked), seconds(most)),
        Limit::ShortReveal => return format!("reveal {}, at least {}", seconds(asked), seconds(most)),
        Limit::LowPrice => {
            return format!("price {}, at least {}", money(asked, asset), money(most, asset));
        }
        Limit::Bond => ("bond", money(asked, asset), money(most, asset)),
    };
    format!("{name} {asked}, at most {most}")
}

/// How far a seat's result is from the others, as a memory level or in tolerances of its numbers, if either was compared.
pub(super) fn distance(seat: &SeatView, view: &JobView) -> String {
    let Some(score) = seat.score else { return "-".to_owned() };
    // The score's unit: ten samples, and for `kmeans` also the number of compared runs.
    let divisor = match view.deal.method {
        Method::Near if !view.deal.require_work => return tolerances(score),
        Method::Ball | Method::Hash | Method::Near => 10,
        Method::KMeans => 10 * view.verdict.as_ref().map_or(1, |verdict| verdict.scores.len().max(1) as u64),
    };
    bytes((score / divisor).saturating_mul(1024))
}

/// What the traces of agreeing runs have in common, by the deal's method. If runs were compared, with the limit in effect,
/// since it grows with their memory.
pub(super) fn alike_work(deal: &Deal, seats: &[SeatView]) -> String {
    let mut works = seats.iter().filter_map(|seat| seat.measured?.work);
    let least = bytes(u64::from(deal.tolerance_kib) * 1024);
    let share = percent(deal.relative_permille);
    let memory = works.next().map_or_else(
        || format!("memory within {least} or {share} of its level, whichever is more"),
        |work| format!("memory within {}", bytes(work.memory_limit_kib.saturating_mul(1024))),
    );
    match deal.method {
        Method::KMeans => memory,
        Method::Hash | Method::Ball | Method::Near => {
            format!(
                "{memory}, CPU time within 200 ms or {} of the longer, page faults within 600 or 20 % of the larger number, \
                 whichever is more",
                percent(deal.cpu_permille)
            )
        }
    }
}

/// Thousandths as a percentage.
pub(super) fn percent(permille: u16) -> String {
    let (whole, tenth) = (permille / 10, permille % 10);
    if tenth == 0 { format!("{whole} %") } else { format!("{whole}.{tenth} %") }
}

/// 64ths of a tolerance.
pub(super) fn tolerances(score: u64) -> String {
    format!("{} tolerances", thousandths(u32::try_from(score.saturating_mul(1000) / 64).unwrap_or(u32::MAX)))
}

/// A seat's judgement, or its state while there is none.
pub(super) const fn judgement(seat: &SeatView) -> &'static str {
    match seat.judgement {
        Some(Judgement::Accepted) => "accepted",
        Some(Judgement::Rejected) => "rejected",
        Some(Judgement::Absent) => "absent",
        None => "-",
    }
}

/// The state of a seat's execution, in a job of this state.
pub(super) fn progress(seat: &SeatView, state: JobState) -> String {
    match (seat.status, seat.failure) {
        (SeatState::Failed, Some(failure)) => format!("failed: {failure}"),
        (SeatState::Failed, None) => "failed".to_owned(),
        // Nodes start when the last seat is filled.
        (SeatState::Accepted, _) if state == JobState::Open => "accepted".to_owned(),
        (SeatState::Accepted, _) if state.is_terminal() => "never committed".to_owned(),
        (SeatState::Accepted, _) => "running".to_owned(),
        (SeatState::Committed, _) => "committed".to_owned(),
        (SeatState::Revealed, _) => "revealed".to_owned(),
    }
}

/// The words of a command, quoted for a shell.
pub(super) fn command(words: &[String]) -> String {
    let plain = |word: &str| {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
        !word.is_empty() && word.bytes().all(safe)
    };
    let quoted = words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Memory over a run as a row of bars; `most` is full height.
pub(super) fn bars(memory_kib: &[u32], most: u32) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |kib: &u32| {
        let level = u64::from(*kib) * 7 / u64::from(most.max(1));
        BARS[usize::try_from(level.min(7)).unwrap_or(7)]
    };
    memory_kib.iter().map(bar).collect()
}

/// A claim, in one line.
pub(super) fn claim(claim: &Claim) -> String {
    let Claim { state, accepted, rejected, absent } = claim;
    format!("{state}, {} accepted, {} rejected, {} absent", accepted.len(), rejected.len(), absent.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_two_units() {
        for (secs, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m1s"),
            (3600, "1h"),
            (5400, "1h30m"),
            (86_400, "1d"),
            (90_000, "1d1h"),
        ] {
            assert_eq!(span(secs), shown);
        }
        let (then, now) = (Timestamp::from_secs(100), Timestamp::from_secs(190));
        assert_eq!(relative(then, now), "1m30s ago");
        assert_eq!(relative(now, then), "in 1m30s");
        assert_eq!(relative(now, now), "now");
        assert_eq!(clock(Timestamp::from_secs(86_400 + 3661)), "01:01:01 UTC");
    }

    #[test]
    fn days_follow_the_calendar() {
        for (days, shown) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_834, "2027-01-16"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(Timestamp::from_secs(days * 86_400 + 86_399)), shown);
        }
        assert_eq!(date(Timestamp::from_secs(u64::MAX)), "9999-12-31");
    }

    #[test]
    fn sizes_show_one_decimal() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(u64::MAX), "17179869183.9 GiB");
        assert_eq!(thousandths(500), "0.5");
        assert_eq!(thousandths(2000), "2");
    }

    #[test]
    fn a_balance_may_be_more_than_an_account_holds() {
        assert_eq!(holding(U256::from(5), &Asset::Ether), "5 wei");
        assert!(holding(U256::MAX, &Asset::Ether).ends_with("smallest units of ether"));
    }

    #[test]
    fn commands_can_be_pasted() {
        let words = ["sh", "-c", "echo 'a b'", ""].map(str::to_owned);
        assert_eq!(command(&words), r"sh -c 'echo '\''a b'\''' ''");
    }

    #[test]
    fn bars_fill_between_zero_and_the_most() {
        assert_eq!(bars(&[0, 50, 100], 100), "▁▄█");
        assert_eq!(bars(&[0, 0], 0), "▁▁");
    }
}
