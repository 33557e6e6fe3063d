//! `assay attest`: in-toto attestations of a job's accepted runs, and their check with no network.

mod verify;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{check::collect, check_chain, job_name};
use crate::{
    api::types::{JobView, Judgement, SeatView},
    audit::{
        JobLog, LogDocument,
        attestation::{self, AttestationError, BUNDLE_VERSION, Bundle, Metablock, Subject},
    },
    cli::{
        CliError, ExitStatus,
        args::{AttestArgs, AttestCommand, FormArg, KeyArgs, NodeArgs},
        client::Client,
        document::Document,
        fetch::{fetch, limits},
        keys,
        output::Output,
        session::{Need, Session, with_node},
        settings, text,
    },
    domain::{Digest, JobId, LogDomain, NodeId},
    identity::NodeKey,
    node::wall_clock,
    store::manifest,
};

/// The key that signs a node's links, as JSON.
#[derive(Debug, Serialize)]
struct LinkKey {
    /// In PEM.
    public_key: String,
}

impl Document for LinkKey {}

/// Attests a job's accepted runs, or checks attestations.
pub(in crate::cli) async fn run(args: AttestArgs, output: Output) -> Result<ExitStatus, CliError> {
    match &args.command {
        Some(AttestCommand::Verify(args)) => return verify::run(args, output).await,
        Some(AttestCommand::Key(args)) => {
            let document = LinkKey { public_key: attestation::public_pem(&keys::load(args)?.link_key()) };
            output.result(&document, || document.public_key.clone())?;
            return Ok(ExitStatus::Success);
        }
        None => {}
    }
    let job = job_name(args.job.as_deref().unwrap_or_default())?;
    let key = args.sign_with.as_ref().map(|path| {
        let passphrase_file = args.asked.key.passphrase_file.clone();
        keys::load(&KeyArgs { key: Some(path.clone()), passphrase_file })
    });
    let key = key.transpose()?;
    let written = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let built = attest(session.client(), job, key.as_ref(), output).await?;
        match args.format {
            FormArg::InToto => built.bundle(key.as_ref()).map(Written::Bundle),
            FormArg::InTotoLink => {
                let key = key.as_ref().expect("the command line asks for a key where it asks for a link");
                let chain = chain_of(&built.log, &args.asked).await?;
                built.link(key, chain.as_ref()).map(Written::Link)
            }
        }
        .map_err(|source| CliError::Attestation { place: format!("job {}", text::job(built.job)), source })
    });
    match written.await? {
        Written::Bundle(bundle) => output.file(&bundle)?,
        Written::Link(link) => output.file(&link)?,
    }
    Ok(ExitStatus::Success)
}

/// What is written of a job.
enum Written {
    Bundle(Bundle),
    Link(Metablock),
}

/// The log of a job, and the files of its accepted nodes.
struct Built {
    job: JobId,
    log: LogDocument,
    files: Vec<(NodeId, Vec<Subject>)>,
}

impl Built {
    /// The link of the node with this key. `chain` is what the chain has of the job.
    fn link(&self, key: &NodeKey, chain: Option<&ChainLog>) -> Result<Metablock, AttestationError> {
        let own = self.files.iter().find(|(node, _)| *node == key.node_id());
        let (_, files) = own.expect("a key whose node has no files is refused");
        let chain = chain.map(|(domain, logs)| (*domain, logs.as_slice()));
        attestation::link(&self.log, chain, key, files, wall_clock())
    }

    fn bundle(&self, key: Option<&NodeKey>) -> Result<Bundle, AttestationError> {
        let attested = |(node, files): &(NodeId, Vec<Subject>)| {
            let envelope = attestation::attest(&self.log, *node, files.clone(), wall_clock())?;
            match key.filter(|key| key.node_id() == *node) {
                Some(key) => Ok(envelope.signed_by(key)?),
                None => Ok(envelope),
            }
        };
        let attestations = self.files.iter().map(attested).collect::<Result<_, AttestationError>>()?;
        Ok(Bundle { version: BUNDLE_VERSION, attestations })
    }
}

/// The log of a job and its ancestors, as a chain has it.
type ChainLog = (LogDomain, Vec<JobLog>);

/// What the chain has of a contract's job, if the command line names the chain.
async fn chain_of(log: &LogDocument, asked: &NodeArgs) -> Result<Option<ChainLog>, CliError> {
    let is_named = asked.chain.contract.is_some() && !asked.chain.rpc.rpc_url.is_empty();
    let Some(last) = log.logs.last().filter(|_| is_named && log.domain.contract != NodeId::ZERO) else {
        return Ok(None);
    };
    let (chain, first_block) = settings::chain(&asked.chain)?;
    check_chain::read(&chain.rpc_urls, chain.contract, first_block, last.job).await.map(Some)
}

async fn attest(
    client: &Client,
    job: &str,
    key: Option<&NodeKey>,
    output: Output,
) -> Result<Built, CliError> {
    let log = collect(client, job).await?;
    let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
    let accepted = |seat: &&SeatView| seat.judgement == Some(Judgement::Accepted);
    let seats: Vec<&SeatView> = view.seats.iter().filter(accepted).collect();
    if seats.is_empty() {
        return Err(CliError::NoResult { job: view.job, state: view.state });
    }
    let signer = key.map(NodeKey::node_id);
    if let Some(node) = signer.filter(|node| seats.iter().all(|seat| seat.node != *node)) {
        return Err(CliError::NotItsKey { job: view.job, node });
    }
    let is_whole = view.deal.canonical.is_none() && view.deal.summary.is_none();
    let Gathered { files, missing } =
        gather(&seats, is_whole, async |seat| subjects_of(client, &view, seat).await).await;
    for (node, error) in missing {
        if files.is_empty() || signer == Some(node) {
            return Err(error);
        }
        output.error(&error);
        output.warning(
            &format!("there is no attestation of node {}: its files cannot be had", text::node(node)),
            "attest the job again once that node answers",
        );
    }
    Ok(Built { job: view.job, log, files })
}

