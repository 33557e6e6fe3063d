//! What an artifact is to an attestation, and which attestations count.

use std::fs;

use super::*;

const LIMITS: Limits = Limits::with_bytes(1 << 20);

fn result() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("outputs")).unwrap();
    for (name, content) in [
        ("stdout", "built at 10:06:27\n"),
        ("stderr", "noise"),
        ("exit_code", "0\n"),
        ("trace.csv", "1,2"),
        ("outputs/program", "program"),
        ("outputs/summary", "3.1\n"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// What the result is to an attestation of it, after a change of one of its files.
fn changed(comparison: &Comparison, file: &str, content: &str) -> Artifact {
    let dir = result();
    let Given::Result { compared, root, files, .. } = Given::look(dir.path(), comparison, &LIMITS).unwrap()
    else {
        unreachable!("it is a directory")
    };
    let opening = Opening {
        result_hash: compared.result_hash,
        output_root: root.unwrap(),
        exit_code: compared.exit_code,
        summary: compared.summary_word(),
        ..Opening::sample(1)
    };
    fs::write(dir.path().join(file), content).unwrap();
    Given::look(dir.path(), comparison, &LIMITS).unwrap().in_(&opening, &files)
}

#[test]
fn a_changed_directory_is_the_result_in_no_more_than_what_runs_are_compared_by() {
    let plain = Comparison::plain(JobId::ZERO);
    assert_eq!(changed(&plain, "stderr", "noise"), Artifact::Identical);
    for unseen in ["stderr", "trace.csv", "more"] {
        assert_eq!(changed(&plain, unseen, "other"), Artifact::Result, "{unseen}");
    }
    for seen in ["stdout", "outputs/program", "outputs/summary", "outputs/more"] {
        assert_eq!(changed(&plain, seen, "1"), Artifact::Differs, "{seen}");
    }
    assert_eq!(changed(&plain, "exit_code", "1\n"), Artifact::Differs);
    assert!(plain.left_out()[0].contains("stderr and trace.csv"));

    let masked = Comparison { canonical: "times".parse().unwrap(), ..plain.clone() };
    assert_eq!(changed(&masked, "stdout", "built at 23:59:59\n"), Artifact::Result);
    assert_eq!(changed(&masked, "stdout", "forged at 10:06:27\n"), Artifact::Differs);
    assert_eq!(masked.left_out().last().unwrap(), "what --canonical times leaves out of stdout");

    let near = Comparison { summary: Some("abs:0.5".parse().unwrap()), ..plain };
    assert_eq!(changed(&near, "outputs/summary", " 3.1"), Artifact::Result);
    // Its numbers are no part of the hash, and are compared all the same.
    assert_eq!(changed(&near, "outputs/summary", "3.7\n"), Artifact::Differs);
    assert!(near.left_out().last().unwrap().starts_with("outputs/summary, "));
}

#[test]
fn a_result_is_none_of_an_attestation_that_names_other_files() {
    let (dir, plain) = (result(), Comparison::plain(JobId::ZERO));
    let masked = Comparison { canonical: "times".parse().unwrap(), ..plain.clone() };
    for (comparison, of_another) in [(plain, Artifact::OtherFiles), (masked, Artifact::Result)] {
        let given = Given::look(dir.path(), &comparison, &LIMITS).unwrap();
        let Given::Result { compared, root, files, .. } = &given else { unreachable!("it is a directory") };
        let of = |output_root| Opening {
            result_hash: compared.result_hash,
            output_root,
            exit_code: compared.exit_code,
            summary: compared.summary_word(),
            ..Opening::sample(1)
        };
        let (own, other) = (of(root.unwrap()), of(Digest::new([9; 32])));
        let forged: Vec<Subject> =
            files.iter().map(|file| Subject::new(file.name.clone(), Digest::ZERO)).collect();
        assert_eq!(given.in_(&own, files), Artifact::Identical);
        for named in [&forged[..], &[]] {
            assert_eq!(given.in_(&own, named), Artifact::OtherFiles, "{comparison:?}");
            // Where something is masked, another node's files may have other hashes.
            assert_eq!(given.in_(&other, named), of_another, "{comparison:?}");
        }
    }
}

#[test]
fn what_is_no_result_is_said_to_be_none() {
    let (dir, plain) = (result(), Comparison::plain(JobId::ZERO));
    let look = |path: &Path| Given::look(path, &plain, &LIMITS).err().unwrap();
    let parent = look(&dir.path().join("outputs"));
    assert!(matches!(parent, CliError::NotAResult { .. }), "{parent:?}");
    // Nobody writes to it, so that whoever read it would wait for ever.
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = look(&pipe);
    assert!(matches!(pipe, CliError::NoFile { .. }), "{pipe:?}");
}

#[test]
fn a_file_that_is_too_long_for_a_bundle_is_said_to_be_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_BUNDLE_BYTES + 1).unwrap();
    let error = read(file.path()).unwrap_err();
    let CliError::Attestation { source: AttestationError::TooLong, .. } = error else { panic!("{error:?}") };
}

fn row(number: u8, is_builder: Option<bool>, artifact: Artifact, is_proven: bool) -> Row {
    let node = NodeId::new([number; 20]);
    Row { node, is_builder, log: Finding::Agrees, is_signed: false, artifact, is_proven }
}

#[test]
fn only_named_builders_count_and_each_counts_once() {
    let not_asked = |number, is_builder| row(number, is_builder, Artifact::NotAsked, true);
    let unnamed = [not_asked(1, None), not_asked(2, None), not_asked(2, None)];
    assert_eq!((proven(&unnamed), exit_status(&unnamed, 2)), (2, ExitStatus::Success));
    assert_eq!(exit_status(&unnamed, 3), ExitStatus::Failure);
    let named = [not_asked(1, Some(true)), not_asked(2, Some(false)), not_asked(3, Some(false))];
    assert_eq!((proven(&named), exit_status(&named, 2)), (1, ExitStatus::Failure));
    assert_eq!(exit_status(&named, 1), ExitStatus::Success);
}

#[test]
fn a_result_that_rightly_differs_from_another_counts_for_its_own_nodes() {
    let rows = [row(1, None, Artifact::Identical, true), row(2, None, Artifact::Differs, false)];
    assert_eq!(exit_status(&rows, 1), ExitStatus::Success);
    assert_eq!(exit_status(&rows, 2), ExitStatus::NoResult);
    // What a stranger attests is no difference.
    let stranger =
        [row(1, Some(true), Artifact::Result, true), row(2, Some(false), Artifact::Differs, false)];
    assert_eq!(exit_status(&stranger, 2), ExitStatus::Failure);
}

#[test]
fn whoever_chose_what_ran_and_what_ran_are_shown() {
    let verified = Verified {
        job: JobId::new([6; 32]),
        requester: NodeId::new([5; 20]),
        spec: Spec::builder(format!("sha256:{}", "0".repeat(64)))
            .image_name("tools/cc:1")
            .command(["sh", "-c", "cc *.c"])
            .build()
            .unwrap(),
        contract: None,
        proven: 1,
        threshold: 2,
        attestations: vec![row(1, Some(true), Artifact::Result, true)],
        not_compared: vec!["modes of files".to_owned()],
    };
    let said = shown(&verified);
    for part in [
        &verified.job.to_string(),
        &verified.requester.to_string(),
        "tools/cc:1 (sha256:00",
        "sh -c 'cc *.c'",
        "the result, in what is compared",
        "not compared, and so not proven: modes of files",
        "proven of 1 builder, 2 needed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
