//! Why so many nodes run a job of `--replication auto`, and how sure its result is, in words.

use crate::{
    api::types::{JobView, ReplicationView},
    cli::text,
    domain::{AuditStage, JobState},
    policy::{
        replication::{OwnRun, Plan},
        trust::Level,
    },
};

/// The lines of `job describe`.
pub(super) fn lines(view: &JobView) -> Vec<(&'static str, String)> {
    let Some(replication) = &view.replication else { return Vec::new() };
    let mut lines = vec![("Replication", why(replication.plan.as_ref(), view))];
    lines.extend(sure(replication, view).map(|sure| ("Sure", sure)));
    lines.extend(own_run(replication).map(|own_run| ("Own run", own_run.to_owned())));
    lines
}

fn why(plan: Option<&Plan>, view: &JobView) -> String {
    let Some(plan) = plan else {
        return format!("{} nodes, because the job that it follows up was inconclusive", view.asked);
    };
    let Plan { first, level, compared, needed, known, trusted, wave } = *plan;
    let drawn = format!("{}, drawn among {known} nodes of which {trusted} are trusted,", text::node(first));
    let record = format!("{compared} compared results in a row");
    let because = match level {
        Level::Trusted => format!("{drawn} is trusted: {record}"),
        Level::Untrusted | Level::Stranger => format!("{drawn} is not trusted yet: {record} of {needed}"),
        Level::Doubted | Level::Banned => format!("{drawn} was rejected too often"),
    };
    match (wave.seats, view.deal.concurrency) {
        (1, 1) => format!("1 trusted node, because {because}"),
        (1, seats) => format!("{seats} nodes, because no trusted one bid in time"),
        (seats, _) => format!("{seats} nodes, because {because}"),
    }
}

/// How sure the result is, as far as the verdict and the record of its node say; nothing before the end.
fn sure(replication: &ReplicationView, view: &JobView) -> Option<String> {
    let accepted = view.verdict.as_ref().map_or(0, |verdict| verdict.accepted.len());
    match (view.state, view.audit) {
        (JobState::Verified, AuditStage::Spared) => {
            let ReplicationView { compared, .. } = *replication;
            Some(format!(
                "no other node ran it; its node has {compared} compared results in a row{}",
                at_most(compared)
            ))
        }
        (JobState::Verified, AuditStage::Drawn) => {
            Some(format!("its audit was drawn: {accepted} of {} nodes agree", view.asked))
        }
        (JobState::Verified, AuditStage::None | AuditStage::Undrawn) => {
            Some(format!("{accepted} of {} nodes agree", view.asked))
        }
        (
            JobState::Open
            | JobState::Running
            | JobState::Revealing
            | JobState::Inconclusive
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired,
            _,
        ) => None,
    }
}

/// The rule of three: after n good results in a row, fewer than 3 in n are bad, with 95 % confidence.
fn at_most(compared: u32) -> String {
    match 30_000_u32.checked_div(compared) {
        Some(bound @ ..=9_999) => {
            format!(
                ", so that at most {}.{} % of its results are wrong, with 95 % confidence",
                bound / 100,
                bound % 100 / 10
            )
        }
        Some(_) | None => String::new(),
    }
}

const fn own_run(replication: &ReplicationView) -> Option<&'static str> {
    match replication.own_run {
        None => None,
        Some(OwnRun::Due) => Some("to come, once this node has a free slot"),
        Some(OwnRun::Right) => Some("this node ran it too: the accepted result is right"),
        Some(OwnRun::Wrong) => {
            Some("this node ran it too: the accepted result is WRONG; submit the job again")
        }
        Some(OwnRun::Judged) => Some("this node ran it too, and knows which nodes were right"),
        Some(OwnRun::Nothing) => Some("this node tried; its run says nothing about the others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::failure::tests::verified_view,
        domain::{Deal, NodeId},
        policy::trust::Wave,
    };

    fn view(plan: Option<Plan>, audit: AuditStage, deal: Deal) -> JobView {
        let own_run = Some(OwnRun::Right);
        let replication = Some(ReplicationView { plan, own_run, compared: 40 });
        JobView { replication, audit, deal, ..verified_view(0) }
    }

    fn plan(level: Level, seats: u8) -> Plan {
        let wave = Wave { seats, audit_permille: 100, audit_seats: 2 };
        Plan { first: NodeId::new([7; 20]), level, compared: 12, needed: 20, known: 9, trusted: 4, wave }
    }

    fn said(view: &JobView) -> Vec<String> {
        lines(view).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn a_job_says_why_it_has_so_many_seats_and_how_sure_its_result_is() {
        let one = Deal { concurrency: 1, ..Deal::default() };
        let lone = said(&view(Some(plan(Level::Trusted, 1)), AuditStage::Spared, one.clone()));
        assert!(
            lone[0].contains("of which 4 are trusted, is trusted: 12 compared results in a row"),
            "{lone:?}"
        );
        assert!(lone[1].contains("40 compared results in a row, so that at most 7.5 % of"), "{lone:?}");
        assert!(lone[2].contains("is right"), "{lone:?}");
        let three = Deal { concurrency: 3, ..one };
        let many = said(&view(Some(plan(Level::Untrusted, 3)), AuditStage::None, three.clone()));
        assert!(
            many[0].starts_with("3 nodes")
                && many[0].contains("not trusted yet: 12 compared results in a row of 20")
        );
        let widened = said(&view(Some(plan(Level::Trusted, 1)), AuditStage::None, three));
        assert_eq!(widened[0], "3 nodes, because no trusted one bid in time");
        assert!(said(&verified_view(0)).is_empty(), "its user chose");
    }

    #[test]
    fn few_results_in_a_row_bound_nothing() {
        assert_eq!((at_most(0), at_most(3)), (String::new(), String::new()));
        assert!(at_most(10).contains("30.0 %"));
    }
}
