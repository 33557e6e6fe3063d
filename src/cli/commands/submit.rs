//! `assay job submit`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufWriter,
    path::{Path, PathBuf},
};

use super::{
    dry_run,
    group::{self, Then},
    jobs::follow_to_end,
};
use crate::{
    api::types::{GROUP_DIGITS, SubmitReply, SubmitRequest},
    cli::{
        CliError, ExitStatus,
        args::{ContainerArgs, DealArgs, ReplicationArg, SubmitArgs, values},
        asset,
        client::Client,
        ending::Ending,
        environment::{self, Environment},
        fetch::fetch_accepted,
        output::{Output, printable},
        secrets,
        session::{Need, Session, with_node},
        settings::{self, SettingsError},
        sweep::{Plan, Sweep},
        text,
    },
    domain::{
        Asset, Deal, Digest, Input, InputKind, JobState, Resources, SCRATCH_DIR, SUMMARY_FILE, Spec, TooFew,
        UrlScheme,
    },
    policy::replication::Replication,
    store::{self, Limits},
};

/// The longest input: a node's default limit.
const MAX_INPUT_BYTES: u64 = 2 << 30;

/// Submits a job, then waits for it unless the user wants only its id.
pub(in crate::cli) async fn run(args: SubmitArgs, output: Output) -> Result<ExitStatus, CliError> {
    // Everything that can be refused here is refused before anything is sent.
    let asset = if args.dry_run {
        asset::of_plan(&args.deal, &args.asked, output).await?
    } else {
        Some(asset::of_deal(&args.deal, &args.asked, output).await?)
    };
    let deal = terms(&args.deal, &args.container, asset.as_ref().unwrap_or(&Asset::Ether))?;
    let SubmitArgs { image, command, detach, dry_run, output_dir, container, sweep, asked, .. } = args;
    let names_reveal = args.deal.reveal.is_some();
    let replication = match args.replication {
        Some(ReplicationArg::Auto) => Replication::Auto,
        Some(ReplicationArg::Fixed) | None => Replication::Fixed,
    };
    let deal_escalates = deal.escalation_limit > 0;
    let environment = environment(&container, output)?;
    let max_parallel = sweep.max_parallel;
    let sweep = Sweep::of(&sweep, &environment)?;
    let mut request = request(image, command, environment, &container, deal);
    let places = places(&container);
    let spec = check_spec(&request, &places)?;
    request.replication = replication;
    if let Some(sweep) = &sweep {
        check_sweep(sweep, &request, &places)?;
    }
    if dry_run {
        warn_of_secrets(&request, output);
        dry_run::show(&spec, &request.deal, sweep.as_ref(), asset.as_ref(), output)?;
        if replication == Replication::Auto {
            output.note("with --replication auto, your node may give the job to one trusted node and sometimes two more instead");
        }
        return Ok(ExitStatus::Success);
    }
    request.working_directory = spec.working_directory;
    let is_own_requester = settings::requester(&asked)?.is_some();
    if deal_escalates && is_own_requester {
        return Err(SettingsError::NoFollowUp.into());
    }
    if replication == Replication::Auto && is_own_requester {
        return Err(SettingsError::NoMemory.into());
    }
    if let Some(dir) = &output_dir {
        std::fs::create_dir_all(dir).map_err(CliError::file("make the directory", dir))?;
    }
    warn_of_secrets(&request, output);
    with_node(&asked, Need::Images, output, async |session: &Session| {
        let client = session.client();
        if !names_reveal {
            outlast_standstills(client, &mut request.deal).await?;
        }
        send_inputs(session, &places, &mut request, output).await?;
        if let Some(sweep) = &sweep {
            let node = client.node().await.map_err(CliError::node("ask the node who it is"))?;
            let plan = Plan::new(node.id, request.clone(), sweep.clone(), max_parallel);
            let plan = plan.map_err(|source| CliError::Random { source })?;
            let then = if detach { Then::Detach } else { Then::Wait(output_dir.as_deref()) };
            return group::submit(session, &plan, then, output).await;
        }
        let then = if detach { Then::Detach } else { Then::Wait(output_dir.as_deref()) };
        submit(session, &request, then, output).await
    })
    .await
}

