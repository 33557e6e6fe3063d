//! What runs of one job are compared by: the hash of a result, and the summary of its numbers.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use tokio_util::sync::CancellationToken;

use super::{
    comparison::Comparison,
    layout::OUTPUTS,
    limits::Limits,
    result::{ResultError, result_hash_by},
    tree::TreeError,
};
use crate::domain::{Digest, MAX_SUMMARY_BYTES, Opening, SummaryFault, SummaryForm, SummaryWord};

/// What a result is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// See [`super::result_hash`]; the summary file is left out, since it may differ between right runs.
    pub result_hash: Digest,
    /// How the command ended; the hash covers it, and a node states it besides.
    pub exit_code: i32,
    /// The summary, or why there is none.
    pub summary: Result<SummaryWord, SummaryFault>,
}

impl Comparison {
    /// What the result in `result_dir` is compared by.
    ///
    /// # Errors
    /// [`ResultError`]. A bad summary is none of these: it makes the summary void.
    pub fn look(
        &self,
        result_dir: &Path,
        limits: &Limits,
        stop: &CancellationToken,
    ) -> Result<Compared, ResultError> {
        let (result_hash, exit_code) = result_hash_by(self, result_dir, limits, stop)?;
        let summary = match self.summary {
            Some(form) => summary(form, result_dir, &self.summary_file)?,
            None => Ok(SummaryWord::VOID),
        };
        Ok(Compared { result_hash, exit_code, summary })
    }
}

impl Compared {
    /// The summary as it is committed to.
    pub fn summary_word(&self) -> SummaryWord {
        self.summary.unwrap_or(SummaryWord::VOID)
    }

    /// Whether an opening names this result.
    pub fn is_revealed_by(&self, opening: &Opening) -> bool {
        self.result_hash == opening.result_hash
            && self.exit_code == opening.exit_code
            && self.summary_word() == opening.summary
    }
}

fn summary(
    form: SummaryForm,
    result_dir: &Path,
    file: &str,
) -> Result<Result<SummaryWord, SummaryFault>, ResultError> {
    Ok(summary_content(result_dir, file)?.and_then(|content| SummaryWord::of(form, &content)))
}

