//! A job as the job file that makes it anew: the other way of reading one.

use serde_json::{Map, Value};

use crate::{
    api::types::GROUP_VARIABLE,
    cli::{text, yaml},
    domain::{
        Acceptance, Deal, Input, InputKind, Resources, SCRATCH_DIR, SUMMARY_FILE, Span, Spec, ToleranceKib,
    },
    escape::line as printable,
};

/// A job as a file, and what such a file cannot say.
#[derive(Debug)]
pub(in crate::cli) struct Written {
    pub(in crate::cli) text: String,
    /// Each in a few words.
    pub(in crate::cli) missing: Vec<String>,
}

/// Writes the file of a job that runs `spec` under `deal`. As with `job rerun`, the job follows nothing up and is no part
/// of a group.
pub(in crate::cli) fn written(spec: &Spec, deal: &Deal) -> Written {
    let mut file = Keys { text: String::new(), missing: Vec::new() };
    program(&mut file, spec);
    room(&mut file, spec);
    terms(&mut file, deal);
    if spec.summary_file != SUMMARY_FILE && deal.summary.is_some() {
        file.put("summary-file", spec.summary_file.as_str());
    }
    Written { text: file.text, missing: file.missing }
}

/// The lines of a file.
struct Keys {
    text: String,
    missing: Vec<String>,
}

impl Keys {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        let pair: Map<String, Value> = [(key.to_owned(), value.into())].into_iter().collect();
        self.text.push_str(&yaml::document(&pair.into()));
    }

    /// Puts a switch, unless it is off.
    fn switch(&mut self, key: &str, is_on: bool) {
        if is_on {
            self.put(key, true);
        }
    }

    /// Puts a list, unless it is empty.
    fn list(&mut self, key: &str, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items.into_iter().collect();
        if !items.is_empty() {
            self.put(key, items);
        }
    }

    fn remark(&mut self, what: &str) {
        self.text.push_str(&["# ", &printable(what), "\n"].concat());
    }

    fn missing(&mut self, what: String) {
        self.remark(&what);
        self.missing.push(what);
    }
}

fn program(file: &mut Keys, spec: &Spec) {
    if spec.image_name != spec.image {
        file.remark(&spec.image_name);
    }
    file.put("image", spec.image.as_str());
    // The flag takes one program; further words of an entrypoint come before the command either way.
    let (program, rest) =
        spec.entrypoint.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    if let Some(program) = program {
        file.put("entrypoint", program.as_str());
    }
    file.list("command", rest.iter().chain(&spec.command).cloned());
    if let Some(dir) = &spec.working_directory {
        file.put("workdir", dir.as_str());
    }
    let variables: Map<String, Value> = spec
        .environment
        .iter()
        .filter(|(name, _)| *name != GROUP_VARIABLE)
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    if !variables.is_empty() {
        file.put("env", variables);
    }
    let (named, sent): (Vec<_>, Vec<_>) = spec.inputs.iter().partition(|input| input.url.is_some());
    let input = |input: &&Input| {
        let url = input.url.as_deref().unwrap_or_default();
        format!("{url}#sha256={}:{}", input.digest, input.target)
    };
    file.list("input", named.iter().map(input));
    for input in sent {
        let what = if input.kind == InputKind::File { "file" } else { "directory" };
        file.missing(format!(
            "input: PATH:{}, a {what} of {} with the content {}, which only its requester has",
            input.target,
            text::bytes(input.bytes),
            input.digest
        ));
    }
}

fn room(file: &mut Keys, spec: &Spec) {
    file.switch("seeded", spec.seeded);
    file.list("text-file", spec.text_files.iter().cloned());
    file.switch("public-result", spec.public_result);
    let Resources { memory_bytes, cpu_millis, pids, disk_bytes, tmp_bytes, scratch_bytes } = spec.resources;
    file.put("memory", size(memory_bytes));
    file.put("cpus", text::thousandths(cpu_millis));
    file.put("pids", pids);
    file.put("tmp", size(tmp_bytes));
    file.put("disk", size(disk_bytes));
    if scratch_bytes > 0 {
        let place =
            if spec.scratch_dir == SCRATCH_DIR { String::new() } else { format!(":{}", spec.scratch_dir) };
        file.put("scratch", size(scratch_bytes) + &place);
    }
    if let Some(platform) = &spec.platform {
        file.put("platform", platform.as_str());
    }
}

