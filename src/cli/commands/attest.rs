//! `assay attest`: in-toto attestations of a job's accepted runs, and their check with no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    path::Path,
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{check::collect, job_name};
use crate::{
    api::types::{JobView, Judgement, SeatView},
    audit::{
        Finding,
        attestation::{self, AttestationError, Attested, BUNDLE_VERSION, Bundle, MAX_BUNDLE_BYTES, Subject},
    },
    cli::{
        CliError, ExitStatus,
        args::{AttestArgs, AttestCommand, AttestVerifyArgs, FormArg, KeyArgs},
        client::Client,
        document::Document,
        fetch::{fetch, limits, limits_of},
        keys,
        output::{Output, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{Digest, JobId, NodeId},
    identity::NodeKey,
    node::wall_clock,
    store::{Comparison, manifest},
};

/// A file is hashed in pieces of this size.
const PIECE: usize = 64 << 10;

/// Attests a job's accepted runs, or checks attestations.
pub(in crate::cli) async fn run(args: AttestArgs, output: Output) -> Result<ExitStatus, CliError> {
    if let Some(AttestCommand::Verify(args)) = &args.command {
        return verify(args, output);
    }
    let FormArg::InToto = args.format;
    let job = job_name(args.job.as_deref().unwrap_or_default())?;
    let key = args.sign_with.as_ref().map(|path| {
        let passphrase_file = args.asked.key.passphrase_file.clone();
        keys::load(&KeyArgs { key: Some(path.clone()), passphrase_file })
    });
    let key = key.transpose()?;
    let bundle = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        attest(session.client(), job, key.as_ref()).await
    });
    output.file(&bundle.await?)?;
    Ok(ExitStatus::Success)
}

async fn attest(client: &Client, job: &str, key: Option<&NodeKey>) -> Result<Bundle, CliError> {
    let log = collect(client, job).await?;
    let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
    let accepted = |seat: &&SeatView| seat.judgement == Some(Judgement::Accepted);
    let seats: Vec<&SeatView> = view.seats.iter().filter(accepted).collect();
    if seats.is_empty() {
        return Err(CliError::NoResult { job: view.job, state: view.state });
    }
    if let Some(node) = key.map(NodeKey::node_id).filter(|node| seats.iter().all(|seat| seat.node != *node)) {
        return Err(CliError::NotItsKey { job: view.job, node });
    }
    let wrong = |source| CliError::Attestation { place: format!("job {}", text::job(view.job)), source };
    let mut known: BTreeMap<Digest, Vec<Subject>> = BTreeMap::new();
    let mut attestations = Vec::new();
    for seat in seats {
        let subjects = subjects_of(client, &view, seat, &mut known).await?;
        let envelope = attestation::attest(&log, seat.node, subjects, wall_clock()).map_err(wrong)?;
        attestations.push(match key.filter(|key| key.node_id() == seat.node) {
            Some(key) => envelope.signed_by(key).map_err(AttestationError::from).map_err(wrong)?,
            None => envelope,
        });
    }
    Ok(Bundle { version: BUNDLE_VERSION, attestations })
}

/// The files of a seat's result. Equal hashes are of equal files, unless the deal leaves something out of them.
async fn subjects_of(
    client: &Client,
    view: &JobView,
    seat: &SeatView,
    known: &mut BTreeMap<Digest, Vec<Subject>>,
) -> Result<Vec<Subject>, CliError> {
    let is_whole = view.deal.canonical.is_none() && view.deal.summary.is_none();
    let hash = seat.result.map(|result| result.result_hash).filter(|_| is_whole);
    if let Some(subjects) = hash.and_then(|hash| known.get(&hash)) {
        return Ok(subjects.clone());
    }
    let scratch = tempfile::tempdir();
    let scratch = scratch.map_err(CliError::file("make a directory in", std::env::temp_dir()))?;
    let (dir, limits) = (scratch.path().join("result"), limits(view));
    fetch(client, view, seat, &dir).await?;
    let files = tokio::task::spawn_blocking(move || manifest(&dir, &limits));
    let files = files.await.expect("hashing does not panic");
    let files = files.map_err(|source| CliError::Compare { job: view.job, source })?;
    let subjects: Vec<Subject> = files.into_iter().map(|(name, digest)| Subject::new(name, digest)).collect();
    if let Some(hash) = hash {
        known.insert(hash, subjects.clone());
    }
    Ok(subjects)
}

/// The outcome of a check, as JSON.
#[derive(Debug, Serialize)]
struct Verified {
    job: JobId,
    /// How many nodes the attestations prove it of.
    proven: usize,
    threshold: usize,
    attestations: Vec<Row>,
}

impl Document for Verified {}

/// One attestation that holds.
#[derive(Debug, Serialize)]
struct Row {
    node: NodeId,
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
    /// It is the whole result, by the hash in the log.
    Result,
    /// It is a file of the result, by the word of whoever wrote the attestation.
    File,
    /// It is something else.
    Differs,
}

