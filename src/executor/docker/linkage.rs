//! Whether the program that a container starts is a static binary, which loads no library of ours.
//!
//! Only what is sure is told: a program that the image does not hold, or a file of another form, is no static binary.

use std::{collections::HashMap, time::Duration};

use bollard::models::ImageConfig;
use tokio::time::timeout;

use super::{
    super::ExecutorError,
    config::{NODE_LABEL, UNTIL_LABEL},
    engine::{DockerExecutor, unix_now},
    start::command_line,
};
use crate::domain::Spec;

/// How much of a program is read: the headers of its segments follow the first bytes.
const HEAD_BYTES: usize = 64 << 10;

/// How many scripts may name each other as interpreters.
const MAX_SCRIPTS: usize = 3;

/// How long the engine may take. It is a courtesy to the user, who waits.
const LIMIT: Duration = Duration::from_secs(5);

/// Where a program without a slash is looked for, at most.
const MAX_DIRS: usize = 16;

/// The search path of an image that names none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The segment of a program that names its loader.
const PT_INTERP: u64 = 3;

/// What the first bytes of a program say of how it starts.
#[derive(Debug, PartialEq, Eq)]
enum Linkage {
    Static,
    Dynamic,
    /// A script; its interpreter starts.
    Script {
        interpreter: String,
    },
    /// Nothing that this file knows.
    Unknown,
}

impl DockerExecutor {
    /// The program that this spec starts, if it is a static binary; `None` if it is none, or nobody can tell here and now.
    pub(super) async fn static_program_of(&self, spec: &Spec) -> Option<String> {
        match self.look_for_static(spec).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, image = %spec.image, "its program is not looked at");
                None
            }
        }
    }

    async fn look_for_static(&self, spec: &Spec) -> Result<Option<String>, ExecutorError> {
        let Some(image) = self.local_image(&spec.image).await? else { return Ok(None) };
        let Some(places) = places(spec, &image.config.unwrap_or_default()) else { return Ok(None) };
        // No node's own, so that any node removes it should this process die.
        let until = unix_now().saturating_add(10 * LIMIT.as_secs());
        let labels = [(NODE_LABEL, "none".to_owned()), (UNTIL_LABEL, until.to_string())];
        let labels: HashMap<_, _> = labels.map(|(name, value)| (name.to_owned(), value)).into();
        let id = self.shelf(&spec.image, labels).await?;
        let found = timeout(LIMIT, self.static_among(&id, places)).await;
        self.remove(&id).await;
        found.unwrap_or(Ok(None))
    }

    /// The first of these paths that is a file, if it is a static binary.
    async fn static_among(&self, id: &str, places: Vec<String>) -> Result<Option<String>, ExecutorError> {
        let mut places = places;
        for _ in 0..=MAX_SCRIPTS {
            let mut found = None;
            for path in places {
                if let Some(head) = self.head_of(id, &path, HEAD_BYTES).await? {
                    found = Some((path, head.bytes));
                    break;
                }
            }
            let Some((path, bytes)) = found else { return Ok(None) };
            match linkage(&bytes) {
                Linkage::Static if !is_loader(&path) => return Ok(Some(path)),
                Linkage::Static | Linkage::Dynamic | Linkage::Unknown => return Ok(None),
                Linkage::Script { interpreter } => places = vec![interpreter],
            }
        }
        Ok(None)
    }
}

/// Where the engine looks for the first word of the command, in its order; `None` if there is no word, or one that only the
/// engine could place.
fn places(spec: &Spec, image: &ImageConfig) -> Option<Vec<String>> {
    let program = command_line(spec, image).into_iter().next().filter(|program| !program.is_empty())?;
    if program.starts_with('/') {
        return Some(vec![program]);
    }
    if program.contains('/') {
        let of_image = image.working_dir.as_deref().filter(|dir| !dir.is_empty());
        let dir = spec.working_directory.as_deref().or(of_image).unwrap_or("/");
        return Some(vec![format!("{}/{program}", dir.trim_end_matches('/'))]);
    }
    let of_image = image.env.iter().flatten().find_map(|variable| variable.strip_prefix("PATH="));
    let path = spec.environment.get("PATH").map(String::as_str).or(of_image).unwrap_or(DEFAULT_PATH);
    let dirs = path.split(':').filter(|dir| dir.starts_with('/')).take(MAX_DIRS);
    Some(dirs.map(|dir| format!("{}/{program}", dir.trim_end_matches('/'))).collect())
}

