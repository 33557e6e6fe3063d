//! Transparent huge pages, which change the number of a run's page faults.
//!
//! If the kernel gives huge pages unasked, a fault may bring 2 MiB instead of 4 KiB, depending on how fragmented memory is:
//! the same program has a tenth of the faults on one node. Engines have no switch for it, and a first process of our own in
//! each container would change how commands are found and fail. So a node checks its kernel once and tells its operator.

use std::fs;

use tracing::warn;

/// The kernel writes its current mode in brackets.
const MODE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Warns the operator if the kernel gives huge pages unasked. A kernel without the file has none.
pub(super) fn warn_if_unasked() {
    if fs::read_to_string(MODE).is_ok_and(|mode| are_unasked(&mode)) {
        warn!(
            hint = format!("echo madvise > {MODE}"),
            "the kernel gives huge pages to every program: runs here have fewer page faults than elsewhere, and may be \
             rejected where traces decide"
        );
    }
}

fn are_unasked(mode: &str) -> bool {
    mode.split_ascii_whitespace().any(|word| word == "[always]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_counts() {
        assert!(are_unasked("[always] madvise never\n"));
        assert!(!are_unasked("always [madvise] never\n") && !are_unasked("always madvise [never]\n"));
    }
}
