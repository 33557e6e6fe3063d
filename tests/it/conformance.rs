//! What every scheduler backend must do: one suite, run against each of them.
