//! One running node: its parts, their order of start and stop.
