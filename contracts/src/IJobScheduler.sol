// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Every type, event, error and function of the scheduler contract
/// @notice The rules are those of `docs/contract.md`. This file is self-contained, because the Rust bindings read
/// it. Enums have the indices of their Rust twins and are only ever appended to.
interface IJobScheduler {
    /// @notice Where a job is in its life. `Revealing` is never stored: it is what a passed close of commits makes
    /// of `Running`.
    enum JobState {
        Open,
        Running,
        Revealing,
        Verified,
        Inconclusive,
        Failed,
        Cancelled,
        Expired
    }

    /// @notice How the runs of a job are compared once their outputs alone did not decide.
    enum Method {
        Hash,
        KMeans,
        Ball
    }

    /// @notice Who turns bids into seats.
    enum Acceptance {
        Requester,
        FirstCome
    }

    /// @notice Why a run gave no result.
    enum FailureKind {
        Timeout,
        Memory,
        Disk,
        Engine,
        Image,
        Input,
        Interrupted
    }

    /// @notice The kinds of signed actions; this contract takes signatures for `BidPlaced` and `Committed`.
    enum EventKind {
        Submitted,
        DealUpdated,
        Cancelled,
        BidPlaced,
        BidWithdrawn,
        BidAccepted,
        BidRejected,
        FailureReported,
        Committed,
        Stopped,
        Revealed,
        VerdictPosted,
        Expired,
        Remarked,
        Ticked
    }

    /// @notice Why the rules refuse an event. Each has an error of the same name below.
    enum Rejection {
        NoSuchJob,
        JobExists,
        WrongState,
        NotRequester,
        NotSeatHolder,
        DeadlinePassed,
        DeadlineNotReached,
        SeatsTaken,
        InvalidTerms,
        InvalidSpec,
        WrongJobId,
        BadParent,
        NotFunded,
        WrongRevision,
        PriceTooHigh,
        NotAllowed,
        TooFewPaidJobs,
        SatInParent,
        AlreadyBid,
        TooManyBids,
        NoSuchBid,
        BidNotStanding,
        NoSeatFree,
        FirstComeDeal,
        SeatFailed,
        AlreadyCommitted,
        NotCommitted,
        AlreadyRevealed,
        BadOpening,
        BadFingerprint,
        OpeningsOutOfOrder,
        OpeningsMissing,
        OpeningTooLate,
        QuorumNotRevealed,
        VerdictMismatch,
        VerdictDue,
        NothingDue,
        RemarkTooLong
    }

    /// @notice The terms that can be out of bounds.
    enum Term {
        Concurrency,
        Confidence,
        RelativePermille,
        Price,
        Bond,
        Open,
        Timeout,
        Run,
        Reveal,
        AllowList,
        EscalationLimit,
        Parent,
        Epoch,
        Encoding
    }

    /// @notice What became of a bid, and of the seat it took.
    enum BidStatus {
        None,
        Standing,
        Withdrawn,
        Rejected,
        Skipped,
        Seated,
        Failed,
        Committed
    }

    /// @notice The terms of a job. Their revision is `keccak256(abi.encode(terms))`.
    /// @param concurrency N, how many nodes run the job: 1 to 31.
    /// @param confidence M, how many must agree: 1 to N.
    /// @param toleranceKib How far two traces may differ, in KiB.
    /// @param relativePermille And in thousandths of their level: 0 to 1000.
    /// @param method How runs with different outputs are compared.
    /// @param deterministic Whether outputs alone decide; then the bond of a wrong one is burnt.
    /// @param acceptance Who turns bids into seats.
    /// @param price Most that a seat is paid, in wei.
    /// @param bond What a node stands to lose: price to 10 x price.
    /// @param keeperFee What the sender of the verdict, or of the expiry, earns.
    /// @param open How long bids are taken, in seconds, like all durations: 1 s to 30 days.
    /// @param timeout How long a run may take.
    /// @param run From the last acceptance to the close of commits: at least timeout + 60 s.
    /// @param reveal From the close of commits to the end of reveals: at least 60 s.
    /// @param liveLogs Whether output streams while the job runs.
    /// @param allowList Who may bid, ascending, at most 64; empty for anyone.
    /// @param minPaidJobs How many paid jobs a bidder must have behind it.
    /// @param escalationLimit Most seats of a follow-up of an inconclusive job: 0, or N to 31.
    /// @param parent The inconclusive job that this one follows up, or zero.
    struct Terms {
        uint8 concurrency;
        uint8 confidence;
        uint32 toleranceKib;
        uint16 relativePermille;
        Method method;
        bool deterministic;
        Acceptance acceptance;
        uint96 price;
        uint96 bond;
        uint96 keeperFee;
        uint32 open;
        uint32 timeout;
        uint32 run;
        uint32 reveal;
        bool liveLogs;
        address[] allowList;
        uint32 minPaidJobs;
        uint8 escalationLimit;
        bytes32 parent;
    }

