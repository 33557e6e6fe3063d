//! Which of N runs of one job agree: the output gate, then the scorers.
