//! `assay attest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{KeyArgs, NodeArgs, OnChainArgs};
use crate::domain::{JobId, NodeId};

/// `assay attest`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct AttestArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<AttestCommand>,

    /// Id of the job, or a unique prefix of it
    #[arg(required = true)]
    pub(in crate::cli) job: Option<String>,

    /// Form of the attestations
    #[arg(long, value_enum, value_name = "FORM", default_value_t = FormArg::InToto)]
    pub(in crate::cli) format: FormArg,

    /// Sign the attestation of this node, an accepted one, with its key: FILE is the node.key in its data directory
    #[arg(long, value_name = "FILE", required_if_eq("format", "in-toto-link"))]
    pub(in crate::cli) sign_with: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AttestCommand {
    /// Check attestations against the logs in them, and against a file or a result, without asking anybody
    ///
    /// Only a chain can prove the log of a contract's job: name it with --rpc-url and --contract. The exit code is 0 if as many
    /// nodes are proven as --threshold says, 121 if an accepted node left something else than the artifact, and otherwise 125
    Verify(AttestVerifyArgs),
    /// Show the public key, in PEM, that signs the links of the node with this key
    Key(KeyArgs),
}

/// The form of an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FormArg {
    /// In-toto statement v1 with SLSA provenance v1, in a DSSE envelope
    InToto,
    /// In-toto link signed by the node's Ed25519 key, as rebuilderd serves them and repro-threshold reads them
    InTotoLink,
}

/// `assay attest verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AttestVerifyArgs {
    /// File that `attest` wrote; may be repeated, for the attestations of several operators
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,

    /// Address of a builder that you trust; may be repeated. Only these count towards the threshold
    ///
    /// Without it, the attestations do not show who built: anybody can make keys and run a job on them
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) builder: Vec<NodeId>,

    /// Whole id of the job that the attestations must be of
    ///
    /// The id stands for requester, image, inputs and command. Without it, look at those that are printed
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) job: Option<JobId>,

    /// File to find among those of the result, or a directory with a whole result as `results fetch` leaves it
    ///
    /// The logs prove a whole result in all that runs are compared by; the output names the rest. A single file is proven by
    /// the signatures of nodes, so unsigned attestations do not count for it
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) artifact: Option<PathBuf>,

    /// Number of nodes, or of the builders you name, whose attestations must hold
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::values::at_least_one)]
    pub(in crate::cli) threshold: usize,

    #[command(flatten)]
    pub(in crate::cli) chain: OnChainArgs,
}
