//! `GET /api/v1/jobs/{job}/plot`: the curves of a job's runs as one picture, which the dashboard and the command line show.
//!
//! What was revealed in the log is always drawn. The whole curves come from the results, which leave their nodes once the job
//! has ended; a result that is long, slow or kept back is left out.
//!
//! - `traces`: curves of foreign nodes, bounded
//! - `chart`: one chart: scales, axes, lines
//! - `picture`: which charts a job has, and what is on them

mod chart;
mod picture;
mod traces;

use axum::{
    extract::{Path, State},
    http::header,
    response::IntoResponse,
};

use self::picture::{Subject, svg};
use super::{error::Failure, state::Api, view};

/// The picture of a job, as SVG.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/plot",
    responses((status = 200, description = "The picture", body = String, content_type = "image/svg+xml"))
)]
pub(super) async fn plot(
    State(Api { node, .. }): State<Api>,
    Path(job): Path<String>,
) -> Result<impl IntoResponse, Failure> {
    let job = node.find_job(&job)?;
    let view = view::job(&node, job)?;
    let traces = traces::of(&node, &view).await;
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let subject =
        Subject { job, method: view.deal.method, is_over: view.state.is_terminal(), seats: &view.seats };
    Ok((headers, svg(&subject, &traces)))
}
