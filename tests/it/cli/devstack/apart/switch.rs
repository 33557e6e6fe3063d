//! Networks of their own for processes, joined by a switch whose cables can be pulled.
//!
//! Needs a user who may make network namespaces, and `ip`, `nsenter`, `tc` and `iptables`.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::cli::User;

/// Where networks have their names.
const SPACES: &str = "/run/netns";

/// How many switches this process has made.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The switch's own place among the hosts: this machine.
const HERE: usize = 1;

/// A switch. It ends with the tests' process, and all networks at it.
pub(super) struct Switch {
    /// Begins the names of all its networks. No other test has it.
    name: String,
    subnet: String,
    hosts: usize,
}

/// A machine at the switch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host(usize);

impl Switch {
    /// A switch that this machine is at, too. `None` where nobody may make one, which the log says.
    #[expect(clippy::print_stderr, reason = "nothing else tells of a test that tried nothing")]
    pub(super) fn new() -> Option<Self> {
        remove_orphans();
        let pid = std::process::id();
        // Tests may share a process.
        let number = pid.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed) * 7919);
        let name = format!("assay-{pid}-{number}");
        let subnet = format!("10.{}.{}", 64 + number / 256 % 128, number % 256);
        if let Err(why) = ip(&["netns", "add", &name]) {
            let is_forbidden =
                ["ermitted", "ermission", "No such file"].iter().any(|word| why.contains(word));
            assert!(is_forbidden, "{why}");
            eprintln!("SKIPPED: this user cannot make networks, so nothing was tried: {why}");
            return None;
        }
        let switch = Self { name, subnet, hosts: HERE };
        let hub = &*switch.name;
        switch.ip(&["-n", hub, "link", "add", "hub", "type", "bridge"]);
        switch.ip(&["-n", hub, "link", "set", "hub", "up"]);
        let here = format!("as{number}");
        switch.ip(&[
            "link",
            "add",
            &here,
            "type",
            "veth",
            "peer",
            "name",
            &switch.port(Host(HERE)),
            "netns",
            hub,
        ]);
        switch.attach(Host(HERE));
        switch.ip(&["address", "add", &format!("{}/24", switch.address(Host(HERE))), "dev", &here]);
        switch.ip(&["link", "set", &here, "up"]);
        Some(switch)
    }

    /// One more machine, with a user on it.
    pub(super) fn host(&mut self) -> (Host, User) {
        self.hosts += 1;
        let host = Host(self.hosts);
        let (space, hub, port) = (self.space(host), self.name.clone(), self.port(host));
        self.ip(&["netns", "add", &space]);
        self.ip(&["-n", &space, "link", "set", "lo", "up"]);
        self.ip(&["-n", &space, "link", "add", "net", "type", "veth", "peer", "name", &port, "netns", &hub]);
        self.attach(host);
        self.ip(&["-n", &space, "address", "add", &format!("{}/24", self.address(host)), "dev", "net"]);
        self.ip(&["-n", &space, "link", "set", "net", "up"]);
        let mut user = User::new();
        user.network = Some(Path::new(SPACES).join(space));
        (host, user)
    }

    /// This machine's own address there.
    pub(super) fn here(&self) -> String {
        self.address(Host(HERE))
    }

    pub(super) fn address(&self, host: Host) -> String {
        format!("{}.{}", self.subnet, host.0)
    }

    /// Pulls the cable of a host: nobody hears it, and it hears nobody.
    pub(super) fn pull(&self, host: Host) {
        self.ip(&["-n", &self.name, "link", "set", &self.port(host), "down"]);
    }

    /// Plugs it in again.
    pub(super) fn plug(&self, host: Host) {
        self.ip(&["-n", &self.name, "link", "set", &self.port(host), "up"]);
    }

    /// Loses some of what comes to a host, and lets the switch send it no more than `rate`.
    pub(super) fn worsen(&self, host: Host, percent: u32, rate: &str) {
        let share = format!("0.{percent:02}");
        let (space, port) = (format!("--net={SPACES}/{}", self.space(host)), self.port(host));
        let lose = [
            "-A",
            "INPUT",
            "-i",
            "net",
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            &share,
            "-j",
            "DROP",
        ];
        run("nsenter", &[&[&*space, "iptables"], &lose[..]].concat()).expect("packets can be lost");
        let slow =
            ["-n", &self.name, "qdisc", "add", "dev", &port, "root", "tbf", "rate", rate, "burst", "32kbit"];
        run("tc", &[&slow[..], &["latency", "400ms"]].concat()).expect("a cable can be slow");
    }

    fn space(&self, host: Host) -> String {
        format!("{}-{}", self.name, host.0)
    }

    fn port(&self, host: Host) -> String {
        format!("port{}", host.0)
    }

    fn attach(&self, host: Host) {
        let (hub, port) = (&*self.name, self.port(host));
        self.ip(&["-n", hub, "link", "set", &port, "master", "hub"]);
        self.ip(&["-n", hub, "link", "set", &port, "up"]);
    }

    #[expect(clippy::unused_self, reason = "only a switch knows that this user may")]
    fn ip(&self, words: &[&str]) {
        ip(words).unwrap_or_else(|why| panic!("ip {words:?}: {why}"));
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // With its network a cable goes, and with a cable both its ends.
        let spaces = (HERE + 1..=self.hosts).map(|host| self.space(Host(host)));
        for space in spaces.chain([self.name.clone()]) {
            let _ = ip(&["netns", "del", &space]);
        }
    }
}

/// Networks of tests that were killed.
fn remove_orphans() {
    let spaces = fs::read_dir(SPACES).into_iter().flatten().flatten();
    for space in spaces.filter_map(|space| space.file_name().into_string().ok()) {
        let pid = space.strip_prefix("assay-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = ip(&["netns", "del", &space]);
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
