use proptest::prelude::*;

use super::*;

fn spec() -> Spec {
    Spec {
        image: format!("sha256:{}", "a".repeat(64)),
        image_name: "assay/demo:1".to_owned(),
        entrypoint: vec![],
        command: vec!["true".to_owned()],
        environment: BTreeMap::from([("SEED".to_owned(), "7".to_owned())]),
        working_directory: Some("/inputs".to_owned()),
        inputs: vec![Input {
            digest: Digest::ZERO,
            bytes: 10,
            target: "/inputs".to_owned(),
            kind: InputKind::Directory,
            url: None,
        }],
        resources: Resources::default(),
        seeded: false,
        text_files: Vec::new(),
        public_result: false,
        summary_file: SUMMARY_FILE.to_owned(),
        scratch_dir: SCRATCH_DIR.to_owned(),
        platform: None,
    }
}

#[test]
fn the_sample_is_valid() {
    assert_eq!(Spec::from_document(&Spec::sample().to_document()), Ok(Spec::sample()));
}

#[test]
fn a_document_reads_back_as_its_spec() {
    assert_eq!(Spec::from_document(&spec().to_document()), Ok(spec()));
}

#[test]
fn another_form_of_the_same_spec_is_refused() {
    let pretty = serde_json::to_vec_pretty(&spec()).unwrap();
    assert_eq!(Spec::from_document(&pretty), Err(SpecError::NotCanonical));
}

