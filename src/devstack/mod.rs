//! Several nodes in one process, some of them bad, to try and test a network.