/// Every term, also where it is the default: another version may have other defaults, and some depend on others.
fn terms(file: &mut Keys, deal: &Deal) {
    let Deal {
        concurrency,
        confidence,
        tolerance_kib,
        relative_permille,
        method,
        deterministic,
        acceptance,
        price,
        bond,
        keeper_fee,
        open,
        timeout,
        run,
        reveal,
        live_logs,
        allow_list,
        min_paid,
        escalation_limit,
        parent: _,
        require_work,
        cpu_permille,
        canonical,
        summary,
        audit,
    } = deal;
    file.put("concurrency", *concurrency);
    file.put("confidence", *confidence);
    file.put("method", method.to_string());
    file.switch("deterministic", *deterministic);
    if let Some(summary) = summary {
        file.put("summary", summary.to_string());
    }
    if !canonical.is_none() {
        file.put("canonical", canonical.to_string());
    }
    file.switch("require-work", *require_work);
    file.put("tolerance", ToleranceKib(*tolerance_kib).to_string());
    file.put("relative-permille", *relative_permille);
    file.put("cpu-permille", *cpu_permille);
    if let Some(audit) = audit {
        file.put("audit", audit.permille);
        file.put("audit-seats", audit.seats);
    }
    match acceptance {
        Acceptance::Requester => file.put("acceptance", "requester"),
        Acceptance::FirstCome => {
            file.put("acceptance", "first-come");
            if allow_list.is_empty() && min_paid.is_zero() {
                file.put("first-come", "open");
            }
        }
    }
    file.list("allow", allow_list.iter().map(ToString::to_string));
    for (key, amount) in
        [("price", price), ("bond", bond), ("keeper-fee", keeper_fee), ("min-paid", min_paid)]
    {
        if !amount.is_zero() || (key == "bond" && bond != price) {
            file.put(key, amount.to_string());
        }
    }
    for (key, term) in [("open", open), ("timeout", timeout), ("run", run), ("reveal", reveal)] {
        file.put(key, time(*term));
    }
    if *escalation_limit > 0 {
        file.put("escalate", *escalation_limit);
    }
    if *live_logs {
        file.missing("live logs, which no flag asks for".to_owned());
    }
}

/// A time in its largest unit that needs no rounding.
fn time(span: Span) -> String {
    let secs = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| secs > 0 && secs.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{secs}s"), |(unit, name)| format!("{}{name}", secs / unit))
}

