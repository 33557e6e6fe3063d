//! What the examples share: a few nodes in this process, on one log in memory, and a job brought to its end.

use std::{error::Error, sync::Arc};

use assay::{
    domain::{Deal, Job, Spec},
    executor::{Executor, NoEngine},
    identity::NodeKey,
    node::{LocalHub, Node, NodeConfig, NodeHandle, NodeParts, Shelf},
    scheduler::Scheduler,
    store::{Blobs, Content, DataDir, Db},
};

/// The bytes that the store of one node may hold.
const STORE_BYTES: u64 = 3 << 29;

/// A requester without slots and one node for each executor run the job to its end; the job as the log then has it.
/// `join` gives a key's way into the log.
pub(crate) async fn run<S: Scheduler>(
    join: impl Fn(&NodeKey) -> S,
    spec: Spec,
    deal: Deal,
    executors: Vec<Arc<dyn Executor>>,
) -> Result<Job, Box<dyn Error>> {
    let hub = Arc::new(LocalHub::default());
    let mut nodes = Vec::new();
    let requester: Arc<dyn Executor> = Arc::new(NoEngine);
    for executor in std::iter::once(requester).chain(executors) {
        let key = NodeKey::generate()?;
        // The requester comes first, and runs nothing.
        let compute_slots = usize::from(!nodes.is_empty());
        nodes.push(start(&hub, join(&key), key, compute_slots, executor).await?);
    }
    let requester = nodes[0].0.node();
    let (job, _image) = requester.submit_job(spec, deal).await?;
    let ended = requester.when(job, |job| job.state.is_terminal()).await;
    for (handle, _dir) in nodes {
        handle.stop_token().cancel();
        handle.join().await?;
    }
    Ok(ended)
}

async fn start(
    hub: &Arc<LocalHub>,
    scheduler: impl Scheduler,
    key: NodeKey,
    compute_slots: usize,
    executor: Arc<dyn Executor>,
) -> Result<(NodeHandle, tempfile::TempDir), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let dir = DataDir::open(directory.path())?;
    let db = Db::open(&dir)?;
    let shelf = Shelf::new(Content::new(db.clone(), Blobs::open(&dir.blobs(), STORE_BYTES)?));
    let transfer = Arc::new(hub.join(key.node_id(), Arc::clone(&shelf)));
    let parts = NodeParts { db, dir, scheduler: Arc::new(scheduler), executor, transfer, shelf, key };
    let config = NodeConfig { compute_slots, ..NodeConfig::default() };
    Ok((Node::start(config, parts).await?, directory))
}
