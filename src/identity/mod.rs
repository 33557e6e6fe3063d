//! One secp256k1 key a node: its address, its signatures and its peer id.
