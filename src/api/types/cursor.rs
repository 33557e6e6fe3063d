//! Pages of lists: how many rows, and after which.

use std::{cmp::Reverse, fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use utoipa::{
    IntoParams, PartialSchema,
    openapi::{
        RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::domain::{JobId, ParseIdError, Timestamp};

/// The most rows of a page.
pub const MAX_ROWS: usize = 10_000;

/// A place in a list of jobs, the newest first and by id among those of one second. The text is the time, a dash and the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The time that the list goes by.
    pub at: Timestamp,
    /// The job.
    pub job: JobId,
}

/// The text is no place in a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It does not begin with a time and a dash.
    #[error("expected the next of an earlier page: a time, a dash and a job")]
    Form,
    /// What follows is no job.
    #[error("expected the next of an earlier page")]
    Job(#[source] ParseIdError),
}

impl Cursor {
    /// What the list is ordered by.
    pub const fn key(self) -> (Reverse<Timestamp>, JobId) {
        (Reverse(self.at), self.job)
    }

    /// Whether this place comes after that one; everything does if there is none.
    pub fn is_after(self, place: Option<Self>) -> bool {
        place.is_none_or(|place| self.key() > place.key())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at, self.job)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (at, job) = text.split_once('-').ok_or(CursorError::Form)?;
        let at = at.parse().map_err(|_| CursorError::Form)?;
        Ok(Self { at: Timestamp::from_secs(at), job: job.parse().map_err(CursorError::Job)? })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// The query of a list that is ordered by a key of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page<K> {
    /// The most rows; 10,000 at most, and if it is not said. Fewer rows are the last page.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The key of the last row of the page before; absent for the first page.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub after: Option<K>,
}

/// As `default` alone, which would ask for a default of the key.
const fn none<T>() -> Option<T> {
    None
}

/// By hand, since the derive does not ask that the key has a schema.
impl<K: PartialSchema> IntoParams for Page<K> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let query = |name: &str, about: &str, form: RefOr<Schema>| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(about))
                .schema(Some(form))
                .build()
        };
        let limit = "The most rows; 10,000 at most, and if it is not said. Fewer rows are the last page.";
        let after = "The key of the last row of the page before; absent for the first page.";
        vec![query("limit", limit, usize::schema()), query("after", after, K::schema())]
    }
}

impl<K: Copy + Ord> Page<K> {
    /// The rows of this page, of a list in ascending order of this key.
    pub fn of<T>(&self, rows: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
        let limit = self.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS);
        let rows = rows.into_iter().skip_while(|row| self.after.is_some_and(|after| key(row) <= after));
        rows.take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(at: u64, job: u8) -> Cursor {
        Cursor { at: Timestamp::from_secs(at), job: JobId::new([job; 32]) }
    }

    #[test]
    fn a_place_reads_back_and_nothing_else_is_one() {
        let place = cursor(u64::MAX, 7);
        let json = serde_json::to_string(&place).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), place);
        for wrong in ["", "-", "7", "7-", "7-0x12", "-0x12", &place.to_string()[1..].replace('-', "+")] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn older_jobs_come_after_newer_ones_and_equal_times_go_by_id() {
        assert!(cursor(1, 1).is_after(None));
        assert!(cursor(1, 1).is_after(Some(cursor(2, 9))));
        assert!(cursor(2, 2).is_after(Some(cursor(2, 1))));
        assert!(!cursor(2, 1).is_after(Some(cursor(2, 1))));
        assert!(!cursor(3, 1).is_after(Some(cursor(2, 9))));
    }

    #[test]
    fn pages_of_a_list_are_the_list() {
        let rows: Vec<u64> = (1..=10).collect();
        for limit in 1..=11 {
            let (mut read, mut after) = (Vec::<u64>::new(), None);
            loop {
                let page = Page { limit: Some(limit), after }.of(rows.iter().copied(), |row| *row);
                after = page.last().copied().or(after);
                read.extend(&page);
                if page.len() < limit {
                    break;
                }
            }
            assert_eq!(read, rows, "{limit}");
        }
        assert_eq!(Page { limit: None, after: Some(8) }.of(rows, |row| *row), [9, 10]);
    }
}
