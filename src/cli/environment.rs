//! The environment of a job: `--env` and `--env-file`, read as Docker reads them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::args::Variable;
use crate::explain::Hint;

/// The longest file of variables, in bytes. Comments may make it longer than a job's own bound.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The variables of a job, and those that were named but have no value here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) unset: Vec<String>,
}

/// Why the environment of a job cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file of variables cannot be read.
    #[error("failed to read the variables in {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is longer than a file of variables ever is.
    #[error("{} is longer than {MAX_FILE_BYTES} bytes", path.display())]
    TooLong {
        /// Its path.
        path: PathBuf,
    },
    /// A line of a file does not set a variable.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The problem.
        problem: &'static str,
    },
    /// A variable in this command's own environment is not text.
    #[error("the value of {name} in your environment is not UTF-8")]
    NotUtf8 {
        /// The variable's name.
        name: String,
    },
}

impl Hint for EnvironmentError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { .. } => "check the path after --env-file",
            Self::TooLong { .. } => "give long content as a file, with --input",
            Self::Line { .. } => {
                "each line is NAME=VALUE, NAME to pass your own value on, or a comment after #; quotes are \
                 part of the value"
            }
            Self::NotUtf8 { .. } => "give another value, with --env NAME=VALUE",
        };
        Some(hint.to_owned())
    }
}

/// The variables of the files in order, then those from flags. The last one of a name wins. `own` provides the values of
/// names without one.
pub(super) fn resolve(
    files: &[PathBuf],
    given: &[Variable],
    own: impl Fn(&str) -> Option<OsString>,
) -> Result<Environment, EnvironmentError> {
    let mut all = Vec::new();
    for path in files {
        all.extend(parse(path, &read(path)?)?);
    }
    all.extend_from_slice(given);
    let mut environment = Environment::default();
    for Variable { name, value } in all {
        let value = match value {
            Some(value) => Some(value),
            None => own(&name)
                .map(OsString::into_string)
                .transpose()
                .map_err(|_| EnvironmentError::NotUtf8 { name: name.clone() })?,
        };
        match value {
            Some(value) => {
                environment.unset.retain(|unset| *unset != name);
                environment.variables.insert(name, value);
            }
            // As Docker does: a variable that is unset here does not undo an earlier setting.
            None if environment.variables.contains_key(&name) || environment.unset.contains(&name) => {}
            None => environment.unset.push(name),
        }
    }
    Ok(environment)
}

fn read(path: &Path) -> Result<Vec<u8>, EnvironmentError> {
    let failed = |source| EnvironmentError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(EnvironmentError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Variable>, EnvironmentError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let bad = |problem| EnvironmentError::Line { path: path.to_owned(), line, problem };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("the line is not UTF-8"))?;
        let text = text.strip_suffix('\r').unwrap_or(text).trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            return Err(bad("there is no name before ="));
        }
        if name.contains(char::is_whitespace) {
            return Err(bad("the name has a space in it"));
        }
        if text.contains('\0') {
            return Err(bad("the line has a NUL byte in it"));
        }
        variables.push(Variable { name: name.to_owned(), value: value.map(str::to_owned) });
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn own(name: &str) -> Option<OsString> {
        match name {
            "MINE" => Some("here".into()),
            "EMPTY" => Some(OsString::new()),
            "BYTES" => Some(OsString::from_vec(vec![0xff])),
            _ => None,
        }
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn of_file(content: &[u8]) -> Result<Environment, EnvironmentError> {
        resolve(&[file(content).path().to_owned()], &[], own)
    }

    fn variable(name: &str, value: Option<&str>) -> Variable {
        Variable { name: name.to_owned(), value: value.map(str::to_owned) }
    }

    fn set(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let content =
            b"\xef\xbb\xbf# comment\n\n  \t\nA=1\r\n  B=x = \"y\" # kept \nC=\nMINE\nEMPTY\nGONE\n#D=2\nE=a\nE=b";
        let environment = of_file(content).unwrap();
        assert_eq!(
            environment.variables,
            set(&[
                ("A", "1"),
                ("B", "x = \"y\" # kept "),
                ("C", ""),
                ("MINE", "here"),
                ("EMPTY", ""),
                ("E", "b")
            ])
        );
        assert_eq!(environment.unset, ["GONE"]);
    }

    #[test]
    fn a_bad_line_is_named_with_its_file() {
        for (content, line) in
            [(&b"A=1\n=2\n"[..], 2), (b"export A=1", 1), (b"\n\nA =1", 3), (b"A=1\nB=\xff", 2), (b"A=\0", 1)]
        {
            let file = file(content);
            let error = resolve(&[file.path().to_owned()], &[], own).unwrap_err();
            let place = format!("{}:{line}: ", file.path().display());
            assert!(error.to_string().starts_with(&place), "{error}");
        }
        assert!(matches!(of_file(&[b'#'; MAX_FILE_BYTES + 1]), Err(EnvironmentError::TooLong { .. })));
        let none = resolve(&["no-such-file".into()], &[], own).unwrap_err();
        assert!(none.to_string().contains("no-such-file"), "{none}");
        assert!(resolve(&["/".into()], &[], own).is_err());
    }

    #[test]
    fn what_is_given_by_itself_counts_more_than_a_file() {
        let file = file(b"A=file\nB=file\n");
        let given = [variable("A", Some("flag")), variable("MINE", None), variable("GONE", None)];
        let environment = resolve(&[file.path().to_owned()], &given, own).unwrap();
        assert_eq!(environment.variables, set(&[("A", "flag"), ("B", "file"), ("MINE", "here")]));
        assert_eq!(environment.unset, ["GONE"]);
        let later = resolve(&[], &[variable("GONE", None), variable("GONE", Some("1"))], own).unwrap();
        assert_eq!((later.variables, later.unset), (set(&[("GONE", "1")]), vec![]));
    }

    #[test]
    fn a_value_that_is_no_text_is_refused_by_its_name() {
        let error = resolve(&[], &[variable("BYTES", None)], own).unwrap_err();
        assert_eq!(error.to_string(), "the value of BYTES in your environment is not UTF-8");
    }
}
