//! Peer discovery: connected nodes tell each other of their peers, and dial some of them.
//!
//! An answer is only a hint. Bounds limit what it causes: the number of peers wanted ([`TARGET_PEERS`]), dials
//! at a time in all and per naming peer, a rate of dials, and a pause of [`RETRY`] before an address is dialled
//! again. A peer's hints are dropped when it disconnects.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use ::libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use tokio::time::Instant;

use super::{
    bucket::Buckets,
    places::{self, address_of, place_in},
    wire::{MAX_NAMED_PLACES, PeersResponse},
};
use crate::domain::{Backoff, MAX_SEATS};

/// Enough peers for the largest job, and one more. With fewer, this node asks and dials.
const TARGET_PEERS: usize = MAX_SEATS as usize + 1;

/// Most places told, kept and dialled of one peer.
const MAX_PLACES: usize = 4;

/// Dials at a time.
const MAX_DIALS: usize = 4;

/// Dials at a time of addresses that one peer named, so that a liar does not delay the others'.
const MAX_DIALS_OF_ONE: usize = 2;

/// The pauses before all peers are asked again while there are too few: short after a change, then longer.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// How long the same place of the same peer is not dialled again.
const RETRY: Duration = Duration::from_secs(300);

/// How far this node is in asking a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Its protocols are not known yet.
    Unknown,
    /// It does not speak the protocol, or broke it.
    Never,
    /// It will be asked next.
    Due,
    /// It was asked and has not answered.
    Asked,
    /// It answered; it is asked again in the next round.
    Answered,
}

#[derive(Debug)]
struct Peer {
    /// The other end of its connection.
    remote: Option<SocketAddr>,
    /// The address at which this node dialled it, if it did.
    dialled: Option<SocketAddr>,
    /// It is on this machine. Only such peers are told loopback addresses, and believed about them.
    near: bool,
    /// The addresses that it claims; the likeliest first.
    places: Vec<SocketAddr>,
    question: Question,
    /// The peers that it named.
    leads: VecDeque<(PeerId, Vec<SocketAddr>)>,
}

/// The connected peers and what they say of others.
#[derive(Debug)]
pub(super) struct Exchange {
    me: PeerId,
    peers: BTreeMap<PeerId, Peer>,
    rounds: u32,
    next_round: Instant,
    /// Dials in flight, and which peer named each address.
    dials: BTreeMap<ConnectionId, PeerId>,
    /// Recent dials; the rate of dials bounds their number.
    tried: BTreeMap<(PeerId, SocketAddr), Instant>,
    pace: Buckets<()>,
    askers: Buckets<PeerId>,
    /// The peer after which the next answer starts.
    last_told: Option<PeerId>,
    last_followed: Option<PeerId>,
}

impl Exchange {
    pub(super) fn new(me: PeerId, now: Instant) -> Self {
        Self {
            me,
            peers: BTreeMap::new(),
            rounds: 0,
            next_round: now + PAUSES.first,
            dials: BTreeMap::new(),
            tried: BTreeMap::new(),
            pace: Buckets::new(32, Duration::from_secs(1)),
            // The first rounds of an honest node, and its rounds after everybody else has come.
            askers: Buckets::new(16, Duration::from_secs(1)),
            last_told: None,
            last_followed: None,
        }
    }