fn verify(args: &AttestVerifyArgs, output: Output) -> Result<ExitStatus, CliError> {
    let mut attested = Vec::new();
    for path in &args.files {
        let wrong = |source| CliError::Attestation { place: path.display().to_string(), source };
        for envelope in &read(path)?.attestations {
            attested.push(attestation::check(envelope, wall_clock()).map_err(wrong)?);
        }
    }
    let Some(job) = attested.first().map(|first| first.job.id) else {
        unreachable!("clap asks for a file, and an empty bundle is refused");
    };
    if let Some(other) = attested.iter().find(|other| other.job.id != job) {
        return Err(CliError::ManyJobs { first: job, other: other.job.id });
    }
    let artifact = args.artifact.as_deref().map(|path| Given::look(path, &attested[0])).transpose()?;
    let rows: Vec<Row> = attested.iter().map(|one| row(one, artifact.as_ref())).collect();
    let proven: BTreeSet<NodeId> = rows.iter().filter(|row| row.is_proven).map(|row| row.node).collect();
    let verified = Verified { job, proven: proven.len(), threshold: args.threshold, attestations: rows };
    output.result(&verified, || shown(&verified))?;
    let rows = &verified.attestations;
    if !output.is_json() {
        if rows.iter().any(|row| row.artifact == Artifact::File && !row.is_signed) {
            output.note(
                "hint: a log proves a whole result; for one file, have the operators of nodes sign: assay attest --sign-with",
            );
        }
        if rows.iter().any(|row| row.log == Finding::NotChecked) {
            output.note(&format!(
                "hint: only a chain can prove this log; ask it: assay verdict check {} --rpc-url URL --contract ADDRESS",
                text::job(job)
            ));
        }
    }
    Ok(if rows.iter().any(|row| row.artifact == Artifact::Differs) {
        ExitStatus::NoResult
    } else if verified.proven >= args.threshold {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

fn row(attested: &Attested, artifact: Option<&Given>) -> Row {
    let Attested { node, is_signed, finding, .. } = *attested;
    let artifact = artifact.map_or(Artifact::NotAsked, |given| given.in_(attested));
    let is_backed = match artifact {
        Artifact::NotAsked | Artifact::Result => true,
        Artifact::File => is_signed,
        Artifact::Differs => false,
    };
    Row { node, log: finding, is_signed, artifact, is_proven: is_backed && finding == Finding::Agrees }
}

fn shown(verified: &Verified) -> String {
    let rows = verified.attestations.iter().map(|row| {
        let log = match row.log {
            Finding::Agrees => "agrees",
            Finding::NotChecked => "not checked",
            Finding::Differs | Finding::Undecided | Finding::Forked | Finding::Broken => "refused",
        };
        let artifact = match row.artifact {
            Artifact::NotAsked => "-",
            Artifact::Result => "the result",
            Artifact::File => "a file of it",
            Artifact::Differs => "something else",
        };
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        vec![
            text::node(row.node),
            log.to_owned(),
            yes_no(row.is_signed),
            artifact.to_owned(),
            yes_no(row.is_proven),
        ]
    });
    let Verified { job, proven, threshold, .. } = verified;
    let nodes = |count: usize| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    format!(
        "{}\njob {}: proven of {}, {} needed\n",
        table(&["NODE", "LOG", "SIGNED", "ARTIFACT", "PROVEN"], rows),
        text::job(*job),
        nodes(*proven),
        nodes(*threshold)
    )
}

/// What the user has.
enum Given {
    /// A whole result, by its hash.
    Result { result_hash: Digest, exit_code: i32 },
    /// A file, by the SHA-256 of its content.
    File(Digest),
}

impl Given {
    /// Looks at it. All attestations are of one job, which says how results are compared.
    fn look(path: &Path, attested: &Attested) -> Result<Self, CliError> {
        if !path.is_dir() {
            return Ok(Self::File(sha256_of(path).map_err(CliError::file("read", path))?));
        }
        let job = &attested.job;
        let comparison = Comparison::of(job.id, &job.deal, &job.spec);
        let found = comparison.look(path, &limits_of(&job.spec), &CancellationToken::new());
        let found = found.map_err(|source| CliError::Compare { job: job.id, source })?;
        Ok(Self::Result { result_hash: found.result_hash, exit_code: found.exit_code })
    }

    fn in_(&self, attested: &Attested) -> Artifact {
        let opening = &attested.opening;
        match self {
            Self::Result { result_hash, exit_code }
                if *result_hash == opening.result_hash && *exit_code == opening.exit_code =>
            {
                Artifact::Result
            }
            Self::File(sha256) if attested.subjects.iter().any(|subject| subject.has(*sha256)) => {
                Artifact::File
            }
            Self::Result { .. } | Self::File(_) => Artifact::Differs,
        }
    }
}

fn sha256_of(path: &Path) -> std::io::Result<Digest> {
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
    file.take(MAX_BUNDLE_BYTES).read_to_end(&mut bytes).map_err(CliError::file("read", path))?;
    let wrong = |source| CliError::Attestation { place: path.display().to_string(), source };
    attestation::parse(&bytes).map_err(wrong)
}
