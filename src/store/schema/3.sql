-- Jobs of strangers and failures that were not the node's fault counted: the log is counted anew when it is read.
DELETE FROM reputation;
