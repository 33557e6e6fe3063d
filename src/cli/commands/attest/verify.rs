//! `assay attest verify`: what attestations show to somebody who has nothing but files.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{
        AuditError, Finding,
        attestation::{self, AttestationError, Attested, Bundle, MAX_BUNDLE_BYTES, Subject},
        on_chain,
    },
    cli::{
        CliError, ExitStatus,
        args::{AttestVerifyArgs, OnChainArgs},
        commands::check_chain,
        document::Document,
        fetch::limits_of,
        output::{Output, table},
        text,
    },
    domain::{Digest, JobId, NodeId, Opening, Spec},
    node::wall_clock,
    store::{self, Compared, Comparison, Limits},
};

#[cfg(test)]
mod tests;

/// A file is hashed in pieces of this size.
const PIECE: usize = 64 << 10;

/// The outcome of a check, as JSON.
#[derive(Debug, Serialize)]
struct Verified {
    job: JobId,
    /// Who chose what ran.
    requester: NodeId,
    /// What ran.
    spec: Spec,
    /// The contract whose chain was asked; null where none was.
    contract: Option<NodeId>,
    /// How many nodes the attestations prove it of; with `--builder`, how many of those.
    proven: usize,
    threshold: usize,
    attestations: Vec<Row>,
    /// What of the directory could be anything, as far as the attestations that count say.
    not_compared: Vec<String>,
}

impl Document for Verified {}

/// One attestation that holds.
#[derive(Debug, Serialize)]
struct Row {
    node: NodeId,
    /// Whether it is one of the builders that the user names; null where none is named.
    is_builder: Option<bool>,
    /// What the log in it comes to by itself.
    log: Finding,
    is_signed: bool,
    artifact: Artifact,
    is_proven: bool,
}

/// What an attestation says of the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Artifact {
    /// None was given.
    NotAsked,
    /// It is the whole result, byte for byte, by the root in the log.
    Identical,
    /// It is the result in all that runs of this job are compared by, by the hash in the log.
    Result,
    /// It is a file of the result, by the word of whoever wrote the attestation.
    File,
    /// It is the result, but the attestation names other files than it has.
    OtherFiles,
    /// It is something else.
    Differs,
}

pub(super) async fn run(args: &AttestVerifyArgs, output: Output) -> Result<ExitStatus, CliError> {
    let mut attested = Vec::new();
    for path in &args.files {
        let wrong = |source| CliError::Attestation { place: path.display().to_string(), source };
        for envelope in &read(path)?.attestations {
            attested.push(attestation::check(envelope, wall_clock()).map_err(wrong)?);
        }
    }
    let Some(ran) = attested.first().map(|first| &first.job) else {
        unreachable!("clap asks for a file, and an empty bundle is refused");
    };
    let (job, requester, spec, deal) = (ran.id, ran.requester, ran.spec.clone(), ran.deal.clone());
    if let Some(wanted) = args.job.filter(|wanted| *wanted != job) {
        return Err(CliError::OtherJob { wanted, found: job });
    }
    if let Some(other) = attested.iter().find(|other| other.job.id != job) {
        return Err(CliError::ManyJobs { first: job, other: other.job.id });
    }
    attestation::one_log(&attested)
        .map_err(|source| CliError::Attestation { place: format!("job {}", text::job(job)), source })?;
    let contract = ran_on(&attested);
    ask_chain(&mut attested, job, &args.chain).await?;
    let comparison = Comparison::of(job, &deal, &spec);
    let given = args.artifact.as_deref().map(|path| Given::look(path, &comparison, &limits_of(&spec)));
    let given = given.transpose()?;
    let builders: BTreeSet<NodeId> = args.builder.iter().copied().collect();
    let rows: Vec<Row> = attested.iter().map(|one| Row::of(one, given.as_ref(), &builders)).collect();
    let is_unsigned = rows.iter().any(|row| row.counts() && !row.is_signed);
    let is_partial = rows.iter().any(|row| row.counts() && row.artifact == Artifact::Result);
    let verified = Verified {
        job,
        requester,
        spec: Arc::unwrap_or_clone(spec),
        contract: args.chain.contract,
        proven: proven(&rows),
        threshold: args.threshold,
        attestations: rows,
        not_compared: if is_partial { comparison.left_out() } else { Vec::new() },
    };
    output.result(&verified, || shown(&verified))?;
    warn(&verified, args, output);
    if is_unsigned && given.is_none() {
        output.warning(
            "the files that the attestations name, and their hashes, are the word of whoever wrote them: nodes did not sign",
            "give the result itself with --artifact, or have operators sign: assay attest --sign-with",
        );
    }
    if let Some(contract) = contract.filter(|_| verified.attestations.iter().any(Row::is_unchecked)) {
        output.warning(
            "only a chain can prove the log of this job, and none was asked",
            &format!("name it: assay attest verify .. --rpc-url URL --contract {contract}"),
        );
    }
    Ok(exit_status(&verified.attestations, args.threshold))
}