/// The files of each node's result, in the order of seats.
#[derive(Debug)]
struct Gathered {
    files: Vec<(NodeId, Vec<Subject>)>,
    /// Whose files nobody has, and why.
    missing: Vec<(NodeId, CliError)>,
}

/// Gathers the files of all these seats. Where `is_whole`, the result hash leaves nothing out, so equal hashes are of equal
/// files: any one node that answers stands for all with its hash.
async fn gather(
    seats: &[&SeatView],
    is_whole: bool,
    subjects: impl AsyncFn(&SeatView) -> Result<Vec<Subject>, CliError>,
) -> Gathered {
    let hash = |seat: &SeatView| seat.result.map(|result| result.result_hash).filter(|_| is_whole);
    let mut known: BTreeMap<Digest, Vec<Subject>> = BTreeMap::new();
    let mut own: BTreeMap<NodeId, Vec<Subject>> = BTreeMap::new();
    let mut failed = Vec::new();
    for seat in seats {
        let hash = hash(seat);
        if hash.is_some_and(|hash| known.contains_key(&hash)) {
            continue;
        }
        match (subjects(seat).await, hash) {
            (Ok(files), Some(hash)) => {
                known.insert(hash, files);
            }
            (Ok(files), None) => {
                own.insert(seat.node, files);
            }
            (Err(error), _) => failed.push((seat.node, error)),
        }
    }
    let files: Vec<(NodeId, Vec<Subject>)> = seats
        .iter()
        .filter_map(|seat| {
            let files = own.get(&seat.node).or_else(|| known.get(&hash(seat)?))?;
            Some((seat.node, files.clone()))
        })
        .collect();
    failed.retain(|(node, _)| files.iter().all(|(has, _)| has != node));
    Gathered { files, missing: failed }
}

/// The files of a seat's result, fetched and checked.
async fn subjects_of(client: &Client, view: &JobView, seat: &SeatView) -> Result<Vec<Subject>, CliError> {
    let scratch = tempfile::tempdir();
    let scratch = scratch.map_err(CliError::file("make a directory in", std::env::temp_dir()))?;
    let (dir, limits) = (scratch.path().join("result"), limits(view));
    fetch(client, view, seat, &dir).await?;
    let files = tokio::task::spawn_blocking(move || manifest(&dir, &limits));
    let files = files.await.expect("hashing does not panic");
    let files = files.map_err(|source| CliError::Compare { job: view.job, source })?;
    Ok(files.into_iter().map(|(name, digest)| Subject::new(name, digest)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::types::{ResultView, SeatState},
        domain::{Amount, JobState},
    };

    /// A seat of the node with this number, and the hash of its result.
    fn seat(number: u8, hash: u8) -> SeatView {
        let result = ResultView {
            exit_code: 0,
            result_hash: Digest::new([hash; 32]),
            output_root: Digest::ZERO,
            memory_kib: None,
            cpu_ms: None,
            faults: None,
            summary: None,
        };
        SeatView {
            seat: number,
            node: node(number),
            price: Amount::ZERO,
            status: SeatState::Revealed,
            failure: None,
            result: Some(result),
            score: None,
            judgement: Some(Judgement::Accepted),
            reason: None,
            measured: None,
        }
    }

    fn node(number: u8) -> NodeId {
        NodeId::new([number; 20])
    }

    /// Whose files are there and whose are not, while these nodes do not answer.
    async fn gathered(seats: &[SeatView], is_whole: bool, absent: &[u8]) -> (Vec<NodeId>, Vec<NodeId>) {
        let seats: Vec<&SeatView> = seats.iter().collect();
        let found = gather(&seats, is_whole, async |seat| {
            if absent.contains(&seat.seat) {
                return Err(CliError::NoResult { job: JobId::ZERO, state: JobState::Verified });
            }
            let hash = seat.result.unwrap().result_hash;
            Ok(vec![Subject::new("stdout".to_owned(), hash)])
        });
        let Gathered { files, missing } = found.await;
        for (node, files) in &files {
            let seat = seats.iter().find(|seat| seat.node == *node).unwrap();
            assert!(files[0].has(seat.result.unwrap().result_hash), "the files are those of its hash");
        }
        (
            files.into_iter().map(|(node, _)| node).collect(),
            missing.into_iter().map(|(node, _)| node).collect(),
        )
    }

    #[tokio::test]
    async fn an_absent_node_keeps_no_attestation_of_its_hash_away() {
        let seats = [seat(1, 9), seat(2, 9), seat(3, 9)];
        let all = vec![node(1), node(2), node(3)];
        for absent in [&[][..], &[1], &[1, 2], &[3]] {
            assert_eq!(gathered(&seats, true, absent).await, (all.clone(), vec![]), "{absent:?}");
        }
        assert_eq!(gathered(&seats, true, &[1, 2, 3]).await, (vec![], all));
    }

    #[tokio::test]
    async fn files_that_only_an_absent_node_has_keep_only_its_attestation_away() {
        let own_hash = [seat(1, 8), seat(2, 9), seat(3, 9)];
        assert_eq!(gathered(&own_hash, true, &[1]).await, (vec![node(2), node(3)], vec![node(1)]));
        // The hash leaves something out, so nobody stands for another.
        let same_hash = [seat(1, 9), seat(2, 9), seat(3, 9)];
        assert_eq!(gathered(&same_hash, false, &[2]).await, (vec![node(1), node(3)], vec![node(2)]));
    }
}
