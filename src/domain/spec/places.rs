//! Where something may be mounted in a container, and the form of paths in a spec.

use super::{Input, InputKind, MAX_INPUTS, OUTPUTS_DIR, SCRATCH_DIR, Spec, SpecError, SpecField, UrlScheme};

/// Where nothing can be mounted: the engine, the program loader and the container's init need these places.
const SYSTEM_DIRS: [&str; 15] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/run",
    "/var/lock",
];

impl Spec {
    /// Checks the number of inputs, their URLs and their targets.
    pub(super) fn validate_inputs(&self) -> Result<(), SpecError> {
        let invalid = |problem: String| Err(SpecError::Invalid { field: SpecField::Inputs, problem });
        if self.inputs.len() > MAX_INPUTS {
            return invalid(format!("are {}, at most {MAX_INPUTS} are allowed", self.inputs.len()));
        }
        for (index, Input { target, url, kind, .. }) in self.inputs.iter().enumerate() {
            if let Some(url) = url {
                UrlScheme::of(url).map_err(|why| SpecError::Invalid {
                    field: SpecField::Inputs,
                    problem: format!("have the URL {url:?}, {why}"),
                })?;
                if *kind != InputKind::File {
                    return invalid(format!("have the URL {url:?} for a directory: a URL gives one file"));
                }
            }
            let earlier = self.inputs.iter().take(index).map(|input| input.target.as_str());
            if let Some(problem) = problem_of_place(target, earlier) {
                return invalid(format!("have the target {target:?}, {problem}"));
            }
        }
        Ok(())
    }

    /// Checks the place of the scratch directory. The default stands where there is none, so that a spec has one document.
    pub(super) fn validate_scratch(&self) -> Result<(), SpecError> {
        let invalid = |problem: String| Err(SpecError::Invalid { field: SpecField::ScratchDir, problem });
        let dir = &self.scratch_dir;
        if self.resources.scratch_bytes == 0 {
            return match dir == SCRATCH_DIR {
                true => Ok(()),
                false => invalid(format!("is {dir:?}, but resources.scratch_bytes gives it no size")),
            };
        }
        match problem_of_place(dir, self.inputs.iter().map(|input| input.target.as_str())) {
            Some(problem) => invalid(format!("is {dir:?}, {problem}")),
            None => Ok(()),
        }
    }
}

/// Why nothing can be mounted at `target`, if it cannot. `others` are the places of other mounts.
fn problem_of_place<'a>(target: &str, others: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if !is_clean_absolute(target) || target == "/" {
        return Some("which is not an absolute path without ..".to_owned());
    }
    let overlaps = |other: &str| {
        let (a, b) = (format!("{target}/"), format!("{other}/"));
        a.starts_with(&b) || b.starts_with(&a)
    };
    if let Some(other) = others.into_iter().chain([OUTPUTS_DIR, "/tmp"]).find(|other| overlaps(other)) {
        return Some(format!("which overlaps {other:?}"));
    }
    let system = SYSTEM_DIRS.into_iter().find(|dir| overlaps(dir))?;
    Some(format!("which would cover the system's {system:?}"))
}

/// The path in the form of a document.
pub(super) fn clean_path(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("/{}", parts.join("/"))
}

/// Whether it is a path below `/outputs`, relative to it.
pub(super) fn is_output(path: &str) -> bool {
    !path.is_empty() && is_clean_absolute(&format!("{OUTPUTS_DIR}/{path}"))
}

/// Whether it is absolute, in the form of a document, and leads nowhere else.
pub(super) fn is_clean_absolute(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains('\0')
        && (path == "/" || path[1..].split('/').all(|part| !matches!(part, "" | "." | "..")))
}
