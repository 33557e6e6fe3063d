//! Where each known node is on the way to a seat in a job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::NodeId;

pub use crate::node::Outlook;

/// One row of `GET /api/v1/jobs/{job}/nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutlookRow {
    /// The node.
    pub node: NodeId,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// Where it is, by the log and by what it says of itself.
    pub outlook: Outlook,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Exceeded, Limit};

    #[test]
    fn a_row_reads_back_with_the_largest_numbers() {
        let exceeded = vec![Exceeded { limit: Limit::Bond, asked: u128::MAX, most: 1 }];
        for outlook in [Outlook::NoBid, Outlook::Refuses { exceeded }] {
            let row = OutlookRow { node: NodeId::new([1; 20]), is_self: true, outlook };
            let text = serde_json::to_string(&row).unwrap();
            assert_eq!(serde_json::from_str::<OutlookRow>(&text).unwrap(), row, "{text}");
        }
    }
}