    /// @notice Who asked for a job, and its terms: both are kept as one hash and given with every call that needs
    /// them; `Submitted` and `DealUpdated` carry them.
    struct Deal {
        address requester;
        Terms terms;
    }

    /// @notice A result and the salt of its commitment. The commitment is `keccak256(abi.encode(chain id, this
    /// contract, job, seat, node, resultHash, outputRoot, exitCode, fingerprint, salt))`.
    struct Opening {
        bytes32 resultHash;
        bytes32 outputRoot;
        int32 exitCode;
        bytes32 fingerprint;
        bytes32 salt;
    }

    /// @notice The opening of a seat, with the seat's holder and its price.
    struct SeatOpening {
        uint8 seat;
        address node;
        uint96 price;
        Opening opening;
    }

    /// @notice A seat's holder, its price, and its commitment if it has committed.
    struct SeatHolder {
        uint8 seat;
        address node;
        uint96 price;
        bytes32 commitment;
    }

    /// @notice What else an EIP-712 `Action` says that a node signed, and its signature: r, s, 27 or 28.
    struct Signed {
        uint64 sequence;
        bytes32 seen;
        bytes signature;
    }

    /// @notice A bid that its node signed instead of sending: an `Action` of kind `BidPlaced`, its payload
    /// `abi.encode(price)`.
    struct SignedBid {
        address node;
        uint96 price;
        Signed signed;
    }

    /// @notice A party's money and record.
    /// @param free What may be locked or withdrawn, in wei.
    /// @param seats Seats ever taken.
    /// @param paid Seats paid for by a verdict, counting no job of one seat and none without a price.
    /// @param rejected Seats that a verdict found to disagree.
    /// @param failures Failures reported.
    struct Account {
        uint96 free;
        uint32 seats;
        uint32 paid;
        uint32 rejected;
        uint32 failures;
    }

    // Events. `job` and the party concerned are indexed. All state follows from them.

    event Submitted(bytes32 indexed job, address indexed requester, uint64 nonce, Terms terms, bytes spec);
    event DealUpdated(bytes32 indexed job, Terms terms);
    event Cancelled(bytes32 indexed job);
    event BidPlaced(bytes32 indexed job, address indexed node, uint96 price);
    event BidWithdrawn(bytes32 indexed job, address indexed node);
    /// @notice The requester gave the bidder a seat.
    event BidAccepted(bytes32 indexed job, address indexed node, uint8 seat);
    /// @notice The bid took a seat itself, under `FirstCome`.
    event SeatTaken(bytes32 indexed job, address indexed node, uint8 seat);
    /// @notice An acceptance passed over a bid that is void, withdrawn, or whose bond is not there.
    event BidSkipped(bytes32 indexed job, address indexed node);
    event BidRejected(bytes32 indexed job, address indexed node);
    /// @notice The node's signature on a bid for a job not yet submitted counts no more.
    event SignedBidRevoked(bytes32 indexed job, address indexed node);
    event FailureReported(bytes32 indexed job, address indexed node, uint8 seat, FailureKind kind);
    event Committed(bytes32 indexed job, address indexed node, bytes32 commitment);
    event Stopped(bytes32 indexed job);
    event Revealed(bytes32 indexed job, address indexed node, uint8 seat, Opening opening);
    /// @notice `accepted` is empty when the job ended inconclusive.
    event VerdictPosted(bytes32 indexed job, address indexed keeper, SeatOpening[] openings, uint32 accepted);
    /// @notice `state` is `Expired` or `Failed`.
    event Expired(bytes32 indexed job, address indexed keeper, JobState state);
    event Remarked(bytes32 indexed job, address indexed node, string remark);
    /// @notice The seats of a job submitted with signed bids got slots of their own.
    event Unpacked(bytes32 indexed job);
    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice Where a node can be reached: libp2p multiaddresses, one a line.
    event Announced(address indexed node, string addresses);

