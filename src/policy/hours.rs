//! Hours of the week in which a node takes on work, in UTC.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::domain::{Span, Timestamp};

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;

/// Names of days, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The epoch began on a Thursday.
const FIRST_DAY: u32 = 3;

/// A span of time on some days of each week. One that ends before it begins goes on to the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// The days on which it begins, Monday first.
    days: [bool; 7],
    /// Minutes of the day, below 1440.
    from: u32,
    /// Minutes of the day, at most 1440.
    to: u32,
}

/// The text names no hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected hours in UTC, with days if not all, such as 22:00-06:00, mon-fri 18:00-08:00 or sat,sun 00:00-24:00"
)]
pub struct ParseHoursError;

/// Whether one of them holds now; always if there are none.
pub(super) fn is_open(hours: &[Hours], now: Timestamp) -> bool {
    let minute = minute_of_week(now);
    hours.is_empty() || hours.iter().any(|hours| hours.has(minute))
}

/// When that changes next; `None` if it never does.
pub(super) fn next_change(hours: &[Hours], now: Timestamp) -> Option<Timestamp> {
    let (minute, is_now) = (minute_of_week(now), is_open(hours, now));
    let begun = Timestamp::from_secs(now.as_secs() - now.as_secs() % 60);
    let ahead = |bound: u32| match (bound + WEEK - minute) % WEEK {
        0 => WEEK,
        minutes => minutes,
    };
    let bounds = hours.iter().flat_map(Hours::bounds);
    let changes = bounds.filter(|bound| hours.iter().any(|hours| hours.has(*bound)) != is_now);
    changes.map(ahead).min().map(|minutes| begun.plus(Span::from_secs(minutes * 60)))
}

fn minute_of_week(now: Timestamp) -> u32 {
    let minutes = now.as_secs() / 60 % u64::from(WEEK);
    let minutes = u32::try_from(minutes).expect("a week has some ten thousand minutes");
    (minutes + FIRST_DAY * DAY) % WEEK
}

impl Hours {
    /// Minutes from the beginning to the end.
    const fn length(&self) -> u32 {
        if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from }
    }

    /// The minutes of the week at which it begins.
    fn begins(&self) -> impl Iterator<Item = u32> + '_ {
        let days = (0..).zip(self.days).filter(|(_, is_in)| *is_in);
        days.map(|(day, _): (u32, bool)| day * DAY + self.from)
    }

    fn has(&self, minute: u32) -> bool {
        self.begins().any(|begin| (minute + WEEK - begin) % WEEK < self.length())
    }

    /// The minutes of the week at which it begins or ends.
    fn bounds(&self) -> impl Iterator<Item = u32> + '_ {
        self.begins().flat_map(|begin| [begin, (begin + self.length()) % WEEK])
    }
}

impl FromStr for Hours {
    type Err = ParseHoursError;

    fn from_str(text: &str) -> Result<Self, ParseHoursError> {
        let (days, times) = match text.split_once(' ') {
            Some((days, times)) => (parse_days(days)?, times),
            None => ([true; 7], text),
        };
        let (from, to) = times.split_once('-').ok_or(ParseHoursError)?;
        let (from, to) = (parse_minute(from)?, parse_minute(to)?);
        if from == to || from == DAY {
            return Err(ParseHoursError);
        }
        Ok(Self { days, from, to })
    }
}

/// `HH:MM`, up to `24:00`.
fn parse_minute(text: &str) -> Result<u32, ParseHoursError> {
    let (hours, minutes) = text.split_once(':').ok_or(ParseHoursError)?;
    let number = |digits: &str| {
        let is_two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_two.then(|| digits.parse::<u32>().ok()).flatten().ok_or(ParseHoursError)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minute = hours * 60 + minutes;
    if minutes < 60 && minute <= DAY { Ok(minute) } else { Err(ParseHoursError) }
}

/// Days and ranges of days, such as `mon-wed,sat`. A range may go over Sunday.
fn parse_days(text: &str) -> Result<[bool; 7], ParseHoursError> {
    let day = |name: &str| DAYS.iter().position(|day| name.eq_ignore_ascii_case(day)).ok_or(ParseHoursError);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        for offset in 0..=(last + 7 - first) % 7 {
            days[(first + offset) % 7] = true;
        }
    }
    Ok(days)
}

impl TryFrom<String> for Hours {
    type Error = ParseHoursError;

