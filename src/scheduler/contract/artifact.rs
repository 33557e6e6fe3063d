//! The code that makes the contract, as the compiler left it.

use alloy::primitives::{Bytes, hex};
use serde::Deserialize;

/// What the compiler made of `contracts/src/JobScheduler.sol`; `scripts/contracts` writes it.
const ARTIFACT: &str = include_str!("../../../contracts/artifacts/JobScheduler.json");

#[derive(Deserialize)]
struct Artifact {
    bytecode: String,
}

/// The code that makes the contract.
pub(super) fn creation_code() -> Bytes {
    let artifact: Artifact =
        serde_json::from_str(ARTIFACT).expect("scripts/contracts writes JSON of this form");
    hex::decode(artifact.bytecode).expect("scripts/contracts writes hex digits").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest contract that a chain takes; the code that makes it is a little longer.
    const MAX_CODE_BYTES: usize = 24_576;

    #[test]
    fn the_artefact_holds_whole_code_that_a_chain_takes() {
        let code = creation_code();
        assert!((1000..MAX_CODE_BYTES + 256).contains(&code.len()), "{}", code.len());
    }
}
