// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head, Slot, Slots} from "../../src/Packing.sol";
import {Books} from "./Books.sol";
import {Terms} from "./Terms.sol";

/// Jobs, bids and accounts rebuilt from the events alone, transaction by transaction; and their comparison with what
/// the chain says.
contract Replica is Test {
    struct Bid {
        IJobScheduler.BidStatus status;
        uint256 price;
        uint256 epoch;
        uint256 seat;
        bytes32 commitment;
    }

    struct Job {
        address requester;
        IJobScheduler.Terms terms;
        IJobScheduler.JobState state;
        bool isRostered;
        uint256 transaction;
        uint256 failed;
        uint256 committed;
        uint256 revealed;
        uint256 epoch;
        uint256 deadline;
        uint256 changedAt;
        IJobScheduler.AuditStage audit;
        address[] holders;
        address[] bidders;
        /// By seat: whether the failure of its holder came too late for another node, and its kind.
        uint256 late;
        mapping(uint256 seat => uint256) kinds;
        mapping(uint256 kind => uint256) failures;
    }

    /// The same money without the rules.
    Books private books = new Books();
    uint256 private transactions;
    uint256 private at;
    uint256 private burnt;
    bytes32[] private ids;
    mapping(bytes32 job => Job) private jobs;
    mapping(bytes32 job => mapping(address node => Bid)) private bids;
    mapping(bytes32 parent => bytes32) private children;
    mapping(address party => IJobScheduler.Account) private accounts;
    mapping(address party => bool) private isKnown;
    address[] private parties;

    /// Takes the events of one transaction, in a block of this time.
    function take(Vm.Log[] memory logs, uint256 time) external {
        ++transactions;
        at = time;
        books.take(logs);
        for (uint256 i = 0; i < logs.length; ++i) {
            Vm.Log memory log = logs[i];
            bytes32 topic = log.topics[0];
            address party = address(uint160(uint256(log.topics[log.topics.length - 1])));
            if (topic == IJobScheduler.Deposited.selector) {
                credit(party, abi.decode(log.data, (uint256)));
            } else if (topic == IJobScheduler.Withdrawn.selector) {
                debit(party, abi.decode(log.data, (uint256)));
            } else if (topic == IJobScheduler.Submitted.selector) {
                submitted(log.topics[1], party, log.data);
            } else if (topic != IJobScheduler.Announced.selector) {
                bidding(jobs[log.topics[1]], log.topics[1], topic, party, log.data);
            }
        }
    }

    function credit(address party, uint256 amount) private {
        if (!isKnown[party]) parties.push(party);
        isKnown[party] = true;
        accounts[party].free += uint96(amount);
    }

    function debit(address party, uint256 amount) private {
        credit(party, 0);
        accounts[party].free -= uint96(amount);
    }

    function escrow(IJobScheduler.Terms storage t) private view returns (uint256) {
        return Terms.mostSeats(t) * t.price + t.keeperFee;
    }

    /// The seats asked for: those of the second wave only once it was drawn.
    function asked(Job storage s) private view returns (uint256) {
        bool isDrawn = s.audit == IJobScheduler.AuditStage.Drawn;
        return isDrawn ? Terms.mostSeats(s.terms) : s.terms.concurrency;
    }

    function firstStage(IJobScheduler.Terms storage t) private view returns (IJobScheduler.AuditStage) {
        return t.audit == 0 ? IJobScheduler.AuditStage.None : IJobScheduler.AuditStage.Undrawn;
    }

    function counts(Job storage s, uint256 price) private view returns (bool) {
        return asked(s) > 1 && price != 0;
    }

    function submitted(bytes32 job, address party, bytes memory data) private {
        Job storage s = jobs[job];
        assertEq(s.requester, address(0), "a job submitted twice");
        (, bytes memory packed,) = abi.decode(data, (uint64, bytes, bytes));
        s.terms = Terms.unpack(packed);
        (s.requester, s.transaction) = (party, transactions);
        (s.deadline, s.changedAt, s.audit) = (at + s.terms.open, at, firstStage(s.terms));
        debit(party, escrow(s.terms));
        if (s.terms.parent != 0) children[s.terms.parent] = job;
        ids.push(job);
    }

    function bidding(Job storage s, bytes32 job, bytes32 topic, address party, bytes memory data) private {
        Bid storage b = bids[job][party];
        if (topic == IJobScheduler.DealUpdated.selector) {
            credit(s.requester, escrow(s.terms));
            s.terms = Terms.unpack(abi.decode(data, (bytes)));
            debit(s.requester, escrow(s.terms));
            ++s.epoch;
            (s.deadline, s.audit) = (s.changedAt + s.terms.open, firstStage(s.terms));
        } else if (topic == IJobScheduler.BidPlaced.selector) {
            if (b.status == IJobScheduler.BidStatus.None) {
                s.bidders.push(party);
            }
            (b.status, b.price) = (IJobScheduler.BidStatus.Standing, abi.decode(data, (uint96)));
            b.epoch = s.epoch;
        } else if (topic == IJobScheduler.BidWithdrawn.selector) {
            b.status = IJobScheduler.BidStatus.Withdrawn;
        } else if (topic == IJobScheduler.BidRejected.selector) {
            b.status = IJobScheduler.BidStatus.Rejected;
        } else if (topic == IJobScheduler.BidSkipped.selector) {
            b.status = IJobScheduler.BidStatus.Skipped;
        } else if (topic == IJobScheduler.BidAccepted.selector) {
            seated(s, b, party, abi.decode(data, (uint8)));
            // Only signed bids are accepted in the transaction that submits their job.
            bool isWhole = s.state == IJobScheduler.JobState.Running;
            s.isRostered = s.isRostered || (isWhole && s.transaction == transactions);
        } else if (topic == IJobScheduler.SeatTaken.selector) {
            seated(s, b, party, abi.decode(data, (uint8)));
        } else {
            running(s, b, job, topic, party, data);
        }
    }

    function seated(Job storage s, Bid storage b, address node, uint256 seat) private {
        (b.status, b.seat, s.changedAt) = (IJobScheduler.BidStatus.Seated, seat, at);
        debit(node, s.terms.bond);
        if (counts(s, b.price)) ++accounts[node].seats;
        if (seat < s.holders.length) {
            assertTrue(s.failed >> seat & 1 != 0, "a seat taken twice");
            s.failed ^= 1 << seat;
            s.holders[seat] = node;
            return;
        }
        s.holders.push(node);
        if (s.holders.length == asked(s)) {
            (s.state, s.deadline) = (IJobScheduler.JobState.Running, at + s.terms.run);
        }
    }

    function running(
        Job storage s,
        Bid storage b,
        bytes32 job,
        bytes32 topic,
        address party,
        bytes memory data
    ) private {
        if (topic == IJobScheduler.FailureReported.selector) {
            (, uint256 kind) = abi.decode(data, (uint256, uint256));
            bool isLate = at > s.deadline - s.terms.timeout - 60;
            s.failed |= 1 << b.seat;
            if (isLate) s.late |= 1 << b.seat;
            s.kinds[b.seat] = kind;
            ++s.failures[kind];
            (b.status, s.changedAt) = (IJobScheduler.BidStatus.Failed, at);
            credit(party, isLate ? s.terms.bond - s.terms.bond / 4 : s.terms.bond);
            if (counts(s, b.price)) ++accounts[party].failures;
        } else if (topic == IJobScheduler.Committed.selector) {
            s.committed |= 1 << b.seat;
            (b.status, s.changedAt) = (IJobScheduler.BidStatus.Committed, at);
            b.commitment = abi.decode(data, (bytes32));
        } else if (topic == IJobScheduler.SecretPublished.selector) {
            drawn(s, job, abi.decode(data, (bytes32)));
        } else if (topic == IJobScheduler.Revealed.selector) {
            (uint8 seat,) = abi.decode(data, (uint8, IJobScheduler.Opening));
            s.revealed |= 1 << seat;
        } else if (topic == IJobScheduler.Unpacked.selector) {
            s.isRostered = false;
        } else if (topic == IJobScheduler.VerdictPosted.selector) {
            (IJobScheduler.SeatOpening[] memory list, uint32 accepted) =
                abi.decode(data, (IJobScheduler.SeatOpening[], uint32));
            judged(s, job, party, list, accepted);
        } else if (topic == IJobScheduler.Expired.selector) {
            uint256 due = dueAtExpiry(s);
            uint256 earned = isKeptFromVerdict(s) ? s.committed : 0;
            s.state = abi.decode(data, (IJobScheduler.JobState));
            ended(s, job, due, earned, party);
        } else if (topic == IJobScheduler.Stopped.selector) {
            s.state = IJobScheduler.JobState.Cancelled;
            ended(s, job, live(s), live(s), s.requester);
        } else if (topic == IJobScheduler.Cancelled.selector) {
            s.state = IJobScheduler.JobState.Cancelled;
            ended(s, job, 0, 0, s.requester);
        } else {
            bool isLogOnly = topic == IJobScheduler.Remarked.selector
                || topic == IJobScheduler.SignedBidRevoked.selector || topic == IJobScheduler.Settled.selector;
            assertTrue(isLogOnly, "an unknown event");
        }
    }

    function drawn(Job storage s, bytes32 job, bytes32 secret) private {
        bytes memory commitments;
        for (uint256 i = 0; i < s.holders.length; ++i) {
            if (s.committed >> i & 1 == 0) continue;
            commitments = bytes.concat(commitments, bids[job][s.holders[i]].commitment);
        }
        s.changedAt = at;
        s.audit = IJobScheduler.AuditStage.Spared;
        if (!Terms.draws(s.terms, secret, commitments)) return;
        s.audit = IJobScheduler.AuditStage.Drawn;
        address first = s.holders[0];
        if (s.terms.concurrency == 1 && bids[job][first].price != 0) ++accounts[first].seats;
        (s.state, s.deadline) = (IJobScheduler.JobState.Open, at + s.terms.open);
    }

    function judged(
        Job storage s,
        bytes32 job,
        address keeper,
        IJobScheduler.SeatOpening[] memory list,
        uint256 accepted
    ) private {
        uint256 opened = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            opened |= 1 << list[i].seat;
        }
        s.revealed |= opened;
        s.state = accepted == 0 ? IJobScheduler.JobState.Inconclusive : IJobScheduler.JobState.Verified;
        for (uint256 i = 0; accepted != 0 && i < s.holders.length; ++i) {
            if (opened >> i & 1 == 0 || !counts(s, bids[job][s.holders[i]].price)) continue;
            if (accepted >> i & 1 != 0) accounts[s.holders[i]].paid += uint96(bids[job][s.holders[i]].price);
            else ++accounts[s.holders[i]].rejected;
        }
        bool burnsWrong = s.terms.deterministic && accepted != 0;
        ended(s, job, burnsWrong ? accepted : opened, accepted, keeper);
    }

    /// The bonds of the seats that are `due` theirs go back, those of other live seats burn; `paid` ones get their
    /// price; the keeper fee goes to `keeper`, the rest to the requester.
    function ended(Job storage s, bytes32 job, uint256 due, uint256 paid, address keeper) private {
        uint256 rest = escrow(s.terms) - s.terms.keeperFee;
        for (uint256 i = 0; i < s.holders.length; ++i) {
            if (live(s) >> i & 1 == 0) continue;
            uint256 price = paid >> i & 1 != 0 ? bids[job][s.holders[i]].price : 0;
            if (s.state == IJobScheduler.JobState.Inconclusive && due >> i & 1 != 0) {
                price = bids[job][s.holders[i]].price / 2;
            }
            rest -= price;
            if (due >> i & 1 != 0) credit(s.holders[i], price + s.terms.bond);
            else burnt += s.terms.bond;
            // What was revealed and is not due was wrong.
            bool isWrong = s.state == IJobScheduler.JobState.Verified && (s.revealed & ~due) >> i & 1 != 0;
            if (!isWrong) continue;
            rest -= s.terms.price;
            burnt += s.terms.price;
        }
        for (uint256 i = 0; i < s.holders.length; ++i) {
            if (s.late >> i & 1 == 0) continue;
            // An engine that fails and a node that is stopped are the node's own.
            bool isShared = s.failures[s.kinds[i]] > 1 && s.kinds[i] != 3 && s.kinds[i] != 6;
            if (s.state == IJobScheduler.JobState.Verified) isShared = false;
            if (isShared) credit(s.holders[i], s.terms.bond / 4);
            else burnt += s.terms.bond / 4;
        }
        bool hasFailed = bids[job][keeper].status == IJobScheduler.BidStatus.Failed;
        credit(hasFailed ? s.requester : keeper, s.terms.keeperFee);
        credit(s.requester, rest);
    }

    function live(Job storage s) private view returns (uint256) {
        return ((1 << s.holders.length) - 1) & ~s.failed;
    }

    /// Whether the requester withheld the secret of the audit, or filled no second wave.
    function isKeptFromVerdict(Job storage s) private view returns (bool) {
        if (s.state == IJobScheduler.JobState.Open) return s.audit == IJobScheduler.AuditStage.Drawn;
        return revealBy(s) != 0 && s.audit == IJobScheduler.AuditStage.Undrawn;
    }

    function dueAtExpiry(Job storage s) private view returns (uint256) {
        if (s.state == IJobScheduler.JobState.Open) return live(s);
        if (isKeptFromVerdict(s)) return s.committed;
        if (revealBy(s) != 0) return s.revealed == 0 ? s.committed : s.revealed;
        return at > s.deadline ? s.committed : live(s);
    }

    /// The deadline of reveals of a running job, or of its draw, once its commits have closed with a quorum.
    function revealBy(Job storage s) private view returns (uint256) {
        if (s.state != IJobScheduler.JobState.Running) return 0;
        uint256 n = asked(s);
        uint256 size = 0;
        for (uint256 i = 0; i < n; ++i) {
            size += s.committed >> i & 1;
        }
        if (2 * size <= n || size < s.terms.confidence) return 0;
        if (s.audit == IJobScheduler.AuditStage.Spared) return s.changedAt + s.terms.reveal;
        bool isDone = s.committed | s.failed == (1 << n) - 1;
        uint256 refillBy = s.deadline - s.terms.timeout - 60;
        if (isDone && (s.failed == 0 || s.changedAt > refillBy)) return s.changedAt + s.terms.reveal;
        uint256 close = isDone ? refillBy : s.deadline;
        return at > close ? close + s.terms.reveal : 0;
    }

    // The comparison.

    function compare(IJobScheduler chain, uint256 time) external {
        at = time;
        for (uint256 i = 0; i < ids.length; ++i) {
            compareJob(chain, ids[i]);
            assertEq(chain.childOf(ids[i]), children[ids[i]], "child");
        }
        for (uint256 i = 0; i < parties.length; ++i) {
            IJobScheduler.Account memory account = chain.accounts(parties[i]);
            assertEq(abi.encode(account), abi.encode(accounts[parties[i]]), "account");
        }
        assertEq(chain.burnt(), burnt, "burnt");
        books.compare(chain);
    }

    function compareJob(IJobScheduler chain, bytes32 job) private view {
        Job storage s = jobs[job];
        (IJobScheduler.JobState state, uint256 by, uint256 word, bytes32 root) = chain.jobs(job);
        if (s.isRostered) {
            assertEq(word, rostered(s, job), "hash of head and roster");
        } else {
            assertEq(by, revealBy(s), "end of reveals");
            compareHead(s, Head.wrap(word));
        }
        assertEq(
            uint256(state), uint256(revealBy(s) == 0 ? s.state : IJobScheduler.JobState.Revealing), "state"
        );
        bytes32 terms = keccak256(abi.encode(s.terms));
        assertEq(root, s.epoch == 0 ? bytes32(0) : keccak256(abi.encode(s.requester, terms)), "root");
        for (uint256 i = 0; i < s.bidders.length; ++i) {
            compareBid(chain, job, s.bidders[i]);
        }
    }

    /// What is kept of a rostered job: a hash of head, revision and roster, with a mark and the state in it.
    function rostered(Job storage s, bytes32 job) private view returns (uint256) {
        bytes memory roster;
        for (uint256 i = 0; i < s.holders.length; ++i) {
            Bid storage b = bids[job][s.holders[i]];
            roster = bytes.concat(roster, abi.encode(i, s.holders[i], b.price, b.commitment));
        }
        uint256 n = asked(s);
        uint256 head = n | uint256(s.terms.confidence) << 5 | uint256(s.state) << 12 | n << 15 | s.committed
            << 51 | s.revealed << 82 | uint256(s.terms.timeout) << 113 | uint256(s.terms.reveal) << 135
            | uint256(s.audit) << 158 | s.deadline << 192 | s.changedAt << 224;
        uint256 hash = uint256(keccak256(abi.encode(head, keccak256(abi.encode(s.terms)), keccak256(roster))));
        IJobScheduler.JobState state = revealBy(s) == 0 ? s.state : IJobScheduler.JobState.Revealing;
        return hash & ~uint256(15 << 11) | 1 << 11 | uint256(state) << 12;
    }

    function compareHead(Job storage s, Head head) private view {
        assertEq(uint256(head.state()), uint256(s.state), "stored state");
        assertEq(head.asked(), asked(s), "asked");
        assertEq(uint256(head.audit()), uint256(s.audit), "audit");
        assertEq(head.confidence(), s.terms.confidence, "confidence");
        assertEq(head.isFirstCome(), s.terms.acceptance == IJobScheduler.Acceptance.FirstCome, "acceptance");
        assertEq(head.isRostered(), s.isRostered, "rostered");
        assertEq(head.filled(), s.holders.length, "filled");
        assertEq(head.failed(), s.failed, "failed");
        assertEq(head.committed(), s.committed, "committed");
        assertEq(head.revealed(), s.revealed, "revealed");
        assertEq(head.timeout(), s.terms.timeout, "timeout");
        assertEq(head.reveal(), s.terms.reveal, "reveal");
        assertEq(head.epoch(), s.epoch, "epoch");
        assertEq(head.deadline(), s.deadline, "deadline");
        assertEq(head.changedAt(), s.changedAt, "changed at");
    }

    function compareBid(IJobScheduler chain, bytes32 job, address node) private view {
        Bid storage b = bids[job][node];
        (IJobScheduler.BidStatus status, uint256 word) = chain.bids(job, node);
        Slot slot = Slot.wrap(word);
        if (jobs[job].isRostered && b.status >= IJobScheduler.BidStatus.Seated) {
            assertEq(word, 0, "a slot besides the roster");
            return;
        }
        assertEq(uint256(status), uint256(b.status), "bid");
        if (status == IJobScheduler.BidStatus.Committed) {
            assertTrue(slot.equals(Slots.ofCommitment(b.commitment, b.price, b.seat)), "commitment");
            return;
        }
        assertEq(slot.price(), b.price, "price");
        assertEq(slot.epoch(), b.epoch, "epoch of the bid");
        if (slot.wasSeated()) assertEq(slot.seat(), b.seat, "seat");
    }
}
