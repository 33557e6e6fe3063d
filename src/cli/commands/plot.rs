//! `assay verdict plot`: the curves of a job's runs as a picture, or as one page with the reasons beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::job_name;
use crate::{
    api::types::{JobView, SeatView},
    cli::{
        CliError, ExitStatus,
        args::PlotArgs,
        document::Document,
        ending,
        output::{Output, printable},
        session::{Need, Session, with_node},
        text,
    },
    domain::JobId,
};

/// The page around the picture. Its one style is its own, and it loads nothing.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
     table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;\
     border-bottom:1px solid #d0d7de}.rejected{background:#fdeef3}svg{max-width:100%;height:auto}";

/// A picture, as JSON.
#[derive(Debug, Serialize)]
struct Plotted {
    job: JobId,
    /// The file with the picture, and the one with the page.
    files: Vec<PathBuf>,
    /// The picture itself, if no file was named.
    svg: Option<String>,
}

impl Document for Plotted {}

/// Draws a job's runs.
pub(in crate::cli) async fn run(args: &PlotArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let drawn = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
        let svg = client.plot(&view.job.to_string()).await;
        Ok((view, svg.map_err(CliError::node(format!("draw job {job}")))?))
    });
    let (view, svg) = drawn.await?;
    let mut files = Vec::new();
    let mut save = |path: &Path, content: &str| {
        fs::write(path, content).map_err(CliError::file("write", path))?;
        files.push(path.to_owned());
        Ok::<(), CliError>(())
    };
    if let Some(path) = &args.svg {
        save(path, &svg)?;
    }
    if let Some(path) = &args.html {
        save(path, &page(&view, &svg))?;
    }
    if files.is_empty() && !output.is_document() {
        output.data(svg.as_bytes())?;
        return Ok(ExitStatus::Success);
    }
    for path in &files {
        output.note(&format!("wrote {}", path.display()));
    }
    let svg = files.is_empty().then_some(svg);
    output.result(&Plotted { job: view.job, files, svg }, String::new)?;
    Ok(ExitStatus::Success)
}

/// The picture with the sentence of each run beside it, in one file.
fn page(view: &JobView, svg: &str) -> String {
    let title = escaped(&ending::summary(view));
    let row = |seat: &SeatView| {
        let (verdict, why) = (text::judgement(seat), escaped(seat.reason.as_deref().unwrap_or_default()));
        format!(
            "<tr class=\"{verdict}\"><th scope=\"row\">{}</th><td>{verdict}</td><td>{why}</td></tr>\n",
            text::node(seat.node)
        )
    };
    let rows: String = view.seats.iter().map(row).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<table>\n\
         <tr><th scope=\"col\">Node</th><th scope=\"col\">Verdict</th><th scope=\"col\">Why</th></tr>\n{rows}</table>\n\
         {svg}</html>\n"
    )
}

fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::tests::verified_view;

    #[test]
    fn the_page_has_the_picture_and_a_row_for_each_run() {
        let mut view = verified_view(0);
        view.seats[0].reason = Some("<script>".to_owned());
        let page = page(&view, "<svg/>");
        assert!(
            page.contains("<svg/>") && page.contains("&lt;script&gt;") && !page.contains("<script"),
            "{page}"
        );
        assert_eq!(page.matches("scope=\"row\"").count(), view.seats.len());
    }
}