    // Errors of the rules: one for each `Rejection`, but for those that cannot happen here: no event can be given
    // another job's id (`WrongJobId`), no chain needs ticks (`NothingDue`).

    error NoSuchJob(bytes32 job);
    error JobExists(bytes32 job);
    error WrongState(JobState state);
    error NotRequester(address requester);
    error NotSeatHolder(address node);
    error DeadlinePassed(uint256 deadline);
    error DeadlineNotReached(uint256 deadline);
    error SeatsTaken(uint256 filled);
    error InvalidTerms(Term term);
    /// @notice Only the length can be judged here; nodes judge the rest.
    error InvalidSpec(uint256 length);
    error BadParent(bytes32 parent);
    error NotFunded(address account, uint256 free, uint256 needed);
    error WrongRevision(bytes32 revision);
    error PriceTooHigh(uint256 most);
    error NotAllowed(address node);
    error TooFewPaidJobs(uint256 paid, uint256 needed);
    error SatInParent(bytes32 parent);
    error AlreadyBid(address node);
    error TooManyBids(uint256 most);
    error NoSuchBid(address node);
    error BidNotStanding(address node);
    error NoSeatFree();
    error FirstComeDeal();
    error SeatFailed(address node);
    error AlreadyCommitted(address node);
    error NotCommitted(uint256 seat);
    error AlreadyRevealed(uint256 seat);
    error BadOpening(uint256 seat);
    error BadFingerprint(uint256 seat);
    error OpeningsOutOfOrder(uint256 seat);
    error OpeningsMissing(uint256 seats);
    error OpeningTooLate(uint256 seat);
    error QuorumNotRevealed(uint256 revealed, uint256 quorum);
    error VerdictMismatch(uint256 accepted);
    error VerdictDue();
    error RemarkTooLong(uint256 length);

    // Errors of the envelope: the call, not the event, is wrong.

    /// @notice The requester and terms given are not the job's.
    error WrongDeal(bytes32 job);
    /// @notice The seats given are not exactly those that are due something.
    error WrongSeats(uint256 expected);
    /// @notice The holder, price or commitment given for this seat is not what the job has.
    error WrongHolder(uint256 seat);
    /// @notice The roster given is not the job's, or not all of it.
    error WrongRoster(bytes32 job);
    /// @notice Call `unpack` first.
    error Rostered(bytes32 job);
    error NotRostered(bytes32 job);
    /// @notice Nodes of signed bids must ascend.
    error NodesOutOfOrder(address node);
    error BadSignature(address node);
    /// @notice More money than an account can hold.
    error TooMuchMoney();
    error TransferFailed();
    error AnnouncementTooLong(uint256 length);
    error SignaturesMissing(uint256 expected);

    // Money.

    /// @notice Adds the value sent to the sender's free balance.
    function deposit() external payable;

    /// @notice Adds the value sent to `account`'s free balance.
    function depositFor(address account) external payable;

    /// @notice Sends `amount` of the sender's free balance to the sender.
    function withdraw(uint256 amount) external;

    // The requester.

    /// @notice Submits a job. The escrow, N x price + keeper fee, is taken from the value sent and the free balance;
    /// what is sent beyond it becomes free.
    function submit(Terms calldata terms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job);

    /// @notice Submits the follow-up of the inconclusive job `terms.parent`, whose terms are `parentTerms`.
    function submitChild(Terms calldata terms, Terms calldata parentTerms, bytes calldata spec, uint64 nonce)
        external
        payable
        returns (bytes32 job);

    /// @notice Submits a job and accepts bids signed for it, ascending by node, until every seat is filled. A bid
    /// that was revoked, or whose bond is not there, is passed over. With every seat filled the job runs at once
    /// and its seats are kept as one hash; see `unpack`.
    function submitSigned(Terms calldata terms, bytes calldata spec, uint64 nonce, SignedBid[] calldata bids)
        external
        payable
        returns (bytes32 job);

