//! `assay job rerun`: a job once more, as its log has it.

use super::{group::Then, job_name, submit::submit};
use crate::{
    api::types::{GROUP_VARIABLE, JobView, SubmitRequest},
    cli::{
        CliError, ExitStatus,
        args::RerunArgs,
        output::Output,
        session::{Need, Session, with_node},
    },
    domain::Deal,
};

/// Submits a job again.
pub(in crate::cli) async fn run(args: &RerunArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    if let Some(dir) = &args.output_dir {
        std::fs::create_dir_all(dir).map_err(CliError::file("make the directory", dir))?;
    }
    with_node(&args.asked, Need::Images, output, async |session: &Session| {
        let view = session.client().job(job).await.map_err(CliError::node(format!("find job {job}")))?;
        let then = if args.detach { Then::Detach } else { Then::Wait(args.output_dir.as_deref()) };
        submit(session, &request(view), then, output).await
    })
    .await
}

/// The request that makes the same job anew. It follows nothing up, and is no part of a group: that has its jobs already.
fn request(view: JobView) -> SubmitRequest {
    let mut spec = view.spec;
    spec.environment.remove(GROUP_VARIABLE);
    SubmitRequest::again(spec, Deal { parent: None, ..view.deal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::types::{INDEX_VARIABLE, Member},
        cli::failure::tests::verified_view,
        domain::JobId,
    };

    #[test]
    fn a_job_is_made_anew_outside_of_its_group_and_line() {
        let mut view = verified_view(0);
        view.spec.environment.extend(Member { group: "0123456789ab".to_owned(), index: 7 }.variables());
        view.deal.parent = Some(JobId::ZERO);
        let (spec, deal) = (view.spec.clone(), view.deal.clone());
        let again = request(view);
        assert_eq!((again.image, again.command, again.resources), (spec.image, spec.command, spec.resources));
        assert_eq!(again.deal, Deal { parent: None, ..deal });
        assert_eq!(Member::of(&again.environment), None);
        assert_eq!(again.environment[INDEX_VARIABLE], "7", "the program may need it");
    }
}
