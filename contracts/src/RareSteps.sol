// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Bill, Bills} from "./Bills.sol";
import {Deals, TermsAt} from "./Deals.sol";
import {Endings} from "./Endings.sol";
import {Failures} from "./Failures.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Multicalls} from "./Multicalls.sol";
import {Head, Heads, Purse, Purses, Slot, Slots} from "./Packing.sol";
import {RareStepsAt} from "./RareStepsAt.sol";
import {Rosters} from "./Rosters.sol";
import {Rules} from "./Rules.sol";
import {Signatures} from "./Signatures.sol";
import {States} from "./States.sol";
import {TermRules} from "./TermRules.sol";
import {Tokens} from "./Tokens.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title The steps that few jobs take
/// @notice `JobScheduler` creates this contract and runs its code on its own storage, so to callers both are one
/// contract at one address, with the functions of `IJobScheduler`. Called at its own address it refuses everything.
// What is sent is the scheduler's, which pays it out.
// slither-disable-next-line locked-ether
contract RareSteps is Rosters {
    uint256 private constant MAX_ANNOUNCEMENT_BYTES = 1024;

    /// @notice Call the scheduler: this contract is only its code.
    error NotScheduler();

    constructor(address asset_) Accounts(asset_) {}

    /// Only a scheduler has such a contract of its own: this one creates none.
    modifier inScheduler() {
        if (RareStepsAt.addressOf(address(this)).code.length == 0) revert NotScheduler();
        _;
    }

    // Money.

    function depositToken(address account, uint256 amount) external inScheduler {
        _pull(account, amount);
    }

    function depositWithPermit(
        address account,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external inScheduler {
        Tokens.permit(ASSET, msg.sender, amount, deadline, v, r, s);
        _pull(account, amount);
    }

    function withdrawTo(address to, uint256 amount) external inScheduler {
        _withdraw(to, amount);
    }

    // The requester.

    function submitChild(bytes calldata terms, bytes calldata parent, bytes calldata spec, uint64 nonce)
        external
        payable
        inScheduler
        returns (bytes32 job)
    {
        TermsAt drafted;
        bytes32 revision;
        Head head;
        (job, drafted, revision, head) = _draft(terms, spec, nonce);
        if (drafted.parent() != 0) _checkParent(drafted, revision, job, parent);
        _open(job, drafted, terms, spec, nonce);
        _jobs[job].head = head;
    }

    function updateDeal(bytes32 job, bytes calldata deal, bytes calldata next) external payable inScheduler {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        TermsAt changed = Deals.expand(next);
        TermRules.checkEncoding(changed);
        _jobs[job] = Job({
            head: Rules.dealUpdated(head, _act(requester), terms.parent(), changed),
            root: _rootOf(requester, changed.revision())
        });
        _lock(msg.sender, terms.escrow() + msg.value, changed.escrow());
        emit IJobScheduler.DealUpdated(job, next);
    }

    function cancel(bytes32 job, bytes calldata deal) external inScheduler {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        _jobs[job].head = Rules.cancelled(head, _act(requester));
        _refund(job, requester, address(0), terms.escrow(), 0, Bills.open(0, head));
        emit IJobScheduler.Cancelled(job);
    }

    function rejectBids(bytes32 job, bytes calldata deal, address[] calldata nodes) external inScheduler {
        (Head head,, address requester,) = _find(job, deal);
        States.Act memory act = _act(requester);
        bool isTaken = false;
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = nodes[i];
            Slot slot = _slots[job][node];
            // Where none stands, the last one says why.
            bool isDue = !isTaken && i + 1 == nodes.length;
            if (!isDue && !Rules.isStanding(head, slot)) continue;
            _slots[job][node] = Rules.bidRejected(head, slot, act, node);
            emit IJobScheduler.BidRejected(job, node);
            isTaken = true;
        }
    }

    function stop(bytes32 job, bytes calldata deal, IJobScheduler.SeatHolder[] calldata holders)
        external
        inScheduler
    {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        _jobs[job].head = Rules.stopped(head, _act(requester));
        uint256 live = States.liveSeats(head);
        Bill memory bill = Bills.open(holders.length, head);
        _payHolders(job, head, holders, live, terms.bond(), live, bill);
        _settleFailures(job, head, terms.bond(), true, bill);
        _refund(job, requester, address(0), terms.escrow() - bill.spent, 0, bill);
        emit IJobScheduler.Stopped(job);
    }

    function publishSecret(
        bytes32 job,
        bytes calldata deal,
        bytes32 secret,
        IJobScheduler.SeatHolder[] calldata holders
    ) public inScheduler {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        Head next = _published(job, head, terms, requester, secret, holders);
        _checkHolders(job, head, holders, head.committed());
        _jobs[job].head = next;
    }

    function publishSecretRostered(
        bytes32 job,
        bytes calldata deal,
        uint256 head,
        bytes32 secret,
        IJobScheduler.SeatHolder[] calldata holders
    ) external inScheduler {
        Head kept = _jobs[job].head;
        if (!kept.isRostered()) return publishSecret(job, deal, secret, holders);
        (TermsAt terms, address requester, bytes32 revision) = Deals.read(deal);
        if (Deals.jobOf(deal, revision) != job) revert IJobScheduler.WrongDeal(job);
        bytes32 roster = _rosterHash(holders, true);
        _checkRoster(job, kept, Head.wrap(head), revision, roster);
        Head next = _published(job, Head.wrap(head), terms, requester, secret, holders);
        // An enum has no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        if (next.audit() == IJobScheduler.AuditStage.Spared) {
            _jobs[job].head = Heads.sealed_(next, revision, roster, IJobScheduler.JobState.Revealing);
        } else {
            // The second wave bids: seats that are not all filled have a word each.
            _spread(job, next, holders, true);
        }
    }

    /// The draw, for a caller that checks who holds the seats.
    function _published(
        bytes32 job,
        Head head,
        TermsAt terms,
        address requester,
        bytes32 secret,
        IJobScheduler.SeatHolder[] calldata holders
    ) private returns (Head next) {
        bytes32[] memory commitments = new bytes32[](holders.length);
        for (uint256 i = 0; i < holders.length; ++i) {
            commitments[i] = holders[i].commitment;
        }
        next = Rules.secretPublished(head, _act(requester), terms, secret, commitments);
        _countDrawn(head, next, holders);
        emit IJobScheduler.SecretPublished(job, secret);
    }

    /// Gives a job's head and seats, in this order, words of their own.
    function _spread(bytes32 job, Head head, IJobScheduler.SeatHolder[] calldata roster, bool haveCommitted)
        private
    {
        for (uint256 i = 0; i < roster.length; ++i) {
            IJobScheduler.SeatHolder calldata holder = roster[i];
            _slots[job][holder.node] = haveCommitted
                ? Slots.ofCommitment(holder.commitment, holder.price, i)
                : Slots.make(holder.price, 0, IJobScheduler.BidStatus.Seated, i);
        }
        _jobs[job].head = head;
        emit IJobScheduler.Unpacked(job);
    }

    /// A lone seat was taken without others; once a second wave is drawn, it is compared.
    function _countDrawn(Head head, Head next, IJobScheduler.SeatHolder[] calldata holders) private {
        for (uint256 i = 0; i < holders.length; ++i) {
            (address node, uint256 price) = (holders[i].node, holders[i].price);
            if (_counts(head, price) || !_counts(next, price)) continue;
            _accounts[node] = _accounts[node].withOneMore(Purses.SEATS);
        }
    }

    function remark(bytes32 job, bytes calldata deal, address node, string calldata text)
        external
        inScheduler
    {
        (,, address requester,) = _find(job, deal);
        Rules.remarked(_slots[job][node], _act(requester), node, bytes(text).length);
        emit IJobScheduler.Remarked(job, node, text);
    }

    // A node.

    function withdrawBid(bytes32 job) external inScheduler {
        Slot slot = _slots[job][msg.sender];
        _slots[job][msg.sender] = Rules.bidWithdrawn(_headOf(job), slot, block.timestamp, msg.sender);
        emit IJobScheduler.BidWithdrawn(job, msg.sender);
    }

    function reportFailure(bytes32 job, bytes calldata deal, IJobScheduler.FailureKind kind)
        external
        inScheduler
    {
        (Head head, TermsAt terms,,) = _find(job, deal);
        Slot slot = _slots[job][msg.sender];
        bool isHolder = _isHolder(job, head, slot, msg.sender);
        uint256 seat;
        Slot failed;
        (head, failed, seat) = Rules.failureReported(head, slot, block.timestamp, msg.sender, isHolder);
        _jobs[job].head = head;
        _slots[job][msg.sender] = failed;
        bool isLate = block.timestamp > States.refillBy(head);
        _failures[job][seat] = Failures.make(msg.sender, kind, isLate);
        _failureCounts[job] = _failureCounts[job].withOneMore(kind);
        uint256 returned = terms.bond();
        if (isLate) returned -= _latePart(returned);
        Purse account = _accounts[msg.sender].plus(returned);
        bool counts = _counts(head, slot.price());
        _accounts[msg.sender] = counts ? account.withOneMore(Purses.FAILURES) : account;
        emit IJobScheduler.FailureReported(job, msg.sender, uint8(seat), kind, returned);
    }

    function revokeSignedBid(bytes32 job) external inScheduler {
        if (!_jobs[job].head.isNone()) revert IJobScheduler.JobExists(job);
        _revoked[job][msg.sender] = true;
        _accounts[msg.sender] = _accounts[msg.sender].withRevoked();
        emit IJobScheduler.SignedBidRevoked(job, msg.sender);
    }

    function announce(string calldata addresses) external inScheduler {
        uint256 length = bytes(addresses).length;
        if (length > MAX_ANNOUNCEMENT_BYTES) revert IJobScheduler.AnnouncementTooLong(length);
        emit IJobScheduler.Announced(msg.sender, addresses);
    }

    // Anyone.

    function commitSigned(
        bytes32 job,
        bytes calldata deal,
        IJobScheduler.SeatHolder[] calldata holders,
        IJobScheduler.Signed[] calldata signatures
    ) external inScheduler {
        (Head head,,, bytes32 revision) = _find(job, deal);
        _commitEach(job, head, revision, holders, signatures);
    }

    function expire(bytes32 job, bytes calldata deal, IJobScheduler.SeatHolder[] calldata holders)
        external
        inScheduler
    {
        (Head head, TermsAt terms, address requester,) = _find(job, deal);
        (Head next, uint256 due, uint256 earned) = _expired(job, head);
        Bill memory bill = Bills.open(holders.length, head);
        bill.burnt = terms.bond() * Verdicts.popcount(States.liveSeats(head) & ~due);
        _payHolders(job, head, holders, due, terms.bond(), earned, bill);
        _settleFailures(job, head, terms.bond(), true, bill);
        _settle(job, head, terms, requester, bill);
        emit IJobScheduler.Expired(job, msg.sender, next.state());
    }

    function unpack(bytes32 job, bytes32 revision, uint256 head, IJobScheduler.SeatHolder[] calldata roster)
        external
        inScheduler
    {
        bool haveCommitted = Head.wrap(head).committed() != 0;
        _checkRoster(job, _jobs[job].head, Head.wrap(head), revision, _rosterHash(roster, haveCommitted));
        _spread(job, Head.wrap(head), roster, haveCommitted);
    }

    function multicall(IJobScheduler.Step[] calldata steps)
        external
        inScheduler
        returns (bool[] memory taken)
    {
        return Multicalls.run(steps);
    }

    // Views.

    function asset() external view inScheduler returns (address) {
        return ASSET;
    }

    function eip712Domain()
        external
        view
        inScheduler
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        )
    {
        // The first four fields of a domain, without a salt.
        fields = hex"0f";
        (name, version) = (Signatures.NAME, Signatures.VERSION);
        (chainId, verifyingContract) = (block.chainid, address(this));
        (salt, extensions) = (bytes32(0), new uint256[](0));
    }

    // Shared.

    /// Takes the sender's tokens. What a token calls meanwhile finds them booked; they are refused unless all of them,
    /// and no others, have arrived in the end.
    function _pull(address account, uint256 amount) private {
        if (ASSET == address(0)) revert IJobScheduler.WrongAsset(ASSET);
        uint256 before = Tokens.held(ASSET);
        uint256 booked = _held;
        // A token whose balances shrink by themselves takes no more money in.
        if (before < booked) revert IJobScheduler.InexactTransfer(before, booked);
        // As all ether held does, all tokens fit one account.
        if (amount > type(uint96).max - booked) revert IJobScheduler.TooMuchMoney();
        _held = booked + amount;
        _credit(account, amount);
        emit IJobScheduler.Deposited(account, amount);
        if (!Tokens.pull(ASSET, msg.sender, amount)) revert IJobScheduler.TransferFailed();
        _checkHeld(before + amount);
    }

    /// Stores the job after its expiry, and tells which seats are due their bond, and which of them their price.
    function _expired(bytes32 job, Head head) private returns (Head next, uint256 due, uint256 earned) {
        bool isShared = _failureCounts[job].anyShared();
        (next, due, earned) = Endings.expired(head, block.timestamp, isShared);
        _jobs[job].head = next;
    }

    function _checkParent(TermsAt terms, bytes32 revision, bytes32 child, bytes calldata deal) private {
        bytes32 parent = terms.parent();
        Head head = _jobs[parent].head;
        if (head.isRostered()) revert IJobScheduler.Rostered(parent);
        // Hashes and states have no neighbours that an equality could slip past.
        // slither-disable-next-line incorrect-equality
        bool isOpen = _childOf[parent] == 0 && head.state() == IJobScheduler.JobState.Inconclusive;
        // A submission that is no follow-up comes without a deal.
        if (deal.length == 0 || !isOpen) revert IJobScheduler.BadParent(parent);
        (TermsAt own, address requester, bytes32 ownRevision) = Deals.read(deal);
        bool isOwn = requester == msg.sender && _isOf(parent, head, deal, requester, ownRevision);
        uint256 seats = TermRules.escalatedSeats(own);
        own.escalate(seats, parent);
        if (!isOwn || seats == 0 || own.revision() != revision) revert IJobScheduler.BadParent(parent);
        _childOf[parent] = child;
    }
}