/// A loader names no loader, and loads libraries all the same.
fn is_loader(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["ld-", "ld.so", "ld64.so"].iter().any(|start| name.starts_with(start))
}

fn linkage(head: &[u8]) -> Linkage {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let interpreter = String::from_utf8_lossy(line);
        return match interpreter.split_ascii_whitespace().next() {
            Some(path) if path.starts_with('/') => Linkage::Script { interpreter: path.to_owned() },
            Some(_) | None => Linkage::Unknown,
        };
    }
    segments(head).map_or(Linkage::Unknown, |kinds| {
        if kinds.contains(&PT_INTERP) { Linkage::Dynamic } else { Linkage::Static }
    })
}

/// The kinds of a program's segments; `None` if it is no ELF program, or they are not in `head`.
fn segments(head: &[u8]) -> Option<Vec<u64>> {
    let (is_wide, is_little) = match head.get(..6)? {
        [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2)] => (*class == 2, *order == 1),
        _ => return None,
    };
    let number = |at: usize, bytes: usize| {
        let field = head.get(at..at.checked_add(bytes)?)?;
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_little { field.iter().rev().fold(0, push) } else { field.iter().fold(0, push) })
    };
    // Where each field is in 64 and in 32 bits: the table, the size of its entries, their number.
    let (table, size, count) = if is_wide {
        (number(32, 8)?, number(54, 2)?, number(56, 2)?)
    } else {
        (number(28, 4)?, number(42, 2)?, number(44, 2)?)
    };
    let kind = |index: u64| {
        let at = table.checked_add(index.checked_mul(size)?)?;
        number(usize::try_from(at).ok()?, 4)
    };
    let kinds: Option<Vec<u64>> = (0..count).map(kind).collect();
    kinds.filter(|kinds| !kinds.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A program of 64 bits, the lower byte first, with segments of these kinds.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn a_program_that_names_no_loader_is_static() {
        assert_eq!(linkage(&elf(&[1, 1])), Linkage::Static);
        assert_eq!(linkage(&elf(&[6, 3, 1])), Linkage::Dynamic);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(linkage(&own[..HEAD_BYTES]), Linkage::Dynamic, "this test has a libc");
        let interpreter = "/bin/sh".to_owned();
        assert_eq!(linkage(b"#! /bin/sh -e\necho"), Linkage::Script { interpreter });
    }

    #[test]
    fn what_is_cut_or_of_another_form_is_unknown() {
        let whole = elf(&[1, 1]);
        for cut in [0, 5, 20, 63, 64, 119] {
            assert_eq!(linkage(&whole[..cut]), Linkage::Unknown, "{cut}");
        }
        for other in [&b"MZ"[..], b"#!", b"#! sh", b"\x7fELF\x03\x01", b"echo", &elf(&[])] {
            assert_eq!(linkage(other), Linkage::Unknown);
        }
        assert!(is_loader("/lib64/ld-linux-x86-64.so.2") && !is_loader("/bin/sh"));
    }

    #[test]
    fn a_program_is_looked_for_where_the_engine_does() {
        let spec = |words: &[&str]| Spec::builder("demo").command(words.to_vec()).build().unwrap();
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let image = ImageConfig {
            entrypoint: words(&["/init"]),
            cmd: words(&["own"]),
            env: words(&["A=1", "PATH=/a:b:/c/"]),
            working_dir: Some("/app".to_owned()),
            ..Default::default()
        };
        let bare = ImageConfig { entrypoint: None, ..image.clone() };
        assert_eq!(places(&spec(&["sh"]), &image), words(&["/init"]));
        assert_eq!(places(&spec(&["sh"]), &bare), words(&["/a/sh", "/c/sh"]));
        assert_eq!(places(&spec(&[]), &bare), words(&["/a/own", "/c/own"]));
        assert_eq!(places(&spec(&["./run"]), &bare), words(&["/app/./run"]));
        assert_eq!(places(&spec(&["sh"]), &ImageConfig::default()).unwrap().len(), 6);
        assert_eq!(places(&spec(&[]), &ImageConfig::default()), None);
        let replaced = Spec { entrypoint: vec!["bin/x".to_owned()], ..spec(&[]) };
        assert_eq!(places(&replaced, &image), words(&["/app/bin/x"]));
    }

    proptest! {
        #[test]
        fn hostile_programs_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), is_elf: bool) {
            if is_elf && bytes.len() > 6 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            }
            linkage(&bytes);
        }
    }
}