/// The contract that ordered the job; `None` where its requester did.
fn ran_on(attested: &[Attested]) -> Option<NodeId> {
    let contract = attested.first()?.log.domain.contract;
    (contract != NodeId::ZERO).then_some(contract)
}

/// Compares each log with what the named chain has of the job, entry by entry.
async fn ask_chain(attested: &mut [Attested], job: JobId, chain: &OnChainArgs) -> Result<(), CliError> {
    let Some(contract) = chain.contract else { return Ok(()) };
    let refused = |one: &Attested, source| CliError::Audit {
        log: format!("the log in the attestation of node {}", text::node(one.node)),
        source,
    };
    // No chain has what a requester ordered.
    if let Some(one) = attested.iter().find(|one| one.log.domain.contract == NodeId::ZERO) {
        return Err(refused(one, AuditError::NotOnChain));
    }
    let (domain, logs) = check_chain::read(&chain.rpc_url, contract, chain.first_block, job).await?;
    for one in attested {
        on_chain::compare(&one.log, domain, &logs).map_err(|source| refused(one, source))?;
        // The chain has these entries, and the rules made an accepted seat of them.
        one.finding = Finding::Agrees;
    }
    Ok(())
}

/// Says what nobody can see in attestations alone: whose keys these are, and whether this is the job that was meant.
fn warn(verified: &Verified, args: &AttestVerifyArgs, output: Output) {
    if args.builder.is_empty() {
        output.warning(
            "this does not show who built: anybody can make keys, run a job on them, and attest it",
            "name builders that you trust, by the addresses that they publish: --builder ADDRESS",
        );
    }
    if args.job.is_none() {
        output.warning(
            &format!(
                "this does not show that it is the build you want: requester {} chose the image, the inputs and the command",
                verified.requester
            ),
            "look at them, or name the job by the id that somebody you trust publishes: --job ID",
        );
    }
    let rows = &verified.attestations;
    if output.is_document() {
        return;
    }
    if rows.iter().any(|row| row.artifact == Artifact::File && !row.is_signed) {
        output.note(
            "hint: a log proves a whole result; for one file, have the operators of nodes sign: assay attest --sign-with",
        );
    }
}

impl Row {
    fn of(attested: &Attested, given: Option<&Given>, builders: &BTreeSet<NodeId>) -> Self {
        let Attested { node, is_signed, finding, .. } = *attested;
        let artifact =
            given.map_or(Artifact::NotAsked, |given| given.in_(&attested.opening, &attested.subjects));
        let is_backed = match artifact {
            Artifact::NotAsked | Artifact::Identical | Artifact::Result => true,
            Artifact::File => is_signed,
            Artifact::OtherFiles | Artifact::Differs => false,
        };
        Self {
            node,
            is_builder: (!builders.is_empty()).then(|| builders.contains(&node)),
            log: finding,
            is_signed,
            artifact,
            is_proven: is_backed && finding == Finding::Agrees,
        }
    }

    /// Whether only a chain can say what its log is worth.
    fn is_unchecked(&self) -> bool {
        self.log == Finding::NotChecked
    }

    /// Whether it counts towards the threshold, if it is proven.
    fn counts(&self) -> bool {
        self.is_builder != Some(false)
    }
}

/// How many nodes that count are proven. Each counts once, however many attestations it has.
fn proven(rows: &[Row]) -> usize {
    let nodes = rows.iter().filter(|row| row.counts() && row.is_proven).map(|row| row.node);
    nodes.collect::<BTreeSet<NodeId>>().len()
}

/// Right results of a job may differ, as its deal says, so a node with another one only does not count.
fn exit_status(rows: &[Row], threshold: usize) -> ExitStatus {
    let differs =
        |row: &Row| row.counts() && matches!(row.artifact, Artifact::OtherFiles | Artifact::Differs);
    if proven(rows) >= threshold {
        ExitStatus::Success
    } else if rows.iter().any(differs) {
        ExitStatus::NoResult
    } else {
        ExitStatus::Failure
    }
}

