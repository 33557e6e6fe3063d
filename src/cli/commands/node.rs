//! `assay node`.

use serde::Serialize;

use crate::{
    api::types::NodeRow,
    cli::{
        CliError, ExitStatus,
        args::NodeArgs,
        document::Document,
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        text,
    },
    node::Warning,
};

/// The nodes, for programs.
#[derive(Debug, Serialize)]
struct Nodes {
    nodes: Vec<NodeRow>,
    /// What keeps the asked node from its obligations now.
    warnings: Vec<Warning>,
}

impl Document for Nodes {}

/// Lists the nodes that the asked one knows.
pub(in crate::cli) async fn list(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let nodes = with_node(args, Need::Answers, output, async |session: &Session| {
        let nodes = session.client().nodes().await.map_err(CliError::node("list the nodes"))?;
        let info = session.client().node().await.map_err(CliError::node("ask the node about itself"))?;
        Ok(Nodes { nodes, warnings: info.warnings })
    });
    let nodes = nodes.await?;
    output.result(&nodes, || {
        let rows = nodes.nodes.iter().map(|row| {
            let state = if row.is_self {
                "asked"
            } else if row.known {
                "here"
            } else {
                "away"
            };
            vec![
                text::node(row.id),
                state.to_owned(),
                row.accepted.to_string(),
                row.rejected.to_string(),
                row.id.to_string(),
            ]
        });
        table(&["NODE", "STATE", "ACCEPTED", "REJECTED", "ID"], rows)
    })?;
    for warning in nodes.warnings.iter().filter(|_| !output.is_json()) {
        output.note(&format!("warning: {}\nhint: {}", printable(&warning.message), warning.hint));
    }
    Ok(ExitStatus::Success)
}
