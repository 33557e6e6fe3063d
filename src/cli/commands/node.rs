//! `assay node`.

use super::client;
use crate::cli::{
    CliError, ExitStatus,
    args::ApiArgs,
    output::{Output, table},
    text,
};

/// Lists the nodes that the asked one knows.
pub(in crate::cli) async fn list(args: &ApiArgs, output: Output) -> Result<ExitStatus, CliError> {
    let client = client(args)?;
    let nodes = client.nodes().await.map_err(CliError::node("list the nodes"))?;
    output.result(&nodes, || {
        let rows = nodes.iter().map(|row| {
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
