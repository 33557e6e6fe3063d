//! Answers, true and false, and what a node makes of them.

use super::*;
use crate::{identity::NodeKey, network::wire::WireBytes};

fn id(byte: u8) -> PeerId {
    NodeKey::from_bytes(&[byte; 32]).unwrap().libp2p_keypair().public().to_peer_id()
}

fn address(place: &str) -> Multiaddr {
    address_of(place.parse().unwrap())
}

/// A node that is connected to these peers, each of which came from the address it listens on.
fn with_peers(now: Instant, peers: &[(u8, &str)]) -> Exchange {
    let mut exchange = Exchange::new(id(200), now);
    for (peer, place) in peers {
        meet(&mut exchange, *peer, place, now);
    }
    exchange
}

fn meet(exchange: &mut Exchange, peer: u8, place: &str, now: Instant) {
    exchange.connected(id(peer), ConnectionId::new_unchecked(0), &address(place), false);
    exchange.identified(id(peer), &[address(place)], true, now);
}

fn answer(named: &[(u8, &str)]) -> PeersResponse {
    PeersResponse(
        named.iter().map(|(peer, place)| places::write(id(*peer), place.parse().unwrap())).collect(),
    )
}

/// Twenty nodes that nobody knows, at different addresses.
fn crowd(from: u8) -> PeersResponse {
    let place = |peer: u8| format!("10.{from}.0.{peer}:4001").parse().unwrap();
    PeersResponse((from..from + 20).map(|peer| places::write(id(peer), place(peer))).collect())
}

fn dials(exchange: &mut Exchange, now: Instant) -> Vec<DialOpts> {
    std::iter::from_fn(|| exchange.next_dial(now, |_| true)).collect()
}

fn told(exchange: &mut Exchange, asker: u8, now: Instant) -> Vec<String> {
    let answer = exchange.answer(id(asker), now).unwrap();
    places::read(&answer).unwrap().iter().map(|(_, place)| place.to_string()).collect()
}

#[test]
fn a_peer_is_asked_once_and_then_ever_more_rarely() {
    let start = Instant::now();
    let mut exchange = with_peers(start, &[(1, "10.0.0.1:1")]);
    assert_eq!(exchange.ask_due(start), [id(1)]);
    let mut pauses = Vec::new();
    let mut last = start;
    while pauses.len() < 12 {
        assert!(exchange.heard(id(1), &answer(&[])));
        let now = exchange.next_due().unwrap();
        assert!(exchange.ask_due(now - Duration::from_millis(1)).is_empty());
        assert_eq!(exchange.ask_due(now), [id(1)]);
        pauses.push(now - last);
        last = now;
    }
    assert!(pauses.is_sorted() && pauses[0] == PAUSES.first && pauses[11] == PAUSES.longest, "{pauses:?}");
    assert!(exchange.ask_due(last + PAUSES.longest * 2).is_empty(), "one question at a time");
}

#[test]
fn nobody_is_asked_or_dialled_when_there_are_enough_peers() {
    let now = Instant::now();
    let mut exchange = Exchange::new(id(200), now);
    for peer in 1..u8::try_from(TARGET_PEERS).unwrap() {
        meet(&mut exchange, peer, "10.0.0.1:1", now);
    }
    assert_eq!(exchange.ask_due(now).len(), TARGET_PEERS - 1);
    assert!(exchange.heard(id(1), &crowd(100)));
    assert_eq!(dials(&mut exchange, now).len(), 1, "one is missing");
    meet(&mut exchange, 99, "10.0.0.1:1", now);
    assert_eq!(exchange.next_due(), None);
    assert!(exchange.ask_due(now + RETRY).is_empty() && dials(&mut exchange, now).is_empty());
}

#[test]
fn a_peer_is_told_where_others_listen_and_not_where_they_came_from() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1"), (2, "10.0.0.2:2")]);
    exchange.connected(id(3), ConnectionId::new_unchecked(0), &address("10.0.0.3:55555"), false);
    assert_eq!(
        told(&mut exchange, 1, now),
        ["10.0.0.2:2"],
        "nothing is known of who has not said where it is"
    );
    let listening = ["127.0.0.1:4", "172.17.0.1:4", "10.0.0.3:4"].map(address);
    exchange.identified(id(3), &listening, true, now);
    let mut all = told(&mut exchange, 1, now);
    all.sort();
    assert_eq!(all, ["10.0.0.2:2", "10.0.0.3:4", "172.17.0.1:4"]);
}

#[test]
fn loopback_addresses_stay_on_the_machine() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "127.0.0.1:1"), (2, "127.0.0.1:2"), (3, "10.0.0.3:3")]);
    assert_eq!(told(&mut exchange, 3, now), Vec::<String>::new());
    let mut near = told(&mut exchange, 1, now);
    near.sort();
    assert_eq!(near, ["10.0.0.3:3", "127.0.0.1:2"]);
    assert!(exchange.heard(id(3), &answer(&[(9, "127.0.0.1:22")])));
    assert!(dials(&mut exchange, now).is_empty(), "a peer elsewhere names a port of this machine");
    assert!(exchange.heard(id(1), &answer(&[(9, "127.0.0.1:22")])));
    assert_eq!(dials(&mut exchange, now).len(), 1);
}

