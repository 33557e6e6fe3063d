//! A process of nodes, and a user with a devstack.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{
    super::{Seen, User},
    HINT,
};

/// A process of nodes that says when they are ready, and is stopped in order with its owner.
#[derive(Debug)]
pub(in crate::cli) struct Nodes {
    /// None once it ended otherwise.
    child: Option<Child>,
    pub(in crate::cli) ready: Value,
    log: PathBuf,
}

impl Nodes {
    pub(in crate::cli) fn start(user: &User, words: &[&str]) -> Self {
        Self::starting(user, words).outcome().unwrap_or_else(|(_, log)| panic!("{log}; {HINT}"))
    }

    /// A process that may not come so far.
    pub(in crate::cli) fn starting(user: &User, words: &[&str]) -> Self {
        let words = [&["--output", "json"], words].concat();
        let log = tempfile::NamedTempFile::new_in(user.home.path()).unwrap().keep().unwrap();
        let mut command = user.command(&words);
        let child = command.stdout(Stdio::piped()).stderr(log.0).spawn().unwrap();
        Self { child: Some(child), ready: Value::Null, log: log.1 }
    }

    /// Waits until all nodes are ready, or the process ends: then its exit code, and what it said.
    pub(in crate::cli) fn outcome(mut self) -> Result<Self, (Option<i32>, String)> {
        // One document, when all nodes are ready; the process goes on.
        let stdout = self.child.as_mut().unwrap().stdout.take().unwrap();
        let ready = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>().next();
        let Some(Ok(ready)) = ready else {
            let ended = self.child.take().unwrap().wait().unwrap();
            return Err((ended.code(), self.log()));
        };
        assert_eq!(ready["version"], 1);
        self.ready = ready;
        Ok(self)
    }

    /// Ends it as a crash does.
    pub(in crate::cli) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it as a user does, and sees its exit code.
    pub(in crate::cli) fn end_with(mut self, code: i32) {
        let mut child = self.child.take().unwrap();
        assert!(interrupt(&child), "{}", self.log());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{}", self.log());
    }

    pub(in crate::cli) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let stopped = interrupt(child) && child.wait().unwrap().success();
        assert!(stopped || std::thread::panicking(), "{}", self.log());
    }
}

/// Presses Ctrl-C; `false` if the process has ended before.
pub(super) fn interrupt(child: &Child) -> bool {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    sent.is_ok_and(|status| status.success())
}

/// A user with a devstack, which ends with them.
pub(super) struct Session {
    pub(super) user: User,
    pub(super) devstack: Nodes,
}

impl Session {
    pub(super) fn start(words: &[&str]) -> Self {
        let user = User::new();
        let devstack = Nodes::start(&user, &[&["devstack"], words].concat());
        Self { user, devstack }
    }

    /// Other commands find the devstack by themselves.
    pub(super) fn run(&self, words: &[&str]) -> Seen {
        self.user.run(words)
    }

    pub(super) fn json(&self, words: &[&str]) -> Value {
        let seen = self.run(&[words, &["--output", "json"]].concat());
        serde_json::from_str(&seen.stdout).unwrap_or_else(|error| panic!("{error}: {}; {HINT}", seen.stderr))
    }
}
