//! Lists of a node, read page by page.

use serde::{Serialize, de::DeserializeOwned};

use super::{Client, ClientError};
use crate::{
    api::types::{Cursor, EarningsReply, JobFilter, JobList, MAX_GROUP_JOBS, Page},
    domain::Timestamp,
};

/// Rows of a page. A page of the longest rows fits into a reply many times.
const PAGE: usize = 1000;

impl Client {
    /// The jobs that are wanted.
    pub(in crate::cli) async fn jobs(&self, wanted: &JobFilter) -> Result<JobList, ClientError> {
        let most = wanted.limit.unwrap_or(usize::MAX);
        let (mut jobs, mut known, mut after) = (Vec::new(), None, wanted.after);
        loop {
            let left = most - jobs.len();
            let page = JobFilter { limit: Some(PAGE.min(left)), after, ..wanted.clone() };
            let request = self.http.get(self.url(&["jobs"])).query(&page);
            let JobList { total, jobs: rows, next } = self.json(request).await?;
            let total = *known.get_or_insert(total);
            jobs.extend(rows.into_iter().take(left));
            match next {
                Some(_) if jobs.len() < most => after = self.going_on(after, next)?,
                Some(_) | None => return Ok(JobList { total, jobs, next }),
            }
        }
    }

    /// The jobs of the node's own groups whose id begins so.
    pub(in crate::cli) async fn group(&self, group: &str) -> Result<JobList, ClientError> {
        let limit = usize::try_from(MAX_GROUP_JOBS).ok();
        self.jobs(&JobFilter { group: Some(group.to_owned()), limit, ..JobFilter::default() }).await
    }

    /// What jobs that ended since then brought the node.
    pub(in crate::cli) async fn earnings(&self, since: Timestamp) -> Result<EarningsReply, ClientError> {
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let mut query = vec![("since", since.to_string()), ("limit", PAGE.to_string())];
            query.extend(after.map(|after: Cursor| ("after", after.to_string())));
            let request = self.http.get(self.url(&["node", "earnings"])).query(&query);
            let page: EarningsReply = self.json(request).await?;
            jobs.extend(page.jobs);
            if page.next.is_none() {
                return Ok(EarningsReply { jobs, ..page });
            }
            after = self.going_on(after, page.next)?;
        }
    }

    /// All rows of a list that is ordered by a key of them.
    pub(super) async fn every<T: DeserializeOwned, K: Copy + Ord + Serialize>(
        &self,
        path: &[&str],
        key: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, ClientError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let query = Page { limit: Some(PAGE), after };
            let page: Vec<T> = self.json(self.http.get(self.url(path)).query(&query)).await?;
            let last = page.last().map(&key);
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
            if last <= after {
                return Err(self.stuck());
            }
            after = last;
        }
    }

    /// The place where a page ended, which lies behind the one where it began.
    fn going_on(&self, after: Option<Cursor>, next: Option<Cursor>) -> Result<Option<Cursor>, ClientError> {
        if next.is_some_and(|next| next.is_after(after)) { Ok(next) } else { Err(self.stuck()) }
    }

    fn stuck(&self) -> ClientError {
        let problem = "a page of its list does not go on where the page before ended".to_owned();
        ClientError::Foreign { api: self.address().to_owned(), problem }
    }
}
