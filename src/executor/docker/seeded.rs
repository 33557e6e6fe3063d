//! What a seeded job's container gets besides its seed: a library that derives randomness and wall time from the seed, and
//! variables that keep numerical libraries from choosing code by processor.
//!
//! `preload/seed.c` is the library, one file for glibc and musl, and `scripts/seed-library` builds it. `docs/containers.md`
//! says what it covers.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{super::ExecutorError, start::put_beside};
use crate::domain::Seed;

/// The path of the library in the container. No input may be mounted there.
pub(super) const LIBRARY_TARGET: &str = "/run/libassay-seed.so";

/// The library for each architecture, by the engine's names.
const LIBRARIES: [(&str, &[u8]); 2] = [
    ("amd64", include_bytes!("../../../preload/built/x86_64.so")),
    ("arm64", include_bytes!("../../../preload/built/aarch64.so")),
];

/// The variables of a seeded job, unless it or its image sets them: a fixed day, and arithmetic that is the same on every
/// processor of an architecture. A processor without a named feature ignores the variable.
const DEFAULTS: [(&str, &str); 9] = [
    // 2022-01-01T00:00:00Z, where the library's clock starts.
    ("SOURCE_DATE_EPOCH", "1640995200"),
    ("PYTHONHASHSEED", "0"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("MKL_CBWR", "COMPATIBLE"),
    ("ATEN_CPU_CAPABILITY", "default"),
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable,-FMA4_Usable"),
    (
        "NPY_DISABLE_CPU_FEATURES",
        "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL,AVX512_SPR",
    ),
];

/// The OpenBLAS kernels that every processor of an architecture runs.
const BLAS_KERNELS: [(&str, &str); 2] = [("amd64", "Nehalem"), ("arm64", "ARMV8")];

/// The library for programs of this architecture.
pub(super) fn library(architecture: &str) -> Result<&'static [u8], ExecutorError> {
    let unseedable =
        || ExecutorError::Unseedable { reason: format!("there is no library for {architecture}") };
    LIBRARIES.iter().find(|(name, _)| *name == architecture).map(|(_, bytes)| *bytes).ok_or_else(unseedable)
}

/// Puts the library beside the results of a run.
pub(super) fn place(result_dir: &Path, library: &[u8]) -> io::Result<PathBuf> {
    put_beside(result_dir, "libassay-seed.so", library, 0o644)
}

/// The variables of a seeded job, besides those of every job. `given` are the job's own, `image` those of its image.
pub(super) fn variables(
    seed: Seed,
    architecture: &str,
    given: impl Fn(&str) -> Option<String>,
    image: &[String],
) -> Vec<String> {
    let of_image = |name: &str| {
        let value = |variable: &String| Some(variable.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        image.iter().find_map(value)
    };
    // What the job sets to nothing stays so; an image says by it that the variable is not set.
    let set = |name: &str| given(name).or_else(|| of_image(name).filter(|value| !value.is_empty()));
    let kernel = BLAS_KERNELS.iter().find(|(name, _)| *name == architecture);
    let kernel = kernel.map(|(_, kernel)| ("OPENBLAS_CORETYPE", *kernel));
    let missing = DEFAULTS.into_iter().chain(kernel).filter(|(name, _)| set(name).is_none());
    let mut variables: Vec<String> = missing.map(|(name, value)| format!("{name}={value}")).collect();
    // After the job's own preloads, which may override the same functions.
    let preloads = set("LD_PRELOAD").filter(|preloads| !preloads.is_empty());
    let earlier = preloads.map_or(String::new(), |earlier| format!("{earlier}:"));
    variables.push(format!("LD_PRELOAD={earlier}{LIBRARY_TARGET}"));
    // The first process starts with the seed as its key, at time zero.
    variables.push(format!("ASSAY_STREAM={seed}:{:016x}", 0));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::JobId;

    #[test]
    fn what_the_job_or_its_image_sets_stays_and_the_library_comes_last() {
        let given = |name: &str| match name {
            "OMP_NUM_THREADS" => Some("2".to_owned()),
            "MKL_CBWR" => Some(String::new()),
            "LD_PRELOAD" => Some("/lib/own.so".to_owned()),
            _ => None,
        };
        let image = ["LD_PRELOAD=/lib/images.so", "PYTHONHASHSEED=7", "PYTHONHASHSEE=8", "MKL_NUM_THREADS="]
            .map(str::to_owned);
        let variables = variables(Seed::of(JobId::ZERO), "amd64", given, &image);
        let starting =
            |name: &str| variables.iter().filter(|text| text.starts_with(name)).collect::<Vec<_>>();
        assert_eq!(starting("LD_PRELOAD="), ["LD_PRELOAD=/lib/own.so:/run/libassay-seed.so"]);
        assert_eq!(starting("OPENBLAS_CORETYPE="), ["OPENBLAS_CORETYPE=Nehalem"]);
        assert!(
            starting("OMP_NUM_THREADS=").is_empty() && starting("PYTHONHASHSEED=").is_empty(),
            "{variables:?}"
        );
        assert!(starting("MKL_CBWR=").is_empty(), "the job sets it to nothing: {variables:?}");
        assert_eq!(starting("MKL_NUM_THREADS="), ["MKL_NUM_THREADS=1"]);
        assert_eq!(starting("ASSAY_STREAM=")[0].len(), "ASSAY_STREAM=".len() + 64 + 1 + 16);
    }

    #[test]
    fn a_processor_without_a_library_is_named() {
        assert!(library("amd64").unwrap().starts_with(b"\x7fELF") && library("arm64").is_ok());
        let error = library("riscv64").unwrap_err().to_string();
        assert_eq!(error, "no seeded job runs here: there is no library for riscv64");
    }
}