#[test]
fn answers_are_bounded_and_take_turns_among_peers() {
    let now = Instant::now();
    let mut exchange = Exchange::new(id(200), now);
    for peer in 1..=100 {
        meet(&mut exchange, peer, &format!("10.0.0.{peer}:1"), now);
    }
    let (first, second) = (told(&mut exchange, 1, now), told(&mut exchange, 1, now));
    assert!(first.len() > MAX_NAMED_PLACES - MAX_PLACES && first.len() <= MAX_NAMED_PLACES);
    let all: BTreeSet<_> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 99, "everybody but the one that asks");
    while exchange.answer(id(1), now).is_some() {}
    assert!(exchange.answer(id(2), now).is_some(), "who asks too often is left without an answer, alone");
}

#[test]
fn one_peers_word_is_followed_by_few_dials_at_a_time_and_others_get_their_turn() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1"), (2, "10.0.0.2:1"), (3, "10.0.0.3:1")]);
    assert!(exchange.heard(id(1), &crowd(20)));
    let first = dials(&mut exchange, now);
    assert_eq!(first.len(), MAX_DIALS_OF_ONE);
    assert!(exchange.heard(id(2), &crowd(40)) && exchange.heard(id(3), &crowd(60)));
    assert_eq!(dials(&mut exchange, now).len(), MAX_DIALS - MAX_DIALS_OF_ONE);
    exchange.failed(first[0].connection_id());
    assert_eq!(dials(&mut exchange, now).len(), 1);
}

#[test]
fn a_place_is_dialled_once_in_a_long_time_whatever_came_of_it() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1")]);
    let hint = answer(&[(9, "10.0.0.9:1")]);
    for _ in 0..3 {
        assert!(exchange.heard(id(1), &hint));
        for opts in dials(&mut exchange, now) {
            exchange.connected(id(9), opts.connection_id(), &address("10.0.0.9:1"), true);
            exchange.disconnected(id(9), now);
        }
    }
    assert_eq!(exchange.tried.len(), 1);
    assert!(dials(&mut exchange, now).is_empty());
    assert!(exchange.heard(id(1), &answer(&[(9, "10.0.0.10:1")])));
    assert_eq!(dials(&mut exchange, now).len(), 1, "a lie about a peer does not hide where it is");
    assert!(exchange.heard(id(1), &hint));
    assert_eq!(dials(&mut exchange, now + RETRY).len(), 1);
    assert_eq!(exchange.tried.len(), 1, "what may be dialled again is forgotten");
}

#[test]
fn dials_keep_a_pace_whoever_names_whatever() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1")]);
    let mut count = 0;
    for from in [20, 40, 60, 80] {
        assert!(exchange.heard(id(1), &crowd(from)));
        while let Some(opts) = exchange.next_dial(now, |_| true) {
            exchange.failed(opts.connection_id());
            count += 1;
        }
    }
    assert_eq!(count, 32);
    assert!(
        exchange.next_dial(now + Duration::from_secs(1), |_| true).is_some(),
        "and go on where they stopped"
    );
}

#[test]
fn an_answer_that_is_none_is_the_last_of_its_sender() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1"), (2, "10.0.0.2:1")]);
    exchange.ask_due(now);
    assert!(!exchange.heard(id(1), &PeersResponse(vec![WireBytes(vec![0; 7])])));
    assert!(exchange.heard(id(2), &answer(&[])));
    let later = exchange.next_due().unwrap();
    assert_eq!(exchange.ask_due(later), [id(2)]);
}

#[test]
fn one_place_under_many_names_is_dialled_once_and_this_node_never() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1")]);
    let named: Vec<_> = (20..60).map(|peer| (peer, "10.9.9.9:80")).chain([(200, "10.0.0.7:1")]).collect();
    assert!(exchange.heard(id(1), &answer(&named)));
    assert_eq!(dials(&mut exchange, now).len(), 1);
    assert_eq!(exchange.tried.len(), 1);
    assert!(exchange.peers[&id(1)].leads.is_empty());
}

#[test]
fn a_place_that_this_node_may_not_reach_is_not_dialled() {
    let now = Instant::now();
    let mut exchange = with_peers(now, &[(1, "10.0.0.1:1")]);
    exchange.ask_due(now);
    assert!(exchange.heard(id(1), &answer(&[(2, "10.0.0.2:22"), (3, "8.8.8.8:4001")])));
    let public = |place: SocketAddr| place.ip() == std::net::IpAddr::from([8, 8, 8, 8]);
    assert!(exchange.next_dial(now, public).is_some());
    assert!(exchange.next_dial(now, public).is_none());
}