/// What the summary file of a result holds, up to a byte more than it may; `file` is its path in `/outputs`. Links are not
/// followed: what they lead to is another file of the result.
///
/// # Errors
/// [`ResultError`] where it cannot be read. A missing file is none of these.
pub fn summary_content(result_dir: &Path, file: &str) -> Result<Result<Vec<u8>, SummaryFault>, ResultError> {
    let mut path = result_dir.join(OUTPUTS);
    let mut parts = file.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let is_last = parts.peek().is_none();
        match path.symlink_metadata() {
            Ok(found) if is_last && found.is_file() => {}
            Ok(found) if !is_last && found.is_dir() => {}
            Ok(_) => return Ok(Err(SummaryFault::NotAFile)),
            // A requester may name what no file system can hold.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
                return Ok(Err(SummaryFault::Missing));
            }
            Err(source) => return Err(TreeError::Io { path, source }.into()),
        }
    }
    let io_error = |source| TreeError::Io { path: path.clone(), source };
    let mut content = Vec::new();
    let file = File::open(&path).map_err(io_error)?;
    file.take(MAX_SUMMARY_BYTES as u64 + 1).read_to_end(&mut content).map_err(io_error)?;
    Ok(Ok(content))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::JobId;
    use crate::store::{EXIT_CODE, STDOUT};

    const LIMITS: Limits = Limits::with_bytes(1 << 20);

    fn result(summary: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STDOUT), "hello\n").unwrap();
        fs::write(dir.path().join(EXIT_CODE), "0\n").unwrap();
        fs::create_dir_all(dir.path().join("outputs/sub")).unwrap();
        fs::write(dir.path().join("outputs/summary"), summary).unwrap();
        dir
    }

    fn look(form: Option<&str>, dir: &tempfile::TempDir) -> Compared {
        let summary = form.map(|form| form.parse().unwrap());
        Comparison { summary, ..Comparison::plain(JobId::new([7; 32])) }
            .look(dir.path(), &LIMITS, &CancellationToken::new())
            .unwrap()
    }

    #[test]
    fn near_summaries_are_compared_apart_from_the_hash() {
        let (a, b) = (look(Some("abs:0.5"), &result("3.1\n")), look(Some("abs:0.5"), &result(" 3.4")));
        assert_eq!(a.result_hash, b.result_hash);
        assert!(a.summary.unwrap().agrees_with(b.summary.unwrap()));
        let far = look(Some("abs:0.5"), &result("3.7"));
        assert!(!a.summary.unwrap().agrees_with(far.summary.unwrap()));
    }

    #[test]
    fn texts_are_compared_without_what_differs_between_runs() {
        let look = |text_files: &[&str], stdout: &str, log: &str| {
            let dir = result("");
            fs::write(dir.path().join(STDOUT), stdout).unwrap();
            fs::write(dir.path().join("outputs/sub/log"), log).unwrap();
            let text_files = text_files.iter().map(|file| (*file).to_owned()).collect();
            let canonical = "times".parse().unwrap();
            let comparison = Comparison { canonical, text_files, ..Comparison::plain(JobId::ZERO) };
            comparison.look(dir.path(), &LIMITS, &CancellationToken::new()).unwrap().result_hash
        };
        assert_eq!(look(&[], "at 10:06:27\n", "1"), look(&[], "at 23:59:59\n", "1"));
        assert_ne!(look(&[], "at 10:06:27\n", "1"), look(&[], "on 10:06:27\n", "1"), "the rest counts");
        assert_ne!(look(&[], "", "10:06"), look(&[], "", "10:07"), "a file that is not named is not touched");
        assert_eq!(look(&["sub/log"], "", "10:06"), look(&["sub/log"], "", "10:07"));
    }

    #[test]
    fn without_a_form_the_file_is_an_output_like_any_other() {
        let (a, b) = (look(None, &result("3.1")), look(None, &result("3.4")));
        assert_ne!(a.result_hash, b.result_hash);
        assert_eq!(a.summary, Ok(SummaryWord::VOID));
    }

    #[test]
    fn what_is_no_summary_is_void_and_named() {
        let fault = |text: &str| look(Some("exact,exact"), &result(text)).summary.unwrap_err();
        assert_eq!(fault(&"1 ".repeat(600)), SummaryFault::TooLong);
        assert_eq!(fault("1"), SummaryFault::Count { found: 1, expected: 2 });
        let missing = result("");
        fs::remove_file(missing.path().join("outputs/summary")).unwrap();
        let found = look(Some("exact"), &missing);
        assert_eq!((found.summary, found.summary_word()), (Err(SummaryFault::Missing), SummaryWord::VOID));
        fs::create_dir(missing.path().join("outputs/summary")).unwrap();
        assert_eq!(look(Some("exact"), &missing).summary, Err(SummaryFault::NotAFile));
    }

    fn look_at(file: &str, dir: &tempfile::TempDir) -> Compared {
        let (summary, summary_file) = (Some("exact".parse().unwrap()), file.to_owned());
        Comparison { summary, summary_file, ..Comparison::plain(JobId::ZERO) }
            .look(dir.path(), &LIMITS, &CancellationToken::new())
            .unwrap()
    }

    #[test]
    fn a_job_names_its_own_summary_file_and_the_usual_one_is_an_output_then() {
        let of = |numbers: &str, summary: &str| {
            let dir = result(summary);
            fs::write(dir.path().join("outputs/sub/numbers"), numbers).unwrap();
            look_at("sub/numbers", &dir)
        };
        let (a, b) = (of("1", "x"), of("2", "x"));
        assert_eq!(a.result_hash, b.result_hash);
        assert!(a.summary.unwrap() != b.summary.unwrap());
        assert_ne!(a.result_hash, of("1", "y").result_hash);
    }

    #[test]
    fn no_link_is_followed_to_a_summary_and_a_link_in_its_place_is_compared() {
        use std::os::unix::fs::symlink;
        let linked = |target: &str| {
            let dir = result("1");
            symlink(target, dir.path().join("outputs/link")).unwrap();
            dir
        };
        let void = look_at("link", &linked("summary"));
        assert_eq!(void.summary, Err(SummaryFault::NotAFile));
        assert_ne!(void.result_hash, look_at("link", &linked("sub")).result_hash);
        let dir = linked("sub");
        fs::write(dir.path().join("outputs/sub/numbers"), "1").unwrap();
        assert_eq!(look_at("link/numbers", &dir).summary, Err(SummaryFault::NotAFile));
        assert_eq!(look_at("summary/numbers", &dir).summary, Err(SummaryFault::NotAFile));
        assert_eq!(look_at(&"a".repeat(300), &dir).summary, Err(SummaryFault::Missing));
    }
}