/// Submits one job. Shows how it ends, unless the user wants only its id.
pub(super) async fn submit(
    session: &Session,
    request: &SubmitRequest,
    then: Then<'_>,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let client = session.client();
    let reply = client.submit(request).await.map_err(CliError::node("submit the job"))?;
    if reply.too_few.is_some() {
        let node = client.node().await.map_err(CliError::node("ask the node for its asset"))?;
        tell_too_few(&reply, request.deal.audit.is_some(), &node.asset, output);
    }
    tell_unseeded(&reply, output);
    let output_dir = match then {
        Then::Wait(dir) => dir,
        Then::Detach => {
            output.result(&reply, || format!("{}\n", reply.job))?;
            let again = session.wait_command(&text::job(reply.job));
            output.note(&format!("{}\nhint: resume with: {again}", session.without_us()));
            return Ok(ExitStatus::Success);
        }
    };
    announce(&reply, output);
    let job = reply.job.to_string();
    let view = match follow_to_end(session, &[&job], &job, None, output).await? {
        Ok(view) => view,
        Err(status) => return Ok(status),
    };
    let fetched = match output_dir {
        Some(dir) if view.state == JobState::Verified => fetch_accepted(client, &view, dir, output).await,
        Some(_) | None => Ok(Vec::new()),
    };
    let ending = Ending::of(client, view).await?;
    // The output is shown even if the results cannot be fetched.
    match fetched {
        Ok(results) => ending.with_results(results).tell(output),
        Err(error) => ending.tell(output).and(Err(error)),
    }
}

/// The terms of the job, which its container fits.
pub(in crate::cli) fn terms(
    args: &DealArgs,
    container: &ContainerArgs,
    asset: &Asset,
) -> Result<Deal, SettingsError> {
    let deal = settings::deal(args, Deal::default(), asset)?;
    if container.summary_file.is_some() && deal.summary.is_none() {
        return Err(SettingsError::SummaryFileUnused);
    }
    Ok(deal)
}

/// Lengthens the reveal phase to the shortest that the node takes on its chain.
pub(super) async fn outlast_standstills(client: &Client, deal: &mut Deal) -> Result<(), CliError> {
    let node = client.node().await.map_err(CliError::node("ask the node for its limits"))?;
    deal.reveal = node.limits.map_or(deal.reveal, |limits| deal.reveal.max(limits.shortest_reveal));
    Ok(())
}

/// The variables of the job. Warns of those that have no value here.
pub(in crate::cli) fn environment(
    container: &ContainerArgs,
    output: Output,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let own = |name: &str| if name.contains('\0') { None } else { std::env::var_os(name) };
    let Environment { variables, unset } =
        environment::resolve(&container.env_files, &container.environment, own)?;
    for name in unset {
        output.note(&format!(
            "{} is not set in your environment, so the job does not get it",
            printable(&name)
        ));
    }
    Ok(variables)
}

/// Warns of secrets: a job is public, and nothing takes back what was sent.
pub(super) fn warn_of_secrets(request: &SubmitRequest, output: Output) {
    let words = request.entrypoint.iter().chain(&request.command);
    let suspects = secrets::suspects(&request.environment, words);
    let [first, more @ ..] = suspects.as_slice() else { return };
    let others = if more.is_empty() { "looks" } else { "look" };
    let listed = more.iter().fold(first.clone(), |listed, suspect| format!("{listed}, {suspect}"));
    output.warning(
        &format!("{listed} {others} like a secret: every peer can read a job's command and environment"),
        "leave secrets out, or use ones that may become known; a contract keeps them for good",
    );
}

