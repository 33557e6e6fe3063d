//! The engine's time stamps. Only differences between two of them are used.

/// Nanoseconds from `earlier` to `later`, both in Docker's form (RFC 3339 in UTC, up to nine decimals). Zero if `later` is
/// the earlier one, which the engine reports for runs of a few milliseconds.
pub(super) fn nanos_between(earlier: &str, later: &str) -> Option<u64> {
    let elapsed = unix_nanos(later)?.checked_sub(unix_nanos(earlier)?)?;
    Some(u64::try_from(elapsed).unwrap_or(0))
}

fn unix_nanos(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let in_range = (1970..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let digits = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !(in_range
        && digits
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second))
    {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + nanos)
}

/// Days in the Gregorian calendar. Years begin in March so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_years = year * 365 + year / 4 - year / 100 + year / 400;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    in_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_across_leap_years() {
        // As `date -u -d 2024-02-29 +%s` says, over 86400; likewise the others.
        for (date, days) in
            [((1970, 1, 1), 0), ((2000, 3, 1), 11_017), ((2024, 2, 29), 19_782), ((2100, 3, 1), 47_541)]
        {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn differences_cross_midnight_and_keep_fractions() {
        let between = |a, b| nanos_between(a, b);
        assert_eq!(between("2026-12-31T23:59:59.9Z", "2027-01-01T00:00:00.25Z"), Some(350_000_000));
        assert_eq!(between("2026-11-22T23:20:01Z", "2026-11-22T23:20:01.000000007Z"), Some(7));
    }

    #[test]
    fn an_end_before_the_start_is_no_time_at_all() {
        assert_eq!(nanos_between("2026-11-22T23:20:01.002Z", "2026-11-22T23:20:01Z"), Some(0));
    }

    #[test]
    fn what_is_no_time_stamp_is_refused() {
        for text in
            ["", "0001-01-01T00:00:00Z", "2026-11-22", "2026-13-22T00:00:00Z", "2026-11-22T00:00:00+01:00"]
        {
            assert_eq!(nanos_between(text, "2026-11-22T23:20:01Z"), None, "{text}");
        }
    }
}
