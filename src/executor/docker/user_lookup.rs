//! Reads from an image whom its `USER` means.

use std::collections::HashMap;

use super::{
    super::ExecutorError,
    engine::DockerExecutor,
    peek::Head,
    user::{NOBODY, User, Wanted},
};

/// How much of `/etc/passwd` or `/etc/group` is read, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

impl DockerExecutor {
    /// The user that a container of this image runs as.
    ///
    /// # Errors
    /// [`ExecutorError::ImageUser`] when the image names a user that it does not define.
    pub(super) async fn user_of(
        &self,
        image: &str,
        named: &str,
        labels: HashMap<String, String>,
    ) -> Result<User, ExecutorError> {
        let unknown =
            |problem: &str| ExecutorError::ImageUser { user: named.to_owned(), problem: problem.to_owned() };
        let Some(wanted) = Wanted::parse(named).map_err(unknown)? else { return Ok(NOBODY) };
        if let Some(user) = wanted.by_numbers() {
            return Ok(user);
        }
        let id = self.shelf(image, labels).await?;
        let files = async {
            let passwd = self.head_of(&id, "/etc/passwd", MAX_FILE_BYTES).await?;
            let group = self.head_of(&id, "/etc/group", MAX_FILE_BYTES).await?;
            Ok((passwd, group))
        };
        let files = files.await;
        self.remove(&id).await;
        let (passwd, group) = files?;
        wanted.look_up(&text(passwd), &text(group)).map_err(unknown)
    }
}

/// A file's text; empty if there is no file. A longer file counts up to the last whole line that was read.
fn text(file: Option<Head>) -> String {
    let Some(Head { bytes, is_whole }) = file else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    let end = if is_whole { text.len() } else { text.rfind('\n').unwrap_or(0) };
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_counts_up_to_its_last_line() {
        let of = |text_of: &str, is_whole| text(Some(Head { bytes: text_of.into(), is_whole }));
        assert_eq!((of("a:b\nc:d", true), of("a:b\nc:", false)), ("a:b\nc:d".to_owned(), "a:b".to_owned()));
        assert_eq!((of("a:b", false), text(None)), (String::new(), String::new()));
    }
}