pub(in crate::cli) fn request(
    image: String,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    container: &ContainerArgs,
    deal: Deal,
) -> SubmitRequest {
    SubmitRequest {
        image,
        entrypoint: container.entrypoint.iter().cloned().collect(),
        command,
        environment,
        working_directory: container.workdir.clone(),
        inputs: from_urls(container),
        resources: Resources {
            memory_bytes: container.memory,
            cpu_millis: container.cpus,
            pids: container.pids,
            disk_bytes: container.disk,
            tmp_bytes: container.tmp,
            scratch_bytes: container.scratch.as_ref().map_or(0, |(bytes, _)| *bytes),
        },
        seeded: container.seeded,
        text_files: text_files(container),
        public_result: container.public_result,
        summary_file: container.summary_file.clone().unwrap_or_else(|| SUMMARY_FILE.to_owned()),
        scratch_dir: scratch_dir(container),
        platform: container.platform.clone(),
        deal,
        replication: Replication::Fixed,
    }
}

/// Where the scratch directory is, or would be.
fn scratch_dir(container: &ContainerArgs) -> String {
    let given = container.scratch.as_ref().and_then(|(_, dir)| dir.clone());
    given.unwrap_or_else(|| SCRATCH_DIR.to_owned())
}

/// The text files in the order of a spec.
fn text_files(container: &ContainerArgs) -> Vec<String> {
    let paths: BTreeSet<&String> = container.text_files.iter().collect();
    paths.into_iter().cloned().collect()
}

/// The mounts. A file for a target with a trailing slash goes into that directory under its own name.
pub(super) fn places(container: &ContainerArgs) -> Vec<(PathBuf, String)> {
    let place = |(path, target): &(String, String)| {
        let path = PathBuf::from(path);
        let name = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file());
        let target = match name {
            Some(name) if target.ends_with('/') => format!("{target}{name}"),
            Some(_) | None => target.clone(),
        };
        (path, target)
    };
    container.inputs.iter().filter(|(path, _)| UrlScheme::split(path).is_none()).map(place).collect()
}

/// The inputs that come from URLs. Their lengths are not known yet.
fn from_urls(container: &ContainerArgs) -> Vec<Input> {
    let input = |(text, target): &(String, String)| {
        let (url, digest) = values::pinned_url(text).ok()?;
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("file");
        let target = if target.ends_with('/') { format!("{target}{name}") } else { target.clone() };
        Some(Input { digest, bytes: 0, target, kind: InputKind::File, url: Some(url) })
    };
    container.inputs.iter().filter_map(input).collect()
}

/// Refuses what no node may run before it packs and sends inputs. Their targets are known here, their content is not.
/// Returns the spec with cleaned paths.
pub(super) fn check_spec(
    request: &SubmitRequest,
    places: &[(PathBuf, String)],
) -> Result<Spec, SettingsError> {
    let input = |(_, target): &(PathBuf, String)| Input {
        digest: Digest::ZERO,
        bytes: 0,
        target: target.clone(),
        kind: InputKind::Directory,
        url: None,
    };
    let spec = Spec::builder(&request.image)
        .entrypoint(&request.entrypoint)
        .command(&request.command)
        .environment(&request.environment)
        .inputs(request.inputs.iter().cloned())
        .inputs(places.iter().map(input))
        .resources(request.resources)
        .seeded(request.seeded)
        .text_files(request.text_files.iter().cloned())
        .public_result(request.public_result)
        .summary_file(&request.summary_file)
        .scratch_dir(&request.scratch_dir)
        .platform(request.platform.clone());
    let spec = match &request.working_directory {
        Some(path) => spec.working_directory(path),
        None => spec,
    };
    spec.build().map_err(SettingsError::Spec)
}

/// Refuses a sweep one of whose jobs no node may run.
pub(super) fn check_sweep(
    sweep: &Sweep,
    request: &SubmitRequest,
    places: &[(PathBuf, String)],
) -> Result<(), SettingsError> {
    let longest_name = "0".repeat(GROUP_DIGITS);
    for index in 0..sweep.jobs() {
        let mut job = request.clone();
        job.environment.extend(sweep.variables(&longest_name, index));
        check_spec(&job, places)?;
    }
    Ok(())
}

