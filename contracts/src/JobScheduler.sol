// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Deals, TermsAt} from "./Deals.sol";
import {Endings} from "./Endings.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Logs} from "./Logs.sol";
import {Openings} from "./Openings.sol";
import {Head, Purse, Purses, Slot, Slots} from "./Packing.sol";
import {Rosters} from "./Rosters.sol";
import {Rules} from "./Rules.sol";
import {States} from "./States.sol";
import {TermRules} from "./TermRules.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title The scheduler: orders the events of jobs, holds their money, recomputes their verdicts
/// @notice One function for each step of a job. It reads what the step touches, asks the rules, stores, moves
/// money inside the ledger and emits. There is no owner, no proxy and no pause.
contract JobScheduler is Rosters {
    using Openings for SeatOpening;

    uint256 private constant MAX_ANNOUNCEMENT_BYTES = 1024;

    /// The node whose failure left a seat free, not the node that took the seat since.
    mapping(bytes32 job => mapping(uint256 seat => address)) private _failedHolders;

    // The requester.

    /// @inheritdoc IJobScheduler
    function submit(bytes calldata terms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job)
    {
        return _submit(terms, terms[:0], spec, nonce);
    }

    /// @inheritdoc IJobScheduler
    function submitChild(bytes calldata terms, bytes calldata parent, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job)
    {
        return _submit(terms, parent, spec, nonce);
    }

    /// @inheritdoc IJobScheduler
    function updateDeal(bytes32 job, bytes calldata deal, bytes calldata next) external payable {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        TermsAt changed = Deals.expand(next);
        TermRules.checkEncoding(changed);
        _jobs[job] = Job({
            head: Rules.dealUpdated(head, _act(requester), terms.parent(), changed),
            root: _rootOf(requester, changed.revision())
        });
        _lock(msg.sender, terms.escrow() + msg.value, changed.escrow());
        emit DealUpdated(job, next);
    }

    /// @inheritdoc IJobScheduler
    function cancel(bytes32 job, bytes calldata deal) external {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        _jobs[job].head = Rules.cancelled(head, _act(requester));
        _credit(requester, terms.escrow());
        emit Cancelled(job);
    }

    /// @inheritdoc IJobScheduler
    function acceptBids(bytes32 job, bytes calldata deal, address[] calldata nodes) external {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        States.Act memory act = _act(requester);
        mapping(address => Slot) storage slots = _slots[job];
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = nodes[i];
            Slot slot = slots[node];
            (head, slot,) = _accept(job, head, act, slot, node, terms);
            slots[node] = slot;
        }
        _jobs[job].head = head;
    }

    /// @inheritdoc IJobScheduler
    function rejectBids(bytes32 job, bytes calldata deal, address[] calldata nodes) external {
        (Head head,, address requester,) = _find(job, deal);
        States.Act memory act = _act(requester);
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = nodes[i];
            _slots[job][node] = Rules.bidRejected(head, _slots[job][node], act, node);
            emit BidRejected(job, node);
        }
    }

    /// @inheritdoc IJobScheduler
    function stop(bytes32 job, bytes calldata deal, SeatHolder[] calldata holders) external {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        _jobs[job].head = Rules.stopped(head, _act(requester));
        uint256 paid = _payHolders(job, head, holders, States.liveSeats(head), terms.bond(), true);
        _credit(requester, terms.escrow() - paid);
        emit Stopped(job);
    }

    /// @inheritdoc IJobScheduler
    function remark(bytes32 job, bytes calldata deal, address node, string calldata text) external {
        (,, address requester,) = _find(job, deal);
        Rules.remarked(_slots[job][node], _act(requester), node, bytes(text).length);
        emit Remarked(job, node, text);
    }

    // A node.

    /// @inheritdoc IJobScheduler
    function bid(bytes32 job, bytes calldata deal, uint96 price) external {
        Head head = _headOf(job);
        (TermsAt terms, address requester, bytes32 revision) = Deals.read(deal);
        Rules.Facts memory facts = _facts(_isOf(job, head, deal, requester, revision), terms, revision);
        (Head next, Slot slot, uint256 seat) =
            Rules.bidPlaced(head, _slots[job][msg.sender], _act(requester), facts, terms, price);
        _slots[job][msg.sender] = slot;
        emit BidPlaced(job, msg.sender, price);
        if (seat != Rules.NO_SEAT) {
            _jobs[job].head = next;
            _lockBond(msg.sender, terms.bond(), _counts(terms, price));
            emit SeatTaken(job, msg.sender, uint8(seat));
        }
    }

    /// @inheritdoc IJobScheduler
    function withdrawBid(bytes32 job) external {
        Slot slot = _slots[job][msg.sender];
        _slots[job][msg.sender] = Rules.bidWithdrawn(_headOf(job), slot, block.timestamp, msg.sender);
        emit BidWithdrawn(job, msg.sender);
    }

    /// @inheritdoc IJobScheduler
    function reportFailure(bytes32 job, bytes calldata deal, FailureKind kind) external {
        (Head head, TermsAt terms,,) = _find(job, deal);
        Slot slot = _slots[job][msg.sender];
        bool isHolder = _isHolder(job, head, slot, msg.sender);
        uint256 seat;
        Slot failed;
        (head, failed, seat) = Rules.failureReported(head, slot, block.timestamp, msg.sender, isHolder);
        _jobs[job].head = head;
        _slots[job][msg.sender] = failed;
        _failedHolders[job][seat] = msg.sender;
        Purse account = _accounts[msg.sender].plus(terms.bond());
        bool counts = _counts(terms, slot.price());
        _accounts[msg.sender] = counts ? account.withOneMore(Purses.FAILURES) : account;
        emit FailureReported(job, msg.sender, uint8(seat), kind);
    }

    /// @inheritdoc IJobScheduler
    function commit(bytes32 job, bytes32 commitment) external {
        _jobs[job].head = _commit(job, _headOf(job), msg.sender, commitment);
    }

    /// @inheritdoc IJobScheduler
    function reveal(bytes32 job, uint8 seat, uint96 price, Opening calldata opening) external {
        Head head = _headOf(job);
        Slot slot = _slots[job][msg.sender];
        bool isHolder = _isHolder(job, head, slot, msg.sender);
        bytes32 commitment = commitmentOf(job, seat, msg.sender, opening);
        _jobs[job].head =
            Rules.revealed(head, slot, _act(address(0)), isHolder, seat, price, commitment, opening);
        Logs.revealed(job, seat, opening);
    }

    /// @inheritdoc IJobScheduler
    function announce(string calldata addresses) external {
        uint256 length = bytes(addresses).length;
        if (length > MAX_ANNOUNCEMENT_BYTES) revert AnnouncementTooLong(length);
        emit Announced(msg.sender, addresses);
    }

    // Anyone.

    /// @inheritdoc IJobScheduler
    function commitSigned(
        bytes32 job,
        bytes calldata deal,
        SeatHolder[] calldata holders,
        Signed[] calldata signatures
    ) external {
        (Head head,,, bytes32 revision) = _find(job, deal);
        if (signatures.length != holders.length) revert SignaturesMissing(holders.length);
        bytes32 domain = domainSeparator();
        for (uint256 i = 0; i < holders.length; ++i) {
            (address node, bytes32 commitment) = (holders[i].node, holders[i].commitment);
            _checkSigned(domain, job, revision, node, EventKind.Committed, commitment, signatures[i]);
            head = _commit(job, head, node, commitment);
        }
        _jobs[job].head = head;
    }

    /// @inheritdoc IJobScheduler
    function postVerdict(bytes32 job, bytes calldata deal, SeatOpening[] calldata openings, uint32 accepted)
        external
    {
        Openings.check(openings);
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        uint256 known = _known(job, openings);
        _jobs[job].head = Endings.verdictPosted(head, block.timestamp, terms, openings, known, accepted);
        _payVerdict(head, terms, requester, openings, accepted);
        Logs.verdictPosted(job, openings, accepted);
    }

    /// @inheritdoc IJobScheduler
    function expire(bytes32 job, bytes calldata deal, SeatHolder[] calldata holders) external {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        (Head next, uint256 due) = Endings.expired(head, block.timestamp);
        _jobs[job].head = next;
        uint256 bond = terms.bond();
        _payHolders(job, head, holders, due, bond, false);
        _burn(bond * Verdicts.popcount(States.liveSeats(head) & ~due));
        _credit(msg.sender, terms.keeperFee());
        _credit(requester, terms.escrow() - terms.keeperFee());
        emit Expired(job, msg.sender, next.state());
    }

    // Shared.

    function _submit(bytes calldata terms, bytes calldata parent, bytes calldata spec, uint64 nonce)
        private
        returns (bytes32 job)
    {
        Head head;
        (job,,, head) = _open(terms, parent, spec, nonce);
        _jobs[job].head = head;
    }

    function _facts(bool isCurrent, TermsAt terms, bytes32 revision)
        private
        view
        returns (Rules.Facts memory facts)
    {
        (facts.isCurrent, facts.revision) = (isCurrent, revision);
        if (terms.minPaidJobs() != 0) facts.paidJobs = _accounts[msg.sender].count(Purses.PAID);
        bytes32 parent = terms.parent();
        if (parent != 0) facts.satInParent = _slots[parent][msg.sender].wasSeated();
    }

    /// A bit for each opening that matches the commitment of its node.
    function _known(bytes32 job, SeatOpening[] calldata openings) private view returns (uint256 known) {
        mapping(address => Slot) storage slots = _slots[job];
        bytes32[] memory hashes = Openings.commitments(block.chainid, address(this), job, openings);
        for (uint256 i = 0; i < openings.length; ++i) {
            SeatOpening calldata given = openings[i];
            Slot expected = Slots.ofCommitment(hashes[i], given.priceOf(), given.seatOf());
            if (slots[given.nodeOf()].equals(expected)) known |= 1 << i;
        }
    }

    function _commit(bytes32 job, Head head, address node, bytes32 commitment) private returns (Head next) {
        Slot slot = _slots[job][node];
        bool isHolder = _isHolder(job, head, slot, node);
        (next, slot) = Rules.committed(head, slot, block.timestamp, node, isHolder, commitment);
        _slots[job][node] = slot;
        emit Committed(job, node, commitment);
    }

    /// Whether the seat that `node` reported a failure for is still its own.
    function _isHolder(bytes32 job, Head head, Slot slot, address node) private view returns (bool) {
        if (slot.status() != BidStatus.Failed) return true;
        return head.failed() >> slot.seat() & 1 != 0 && _failedHolders[job][slot.seat()] == node;
    }
}
