//! What people read: what led to an error, what to do about it, and sizes.
//!
//! ```
//! use std::io;
//!
//! use assay::{explain::one_line, scheduler::BackendError};
//!
//! let error = BackendError::other(io::Error::other("no route"), true);
//! assert_eq!(one_line(&error), "the backend failed: no route");
//! ```

use std::{error::Error, iter::successors};

/// An error that knows what to do about it.
pub trait Hint {
    /// What to do about it, where there is something.
    fn hint(&self) -> Option<String>;
}

/// An error, and all that led to it.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (*error).source())
}

/// What led to an error, the nearest cause first, without what the message before says already: libraries repeat their
/// sources in their messages.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !said.contains(&message) {
            causes.push(message.clone());
        }
        (said, cause) = (message, error.source());
    }
    causes
}

/// An error and what led to it, on one line.
pub fn one_line(error: &dyn Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

/// A number of bytes in the largest unit that it fills, with one decimal at most.
pub fn bytes(bytes: u64) -> String {
    let (unit, shift) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => ("KiB", 10),
        0x10_0000..0x4000_0000 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let tenths = u128::from(bytes) * 10 / (1 << shift);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Told {
        said: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let told = |said| Told { said, source: io::Error::other("no route") };
        assert_eq!(one_line(&told("the queue is away")), "the queue is away: no route");
        assert_eq!(causes(&told("the queue is away: no route")), Vec::<String>::new());
        assert_eq!(one_line(&io::Error::other("alone")), "alone");
    }
}
