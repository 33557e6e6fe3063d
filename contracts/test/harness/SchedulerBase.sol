// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Signatures} from "../../src/Signatures.sol";
import {Summaries} from "../../src/Summaries.sol";
import {Terms} from "./Terms.sol";
import {Token} from "./Tokens.sol";

/// A scheduler, a requester, nodes with money, and every step of a job in one line.
abstract contract SchedulerBase is Test {
    uint256 internal constant MONEY = 1 ether;
    bytes internal constant SPEC = '{"image":"sha256:00","image_name":"demo","entrypoint":[],"command":["true"],'
        '"environment":{},"working_directory":null,"inputs":[],"resources":{"memory_bytes":536870912,"cpu_millis":1000,'
        '"pids":256,"disk_bytes":1073741824}}';

    IJobScheduler internal scheduler;
    /// What the scheduler counts in; zero is ether.
    Token internal token;
    address internal requester = makeAddr("requester");
    address internal keeper = makeAddr("keeper");
    /// Ascending, so that they may sign in order.
    address[] internal nodes;
    mapping(address => uint256) internal keys;
    uint64 internal nonce;
    /// What each job was submitted with.
    mapping(bytes32 job => uint64) internal nonceOf;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        scheduler = schedulerOf(address(token));
        fund(requester);
        fund(keeper);
        makeNodes(5);
    }

    function schedulerOf(address asset) internal returns (IJobScheduler) {
        return IJobScheduler(vm.deployCode("JobScheduler.sol:JobScheduler", abi.encode(asset)));
    }

    function fund(address party) internal {
        vm.deal(party, 100 ether);
        if (address(token) == address(0)) {
            vm.prank(party);
            scheduler.deposit{value: MONEY}();
        } else {
            depositTokens(party, party, MONEY);
        }
    }

    /// New tokens, which their owner deposits for somebody.
    function depositTokens(address owner, address account, uint256 amount) internal {
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(scheduler), amount);
        scheduler.depositToken(account, amount);
        vm.stopPrank();
    }

    /// How much of the asset somebody has outside the scheduler.
    function purseOf(address party) internal view returns (uint256) {
        return address(token) == address(0) ? party.balance : token.balanceOf(party);
    }

    /// What is sent along, where it can be; of a token it is deposited first.
    function valueFor(uint256 amount) internal returns (uint256) {
        if (address(token) == address(0)) return amount;
        depositTokens(requester, requester, amount);
        return 0;
    }

    function makeNodes(uint256 count) internal {
        delete nodes;
        for (uint256 key = 1; key <= count; ++key) {
            address node = vm.addr(key);
            keys[node] = key;
            nodes.push(node);
            for (uint256 i = nodes.length - 1; i > 0 && nodes[i] < nodes[i - 1]; --i) {
                (nodes[i], nodes[i - 1]) = (nodes[i - 1], nodes[i]);
            }
            fund(node);
        }
    }

    function terms() internal pure returns (IJobScheduler.Terms memory t) {
        t.concurrency = 3;
        t.confidence = 2;
        t.toleranceKib = 1024;
        t.relativePermille = 300;
        t.method = IJobScheduler.Method.Ball;
        t.price = 0.01 ether;
        t.bond = 0.02 ether;
        t.keeperFee = 0.001 ether;
        t.open = 120;
        t.timeout = 1800;
        t.run = 1860;
        t.reveal = 60;
        t.cpuPermille = 333;
    }

    /// Terms of a job whose outputs may differ a little.
    function nearTerms() internal pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        (t.method, t.summary) = (IJobScheduler.Method.Near, bytes32(uint256(1)));
    }

    function escrow(IJobScheduler.Terms memory t) internal pure returns (uint256) {
        return Terms.mostSeats(t) * t.price + t.keeperFee;
    }

    /// The deal of a job, whose terms are these now.
    function deal_(bytes32 job, IJobScheduler.Terms memory t) internal view returns (bytes memory) {
        return Terms.deal(requester, nonceOf[job], sha256(SPEC), t);
    }

    function revisionOf(IJobScheduler.Terms memory t) internal pure returns (bytes32) {
        return keccak256(abi.encode(t));
    }

    // Steps.

    function submit(IJobScheduler.Terms memory t) internal returns (bytes32 job) {
        uint256 value = valueFor(escrow(t));
        vm.prank(requester);
        job = scheduler.submit{value: value}(Terms.pack(t), SPEC, nonce);
        nonceOf[job] = nonce++;
    }

    function bid(bytes32 job, IJobScheduler.Terms memory t, uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            bidOf(nodes[i], job, t, t.price);
        }
    }

    function bidOf(address node, bytes32 job, IJobScheduler.Terms memory t, uint96 price) internal {
        bytes memory d = deal_(job, t);
        vm.prank(node);
        scheduler.bid(job, d, price);
    }

    function firstNodes(uint256 count) internal view returns (address[] memory list) {
        list = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = nodes[i];
        }
    }

    function toList(address node) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = node;
    }

    function accept(bytes32 job, IJobScheduler.Terms memory t, address[] memory list) internal {
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.acceptBids(job, d, list);
    }

    function running(IJobScheduler.Terms memory t) internal returns (bytes32 job) {
        job = submit(t);
        bid(job, t, t.concurrency);
        accept(job, t, firstNodes(t.concurrency));
    }

    function postVerdictRostered(
        bytes32 job,
        IJobScheduler.Terms memory t,
        uint256 head,
        uint256 seats,
        uint256 accepted
    ) internal {
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory list = openings(t, seats);
        vm.prank(keeper);
        scheduler.postVerdictRostered(job, d, head, list, uint32(accepted));
    }

    function commit(bytes32 job, uint256 seat, IJobScheduler.Opening memory said) internal {
        bytes32 commitment = scheduler.commitmentOf(job, uint8(seat), nodes[seat], said);
        vm.prank(nodes[seat]);
        scheduler.commit(job, commitment);
    }

    function commitAll(bytes32 job, IJobScheduler.Terms memory t) internal {
        for (uint256 i = 0; i < t.concurrency; ++i) {
            commit(job, i, opening(i, t.concurrency));
        }
    }

    function revealing(IJobScheduler.Terms memory t) internal returns (bytes32 job) {
        job = running(t);
        commitAll(job, t);
    }

    function reveal(bytes32 job, uint256 seat, IJobScheduler.Terms memory t) internal {
        vm.prank(nodes[seat]);
        scheduler.reveal(job, sealedBy(nodes[seat], uint8(seat), t.price, opening(seat, t.concurrency)));
    }

    function postVerdict(bytes32 job, IJobScheduler.Terms memory t, uint256 seats, uint256 accepted)
        internal
    {
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatOpening[] memory list = openings(t, seats);
        vm.prank(keeper);
        scheduler.postVerdict(job, d, list, uint32(accepted));
    }

    function expire(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.SeatHolder[] memory holders)
        internal
    {
        bytes memory d = deal_(job, t);
        vm.prank(keeper);
        scheduler.expire(job, d, holders);
    }

    function publishSecret(
        bytes32 job,
        IJobScheduler.Terms memory t,
        bytes32 secret,
        IJobScheduler.SeatHolder[] memory holders
    ) internal {
        bytes memory d = deal_(job, t);
        vm.prank(requester);
        scheduler.publishSecret(job, d, secret, holders);
    }

    // What nodes say. All agree but the last of the first wave.

    function opening(uint256 seat, uint256 count) internal pure returns (IJobScheduler.Opening memory o) {
        bool lies = count > 1 && seat + 1 == count;
        o.resultHash = keccak256(lies ? bytes("lie") : bytes("truth"));
        o.outputRoot = keccak256("root");
        o.fingerprint = bytes32(word(lies ? 50 : 1600, lies ? 10 : 900));
        o.summary = bytes32(Summaries.VOID);
        o.salt = keccak256(abi.encode("salt", seat));
    }

    function wrongState(IJobScheduler.JobState state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobScheduler.WrongState.selector, state);
    }

    function sealedBy(address node, uint8 seat, uint96 price, IJobScheduler.Opening memory said)
        internal
        pure
        returns (IJobScheduler.SeatOpening memory)
    {
        return IJobScheduler.SeatOpening({seat: seat, node: node, price: price, opening: said});
    }

    function word(uint256 units, uint256 cpu) internal pure returns (uint256 w) {
        w = 9000 << 232 | cpu << 200;
        for (uint256 k = 0; k < 10; ++k) {
            w |= units << (20 * k);
        }
    }

    /// The openings of a set of seats.
    function openings(IJobScheduler.Terms memory t, uint256 seats)
        internal
        view
        returns (IJobScheduler.SeatOpening[] memory list)
    {
        list = new IJobScheduler.SeatOpening[](size(seats));
        uint256 filled = 0;
        for (uint256 seat = 0; seat < Terms.mostSeats(t); ++seat) {
            if (seats >> seat & 1 == 0) continue;
            list[filled++] =
                IJobScheduler.SeatOpening(uint8(seat), nodes[seat], t.price, opening(seat, t.concurrency));
        }
    }

    /// The holders of a set of seats, those of `committed` with their commitments.
    function holdersOf(bytes32 job, IJobScheduler.Terms memory t, uint256 seats, uint256 committed)
        internal
        view
        returns (IJobScheduler.SeatHolder[] memory list)
    {
        list = new IJobScheduler.SeatHolder[](size(seats));
        uint256 filled = 0;
        for (uint256 seat = 0; seat < Terms.mostSeats(t); ++seat) {
            if (seats >> seat & 1 == 0) continue;
            bytes32 commitment = committed >> seat & 1 == 0
                ? bytes32(0)
                : scheduler.commitmentOf(job, uint8(seat), nodes[seat], opening(seat, t.concurrency));
            list[filled++] = IJobScheduler.SeatHolder(uint8(seat), nodes[seat], t.price, commitment);
        }
    }

    function size(uint256 set) internal pure returns (uint256 count) {
        for (; set != 0; set >>= 1) {
            count += set & 1;
        }
    }

    // What the chain says.

    function stateOf(bytes32 job) internal view returns (IJobScheduler.JobState state) {
        (state,,,) = scheduler.jobs(job);
    }

    function assertState(bytes32 job, IJobScheduler.JobState wanted) internal view {
        assertEq(uint256(stateOf(job)), uint256(wanted), "state");
    }

    function free(address party) internal view returns (uint256) {
        return scheduler.accounts(party).free;
    }

    // Signatures.

    function signed(
        bytes32 job,
        bytes32 revision,
        address node,
        IJobScheduler.EventKind kind,
        bytes32 payload
    ) internal view returns (IJobScheduler.Signed memory) {
        return signedUntil(job, revision, node, kind, payload, block.timestamp);
    }

    /// A bid that is valid until a second; of other actions it means nothing.
    function signedUntil(
        bytes32 job,
        bytes32 revision,
        address node,
        IJobScheduler.EventKind kind,
        bytes32 payload,
        uint256 until
    ) internal view returns (IJobScheduler.Signed memory) {
        bytes32 seen = bytes32(until);
        bytes32 digest = Signatures.digest(scheduler.domainSeparator(), job, revision, 0, seen, kind, payload);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[node], digest);
        return IJobScheduler.Signed(0, seen, r, bytes32(uint256(s) | uint256(v - 27) << 255));
    }

    function signedBids(bytes32 job, IJobScheduler.Terms memory t, uint256 count)
        internal
        view
        returns (IJobScheduler.SignedBid[] memory list)
    {
        list = new IJobScheduler.SignedBid[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 payload = bytes32(uint256(t.price));
            IJobScheduler.EventKind kind = IJobScheduler.EventKind.BidPlaced;
            list[i] = IJobScheduler.SignedBid(
                nodes[i], t.price, signed(job, revisionOf(t), nodes[i], kind, payload)
            );
        }
    }

    function nextJob(IJobScheduler.Terms memory t) internal view returns (bytes32) {
        return scheduler.jobId(requester, nonce, sha256(SPEC), revisionOf(t));
    }

    function submitSigned(IJobScheduler.Terms memory t, IJobScheduler.SignedBid[] memory list)
        internal
        returns (bytes32 job)
    {
        uint256 value = valueFor(escrow(t));
        vm.prank(requester);
        job = scheduler.submitSigned{value: value}(Terms.pack(t), SPEC, nonce, list);
        nonceOf[job] = nonce++;
    }

    /// The head of a rostered job, whose seats were filled and then committed, or not yet, at these times.
    function rosteredHead(IJobScheduler.Terms memory t, uint256 startedAt, uint256 committedAt)
        internal
        pure
        returns (uint256)
    {
        uint256 seats = committedAt == 0 ? 0 : (1 << t.concurrency) - 1;
        return uint256(t.concurrency) | uint256(t.confidence) << 5 | uint256(IJobScheduler.JobState.Running)
            << 12 | uint256(t.concurrency) << 15 | seats << 51 | uint256(t.timeout) << 113 | uint256(t.reveal)
            << 135 | (t.audit == 0 ? 0 : uint256(IJobScheduler.AuditStage.Undrawn)) << 158
            | (startedAt + t.run) << 192 | (committedAt == 0 ? startedAt : committedAt) << 224;
    }

    function signatures(bytes32 job, IJobScheduler.Terms memory t, IJobScheduler.SeatHolder[] memory holders)
        internal
        view
        returns (IJobScheduler.Signed[] memory list)
    {
        list = new IJobScheduler.Signed[](holders.length);
        for (uint256 i = 0; i < holders.length; ++i) {
            list[i] = signed(
                job, revisionOf(t), holders[i].node, IJobScheduler.EventKind.Committed, holders[i].commitment
            );
        }
    }
}
