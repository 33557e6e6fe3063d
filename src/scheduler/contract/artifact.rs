//! The creation code of the contract, and the code that it leaves on a chain.

use alloy::primitives::{B256, Bytes, hex};
use serde::Deserialize;

/// What the compiler made of `contracts/src/JobScheduler.sol`; `scripts/contracts` writes it.
const ARTIFACT: &str = include_str!("../../../contracts/artifacts/JobScheduler.json");

#[derive(Deserialize)]
struct Artifact {
    bytecode: String,
    code: CodeHashes,
}

/// The Keccak-256 of the code of the contract, and of the second contract that holds its rare steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeHashes {
    pub(super) scheduler: B256,
    pub(super) rare_steps: B256,
}

fn artifact() -> Artifact {
    serde_json::from_str(ARTIFACT).expect("scripts/contracts writes JSON of this form")
}

/// The creation code.
pub(super) fn creation_code() -> Bytes {
    hex::decode(artifact().bytecode).expect("scripts/contracts writes hex digits").into()
}

/// The hashes of the code that a deployment leaves: the same at every address.
pub(super) fn code_hashes() -> CodeHashes {
    artifact().code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest creation code that a chain runs.
    const MAX_CREATION_BYTES: usize = 49_152;

    #[test]
    fn the_artefact_holds_whole_code_that_a_chain_takes() {
        let code = creation_code();
        assert!((1000..=MAX_CREATION_BYTES).contains(&code.len()), "{}", code.len());
        let CodeHashes { scheduler, rare_steps } = code_hashes();
        assert_ne!(scheduler, rare_steps);
    }
}