    fn try_from(text: String) -> Result<Self, ParseHoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let names: Vec<&str> =
                DAYS.into_iter().zip(self.days).filter(|(_, is_in)| *is_in).map(|(name, _)| name).collect();
            write!(f, "{} ", names.join(","))?;
        }
        let Self { from, to, .. } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Monday, 5 January 1970, 00:00.
    const MONDAY: u64 = 4 * 86_400;

    fn at(day: u64, hour: u64, minute: u64) -> Timestamp {
        Timestamp::from_secs(MONDAY + day * 86_400 + hour * 3600 + minute * 60)
    }

    fn hours(texts: &[&str]) -> Vec<Hours> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn hours_that_pass_midnight_belong_to_the_day_on_which_they_begin() {
        let nights = hours(&["mon-fri 18:00-08:00"]);
        for (day, hour, open) in [
            (0, 7, false),
            (0, 18, true),
            (1, 7, true),
            (1, 8, false),
            (5, 7, true),
            (5, 18, false),
            (6, 3, false),
        ] {
            assert_eq!(is_open(&nights, at(day, hour, 0)), open, "day {day}, {hour} h");
        }
        let over_the_week = hours(&["sun 22:00-06:00"]);
        assert!(is_open(&over_the_week, at(0, 5, 59)) && is_open(&over_the_week, at(6, 22, 0)));
        assert!(!is_open(&over_the_week, at(0, 6, 0)));
        let weekend = hours(&["sat,sun 00:00-24:00", "22:00-06:00"]);
        assert!(is_open(&weekend, at(5, 12, 0)) && is_open(&weekend, at(2, 23, 0)));
        assert!(!is_open(&weekend, at(4, 12, 0)));
    }

    #[test]
    fn without_hours_a_node_works_always_and_nothing_changes() {
        assert!(is_open(&[], at(0, 0, 0)));
        assert_eq!(next_change(&[], at(0, 0, 0)), None);
        let always = hours(&["00:00-24:00"]);
        assert_eq!(next_change(&always, at(3, 4, 5)), None);
    }

    #[test]
    fn the_next_change_is_the_next_bound_that_changes_something() {
        let two = hours(&["08:00-12:00", "10:00-18:00"]);
        assert_eq!(next_change(&two, at(0, 7, 30)), Some(at(0, 8, 0)));
        assert_eq!(next_change(&two, at(0, 9, 0)), Some(at(0, 18, 0)), "at 10 and at 12 it stays open");
        assert_eq!(next_change(&two, at(0, 18, 0)), Some(at(1, 8, 0)));
        let weekly = hours(&["mon 08:00-09:00"]);
        assert_eq!(next_change(&weekly, at(0, 9, 0)), Some(at(7, 8, 0)));
        let mid_minute = Timestamp::from_secs(at(0, 8, 59).as_secs() + 59);
        assert_eq!(next_change(&weekly, mid_minute), Some(at(0, 9, 0)));
    }

    #[test]
    fn hours_read_back_and_other_texts_are_refused() {
        for text in ["22:00-06:00", "mon,tue,wed 18:00-08:00", "sat,sun 00:00-24:00"] {
            assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }
        assert_eq!(
            "Fri-Mon 01:00-02:00".parse::<Hours>().unwrap().to_string(),
            "mon,fri,sat,sun 01:00-02:00"
        );
        for bad in [
            "",
            "8-9",
            "08:00",
            "08:00-08:00",
            "24:00-08:00",
            "08:60-09:00",
            "25:00-26:00",
            "+8:00-09:00",
            "mon",
            "day 08:00-09:00",
            "mon- 08:00-09:00",
            "mon  08:00-09:00",
            "08:00-24:01",
            "8:00-9:00",
        ] {
            assert_eq!(bad.parse::<Hours>(), Err(ParseHoursError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn between_now_and_the_next_change_nothing_changes(
            windows in prop::collection::vec((any::<[bool; 7]>(), 0..DAY, 1..=DAY), 1..4),
            now in 0..u64::from(3 * WEEK) * 60,
        ) {
            let hours: Vec<Hours> = windows
                .into_iter()
                .filter(|(_, from, to)| from != to)
                .map(|(days, from, to)| Hours { days, from, to })
                .collect();
            let now = Timestamp::from_secs(now);
            let is_now = is_open(&hours, now);
            let change = next_change(&hours, now);
            let until = change.map_or(u64::from(WEEK), |change| (change.as_secs() - now.as_secs()) / 60);
            for minutes in 0..=until {
                let then = Timestamp::from_secs(now.as_secs() / 60 * 60 + minutes * 60);
                if change.is_none_or(|change| then < change) {
                    prop_assert_eq!(is_open(&hours, then), is_now);
                }
            }
            if let Some(change) = change {
                prop_assert!(change > now && is_open(&hours, change) != is_now);
            }
        }
    }
}
