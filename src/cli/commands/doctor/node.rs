//! The user's node: whether it answers, what keeps it from its work, its peers, and who can reach it.

use super::finding::Finding;
use crate::{
    api::types::NodeInfo,
    cli::{
        args::ApiArgs,
        client::{Client, ClientError},
        output::Output,
        settings::{self, ApiOrigin, SettingsError},
    },
    node::{Links, NamedPeer, Warning},
};

/// What was seen of the user's node.
#[derive(Debug)]
pub(super) enum Seen {
    /// Its address cannot be one.
    NoAddress(SettingsError),
    /// It did not answer at an address of this origin.
    Silent(ApiOrigin, ClientError),
    /// What it said, at this address.
    Answered(String, Box<NodeInfo>),
}

/// Asks the node.
pub(super) async fn look(args: &ApiArgs, output: Output) -> Seen {
    let address = match settings::api(args) {
        Ok(address) => address,
        Err(error) => return Seen::NoAddress(error),
    };
    let origin = address.origin;
    let client = Client::new(address, output);
    match client.node().await {
        Ok(info) => Seen::Answered(client.address().to_owned(), Box::new(info)),
        Err(error) => Seen::Silent(origin, error),
    }
}

impl Seen {
    /// The warnings of a node that compares its clock with those of peers.
    pub(super) fn among_peers(&self) -> Option<&[Warning]> {
        match self {
            Self::Answered(_, info) => {
                let has_peers = info.links.as_ref().is_some_and(|links| links.connected > 0);
                has_peers.then_some(&info.warnings)
            }
            Self::NoAddress(_) | Self::Silent(..) => None,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        match self {
            Self::NoAddress(error) => vec![Finding::error("node", error)],
            Self::Silent(ApiOrigin::Default, ClientError::Unreachable { .. }) => {
                let hint = "start one with assay serve, or a whole network with assay devstack";
                vec![Finding::skip("node", "no node of yours runs on this machine", hint)]
            }
            Self::Silent(_, error) => vec![Finding::error("node", error)],
            Self::Answered(api, info) => of(api, info),
        }
    }
}

fn of(api: &str, info: &NodeInfo) -> Vec<Finding> {
    let slots = info.compute_slots;
    let mut findings = vec![Finding::ok(
        "node",
        format!(
            "{} answers at {api}: assay {}, {}, {slots} slots",
            info.id.short(),
            info.version,
            info.backend
        ),
    )];
    let told = |warning: &Warning| Finding::fail("node", warning.message.clone(), Some(warning.hint.clone()));
    findings.extend(info.warnings.iter().map(told));
    if let Some(links) = &info.links {
        findings.extend(peers(links));
        findings.push(reach(&info.listen, links));
    }
    findings
}

/// The peers that the user named, and how many others are there.
fn peers(links: &Links) -> Vec<Finding> {
    const CHECK: &str = "peers";
    let mut findings: Vec<Finding> = links.peers.iter().filter_map(away).collect();
    findings.push(match links.connected {
        0 => Finding::fail(
            CHECK,
            "no other node is connected",
            Some("name a running node with --peer, as that node prints it".to_owned()),
        ),
        connected => Finding::ok(CHECK, format!("{connected} nodes are connected")),
    });
    findings
}

/// A named peer without a connection.
fn away(NamedPeer { address, node, last_error }: &NamedPeer) -> Option<Finding> {
    if node.is_some() {
        return None;
    }
    let why = last_error.as_deref().unwrap_or("not dialled yet");
    let hint = "check that the node runs and listens there, and the network in between";
    Some(Finding::warn("peers", format!("{address} is not connected: {why}"), hint))
}

/// Who can open a connection to the node.
fn reach(listen: &[String], links: &Links) -> Finding {
    const CHECK: &str = "reach";
    let is_local = |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
    let Links { connected, visitors, .. } = *links;
    if listen.is_empty() {
        let hint = "this node connects to the others by itself";
        return Finding::skip(CHECK, "the node listens nowhere", hint);
    }
    if listen.iter().all(is_local) {
        let hint = "to join nodes on other machines, start it with --listen /ip4/0.0.0.0/tcp/4001";
        let found = "the node listens on this machine alone, where other machines cannot reach it";
        return Finding::warn(CHECK, found, hint);
    }
    let addresses = listen.join(", ");
    if visitors > 0 {
        return Finding::ok(
            CHECK,
            format!("{visitors} of {connected} nodes connected to it, at {addresses}"),
        );
    }
    let hint = "let others through to that port in the firewall, or forward it on the router";
    Finding::warn(CHECK, format!("no node has connected to it yet, at {addresses}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::commands::doctor::finding::State, domain::NodeId};

    fn links(connected: usize, visitors: usize) -> Links {
        Links { connected, visitors, peers: Vec::new() }
    }

    #[test]
    fn a_node_that_only_its_own_machine_reaches_is_told_how_to_open() {
        let (local, open) = ("/ip4/127.0.0.1/tcp/4001".to_owned(), "/ip4/10.0.0.7/tcp/4001".to_owned());
        let alone = reach(std::slice::from_ref(&local), &links(3, 3));
        assert_eq!(alone.state, State::Warn);
        assert!(alone.hint.unwrap().contains("--listen /ip4/0.0.0.0/tcp/4001"));
        let both = [local, open];
        assert_eq!(reach(&both, &links(3, 2)).state, State::Ok);
        let unseen = reach(&both, &links(3, 0));
        assert_eq!(unseen.state, State::Warn);
        assert!(unseen.hint.unwrap().contains("firewall"));
        assert_eq!(reach(&[], &links(3, 0)).state, State::Skip);
    }

    #[test]
    fn a_named_peer_that_is_away_is_told_with_why() {
        let peer = |node, last_error: Option<&str>| NamedPeer {
            address: "/ip4/10.0.0.7/tcp/4001".to_owned(),
            node,
            last_error: last_error.map(str::to_owned),
        };
        let there = peer(Some(NodeId::new([1; 20])), None);
        let gone = peer(None, Some("connection refused"));
        let found = peers(&Links { connected: 1, visitors: 0, peers: vec![there, gone] });
        let states: Vec<State> = found.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Warn, State::Ok]);
        assert_eq!(found[0].found, "/ip4/10.0.0.7/tcp/4001 is not connected: connection refused");
        assert_eq!(peers(&links(0, 0))[0].state, State::Fail);
    }
}
