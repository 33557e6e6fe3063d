//! The `assay` program: parse, run, turn the end into an exit code.

use std::process::ExitCode;

use assay::cli;

fn main() -> std::io::Result<ExitCode> {
    if let Some(status) = cli::complete(std::env::args_os()) {
        return Ok(status.into());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let status = runtime.block_on(cli::run(std::env::args_os()));
    // A second interrupt does not wait for a blocking call.
    runtime.shutdown_background();
    Ok(status.into())
}
