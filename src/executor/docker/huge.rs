//! Transparent huge pages, which change how many page faults a run has.
//!
//! Where the kernel gives huge pages that nobody asked for, a fault brings 2 MiB instead of 4 KiB if memory is not
//! fragmented: the same program has a tenth of the faults on one node and all of them on another. Engines have no switch
//! for it, and an own first process in each container would change how commands are found and fail. So a node looks at its
//! kernel once, and tells its operator.

use std::fs;

use tracing::warn;

/// Which of its modes the kernel is in stands in brackets.
const MODE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Tells the operator of a kernel that gives huge pages unasked. One without the file has none.
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