fn shown(verified: &Verified) -> String {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows = verified.attestations.iter().map(|row| {
        let log = match row.log {
            Finding::Agrees => "agrees",
            Finding::NotChecked => "not checked",
            Finding::Differs | Finding::Undecided | Finding::Forked | Finding::Broken => "refused",
        };
        let artifact = match row.artifact {
            Artifact::NotAsked => "-",
            Artifact::Identical => "the result, byte for byte",
            Artifact::Result => "the result, in what is compared",
            Artifact::File => "a file of it",
            Artifact::OtherFiles => "the result, but not the files it names",
            Artifact::Differs => "something else",
        };
        vec![
            text::node(row.node),
            row.is_builder.map_or_else(|| "-".to_owned(), yes_no),
            log.to_owned(),
            yes_no(row.is_signed),
            artifact.to_owned(),
            yes_no(row.is_proven),
        ]
    });
    let Verified { job, requester, spec, proven, threshold, not_compared, .. } = verified;
    let words = [spec.entrypoint.as_slice(), &spec.command].concat();
    let command = if words.is_empty() { "that of the image".to_owned() } else { text::command(&words) };
    let inputs: Vec<String> = spec
        .inputs
        .iter()
        .map(|input| {
            let from = input.url.as_deref().map(|url| format!(" from {url}")).unwrap_or_default();
            format!("input:     {} {}{from}\n", input.target, input.digest)
        })
        .collect();
    let unproven = match not_compared.as_slice() {
        [] => String::new(),
        parts => format!("not compared, and so not proven: {}\n", parts.join("; ")),
    };
    let is_of_builders = verified.attestations.iter().any(|row| row.is_builder.is_some());
    let (of, plural) = (if is_of_builders { "builder" } else { "node" }, if *proven == 1 { "" } else { "s" });
    format!(
        "{}\njob:       {job}\nrequester: {requester}\nimage:     {} ({})\ncommand:   {command}\n{}{unproven}\
         proven of {proven} {of}{plural}, {threshold} needed\n",
        table(&["NODE", "BUILDER", "LOG", "SIGNED", "ARTIFACT", "PROVEN"], rows),
        spec.image_name,
        spec.image,
        inputs.concat(),
    )
}

/// What the user has.
enum Given {
    /// A whole result: what runs are compared by, the root of its archive, if it can be one, and its files.
    Result { compared: Compared, root: Option<Digest>, files: Vec<Subject>, is_whole: bool },
    /// A file, by the SHA-256 of its content.
    File(Digest),
}

impl Given {
    /// Looks at it. All attestations are of one job, which says how results are compared.
    fn look(path: &Path, comparison: &Comparison, limits: &Limits) -> Result<Self, CliError> {
        let metadata = fs::metadata(path).map_err(CliError::file("read", path))?;
        if metadata.is_file() {
            return Ok(Self::File(sha256_of(path).map_err(CliError::file("read", path))?));
        }
        if !metadata.is_dir() {
            return Err(CliError::NoFile { path: path.to_owned() });
        }
        let no_result = |source| CliError::NotAResult { path: path.to_owned(), source };
        let compared = comparison.look(path, limits, &CancellationToken::new()).map_err(no_result)?;
        let files = store::manifest(path, limits).map_err(no_result)?;
        let files = files.into_iter().map(|(name, digest)| Subject::new(name, digest)).collect();
        let root = match store::pack(path, &mut io::sink(), limits) {
            Ok(packed) => Some(packed.digest),
            Err(error) => {
                tracing::debug!(%error, "the directory has a result in it, and more than a result has");
                None
            }
        };
        let is_whole = comparison.canonical.is_none() && comparison.summary.is_none();
        Ok(Self::Result { compared, root, files, is_whole })
    }

    fn in_(&self, opening: &Opening, subjects: &[Subject]) -> Artifact {
        match self {
            Self::Result { compared, .. } if !compared.is_revealed_by(opening) => Artifact::Differs,
            Self::Result { root, files, is_whole, .. } => {
                let is_identical = *root == Some(opening.output_root);
                // Where nothing is masked, all that have this hash have these files.
                match (is_identical, *is_whole) {
                    (true, _) | (_, true) if files != subjects => Artifact::OtherFiles,
                    (true, _) => Artifact::Identical,
                    (false, _) => Artifact::Result,
                }
            }
            Self::File(sha256) if subjects.iter().any(|subject| subject.has(*sha256)) => Artifact::File,
            Self::File(_) => Artifact::Differs,
        }
    }
}

fn sha256_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest::new(hasher.finalize().into())),
            count => hasher.update(&piece[..count]),
        }
    }
}

fn read(path: &Path) -> Result<Bundle, CliError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(CliError::file("read", path))?;
    file.take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut bytes).map_err(CliError::file("read", path))?;
    let wrong = |source| CliError::Attestation { place: path.display().to_string(), source };
    if bytes.len() as u64 > MAX_BUNDLE_BYTES {
        return Err(wrong(AttestationError::TooLong));
    }
    attestation::parse(&bytes).map_err(wrong)
}
