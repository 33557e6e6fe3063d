//! `assay dashboard`: an address that opens the pages of a node in a browser.

use serde::Serialize;

use crate::cli::{
    CliError, ExitStatus, args::ApiArgs, client::Client, document::Document, output::Output, settings,
};

/// Where the dashboard is, as JSON.
#[derive(Debug, Serialize)]
struct Opened {
    /// Opens it once.
    url: String,
    /// For so many seconds.
    seconds: u64,
}

impl Document for Opened {}

/// Prints an address that opens the dashboard once. It starts no browser: another user of the machine could read the
/// address among its arguments.
pub(in crate::cli) async fn run(args: &ApiArgs, output: Output) -> Result<ExitStatus, CliError> {
    let client = Client::new(settings::api(args)?, output);
    let reply = client.ticket().await.map_err(CliError::node("ask the node for a ticket"))?;
    let opened =
        Opened { url: format!("{}/#ticket={}", client.address(), reply.ticket), seconds: reply.seconds };
    output.result(&opened, || format!("{}\n", opened.url))?;
    output.note(&format!("open this address in a browser within {} s; it works once", opened.seconds));
    Ok(ExitStatus::Success)
}
