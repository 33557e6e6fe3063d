// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../IJobScheduler.sol";
import {Openings} from "../Openings.sol";
import {Head, Heads, Slot, Slots} from "../Packing.sol";
import {Results} from "./Results.sol";

/// @title A contract that asks for computations
/// @notice Inherit it, call `_request` to pay for a job, and get the standard output in `_fulfilled`, once, or the
/// reason in `_unfulfilled`, once. Anybody may deliver: bytes count only if a majority of all seats committed to them.
///
/// Money is safe from callbacks: the escrow is the scheduler's and returns there whatever happens here, and a fee is a credit
/// on the scheduler. A callback that reverts undoes the delivery alone, which may be tried again. `docs/consumer.md` has the
/// threats.
abstract contract AssayConsumer {
    /// @notice Where a request is.
    enum Status {
        None,
        Pending,
        Fulfilled,
        Unfulfilled
    }

    /// @param status Where it is.
    /// @param deliverBy Until when a result may be delivered at the least, as a Unix second.
    /// @param fee What its deliverer earns, in wei.
    struct Request {
        Status status;
        uint64 deliverBy;
        uint96 fee;
    }

    /// @notice The scheduler that runs the jobs.
    IJobScheduler public immutable scheduler;

    mapping(bytes32 job => Request) private _requests;
    uint64 private _nonce;

    event Requested(bytes32 indexed job, uint64 deliverBy, uint96 fee);
    event Delivered(bytes32 indexed job, address indexed deliverer);
    event Undelivered(bytes32 indexed job, IJobScheduler.JobState state);

    /// @notice The job is none of this contract's, or was delivered or given up.
    error NotPending(bytes32 job);
    error NotVerified(IJobScheduler.JobState state);
    /// @notice The job may still be verified, or its result be delivered.
    error NotOver(bytes32 job);
    error TooFewOpenings(uint256 given, uint256 needed);
    error OpeningsOutOfOrder();
    /// @notice The seat's node did not commit to this opening.
    error NotCommitted(uint256 seat);
    /// @notice The openings are not all of this result.
    error OtherResult(uint256 seat);
    /// @notice The job is rostered: `fulfilRostered` delivers it.
    error Rostered(bytes32 job);
    /// @notice Head, revision and openings are not those of the job.
    error WrongRoster(bytes32 job);
    error OnlyScheduler();
    /// @notice The scheduler counts in a token: requests are paid in ether.
    error OnlyEther(address asset);

    constructor(IJobScheduler scheduler_) {
        address asset = scheduler_.asset();
        if (asset != address(0)) revert OnlyEther(asset);
        scheduler = scheduler_;
    }

    /// @notice Refunds, when they are withdrawn.
    receive() external payable {
        if (msg.sender != address(scheduler)) revert OnlyScheduler();
    }

    /// @notice Where the request of a job is.
    function requests(bytes32 job) external view returns (Request memory) {
        return _requests[job];
    }

    /// @notice Delivers the result of a verified job: its exit code and standard output, with openings of it by as many
    /// seats as its verdict needed, ascending. The caller earns the fee.
    function fulfil(
        bytes32 job,
        IJobScheduler.SeatOpening[] calldata openings,
        int32 exitCode,
        bytes calldata stdout
    ) external {
        Request memory request = _take(job, Status.Fulfilled);
        // slither-disable-next-line unused-return
        (IJobScheduler.JobState state,, uint256 head,) = scheduler.jobs(job);
        if (state != IJobScheduler.JobState.Verified) revert NotVerified(state);
        if (Head.wrap(head).isRostered()) revert Rostered(job);
        _check(job, Head.wrap(head), openings, Results.hash(job, exitCode, stdout));
        _deliver(job, request.fee, exitCode, stdout);
    }

    /// @notice The same of a job whose seats are one hash, as `_requestSigned` makes it. Needs the openings of all its
    /// seats, of which as many as the verdict needed are of this result.
    /// @param revision The hash of its terms.
    /// @param head Its head after the verdict.
    function fulfilRostered(
        bytes32 job,
        bytes32 revision,
        uint256 head,
        IJobScheduler.SeatOpening[] calldata openings,
        int32 exitCode,
        bytes calldata stdout
    ) external {
        Request memory request = _take(job, Status.Fulfilled);
        // slither-disable-next-line unused-return
        (IJobScheduler.JobState state,, uint256 kept,) = scheduler.jobs(job);
        if (state != IJobScheduler.JobState.Verified) revert NotVerified(state);
        Head seal = Heads.sealed_(Head.wrap(head), revision, _roster(job, openings), state);
        if (!Head.wrap(kept).equals(seal)) revert WrongRoster(job);
        uint256 agreeing = 0;
        bytes32 resultHash = Results.hash(job, exitCode, stdout);
        for (uint256 i = 0; i < openings.length; ++i) {
            if (openings[i].opening.resultHash == resultHash) ++agreeing;
        }
        uint256 needed = _needed(Head.wrap(head));
        if (agreeing < needed) revert TooFewOpenings(agreeing, needed);
        _deliver(job, request.fee, exitCode, stdout);
    }

    /// @notice Gives up a request that brings no result any more: its job ended without a verdict, or nobody delivered the
    /// result in time. Anyone may call it.
    function giveUp(bytes32 job) external {
        Request memory request = _take(job, Status.Unfulfilled);
        // slither-disable-next-line unused-return
        (IJobScheduler.JobState state,,,) = scheduler.jobs(job);
        bool isLate = state == IJobScheduler.JobState.Verified && block.timestamp > request.deliverBy;
        if (state < IJobScheduler.JobState.Verified || (state == IJobScheduler.JobState.Verified && !isLate))
        {
            revert NotOver(job);
        }
        emit Undelivered(job, state);
        _unfulfilled(job, state);
    }

    /// @notice Submits a job and pays for it from this contract's ether and its free balance on the scheduler.
    /// @param terms What is agreed. Nobody accepts bids for a contract, so `acceptance` is `FirstCome`.
    /// @param spec The canonical bytes of what to run, as `assay job submit --dry-run --output json` shows them.
    /// @param value Ether to send along; the escrow is the price of all seats and the keeper fee.
    /// @param fee What the deliverer earns; it stays here until then.
    /// @param deliverBy Until when a result may be delivered at the least.
    function _request(
        IJobScheduler.Terms memory terms,
        bytes memory spec,
        uint256 value,
        uint96 fee,
        uint64 deliverBy
    ) internal returns (bytes32 job) {
        job = scheduler.submit{value: value}(Results.pack(terms), spec, _nonce++);
        _requests[job] = Request(Status.Pending, deliverBy, fee);
        emit Requested(job, deliverBy, fee);
    }

    /// @notice The same with bids that nodes signed for this very job, one for each seat: it starts at once, and costs three
    /// transactions in all. If they are too few, the rest of the seats stays empty: nobody accepts bids for a contract.
    /// Whoever brings the bids chooses the nodes, and so may choose the result: take them from somebody you trust, or name
    /// the nodes in the allow-list.
    function _requestSigned(
        IJobScheduler.Terms memory terms,
        bytes memory spec,
        IJobScheduler.SignedBid[] memory bids,
        uint256 value,
        uint96 fee,
        uint64 deliverBy
    ) internal returns (bytes32 job) {
        job = scheduler.submitSigned{value: value}(Results.pack(terms), spec, _nonce++, bids);
        _requests[job] = Request(Status.Pending, deliverBy, fee);
        emit Requested(job, deliverBy, fee);
    }

    /// @notice The id of the job that the next request of these terms and this spec makes: what nodes sign their bids for.
    function _nextJob(IJobScheduler.Terms memory terms, bytes memory spec) internal view returns (bytes32) {
        return scheduler.jobId(address(this), _nonce, sha256(spec), keccak256(abi.encode(terms)));
    }

    /// @notice Takes back what the scheduler holds for this contract: refunds, and what was deposited for it.
    function _withdraw(uint256 amount) internal {
        scheduler.withdraw(amount);
    }

    /// @notice The result of a request; called once.
    function _fulfilled(bytes32 job, int32 exitCode, bytes calldata stdout) internal virtual;

    /// @notice A request brings no result; called once. `Verified` means that nobody delivered it.
    function _unfulfilled(bytes32 job, IJobScheduler.JobState state) internal virtual;

    /// Marks it first, so that nothing that is called later can take it again.
    function _take(bytes32 job, Status status) private returns (Request memory request) {
        request = _requests[job];
        if (request.status != Status.Pending) revert NotPending(job);
        _requests[job].status = status;
    }

    /// Pays the deliverer and tells the result.
    function _deliver(bytes32 job, uint96 fee, int32 exitCode, bytes calldata stdout) private {
        emit Delivered(job, msg.sender);
        if (fee != 0) scheduler.depositFor{value: fee}(msg.sender);
        _fulfilled(job, exitCode, stdout);
    }

    /// How many seats had to agree for a verdict.
    function _needed(Head head) private pure returns (uint256) {
        (uint256 majority, uint256 confidence) = (head.asked() / 2 + 1, head.confidence());
        return majority < confidence ? confidence : majority;
    }

    /// The hash of a roster whose seats committed to these openings.
    function _roster(bytes32 job, IJobScheduler.SeatOpening[] calldata openings)
        private
        view
        returns (bytes32)
    {
        bytes memory words = "";
        for (uint256 i = 0; i < openings.length; ++i) {
            IJobScheduler.SeatOpening calldata given = openings[i];
            bytes32 commitment = Openings.commitment(
                block.chainid, address(scheduler), job, given.seat, given.node, given.opening
            );
            words = bytes.concat(words, abi.encode(given.seat, given.node, given.price, commitment));
        }
        return keccak256(words);
    }

    /// A verified job has a majority of all seats that agree, and so have these openings. The two have a seat in common, so
    /// the result is that of an accepted seat.
    function _check(bytes32 job, Head head, IJobScheduler.SeatOpening[] calldata openings, bytes32 resultHash)
        private
        view
    {
        uint256 needed = _needed(head);
        if (openings.length < needed) revert TooFewOpenings(openings.length, needed);
        uint256 next = 0;
        for (uint256 i = 0; i < openings.length; ++i) {
            IJobScheduler.SeatOpening calldata given = openings[i];
            if (given.seat < next) revert OpeningsOutOfOrder();
            next = uint256(given.seat) + 1;
            if (given.opening.resultHash != resultHash) revert OtherResult(given.seat);
            bytes32 commitment = Openings.commitment(
                block.chainid, address(scheduler), job, given.seat, given.node, given.opening
            );
            // slither-disable-next-line unused-return
            (, uint256 slot) = scheduler.bids(job, given.node);
            if (!Slots.ofCommitment(commitment, given.price, given.seat).equals(Slot.wrap(slot))) {
                revert NotCommitted(given.seat);
            }
        }
    }
}