    /// A connection was made.
    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        attempt: ConnectionId,
        remote: &Multiaddr,
        dialled: bool,
    ) {
        self.dials.remove(&attempt);
        let remote = place_in(remote);
        let known = self.peers.entry(peer).or_insert(Peer {
            remote,
            dialled: None,
            near: false,
            places: Vec::new(),
            question: Question::Unknown,
            leads: VecDeque::new(),
        });
        known.near |= remote.is_some_and(|remote| remote.ip().is_loopback());
        if dialled {
            known.dialled = remote;
        }
    }

    /// The last connection to a peer closed.
    pub(super) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        if self.peers.remove(&peer).is_some() {
            self.ask_soon(now);
        }
    }

    /// A dial failed, of this module or another.
    pub(super) fn failed(&mut self, attempt: ConnectionId) {
        self.dials.remove(&attempt);
    }

    /// A peer told its addresses, and whether it speaks this protocol.
    pub(super) fn identified(&mut self, peer: PeerId, listening: &[Multiaddr], speaks: bool, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let listening = listening.iter().filter_map(place_in);
        let heard: BTreeSet<SocketAddr> = known.dialled.into_iter().chain(listening).collect();
        let mut places: Vec<SocketAddr> =
            heard.into_iter().filter(|place| known.near || !place.ip().is_loopback()).collect();
        // The dialled address works, and the one that packets come from probably does.
        let ip = known.remote.map(|remote| remote.ip());
        places.sort_by_key(|place| (known.dialled != Some(*place), ip != Some(place.ip())));
        places.truncate(MAX_PLACES);
        known.places = places;
        if known.question == Question::Unknown {
            known.question = if speaks { Question::Due } else { Question::Never };
            self.ask_soon(now);
        }
    }

    /// The peers to ask now; they count as asked from here on.
    pub(super) fn ask_due(&mut self, now: Instant) -> Vec<PeerId> {
        if self.peers.len() >= TARGET_PEERS {
            return Vec::new();
        }
        if self.next_round <= now {
            self.rounds = self.rounds.saturating_add(1);
            self.next_round = now + PAUSES.pause(self.rounds);
            for peer in self.peers.values_mut().filter(|peer| peer.question == Question::Answered) {
                peer.question = Question::Due;
            }
        }
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.question == Question::Due);
        due.map(|(id, peer)| {
            peer.question = Question::Asked;
            *id
        })
        .collect()
    }

    /// When the next round is due, if there is one.
    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.peers.is_empty() && self.peers.len() < TARGET_PEERS).then_some(self.next_round)
    }

    /// The answer to a peer: other peers, in turn. `None` if it asks too often.
    pub(super) fn answer(&mut self, asker: PeerId, now: Instant) -> Option<PeersResponse> {
        let near = self.peers.get(&asker)?.near;
        if !self.askers.take(asker, now) {
            return None;
        }
        let mut told = Vec::new();
        let mut last_told = self.last_told;
        for (id, peer) in in_turn(&self.peers, self.last_told).filter(|(id, _)| **id != asker) {
            if told.len() + MAX_PLACES > MAX_NAMED_PLACES {
                break;
            }
            let places = peer.places.iter().filter(|place| near || !place.ip().is_loopback());
            told.extend(places.map(|place| places::write(*id, *place)));
            last_told = Some(*id);
        }
        self.last_told = last_told;
        Some(PeersResponse(told))
    }

    /// Takes a peer's answer. `false` if it is invalid: the peer is not asked again.
    pub(super) fn heard(&mut self, from: PeerId, answer: &PeersResponse) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else { return true };
        let Some(named) = places::read(answer) else {
            peer.question = Question::Never;
            peer.leads.clear();
            return false;
        };
        peer.question = Question::Answered;
        let mut leads: BTreeMap<PeerId, Vec<SocketAddr>> = BTreeMap::new();
        // Else one address under many names would be dialled again and again.
        let mut places = BTreeSet::new();
        for (id, place) in named {
            let is_of_use = id != self.me && (peer.near || !place.ip().is_loopback());
            let lead = leads.entry(id).or_default();
            if is_of_use && lead.len() < MAX_PLACES && places.insert(place) {
                lead.push(place);
            }
        }
        peer.leads = leads.into_iter().filter(|(_, places)| !places.is_empty()).collect();
        true
    }

    /// A peer failed to answer.
    pub(super) fn unanswered(&mut self, peer: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.question = Question::Answered;
        }
    }

    /// The next dial, if one is wanted; it counts as in flight from here on.
    pub(super) fn next_dial(
        &mut self,
        now: Instant,
        may_dial: impl Fn(SocketAddr) -> bool,
    ) -> Option<DialOpts> {
        if self.dials.len() >= MAX_DIALS || self.peers.len() + self.dials.len() >= TARGET_PEERS {
            return None;
        }
        loop {
            let is_free = |id| self.dials.values().filter(|source| **source == id).count() < MAX_DIALS_OF_ONE;
            let has_lead = |(id, peer): &(&PeerId, &Peer)| !peer.leads.is_empty() && is_free(**id);
            let source = in_turn(&self.peers, self.last_followed).find(has_lead).map(|(id, _)| *id)?;
            let leads = &mut self.peers.get_mut(&source)?.leads;
            let (peer, mut places) = leads.pop_front()?;
            places.retain(|place| may_dial(*place));
            places.retain(|place| {
                self.tried.get(&(peer, *place)).is_none_or(|tried| now.duration_since(*tried) >= RETRY)
            });
            if places.is_empty() || self.peers.contains_key(&peer) {
                continue;
            }
            if !self.pace.take((), now) {
                self.peers.get_mut(&source)?.leads.push_front((peer, places));
                return None;
            }
            self.last_followed = Some(source);
            self.tried.retain(|_, tried| now.duration_since(*tried) < RETRY);
            self.tried.extend(places.iter().map(|place| ((peer, *place), now)));
            let opts = DialOpts::peer_id(peer)
                // Also while another peer's address for it, maybe a lie, is being dialled.
                .condition(PeerCondition::Disconnected)
                .addresses(places.into_iter().map(address_of).collect())
                // Two nodes that dial each other from their listening ports would collide in one connection.
                .allocate_new_port()
                .build();
            self.dials.insert(opts.connection_id(), source);
            return Some(opts);
        }
    }

    fn ask_soon(&mut self, now: Instant) {
        self.rounds = 0;
        self.next_round = self.next_round.min(now + PAUSES.first);
    }
}

/// All peers, starting after `last`.
fn in_turn(peers: &BTreeMap<PeerId, Peer>, last: Option<PeerId>) -> impl Iterator<Item = (&PeerId, &Peer)> {
    let behind = peers.iter().filter(move |(id, _)| Some(**id) > last);
    behind.chain(peers.iter().filter(move |(id, _)| Some(**id) <= last))
}

#[cfg(test)]
mod tests;
