// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "./IJobScheduler.sol";
import {Logs} from "./Logs.sol";
import {Head, Purse, Purses, Slot, Slots} from "./Packing.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title The scheduler: orders the events of jobs, holds their money, recomputes their verdicts
/// @notice Every function reads what an event touches, asks `Rules`, stores, moves money inside the ledger and emits.
/// Only `withdraw` calls anybody. There is no owner, no proxy and no pause; what is burnt is nobody's.
///
/// A job is two words: its head, and its root, a hash of requester and revision, so that the terms are given in
/// calldata by whoever needs them and not stored. A node is one word in each job. The seats of a job submitted with
/// signed bids are part of its root instead, until `unpack`.
contract JobScheduler is IJobScheduler {
    struct Job {
        Head head;
        bytes32 root;
    }

    uint256 private constant MAX_ANNOUNCEMENT_BYTES = 1024;

    mapping(bytes32 job => Job) private _jobs;
    mapping(bytes32 job => mapping(address node => Slot)) private _slots;
    /// Whose failure left a seat free; whoever took it since does not stand here.
    mapping(bytes32 job => mapping(uint256 seat => address)) private _failedHolders;
    mapping(bytes32 job => mapping(address node => bool)) private _revoked;
    mapping(address party => Purse) private _accounts;

    /// @inheritdoc IJobScheduler
    mapping(bytes32 parent => bytes32 child) public childOf;
    /// @inheritdoc IJobScheduler
    uint256 public burnt;

    // Money.

    /// @inheritdoc IJobScheduler
    function deposit() external payable {
        depositFor(msg.sender);
    }

    /// @inheritdoc IJobScheduler
    function depositFor(address account) public payable {
        _checkTotal();
        _credit(account, msg.value);
        emit Deposited(account, msg.value);
    }

    /// @inheritdoc IJobScheduler
    function withdraw(uint256 amount) external {
        _accounts[msg.sender] = _debited(msg.sender, 0, amount);
        emit Withdrawn(msg.sender, amount);
        bool sent;
        // Without a copy of what the receiver returns, which could be made to cost more than the sender expects.
        assembly ("memory-safe") {
            sent := call(gas(), caller(), amount, 0, 0, 0, 0)
        }
        if (!sent) revert TransferFailed();
    }

    // The requester.

    /// @inheritdoc IJobScheduler
    function submit(Terms calldata terms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job)
    {
        if (terms.parent != 0) revert BadParent(terms.parent);
        (job,,) = _submit(terms, terms, spec, nonce);
    }

    /// @inheritdoc IJobScheduler
    function submitChild(Terms calldata terms, Terms calldata parentTerms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job)
    {
        (job,,) = _submit(terms, parentTerms, spec, nonce);
    }

    /// @inheritdoc IJobScheduler
    function submitSigned(
        Terms calldata terms,
        bytes calldata spec,
        uint64 nonce,
        SignedBid[] calldata signedBids
    ) external payable returns (bytes32 job) {
        if (terms.parent != 0) revert BadParent(terms.parent);
        bytes32 revision;
        Head head;
        (job, revision, head) = _submit(terms, terms, spec, nonce);
        _jobs[job] = _seatSigned(job, revision, head, terms, signedBids);
    }

    /// @inheritdoc IJobScheduler
    function updateDeal(bytes32 job, Deal calldata deal, Terms calldata next) external payable {
        (Job storage record, Head head) = _find(job, deal);
        Rules.checkEncoding(next);
        record.head = Rules.dealUpdated(head, _act(deal.requester), deal.terms.parent, next);
        record.root = _rootOf(deal.requester, Rules.revisionOf(next));
        _lock(msg.sender, Rules.escrow(deal.terms) + msg.value, Rules.escrow(next));
        Logs.dealUpdated(job, next);
    }

    /// @inheritdoc IJobScheduler
    function cancel(bytes32 job, Deal calldata deal) external {
        (Job storage record, Head head) = _find(job, deal);
        record.head = Rules.cancelled(head, _act(deal.requester));
        _credit(deal.requester, Rules.escrow(deal.terms));
        emit Cancelled(job);
    }

    /// @inheritdoc IJobScheduler
    function acceptBids(bytes32 job, Deal calldata deal, address[] calldata nodes) external {
        (Job storage record, Head head) = _find(job, deal);
        Rules.Act memory act = _act(deal.requester);
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = nodes[i];
            Slot slot = _slots[job][node];
            (head, slot,) = _accept(job, head, act, slot, node, deal.terms);
            _slots[job][node] = slot;
        }
        record.head = head;
    }

    /// @inheritdoc IJobScheduler
    function rejectBids(bytes32 job, address requester, bytes32 revision, address[] calldata nodes) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        _checkDeal(job, record, head, requester, revision);
        Rules.Act memory act = _act(requester);
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = nodes[i];
            _slots[job][node] = Rules.bidRejected(head, _slots[job][node], act, node);
            emit BidRejected(job, node);
        }
    }

    /// @inheritdoc IJobScheduler
    function stop(bytes32 job, Deal calldata deal, SeatHolder[] calldata holders) external {
        (Job storage record, Head head) = _find(job, deal);
        record.head = Rules.stopped(head, _act(deal.requester));
        uint256 paid = _payHolders(job, head, holders, Rules.liveSeats(head), deal.terms.bond, true);
        _credit(deal.requester, Rules.escrow(deal.terms) - paid);
        emit Stopped(job);
    }

    /// @inheritdoc IJobScheduler
    function remark(bytes32 job, address requester, bytes32 revision, address node, string calldata text)
        external
    {
        Job storage record = _jobs[job];
        _checkDeal(job, record, _headOf(job, record), requester, revision);
        Rules.remarked(_slots[job][node], _act(requester), node, bytes(text).length);
        emit Remarked(job, node, text);
    }

    // A node.

    /// @inheritdoc IJobScheduler
    function bid(bytes32 job, Deal calldata deal, uint96 price) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        Slot slot;
        uint256 seat;
        (head, slot, seat) = Rules.bidPlaced(
            head, _slots[job][msg.sender], _act(deal.requester), _facts(record, deal), deal.terms, price
        );
        record.head = head;
        _slots[job][msg.sender] = slot;
        emit BidPlaced(job, msg.sender, price);
        if (seat != Rules.NO_SEAT) {
            _lockBond(msg.sender, deal.terms.bond, _counts(deal.terms, price));
            emit SeatTaken(job, msg.sender, uint8(seat));
        }
    }

    /// @inheritdoc IJobScheduler
    function withdrawBid(bytes32 job) external {
        Head head = _headOf(job, _jobs[job]);
        _slots[job][msg.sender] =
            Rules.bidWithdrawn(head, _slots[job][msg.sender], block.timestamp, msg.sender);
        emit BidWithdrawn(job, msg.sender);
    }

    /// @inheritdoc IJobScheduler
    function revokeSignedBid(bytes32 job) external {
        if (!_jobs[job].head.isNone()) revert JobExists(job);
        _revoked[job][msg.sender] = true;
        emit SignedBidRevoked(job, msg.sender);
    }

    /// @inheritdoc IJobScheduler
    function reportFailure(bytes32 job, Deal calldata deal, FailureKind kind) external {
        (Job storage record, Head head) = _find(job, deal);
        Slot slot = _slots[job][msg.sender];
        bool isHolder = _isHolder(job, head, slot, msg.sender);
        uint256 seat;
        Slot failed;
        (head, failed, seat) = Rules.failureReported(head, slot, block.timestamp, msg.sender, isHolder);
        record.head = head;
        _slots[job][msg.sender] = failed;
        _failedHolders[job][seat] = msg.sender;
        Purse account = _accounts[msg.sender].plus(deal.terms.bond);
        bool counts = _counts(deal.terms, slot.price());
        _accounts[msg.sender] = counts ? account.withOneMore(Purses.FAILURES) : account;
        emit FailureReported(job, msg.sender, uint8(seat), kind);
    }

    /// @inheritdoc IJobScheduler
    function commit(bytes32 job, bytes32 commitment) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        if (head.isRostered()) revert Rostered(job);
        record.head = _commit(job, head, msg.sender, commitment);
    }

    /// @inheritdoc IJobScheduler
    function commitSigned(
        bytes32 job,
        address requester,
        bytes32 revision,
        SeatHolder[] calldata holders,
        Signed[] calldata signatures
    ) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        if (signatures.length != holders.length) revert SignaturesMissing(holders.length);
        bool isRostered = head.isRostered();
        if (isRostered) _checkRoster(job, record, requester, revision, _rosterHash(holders, false));
        else _checkDeal(job, record, head, requester, revision);
        for (uint256 i = 0; i < holders.length; ++i) {
            address node = holders[i].node;
            bytes32 commitment = holders[i].commitment;
            _checkSigned(job, revision, node, EventKind.Committed, commitment, signatures[i]);
            if (isRostered) emit Committed(job, node, commitment);
            else head = _commit(job, head, node, commitment);
        }
        if (isRostered) {
            head = Rules.allCommitted(head, block.timestamp);
            record.root = _hash(_rootOf(requester, revision), _rosterHash(holders, true));
        }
        record.head = head;
    }

    /// @inheritdoc IJobScheduler
    function reveal(bytes32 job, uint8 seat, uint96 price, Opening calldata opening) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        if (head.isRostered()) revert Rostered(job);
        Slot slot = _slots[job][msg.sender];
        record.head = Rules.revealed(
            head,
            slot,
            _act(address(0)),
            _isHolder(job, head, slot, msg.sender),
            seat,
            price,
            commitmentOf(job, seat, msg.sender, opening),
            opening.fingerprint
        );
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
    function postVerdict(bytes32 job, Deal calldata deal, SeatOpening[] calldata openings, uint32 accepted)
        external
    {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        (Slot[] memory slots, bytes32[] memory commitments) = _openedSlots(job, record, head, deal, openings);
        record.head =
            Rules.verdictPosted(head, block.timestamp, deal.terms, openings, slots, commitments, accepted);
        _payVerdict(head, deal, openings, accepted);
        Logs.verdictPosted(job, openings, accepted);
    }

    /// @inheritdoc IJobScheduler
    function expire(bytes32 job, Deal calldata deal, SeatHolder[] calldata holders) external {
        (Job storage record, Head head) = _find(job, deal);
        (Head next, uint256 due) = Rules.expired(head, block.timestamp);
        record.head = next;
        uint256 bond = deal.terms.bond;
        _payHolders(job, head, holders, due, bond, false);
        _burn(bond * Verdicts.popcount(Rules.liveSeats(head) & ~due));
        _credit(msg.sender, deal.terms.keeperFee);
        _credit(deal.requester, Rules.escrow(deal.terms) - deal.terms.keeperFee);
        emit Expired(job, msg.sender, next.state());
    }

    /// @inheritdoc IJobScheduler
    function unpack(bytes32 job, address requester, bytes32 revision, SeatHolder[] calldata roster) external {
        Job storage record = _jobs[job];
        Head head = _headOf(job, record);
        if (!head.isRostered()) revert NotRostered(job);
        bool haveCommitted = head.committed() != 0;
        _checkRoster(job, record, requester, revision, _rosterHash(roster, haveCommitted));
        for (uint256 i = 0; i < roster.length; ++i) {
            SeatHolder calldata holder = roster[i];
            _slots[job][holder.node] = haveCommitted
                ? Slots.ofCommitment(holder.commitment, holder.price, i)
                : Slots.make(holder.price, 0, BidStatus.Seated, i);
        }
        record.head = head.withRostered(false);
        record.root = _rootOf(requester, revision);
        emit Unpacked(job);
    }

    // Views.

    /// @inheritdoc IJobScheduler
    function jobs(bytes32 job)
        external
        view
        returns (JobState state, uint256 revealBy, uint256 head, bytes32 root)
    {
        Head packed = _jobs[job].head;
        (state, revealBy) = Rules.stateAt(packed, block.timestamp);
        return (state, revealBy, Head.unwrap(packed), _jobs[job].root);
    }

    /// @inheritdoc IJobScheduler
    function accounts(address party) external view returns (Account memory) {
        Purse account = _accounts[party];
        return Account({
            free: uint96(account.free()),
            seats: uint32(account.count(Purses.SEATS)),
            paid: uint32(account.count(Purses.PAID)),
            rejected: uint32(account.count(Purses.REJECTED)),
            failures: uint32(account.count(Purses.FAILURES))
        });
    }

    /// @inheritdoc IJobScheduler
    function bids(bytes32 job, address node) external view returns (BidStatus status, uint256 slot) {
        return (_slots[job][node].status(), Slot.unwrap(_slots[job][node]));
    }

    /// @inheritdoc IJobScheduler
    function jobId(address requester, uint64 nonce, bytes32 specHash, bytes32 revision)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), requester, nonce, specHash, revision));
    }

    /// @inheritdoc IJobScheduler
    function commitmentOf(bytes32 job, uint8 seat, address node, Opening calldata opening)
        public
        view
        returns (bytes32)
    {
        return Rules.commitmentOf(block.chainid, address(this), job, seat, node, opening);
    }

    /// @inheritdoc IJobScheduler
    function domainSeparator() public view returns (bytes32) {
        return Signatures.separator(block.chainid, address(this));
    }

    // Submitting.

    /// `parentTerms` are looked at only when the terms name a parent.
    function _submit(Terms calldata terms, Terms calldata parentTerms, bytes calldata spec, uint64 nonce)
        private
        returns (bytes32 job, bytes32 revision, Head head)
    {
        Rules.checkEncoding(terms);
        revision = Rules.revisionOf(terms);
        job = jobId(msg.sender, nonce, sha256(spec), revision);
        if (!_jobs[job].head.isNone()) revert JobExists(job);
        head = Rules.opened(terms, block.timestamp);
        if (terms.parent != 0) {
            _checkParent(terms, parentTerms);
            childOf[terms.parent] = job;
        }
        if (spec.length == 0 || spec.length > Rules.MAX_SPEC_BYTES) revert InvalidSpec(spec.length);
        _lock(msg.sender, msg.value, Rules.escrow(terms));
        _jobs[job] = Job({head: head, root: _rootOf(msg.sender, revision)});
        Logs.submitted(job, nonce, terms, spec);
    }

    function _checkParent(Terms calldata terms, Terms calldata parentTerms) private view {
        bytes32 parent = terms.parent;
        Job storage record = _jobs[parent];
        Head head = record.head;
        if (head.isRostered()) revert Rostered(parent);
        if (head.isNone()) revert BadParent(parent);
        bool isOpen = childOf[parent] == 0 && head.state() == JobState.Inconclusive;
        bool isOwn = record.root == _rootOf(msg.sender, Rules.revisionOf(parentTerms));
        uint256 seats = Rules.escalatedSeats(parentTerms);
        bool fits =
            seats != 0 && Rules.escalatedRevision(parentTerms, seats, parent) == Rules.revisionOf(terms);
        if (!isOpen || !isOwn || !fits) revert BadParent(parent);
    }

    function _seatSigned(
        bytes32 job,
        bytes32 revision,
        Head head,
        Terms calldata terms,
        SignedBid[] calldata signedBids
    ) private returns (Job memory) {
        uint256[] memory roster = new uint256[](4 * uint256(terms.concurrency));
        address last = address(0);
        // An enum has no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        for (uint256 i = 0; i < signedBids.length && head.state() == JobState.Open; ++i) {
            if (signedBids[i].node <= last) revert NodesOutOfOrder(signedBids[i].node);
            last = signedBids[i].node;
            if (!_revoked[job][last]) head = _seatOne(job, revision, head, terms, signedBids[i], roster);
        }
        bytes32 root = _rootOf(msg.sender, revision);
        // slither-disable-next-line incorrect-equality
        if (head.state() == JobState.Running) {
            return Job({head: head.withRostered(true), root: _hash(root, _rosterHash(roster))});
        }
        // Too few for all seats: the rest is filled step by step.
        for (uint256 seat = 0; seat < head.filled(); ++seat) {
            address node = address(uint160(roster[4 * seat + 1]));
            _slots[job][node] = Slots.make(roster[4 * seat + 2], 0, BidStatus.Seated, seat);
        }
        return Job({head: head, root: root});
    }

    /// A bid as if it had been sent, and its acceptance.
    function _seatOne(
        bytes32 job,
        bytes32 revision,
        Head head,
        Terms calldata terms,
        SignedBid calldata given,
        uint256[] memory roster
    ) private returns (Head next) {
        address node = given.node;
        _checkSigned(job, revision, node, EventKind.BidPlaced, bytes32(uint256(given.price)), given.signed);
        Rules.Act memory act = Rules.Act({at: block.timestamp, author: node, requester: msg.sender});
        // All zero but for what follows: the revision is the job's own, and a job with a parent takes no signed bids.
        // slither-disable-next-line uninitialized-local
        Rules.Facts memory facts;
        facts.isCurrent = true;
        facts.paidJobs = _accounts[node].count(Purses.PAID);
        // Nobody has bid for a job that does not exist yet.
        // slither-disable-next-line uninitialized-local
        Slot slot;
        // Under `FirstCome` the bid would take its seat here; the acceptance refuses such a deal.
        // slither-disable-next-line unused-return
        (next, slot,) = Rules.bidPlaced(head, slot, act, facts, terms, given.price);
        emit BidPlaced(job, node, given.price);
        act.author = msg.sender;
        uint256 seat;
        (next, slot, seat) = _accept(job, next, act, slot, node, terms);
        // A value that stands for no seat, and not an amount.
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            _slots[job][node] = slot;
        } else {
            (roster[4 * seat], roster[4 * seat + 1], roster[4 * seat + 2]) =
            (seat, uint160(node), given.price);
        }
    }

    // Bids and seats.

    function _facts(Job storage record, Deal calldata deal) private view returns (Rules.Facts memory facts) {
        facts.revision = Rules.revisionOf(deal.terms);
        facts.isCurrent = record.root == _rootOf(deal.requester, facts.revision);
        if (deal.terms.minPaidJobs != 0) facts.paidJobs = _accounts[msg.sender].count(Purses.PAID);
        bytes32 parent = deal.terms.parent;
        if (parent != 0) facts.satInParent = _slots[parent][msg.sender].wasSeated();
    }

    function _accept(
        bytes32 job,
        Head head,
        Rules.Act memory act,
        Slot bid_,
        address node,
        Terms calldata terms
    ) private returns (Head next, Slot slot, uint256 seat) {
        uint256 bond = terms.bond;
        bool isFunded = _accounts[node].free() >= bond;
        (next, slot, seat) = Rules.bidAccepted(head, bid_, act, node, terms.run, isFunded);
        // slither-disable-next-line incorrect-equality
        if (seat == Rules.NO_SEAT) {
            emit BidSkipped(job, node);
        } else {
            _lockBond(node, bond, _counts(terms, slot.price()));
            emit BidAccepted(job, node, uint8(seat));
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

    // The end.

    /// The slots of the nodes that openings name, and what the openings hash to. The roster of a rostered job is
    /// checked whole, since its slots are nowhere else.
    function _openedSlots(
        bytes32 job,
        Job storage record,
        Head head,
        Deal calldata deal,
        SeatOpening[] calldata openings
    ) private view returns (Slot[] memory slots, bytes32[] memory commitments) {
        slots = new Slot[](openings.length);
        commitments = new bytes32[](openings.length);
        bytes32 revision = Rules.revisionOf(deal.terms);
        for (uint256 i = 0; i < openings.length; ++i) {
            SeatOpening calldata given = openings[i];
            commitments[i] = commitmentOf(job, given.seat, given.node, given.opening);
        }
        if (!head.isRostered()) {
            _checkDeal(job, record, head, deal.requester, revision);
            for (uint256 i = 0; i < openings.length; ++i) {
                slots[i] = _slots[job][openings[i].node];
            }
        } else if (head.committed() != 0) {
            for (uint256 i = 0; i < openings.length; ++i) {
                slots[i] = Slots.ofCommitment(commitments[i], openings[i].price, i);
            }
            _checkRoster(job, record, deal.requester, revision, _rosterHash(openings, commitments));
        }
    }

    function _payVerdict(Head head, Deal calldata deal, SeatOpening[] calldata openings, uint256 accepted)
        private
    {
        Terms calldata terms = deal.terms;
        uint256 bond = terms.bond;
        uint256 rest = Rules.escrow(terms) - terms.keeperFee;
        // Who did not reveal loses its bond, and so does a wrong output where outputs alone decide.
        uint256 lost = Verdicts.popcount(Rules.liveSeats(head)) - openings.length;
        for (uint256 i = 0; i < openings.length; ++i) {
            SeatOpening calldata given = openings[i];
            Purse account = _accounts[given.node];
            bool counts = _counts(terms, given.price);
            if (accepted >> given.seat & 1 != 0) {
                rest -= given.price;
                account = account.plus(bond + given.price);
                if (counts) account = account.withOneMore(Purses.PAID);
            } else {
                if (accepted != 0 && terms.deterministic) ++lost;
                else account = account.plus(bond);
                if (accepted != 0 && counts) account = account.withOneMore(Purses.REJECTED);
            }
            _accounts[given.node] = account;
        }
        _burn(lost * bond);
        _credit(msg.sender, terms.keeperFee);
        _credit(deal.requester, rest);
    }

    /// Gives the bond, and the price if there was time to earn it, to the holders of the seats that are `due`, which
    /// must be given exactly, ascending. Returns the sum of the prices paid.
    function _payHolders(
        bytes32 job,
        Head head,
        SeatHolder[] calldata holders,
        uint256 due,
        uint256 bond,
        bool withPrice
    ) private returns (uint256 paid) {
        uint256 seats = 0;
        for (uint256 i = 0; i < holders.length; ++i) {
            SeatHolder calldata holder = holders[i];
            uint256 bit = uint256(1) << holder.seat;
            if (seats >= bit) revert WrongSeats(due);
            seats |= bit;
            Rules.checkHolder(head, _slots[job][holder.node], holder);
            uint256 price = withPrice ? holder.price : 0;
            paid += price;
            _credit(holder.node, price + bond);
        }
        if (seats != due) revert WrongSeats(due);
    }

    // Money.

    /// Takes `needed` from what is there, `available` and the free balance; what is left becomes free.
    function _lock(address party, uint256 available, uint256 needed) private {
        _checkTotal();
        // What was sent is a deposit, so that balances follow from events alone.
        if (msg.value != 0) emit Deposited(party, msg.value);
        if (available != needed) _accounts[party] = _debited(party, available, needed);
    }

    function _lockBond(address node, uint256 bond, bool counts) private {
        if (bond == 0) return;
        Purse account = _debited(node, 0, bond);
        _accounts[node] = counts ? account.withOneMore(Purses.SEATS) : account;
    }

    /// The account with `extra` more and `amount` less.
    function _debited(address party, uint256 extra, uint256 amount) private view returns (Purse account) {
        account = _accounts[party];
        uint256 free = account.free() + extra;
        if (free < amount) revert NotFunded(party, free, amount);
        return account.minus(account.free()).plus(free - amount);
    }

    function _credit(address party, uint256 amount) private {
        if (amount != 0) _accounts[party] = _accounts[party].plus(amount);
    }

    function _burn(uint256 amount) private {
        if (amount != 0) burnt += amount;
    }

    /// All money held fits an account, so that no sum of a part of it can overflow one.
    function _checkTotal() private view {
        if (address(this).balance > type(uint96).max) revert TooMuchMoney();
    }

    /// Whether a seat counts in a node's record: nothing is learnt from a job of one seat, or paid with nothing.
    function _counts(Terms calldata terms, uint256 price) private pure returns (bool) {
        return terms.concurrency > 1 && price != 0;
    }

    // Jobs.

    function _headOf(bytes32 job, Job storage record) private view returns (Head head) {
        head = record.head;
        if (head.isNone()) revert NoSuchJob(job);
    }

    /// A job whose requester and terms are these.
    function _find(bytes32 job, Deal calldata deal) private view returns (Job storage record, Head head) {
        record = _jobs[job];
        head = _headOf(job, record);
        _checkDeal(job, record, head, deal.requester, Rules.revisionOf(deal.terms));
    }

    function _checkDeal(bytes32 job, Job storage record, Head head, address requester, bytes32 revision)
        private
        view
    {
        if (head.isRostered()) revert Rostered(job);
        if (record.root != _rootOf(requester, revision)) revert WrongDeal(job);
    }

    function _act(address requester) private view returns (Rules.Act memory) {
        return Rules.Act({at: block.timestamp, author: msg.sender, requester: requester});
    }

    function _rootOf(address requester, bytes32 revision) private pure returns (bytes32) {
        return _hash(bytes32(uint256(uint160(requester))), revision);
    }

    // A roster is, for each seat, the four words of a `SeatHolder`; commitments are zero until all have committed.

    function _rosterHash(SeatHolder[] calldata holders, bool haveCommitted)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let start := mload(0x40)
            let size := shl(7, holders.length)
            calldatacopy(start, holders.offset, size)
            if iszero(haveCommitted) {
                for { let at := add(start, 96) } lt(at, add(start, size)) { at := add(at, 128) } {
                    mstore(at, 0)
                }
            }
            hash := keccak256(start, size)
        }
    }

    function _rosterHash(uint256[] memory words) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(words, 32), shl(5, mload(words)))
        }
    }

    /// Of the holders that openings name and the commitments that they hash to.
    function _rosterHash(SeatOpening[] calldata openings, bytes32[] memory commitments)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let start := mload(0x40)
            for { let i := 0 } lt(i, openings.length) { i := add(i, 1) } {
                let at := add(start, shl(7, i))
                calldatacopy(at, add(openings.offset, shl(8, i)), 96)
                mstore(add(at, 96), mload(add(add(commitments, 32), shl(5, i))))
            }
            hash := keccak256(start, shl(7, openings.length))
        }
    }

    function _checkRoster(
        bytes32 job,
        Job storage record,
        address requester,
        bytes32 revision,
        bytes32 roster
    ) private view {
        if (record.root != _hash(_rootOf(requester, revision), roster)) {
            revert WrongRoster(job);
        }
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
            hash := keccak256(0, 64)
        }
    }

    // Signatures.

    function _checkSigned(
        bytes32 job,
        bytes32 revision,
        address node,
        EventKind kind,
        bytes32 payload,
        Signed calldata signed
    ) private view {
        bytes32 digest = Signatures.digest(
            domainSeparator(), job, revision, signed.sequence, signed.seen, kind, payload
        );
        Signatures.check(digest, signed.signature, node);
    }
}
