//! Seeded jobs: programs of either libc, as they are, give the same output for the same seed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use assay::{
    domain::{JobId, Seed, Spec},
    executor::Executor as _,
};
use bollard::models::ContainerConfig;

use super::bench::Bench;

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/docker/seeded/probe.c");

/// The probe as this compiler makes it, and what it needs to start, by its path in an image.
fn files(compiler: &str) -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("probe");
    let compiled = Command::new(compiler).args(["-O1", "-pthread", "-o"]).arg(&program).arg(PROBE).output();
    let compiled =
        compiled.unwrap_or_else(|error| panic!("{compiler}: {error}; run ./scripts/test, which installs it"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let needed = if compiler == "musl-gcc" { vec![musl()] } else { libraries(&program) };
    let needed = needed.into_iter().map(|path| (path.clone(), path));
    let read = |(target, path): (PathBuf, PathBuf)| {
        (target.to_str().unwrap().trim_start_matches('/').to_owned(), fs::read(path).unwrap())
    };
    needed.chain([(PathBuf::from("probe"), program.clone())]).map(read).collect()
}

/// What the loader would load, and itself.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// The loader of musl, which is its library too.
fn musl() -> PathBuf {
    let mut libraries = fs::read_dir("/lib").unwrap().map(|entry| entry.unwrap().path());
    libraries.find(|path| path.to_string_lossy().contains("/ld-musl-")).unwrap()
}

/// What the probe prints, in an image that has it.
async fn printed(bench: &Bench, image: &str, seed: Option<u8>) -> String {
    let mut request = bench.request("");
    request.spec.image = image.to_owned();
    request.spec.command = vec!["/probe".to_owned()];
    request.spec.seeded = seed.is_some();
    request.seed = Seed::of(JobId::new([seed.unwrap_or_default(); 32]));
    let outcome = bench.run(request).await.unwrap();
    assert_eq!((outcome.exit_code, bench.result("stderr").as_str()), (0, ""), "{}", bench.result("stdout"));
    bench.result("stdout")
}

#[tokio::test]
async fn programs_of_glibc_and_of_musl_draw_from_the_seed_alone() {
    let bench = Bench::new().await;
    let mut outputs = Vec::new();
    for compiler in ["cc", "musl-gcc"] {
        let files = files(compiler);
        let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let image = bench.variant_of(ContainerConfig::default(), &files, 0o755).await;
        // Both name a loader, so nobody is told that they are out of reach.
        let spec = Spec::builder(&image).command(["/probe"]).seeded(true).build().unwrap();
        assert_eq!(bench.executor.static_program(&spec).await, None);
        outputs.push(printed(&bench, &image, Some(1)).await);
        outputs.push(printed(&bench, &image, Some(1)).await);
        let (other, unseeded) = (printed(&bench, &image, Some(2)).await, printed(&bench, &image, None).await);
        bench.remove_image(&image).await;
        // No two draws of a program and its children are equal.
        let all = outputs[0].lines().chain(other.lines()).chain(unseeded.lines());
        let drawn: Vec<_> =
            all.filter_map(|line| line.split(' ').nth(1).filter(|word| word.len() == 16)).collect();
        let different: BTreeSet<_> = drawn.iter().collect();
        assert_eq!((drawn.len(), different.len()), (3 * 13, 3 * 13), "{}{other}{unseeded}", outputs[0]);
    }
    assert!(
        outputs[0].contains("time 1640995200 ") && outputs[0].contains("waited 1, long enough 1, over 1"),
        "{}",
        outputs[0]
    );
    assert!(outputs.iter().all(|output| *output == outputs[0]), "{outputs:#?}");
}

#[tokio::test]
async fn a_static_program_is_known_by_its_file_wherever_the_image_has_it() {
    let bench = Bench::new().await;
    let script = ("run", &b"#!/bin/sh\n"[..]);
    let image = bench.variant_of(ContainerConfig::default(), &[script], 0o755).await;
    let found = async |words: &[&str]| {
        let spec = Spec::builder(&image).command(words.to_vec()).seeded(true).build().unwrap();
        bench.executor.static_program(&spec).await
    };
    assert_eq!(found(&["sh", "-c", "true"]).await.as_deref(), Some("/bin/sh"));
    assert_eq!(found(&["/run"]).await.as_deref(), Some("/bin/sh"));
    assert_eq!((found(&["/nowhere"]).await, found(&["nothing"]).await), (None, None));
    bench.remove_image(&image).await;
}

#[tokio::test]
async fn a_seeded_run_finds_the_library_and_the_variables_that_nobody_else_set() {
    let bench = Bench::new().await;
    let mut request = bench.request(
        "echo $LD_PRELOAD $SOURCE_DATE_EPOCH $PYTHONHASHSEED $OMP_NUM_THREADS; cat /run/libassay-seed.so | head -c 4; echo; \
         echo > /run/libassay-seed.so || ls -l /run/libassay-seed.so | cut -c 1-10",
    );
    request.spec.seeded = true;
    request.spec.environment.insert("OMP_NUM_THREADS".to_owned(), "2".to_owned());
    assert_eq!(bench.run(request).await.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    let expected = "/run/libassay-seed.so 1640995200 0 2\n\u{7f}ELF\n-rw-r--r--\n";
    assert_eq!(bench.result("stdout"), expected, "{}", bench.result("stderr"));
}
