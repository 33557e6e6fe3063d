//! Groups: the jobs of one sweep, told by two variables that each of them has.
//!
//! The variables stand in the job's public spec. So every log carries its group on every backend, the program can read it,
//! and no node has to remember it. A stranger can use any name, so a group holds only jobs of one requester.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable with the id of the group.
pub const GROUP_VARIABLE: &str = "SWEEP_GROUP";

/// The variable with the job's number in the group, from 0.
pub const INDEX_VARIABLE: &str = "SWEEP_INDEX";

/// The most jobs of a group.
pub const MAX_GROUP_JOBS: u32 = 10_000;

/// The hex digits of a group's id: enough that no two sweeps of a requester share one.
pub const GROUP_DIGITS: usize = 12;

/// A job's place in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Member {
    /// The id of the group, in lower-case hex digits.
    pub group: String,
    /// The job's number in it.
    pub index: u32,
}

impl Member {
    /// The place of a job with these variables; `None` if they name none.
    pub fn of(variables: &BTreeMap<String, String>) -> Option<Self> {
        let group = variables.get(GROUP_VARIABLE).filter(|group| is_group(group))?;
        let text = variables.get(INDEX_VARIABLE)?;
        let index =
            text.parse().ok().filter(|index: &u32| *index < MAX_GROUP_JOBS && index.to_string() == *text);
        Some(Self { group: group.clone(), index: index? })
    }

    /// The variables that say so.
    pub fn variables(&self) -> [(String, String); 2] {
        let of = |name: &str, value: String| (name.to_owned(), value);
        [of(GROUP_VARIABLE, self.group.clone()), of(INDEX_VARIABLE, self.index.to_string())]
    }
}

/// Whether the text is the whole id of a group.
pub fn is_group(text: &str) -> bool {
    text.len() == GROUP_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_say_which_job_of_which_group_it_is_or_nothing() {
        let member = Member { group: "0123456789ab".to_owned(), index: 17 };
        let variables = BTreeMap::from(member.variables());
        assert_eq!(Member::of(&variables), Some(member));
        for (name, value) in [
            (GROUP_VARIABLE, "0123456789AB"),
            (GROUP_VARIABLE, "0123"),
            (INDEX_VARIABLE, "017"),
            (INDEX_VARIABLE, "-1"),
            (INDEX_VARIABLE, "10000"),
            (INDEX_VARIABLE, ""),
        ] {
            let mut wrong = variables.clone();
            wrong.insert(name.to_owned(), value.to_owned());
            assert_eq!(Member::of(&wrong), None, "{name}={value}");
        }
        assert_eq!(Member::of(&BTreeMap::new()), None);
    }
}
