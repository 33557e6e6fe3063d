//! What a run leaves, by name.

use super::tree::Links;
use crate::domain::OUTPUTS_DIR;

/// The file of what the command wrote to its standard output.
pub const STDOUT: &str = "stdout";
/// The file of what it wrote to its standard error; compared with nothing.
pub const STDERR: &str = "stderr";
/// The file of its exit code: a decimal number and a line end.
pub const EXIT_CODE: &str = "exit_code";
/// The file of its memory, CPU time and page faults over the run; compared by fingerprint only.
pub const TRACE: &str = "trace.csv";
/// The directory of what it left in `/outputs`.
pub const OUTPUTS: &str = "outputs";

/// Links of a result are between what is below `outputs/`, which its container knew as `/outputs`.
pub(super) const LINKS: Links<'_> = Links::Below { dir: OUTPUTS, known_as: OUTPUTS_DIR };
