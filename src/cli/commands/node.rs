//! `assay node`.

use serde::Serialize;

use crate::{
    api::types::NodeRow,
    cli::{
        CliError, ExitStatus,
        args::NodeArgs,
        document::Document,
        output::{Output, table},
        session::{Need, Session, with_node},
        text,
    },
};

/// The nodes, for programs.
#[derive(Debug, Serialize)]
struct Nodes {
    nodes: Vec<NodeRow>,
}

impl Document for Nodes {}

/// Lists the nodes that the asked one knows.
pub(in crate::cli) async fn list(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let nodes = with_node(args, Need::Answers, output, async |session: &Session| {
        session.client().nodes().await.map_err(CliError::node("list the nodes"))
    });
    let nodes = Nodes { nodes: nodes.await? };
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
    Ok(ExitStatus::Success)
}
