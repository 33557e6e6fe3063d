//! The creation code of the contract, and the code that it leaves on a chain: the same at every address, but for the asset,
//! which is written into it.

use alloy::primitives::{Address, B256, Bytes, hex, keccak256};
use alloy_sol_types::SolValue as _;
use serde::Deserialize;

use crate::domain::NodeId;

/// What the compiler made of `contracts/src/JobScheduler.sol`; `scripts/contracts` writes it.
const ARTIFACT: &str = include_str!("../../../contracts/artifacts/JobScheduler.json");

#[derive(Deserialize)]
struct Artifact {
    bytecode: String,
    code: Codes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Codes {
    scheduler: Placed,
    rare_steps: Placed,
}

/// Where in the creation code is what it leaves.
#[derive(Deserialize)]
struct Placed {
    start: usize,
    bytes: usize,
    /// Where in that code the asset is filled in.
    asset: Vec<usize>,
}

/// The Keccak-256 of the code of the contract, and of the second contract that holds its rare steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodeHashes {
    pub(super) scheduler: B256,
    pub(super) rare_steps: B256,
}

fn artifact() -> Artifact {
    serde_json::from_str(ARTIFACT).expect("scripts/contracts writes JSON of this form")
}

/// The constructor's argument: an ERC-20, or zero for ether.
fn word(asset: Option<NodeId>) -> [u8; 32] {
    Address::from(asset.unwrap_or(NodeId::ZERO)).abi_encode().try_into().expect("an address is one word")
}

fn bytecode(artifact: &Artifact) -> Vec<u8> {
    hex::decode(&artifact.bytecode).expect("scripts/contracts writes hex digits")
}

/// The creation code of a contract that counts in this asset; `None` is ether.
pub(super) fn creation_code(asset: Option<NodeId>) -> Bytes {
    [bytecode(&artifact()), word(asset).to_vec()].concat().into()
}

/// The hashes of the code that a deployment with this asset leaves, at whatever address.
pub(super) fn code_hashes(asset: Option<NodeId>) -> CodeHashes {
    let artifact = artifact();
    let creation = bytecode(&artifact);
    let hash = |placed: &Placed| -> B256 {
        let mut code = creation[placed.start..][..placed.bytes].to_vec();
        for at in &placed.asset {
            code[*at..][..32].copy_from_slice(&word(asset));
        }
        keccak256(&code)
    };
    CodeHashes { scheduler: hash(&artifact.code.scheduler), rare_steps: hash(&artifact.code.rare_steps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest creation code that a chain runs.
    const MAX_CREATION_BYTES: usize = 49_152;

    #[test]
    fn the_artefact_holds_whole_code_that_a_chain_takes() {
        let code = creation_code(None);
        assert!((1000..=MAX_CREATION_BYTES).contains(&code.len()), "{}", code.len());
        let CodeHashes { scheduler, rare_steps } = code_hashes(None);
        assert_ne!(scheduler, rare_steps);
        let other = code_hashes(Some(NodeId::new([7; 20])));
        assert!(other.scheduler != scheduler && other.rare_steps != rare_steps, "the asset is part of both");
    }
}