fn announce(reply: &SubmitReply, output: Output) {
    output.note(&format!("job {}", reply.job));
}

/// Says at once that too few known nodes take on the job.
fn tell_too_few(reply: &SubmitReply, has_audit: bool, asset: &Asset, output: Output) {
    let Some(TooFew { needed, fitting, known, elsewhere, exceeded }) = &reply.too_few else { return };
    let need = if has_audit { "the job and its audit need" } else { "the job needs" };
    let other = (*elsewhere > 0).then(|| format!("{elsewhere} run another platform"));
    let reasons =
        exceeded.iter().map(|one| text::exceeded(one, asset)).chain(other).collect::<Vec<_>>().join("; ");
    let reasons = if reasons.is_empty() { "each allows less of something".to_owned() } else { reasons };
    let have = if fitting == known {
        format!("{known} are known")
    } else {
        format!("{fitting} of the {known} known ones take it: {reasons}")
    };
    output.warning(
        &format!("{need} {needed} nodes, but only {have}"),
        "ask for less, or wait for other nodes until bids close; assay node list shows what each node gives",
    );
}

/// Says at once that the seed of a job does not reach its program.
pub(super) fn tell_unseeded(reply: &SubmitReply, output: Output) {
    let Some(program) = &reply.unseeded_program else { return };
    output.warning(
        &format!(
            "{} is a static program: --seeded changes nothing that it does itself, only what other programs do that it starts",
            printable(program)
        ),
        "use an image whose programs are dynamically linked, or have the program read ASSAY_SEED",
    );
}

/// Uploads the inputs of a job that is about to be submitted, and has the node take those that are at URLs.
pub(super) async fn send_inputs(
    session: &Session,
    places: &[(PathBuf, String)],
    request: &mut SubmitRequest,
    output: Output,
) -> Result<(), CliError> {
    for input in &mut request.inputs {
        let Some(url) = &input.url else { continue };
        let taken = session.client().take_input(url, input.digest, output).await;
        input.bytes = taken.map_err(CliError::node(format!("get the input {url}")))?;
        output.note(&format!("input {url}: {} checked, for {}", text::bytes(input.bytes), input.target));
    }
    for (path, target) in places {
        request.inputs.push(upload(session.client(), path, target, output).await?);
    }
    session.tell_of_the_chain(output);
    Ok(())
}

/// Packs a file or directory and uploads it to the node.
async fn upload(client: &Client, path: &Path, target: &str, output: Output) -> Result<Input, CliError> {
    let bad = |source| CliError::Input { path: path.to_owned(), source };
    let file = tempfile::NamedTempFile::new();
    let file = file.map_err(CliError::file("make a temporary file in", std::env::temp_dir()))?;
    let (source, sink) = (path.to_owned(), file.reopen());
    let sink = sink.map_err(CliError::file("write", file.path()))?;
    let packing = tokio::task::spawn_blocking(move || {
        let mut sink = BufWriter::new(sink);
        let packed = store::pack(&source, &mut sink, &Limits::with_bytes(MAX_INPUT_BYTES))?;
        sink.into_inner().map_err(|error| store::PackError::Write(error.into_error()))?;
        Ok(packed)
    });
    let packed = packing.await.expect("packing does not panic").map_err(bad)?;
    let blob = client.upload(file.path(), packed.bytes).await;
    let blob = blob.map_err(CliError::node(format!("send the input {}", path.display())))?;
    output.note(&format!("input {}: {} sent, for {target}", path.display(), text::bytes(blob.bytes)));
    Ok(Input {
        digest: packed.digest,
        bytes: packed.bytes,
        target: target.to_owned(),
        kind: packed.kind,
        url: None,
    })
}