/// A size in its largest unit that needs no rounding.
fn size(bytes: u64) -> String {
    let units = [(30, "g"), (20, "m"), (10, "k")];
    let unit = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| bytes.to_string(), |(shift, name)| format!("{}{name}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ffi::OsString, io::Write as _};

    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::{
        api::types::SubmitRequest,
        cli::{
            Cli,
            args::{Command, Format, JobCommand},
            commands::submit,
            job_file::expand,
            output::Output,
        },
        domain::{Amount, Asset, Audit, Digest, JobId, Method, NodeId},
    };

    /// The request that `job submit` makes of a file.
    fn submitted(text: &str) -> SubmitRequest {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let words = ["assay", "job", "submit", "--file"].map(OsString::from).into_iter();
        let words = words.chain([file.path().as_os_str().to_owned()]).collect();
        let words = expand(words, &mut Cli::command()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let Command::Job(JobCommand::Submit(args)) = cli.command else { panic!("no submission") };
        let deal = submit::terms(&args.deal, &args.container, &Asset::Ether).unwrap();
        let environment = submit::environment(&args.container, Output::new(Format::Table, true)).unwrap();
        submit::request(args.image.clone(), args.command.clone(), environment, &args.container, deal)
    }

    fn comes_back(spec: &Spec, deal: &Deal) {
        let file = written(spec, deal);
        assert_eq!(file.missing, [""; 0]);
        let mut wanted = SubmitRequest::again(spec.clone(), Deal { parent: None, ..deal.clone() });
        for input in &mut wanted.inputs {
            // The node finds out.
            input.bytes = 0;
        }
        // The requester's node makes its own secret.
        wanted.deal.audit = wanted.deal.audit.map(|audit| Audit::requested(audit.permille, audit.seats));
        assert_eq!(submitted(&file.text), wanted, "{}", file.text);
    }

    fn everything() -> (Spec, Deal) {
        let input = Input {
            digest: Digest::keccak(b"x"),
            bytes: 5,
            target: "/inputs/table.csv".to_owned(),
            kind: InputKind::File,
            url: Some("https://example.org/a.csv?x=1".to_owned()),
        };
        let variables = [("A", "1"), ("EMPTY", ""), ("WORD", "true"), ("QUOTES", "a \"b\"\n\u{1b}'")];
        let variables: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let spec = Spec::builder(format!("demo@sha256:{}", "0".repeat(64)))
            .image_name("demo:1")
            .entrypoint(["/bin/sh"])
            .command(["-c", "echo $A: 'x'", "", "--", "1.10"])
            .environment(&variables)
            .working_directory("/work")
            .inputs([input])
            .resources(Resources {
                memory_bytes: 3 << 29,
                cpu_millis: 1500,
                pids: 7,
                disk_bytes: 1_000_001,
                tmp_bytes: 32 << 20,
                scratch_bytes: 6 << 30,
            })
            .seeded(true)
            .text_files(["log.txt".to_owned()])
            .public_result(true)
            .summary_file("numbers")
            .scratch_dir("/build")
            .platform(Some("linux/amd64".to_owned()))
            .build()
            .unwrap();
        let timeout = Span::from_secs(61);
        let deal = Deal {
            concurrency: 5,
            confidence: 4,
            tolerance_kib: 1025,
            relative_permille: 12,
            method: Method::Near,
            acceptance: Acceptance::FirstCome,
            price: Amount::new(2_000_000_000_000_000_001).unwrap(),
            bond: Amount::new(3_000_000_000_000_000_000).unwrap(),
            keeper_fee: Amount::new(1).unwrap(),
            open: Span::from_secs(86_400),
            timeout,
            run: Span::from_secs(500),
            reveal: Span::from_secs(90),
            allow_list: vec![NodeId::new([1; 20]), NodeId::new([2; 20])],
            min_paid: Amount::new(9).unwrap(),
            escalation_limit: 15,
            parent: Some(JobId::ZERO),
            require_work: true,
            cpu_permille: 400,
            canonical: "times,uuids".parse().unwrap(),
            summary: Some("rel:10ppm,abs:0.5,exact".parse().unwrap()),
            audit: Some(Audit::requested(100, 6)),
            ..Deal::default()
        };
        (spec, deal)
    }

    #[test]
    fn a_job_file_makes_the_same_job_again() {
        let (spec, deal) = everything();
        comes_back(&spec, &deal);
        comes_back(&Spec::sample(), &Deal::default());
        let open = Deal { acceptance: Acceptance::FirstCome, deterministic: true, ..Deal::default() };
        comes_back(&Spec::sample(), &open);
        for tolerance_kib in (0..3000).chain([u32::MAX]) {
            let text = ToleranceKib(tolerance_kib).to_string();
            assert_eq!(text.parse(), Ok(ToleranceKib(tolerance_kib)), "{text}");
        }
    }

    #[test]
    fn what_only_the_requester_has_is_named() {
        let (mut spec, mut deal) = everything();
        spec.inputs[0].url = None;
        deal.live_logs = true;
        let file = written(&spec, &deal);
        assert_eq!(file.missing.len(), 2, "{:?}", file.missing);
        assert!(file.text.contains("# input: PATH:/inputs/table.csv, a file of 5 B"), "{}", file.text);
        submitted(&file.text);
    }

    #[test]
    fn times_and_sizes_are_exact() {
        let secs = |secs| time(Span::from_secs(secs));
        assert_eq!([secs(0), secs(61), secs(120), secs(7200), secs(86_400)], ["0s", "61s", "2m", "2h", "1d"]);
        assert_eq!(
            [size(0), size(1023), size(1024), size(3 << 29), size(2 << 30)],
            ["0", "1023", "1k", "1536m", "2g"]
        );
    }
}
