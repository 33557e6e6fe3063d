// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Deals, TermsAt} from "./Deals.sol";
import {Endings} from "./Endings.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Logs} from "./Logs.sol";
import {Openings} from "./Openings.sol";
import {Head, Purse, Purses, Slot, Slots} from "./Packing.sol";
import {RareSteps} from "./RareSteps.sol";
import {RareStepsAt} from "./RareStepsAt.sol";
import {Rules} from "./Rules.sol";
import {SignedJobs} from "./SignedJobs.sol";
import {States} from "./States.sol";

/// @title The scheduler: orders the events of jobs, holds their money, recomputes their verdicts
/// @notice One function for each step of a job. It reads what the step touches, asks the rules, stores, moves
/// money inside the ledger and emits. There is no owner, no proxy that can change and no pause.
///
/// Here are the steps that jobs usually take, whose documentation is in `IJobScheduler`. Those that few jobs take are
/// in `RareSteps`, since one contract has no room for all: this one creates it and calls it on its own storage.
contract JobScheduler is SignedJobs {
    using Openings for IJobScheduler.SeatOpening;

    /// @param asset_ The ERC-20 that amounts are counted in; zero is ether.
    constructor(address asset_) Accounts(asset_) {
        assert(address(new RareSteps(asset_)) == RareStepsAt.addressOf(address(this)));
    }

    /// Every other step, as if its code were here.
    fallback() external payable {
        address steps = RareStepsAt.addressOf(address(this));
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, 0, calldatasize())
            let isDone := delegatecall(gas(), steps, start, calldatasize(), 0, 0)
            returndatacopy(start, 0, returndatasize())
            if isDone { return(start, returndatasize()) }
            revert(start, returndatasize())
        }
    }

    /// Ether comes with a call that says whose it is.
    receive() external payable {
        revert();
    }

    // Money.

    function deposit() external payable {
        depositFor(msg.sender);
    }

    function depositFor(address account) public payable {
        _checkEther();
        _checkTotal();
        _credit(account, msg.value);
        emit IJobScheduler.Deposited(account, msg.value);
    }

    function withdraw(uint256 amount) external {
        _withdraw(msg.sender, amount);
    }

    // The requester.

    function submit(bytes calldata terms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job)
    {
        TermsAt drafted;
        Head head;
        (job, drafted,, head) = _draft(terms, spec, nonce);
        if (drafted.parent() != 0) revert IJobScheduler.BadParent(drafted.parent());
        _open(job, drafted, terms, spec, nonce);
        _jobs[job].head = head;
    }

    function acceptBids(bytes32 job, bytes calldata deal, address[] calldata nodes) external {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        States.Act memory act = _act(requester);
        mapping(address => Slot) storage slots = _slots[job];
        bool isTaken = false;
        for (uint256 i = 0; i < nodes.length; ++i) {
            // Where none can be taken, the last one says why.
            bool mayPass = isTaken || i + 1 != nodes.length;
            bool hasPassed;
            (head, hasPassed) = _acceptOne(slots, job, head, act, nodes[i], terms, mayPass);
            isTaken = isTaken || !hasPassed;
        }
        _jobs[job].head = head;
    }

    // A node.

    function bid(bytes32 job, bytes calldata deal, uint96 price) external {
        Head head = _headOf(job);
        (TermsAt terms, address requester, bytes32 revision) = Deals.read(deal);
        Rules.Facts memory facts = _facts(_isOf(job, head, deal, requester, revision), terms, revision);
        (Head next, Slot slot, uint256 seat) =
            Rules.bidPlaced(head, _slots[job][msg.sender], _act(requester), facts, terms, price);
        _slots[job][msg.sender] = slot;
        emit IJobScheduler.BidPlaced(job, msg.sender, price);
        if (seat != Rules.NO_SEAT) {
            _jobs[job].head = next;
            _lockBond(msg.sender, _accounts[msg.sender], terms.bond(), _counts(next, price));
            emit IJobScheduler.SeatTaken(job, msg.sender, uint8(seat));
        }
    }

    function commit(bytes32 job, bytes32 commitment) external {
        _jobs[job].head = _commit(job, _headOf(job), msg.sender, commitment);
    }

    // Anyone.

    function reveal(bytes32 job, IJobScheduler.SeatOpening calldata given) external {
        bytes32 commitment = commitmentOf(job, given.seat, given.node, given.opening);
        _jobs[job].head =
            Rules.revealed(_headOf(job), _slots[job][given.node], block.timestamp, given, commitment);
        Logs.revealed(job, given);
    }

    function postVerdict(
        bytes32 job,
        bytes calldata deal,
        IJobScheduler.SeatOpening[] calldata openings,
        uint32 accepted
    ) public override {
        Openings.check(openings);
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        uint256 known = _known(job, openings);
        _jobs[job].head = Endings.verdictPosted(head, block.timestamp, terms, openings, known, accepted);
        _payVerdict(job, head, terms, requester, openings, accepted);
        Logs.verdictPosted(job, openings, accepted);
    }

    // Views.

    function jobs(bytes32 job)
        external
        view
        returns (IJobScheduler.JobState state, uint256 revealBy, uint256 head, bytes32 root)
    {
        Head packed = _jobs[job].head;
        if (packed.isRostered()) state = packed.state();
        else (state, revealBy) = States.stateAt(packed, block.timestamp);
        return (state, revealBy, Head.unwrap(packed), _jobs[job].root);
    }

    function accounts(address party) external view returns (IJobScheduler.Account memory) {
        Purse account = _accounts[party];
        return IJobScheduler.Account({
            free: uint96(account.free()),
            seats: uint32(account.count(Purses.SEATS)),
            paid: uint96(account.paid()),
            rejected: uint32(account.count(Purses.REJECTED)),
            failures: uint32(account.count(Purses.FAILURES))
        });
    }

    function bids(bytes32 job, address node)
        external
        view
        returns (IJobScheduler.BidStatus status, uint256 slot)
    {
        return (_slots[job][node].status(), Slot.unwrap(_slots[job][node]));
    }

    function burnt() external view returns (uint256) {
        return _burnt;
    }

    function childOf(bytes32 parent) external view returns (bytes32) {
        return _childOf[parent];
    }

    function jobId(address requester, uint64 nonce, bytes32 specHash, bytes32 revision)
        external
        view
        returns (bytes32)
    {
        return Deals.jobId(requester, nonce, specHash, revision);
    }

    function commitmentOf(bytes32 job, uint8 seat, address node, IJobScheduler.Opening calldata opening)
        public
        view
        returns (bytes32)
    {
        return Openings.commitment(block.chainid, address(this), job, seat, node, opening);
    }

    function domainSeparator() external view returns (bytes32) {
        return _domain();
    }

    // Shared.

    /// Whether there was nothing to accept, which only a caller that allows it gets.
    function _acceptOne(
        mapping(address => Slot) storage slots,
        bytes32 job,
        Head head,
        States.Act memory act,
        address node,
        TermsAt terms,
        bool mayPass
    ) private returns (Head next, bool hasPassed) {
        Slot slot;
        uint256 seat;
        (next, slot, seat) = _accept(job, head, act, slots[node], node, terms, mayPass);
        // A value that stands for no seat, and not an amount.
        // slither-disable-next-line incorrect-equality
        hasPassed = seat == Rules.PASSED;
        if (!hasPassed) slots[node] = slot;
    }

    function _facts(bool isCurrent, TermsAt terms, bytes32 revision)
        private
        view
        returns (Rules.Facts memory facts)
    {
        (facts.isCurrent, facts.revision) = (isCurrent, revision);
        if (terms.minPaid() != 0) facts.paid = _accounts[msg.sender].paid();
        bytes32 parent = terms.parent();
        if (parent != 0) facts.satInParent = _slots[parent][msg.sender].wasSeated();
    }

    /// A bit for each opening that matches the commitment of its node.
    function _known(bytes32 job, IJobScheduler.SeatOpening[] calldata openings)
        private
        view
        returns (uint256 known)
    {
        mapping(address => Slot) storage slots = _slots[job];
        bytes32[] memory hashes = Openings.commitments(block.chainid, address(this), job, openings);
        for (uint256 i = 0; i < openings.length; ++i) {
            IJobScheduler.SeatOpening calldata given = openings[i];
            Slot expected = Slots.ofCommitment(hashes[i], given.priceOf(), given.seatOf());
            if (slots[given.nodeOf()].equals(expected)) known |= 1 << i;
        }
    }
}