#[test]
fn the_size_of_tmp_is_written_only_when_it_is_not_the_default() {
    let text = |spec: &Spec| String::from_utf8(spec.to_document()).unwrap();
    assert!(!text(&spec()).contains("tmp_bytes"));
    let mut large = spec();
    large.resources.tmp_bytes = 1 << 30;
    assert!(text(&large).contains(r#""tmp_bytes":1073741824"#));
    assert_eq!(Spec::from_document(&large.to_document()), Ok(large));
    let spelled_out = text(&spec()).replace("}}", &format!(r#","tmp_bytes":{DEFAULT_TMP_BYTES}}}}}"#));
    assert_eq!(Spec::from_document(spelled_out.as_bytes()), Err(SpecError::NotCanonical));
}

#[test]
fn text_files_are_clean_paths_below_the_outputs_in_order() {
    let with = |files: &[&str]| {
        let text_files = files.iter().map(|file| (*file).to_owned()).collect();
        Spec { text_files, ..spec() }
    };
    assert_eq!(with(&["a.txt", "sub/b.log"]).validate(), Ok(()));
    assert!(!String::from_utf8(with(&[]).to_document()).unwrap().contains("text_files"));
    for bad in [&["b", "a"][..], &["a", "a"], &["../a"], &["a//b"], &["/a"], &[""], &["a\0"], &["."]] {
        let refused = with(bad).validate();
        assert!(matches!(refused, Err(SpecError::Invalid { field: SpecField::TextFiles, .. })), "{bad:?}");
    }
    let many: Vec<String> = (0..=MAX_TEXT_FILES).map(|number| format!("{number:03}")).collect();
    assert!(Spec { text_files: many, ..spec() }.validate().is_err());
}

#[test]
fn the_summary_file_is_a_clean_path_below_the_outputs_and_written_only_when_it_is_not_the_default() {
    let with = |file: &str| Spec { summary_file: file.to_owned(), ..spec() };
    let plain = String::from_utf8(with("summary").to_document()).unwrap();
    assert!(!plain.contains("summary_file"), "older documents keep their hash: {plain}");
    let said = format!("{},\"summary_file\":\"summary\"}}", plain.strip_suffix('}').unwrap());
    assert_eq!(Spec::from_document(said.as_bytes()), Err(SpecError::NotCanonical));
    let named = with("fit/numbers.txt");
    assert_eq!(Spec::from_document(&named.to_document()), Ok(named));
    for bad in ["", "/outputs/summary", "../summary", "a/../b", "a//b", "./a", "a/", "a\0"] {
        let refused = with(bad).validate();
        assert!(matches!(refused, Err(SpecError::Invalid { field: SpecField::SummaryFile, .. })), "{bad:?}");
    }
}

#[test]
fn a_document_names_a_switch_only_when_it_is_on() {
    let plain = String::from_utf8(spec().to_document()).unwrap();
    let on = [
        ("seeded", Spec { seeded: true, ..spec() }),
        ("public_result", Spec { public_result: true, ..spec() }),
    ];
    for (name, spec) in on {
        assert!(!plain.contains(name), "{plain}");
        let said = |value: bool| format!("{},\"{name}\":{value}}}", plain.strip_suffix('}').unwrap());
        assert_eq!(Spec::from_document(said(false).as_bytes()), Err(SpecError::NotCanonical));
        assert_eq!(spec.to_document(), said(true).as_bytes());
        assert_eq!(Spec::from_document(said(true).as_bytes()), Ok(spec));
    }
}

#[test]
fn a_scratch_directory_is_written_where_there_is_one_and_covers_nothing() {
    let text = |spec: &Spec| String::from_utf8(spec.to_document()).unwrap();
    let with = |bytes, dir: &str| {
        let resources = Resources { scratch_bytes: bytes, ..Resources::default() };
        Spec { resources, scratch_dir: dir.to_owned(), ..spec() }
    };
    assert!(!text(&spec()).contains("scratch"), "older documents keep their hash");
    let usual = with(6 << 30, SCRATCH_DIR);
    assert!(text(&usual).contains(r#""scratch_bytes":6442450944"#) && !text(&usual).contains("scratch_dir"));
    let named = with(1, "/build/tree");
    assert!(text(&named).ends_with(r#""scratch_dir":"/build/tree"}"#), "{}", text(&named));
    for good in [usual, named] {
        assert_eq!(Spec::from_document(&good.to_document()), Ok(good));
    }
    let spelled_out = text(&spec()).replace("}}", r#","scratch_bytes":0}}"#);
    assert!(Spec::from_document(spelled_out.as_bytes()).is_err());
    let bad =
        ["/", "build", "/a/../b", "/inputs", "/inputs/x", "/outputs", "/tmp/x", "/usr/src", "/var", "/a\0"];
    for (bytes, dir) in bad.map(|dir| (1, dir)).into_iter().chain([(0, "/build")]) {
        let refused = with(bytes, dir).validate();
        assert!(matches!(refused, Err(SpecError::Invalid { field: SpecField::ScratchDir, .. })), "{dir}");
    }
    assert!(with(u64::MAX, SCRATCH_DIR).validate().is_err());
}

#[test]
fn a_platform_is_written_where_one_is_needed() {
    let with = |platform: &str| Spec { platform: Some(platform.to_owned()), ..spec() };
    assert!(!String::from_utf8(spec().to_document()).unwrap().contains("platform"));
    let amd64 = with("linux/amd64");
    assert!(String::from_utf8(amd64.to_document()).unwrap().ends_with(r#","platform":"linux/amd64"}"#));
    assert_eq!(Spec::from_document(&amd64.to_document()), Ok(amd64));
    let refused = with("linux").validate();
    assert!(matches!(refused, Err(SpecError::Invalid { field: SpecField::Platform, .. })));
}

#[test]
fn a_name_that_is_no_image_is_refused() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for name in ["", "a b", "A", &format!("x/../../version?a=@{digest}"), "x\u{1b}[31m"] {
        let mut bad = spec();
        bad.image = name.to_owned();
        assert!(matches!(bad.validate(), Err(SpecError::Invalid { field: SpecField::Image, .. })), "{name}");
        let mut bad = spec();
        bad.image_name = name.to_owned();
        assert!(matches!(bad.validate(), Err(SpecError::Invalid { field: SpecField::Image, .. })), "{name}");
    }
}

#[test]
fn targets_over_the_system_are_refused() {
    for target in [
        "/sbin",
        "/bin",
        "/bin/sh",
        "/lib",
        "/lib64",
        "/lib/x",
        "/usr",
        "/usr/sbin",
        "/usr/local/bin",
        "/etc",
        "/etc/passwd",
        "/proc",
        "/proc/self",
        "/sys",
        "/dev",
        "/dev/shm",
        "/dev/init",
        "/run",
        "/var/run",
        "/var",
        "/sbin/docker-init",
    ] {
        let mut bad = spec();
        bad.inputs[0].target = target.to_owned();
        assert!(
            matches!(bad.validate(), Err(SpecError::Invalid { field: SpecField::Inputs, .. })),
            "{target}"
        );
    }
    for target in ["/inputs", "/data/usr", "/srv", "/opt/x", "/home/me", "/library", "/devices", "/var/lib/x"]
    {
        let mut good = spec();
        good.inputs[0].target = target.to_owned();
        assert_eq!(good.validate(), Ok(()), "{target}");
    }
}

#[test]
fn an_oversized_document_is_refused_before_it_is_read() {
    let document = vec![b'{'; MAX_SPEC_BYTES + 1];
    assert_eq!(Spec::from_document(&document), Err(SpecError::TooLong { actual: MAX_SPEC_BYTES + 1 }));
}

#[test]
fn targets_that_escape_or_overlap_are_refused() {
    for target in ["inputs", "/", "/a/../b", "/a//b", "/outputs", "/outputs/x", "/tmp", "/in\0"] {
        let mut bad = spec();
        bad.inputs[0].target = target.to_owned();
        assert!(
            matches!(bad.validate(), Err(SpecError::Invalid { field: SpecField::Inputs, .. })),
            "{target}"
        );
    }
    let mut twice = spec();
    twice.inputs.push(Input { target: "/inputs/more".to_owned(), ..twice.inputs[0].clone() });
    assert!(twice.validate().is_err());
}

#[test]
fn a_document_names_only_the_kind_that_is_not_a_directory() {
    let directory = String::from_utf8(spec().to_document()).unwrap();
    assert!(!directory.contains("kind"), "documents of directories are what they were: {directory}");
    let said = directory.replace(r#""target":"/inputs""#, r#""target":"/inputs","kind":"directory""#);
    assert_eq!(Spec::from_document(said.as_bytes()), Err(SpecError::NotCanonical));
    let mut file = spec();
    file.inputs[0].kind = InputKind::File;
    let document = file.to_document();
    assert!(String::from_utf8_lossy(&document).contains(r#""target":"/inputs","kind":"file""#));
    assert_eq!(Spec::from_document(&document), Ok(file));
}

#[test]
fn paths_are_cleaned_as_people_write_them() {
    for (written, clean) in [
        ("/inputs/", "/inputs"),
        ("//inputs/./x//", "/inputs/x"),
        ("/", "/"),
        ("/a/../b", "/a/../b"),
        ("inputs/", "inputs/"),
        ("", ""),
    ] {
        let mut spec = spec();
        spec.inputs[0].target = written.to_owned();
        spec.working_directory = Some(written.to_owned());
        spec.clean_paths();
        assert_eq!((spec.inputs[0].target.as_str(), spec.working_directory.as_deref()), (clean, Some(clean)));
    }
}

proptest! {
    #[test]
    fn hostile_documents_never_panic(document in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Spec::from_document(&document).is_err());
    }
}