    /// @notice Changes the terms while no seat has been filled; every earlier bid is void.
    function updateDeal(bytes32 job, Deal calldata deal, Terms calldata next) external payable;

    /// @notice Withdraws a job that no seat was ever filled of.
    function cancel(bytes32 job, Deal calldata deal) external;

    /// @notice Gives seats to bidders, in order, all or nothing but for bids that are passed over.
    function acceptBids(bytes32 job, Deal calldata deal, address[] calldata nodes) external;

    /// @notice Declines bids.
    function rejectBids(bytes32 job, address requester, bytes32 revision, address[] calldata nodes) external;

    /// @notice Ends a running job; every seat that has not failed, given in `holders`, gets price and bond.
    function stop(bytes32 job, Deal calldata deal, SeatHolder[] calldata holders) external;

    /// @notice Notes an error of a bidder; at most 256 bytes.
    function remark(bytes32 job, address requester, bytes32 revision, address node, string calldata text)
        external;

    // A node.

    /// @notice Offers to run the job under the deal given; under `FirstCome` takes a seat.
    function bid(bytes32 job, Deal calldata deal, uint96 price) external;

    /// @notice Takes the sender's bid back.
    function withdrawBid(bytes32 job) external;

    /// @notice Makes the bid that the sender signed for a job not yet submitted useless.
    function revokeSignedBid(bytes32 job) external;

    /// @notice Reports that the sender's run gave no result; its bond is free again.
    function reportFailure(bytes32 job, Deal calldata deal, FailureKind kind) external;

    /// @notice Commits the sender's seat to a result.
    function commit(bytes32 job, bytes32 commitment) external;

    /// @notice Commits seats by their nodes' signatures on an `Action` of kind `Committed`, its payload
    /// `abi.encode(commitment)`; of a rostered job all seats at once.
    function commitSigned(
        bytes32 job,
        address requester,
        bytes32 revision,
        SeatHolder[] calldata holders,
        Signed[] calldata signatures
    ) external;

    /// @notice Opens the sender's commitment on the chain, so that nobody can leave it out of the verdict.
    function reveal(bytes32 job, uint8 seat, uint96 price, Opening calldata opening) external;

    /// @notice Says where the sender can be reached; at most 1024 bytes.
    function announce(string calldata addresses) external;

    // Anyone.

    /// @notice Posts the verdict over `openings`, ascending by seat: those of every committed seat, or after the
    /// deadline of reveals of every seat revealed. Recomputed; refused unless `accepted` is what the rules give.
    function postVerdict(bytes32 job, Deal calldata deal, SeatOpening[] calldata openings, uint32 accepted)
        external;

    /// @notice Ends a job that is overdue; `holders` are exactly the seats that get their bond back.
    function expire(bytes32 job, Deal calldata deal, SeatHolder[] calldata holders) external;

    /// @notice Gives the seats of a rostered job slots of their own, after which every other function works.
    function unpack(bytes32 job, address requester, bytes32 revision, SeatHolder[] calldata roster) external;

    // Views.

    /// @notice A job as of the block that asks: its state; the deadline of reveals, zero before commits close; its
    /// head, laid out as in `Packing.sol`, zero when there is no such job; and its root.
    function jobs(bytes32 job)
        external
        view
        returns (JobState state, uint256 revealBy, uint256 head, bytes32 root);

    function accounts(address party) external view returns (Account memory);

    /// @notice A node's bid, with its price, seat and epoch as laid out in `Packing.sol`.
    function bids(bytes32 job, address node) external view returns (BidStatus status, uint256 slot);

    /// @notice What was burnt so far: nobody's.
    function burnt() external view returns (uint256);
    function childOf(bytes32 parent) external view returns (bytes32);
    function jobId(address requester, uint64 nonce, bytes32 specHash, bytes32 revision)
        external
        view
        returns (bytes32);
    function commitmentOf(bytes32 job, uint8 seat, address node, Opening calldata opening)
        external
        view
        returns (bytes32);
    function domainSeparator() external view returns (bytes32);
}
