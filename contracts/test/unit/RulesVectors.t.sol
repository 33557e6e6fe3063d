// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {FailureCounts} from "../../src/Failures.sol";
import {Head, Slot, Slots} from "../../src/Packing.sol";
import {Rules} from "../../src/Rules.sol";
import {States} from "../../src/States.sol";
import {RulesHarness} from "../harness/RulesHarness.sol";
import {Selectors} from "../harness/Selectors.sol";
import {VectorReader} from "../harness/VectorReader.sol";

/// Every case of `tests/vectors/transition.json`, which the Rust side enumerates from its rules: `src/rules/cases.rs`.
///
/// Of a head, `ended_at`, `failures` and the deadline of bids once they are over are not compared: the contract
/// does not store them, and they follow from its events.
contract RulesVectorsTest is VectorReader {
    struct JsonJob {
        bytes32 id;
        address requester;
        bytes32 revision;
        uint256 epoch;
        string state;
        uint256 openBy;
        uint256 commitBy;
        uint256 changedAt;
        uint256 failed;
        uint256 committed;
        uint256 revealed;
        string audit;
    }

    struct JsonHead {
        string state;
        bytes32 revision;
        uint256 epoch;
        uint256 openBy;
        uint256 commitBy;
        uint256 revealBy;
        uint256 changedAt;
        address[] holders;
        uint256 failed;
        uint256 committed;
        uint256 revealed;
        string audit;
        uint256[3][] bids;
        uint256 accepted;
    }

    string private constant JOB = "J(bytes32 id,address requester,bytes32 revision,uint256 epoch,string state,uint256 open_by,uint256 commit_by,"
        "uint256 seats_changed_at,uint256 failed,uint256 committed,uint256 revealed,string audit)";
    string private constant HEAD = "H(string state,bytes32 revision,uint256 epoch,uint256 open_by,uint256 commit_by,uint256 reveal_by,"
        "uint256 seats_changed_at,address[] holders,uint256 failed,uint256 committed,uint256 revealed,"
        "string audit,uint256[3][] bids,uint256 accepted)";
    string[] private stateNames =
        ["open", "running", "revealing", "verified", "inconclusive", "failed", "cancelled", "expired"];

    string[] private stageNames = ["none", "undrawn", "spared", "drawn"];

    RulesHarness private harness;

    // The situation at hand.
    JsonJob private job;
    IJobScheduler.Terms private agreed;
    mapping(address => uint256) private seatOf;
    IJobScheduler.SeatOpening[] private known;
    bytes32[] private commitments;

    uint256 private accepted;
    uint256 private refused;

    function test_every_case_ends_as_in_rust() public {
        string memory json = vm.readFile("tests/vectors/transition.json");
        // Parsed in parts: every look-up reads its whole text.
        string[] memory parts = vm.split(json, "{\"name\":\"");
        string memory prologue = string.concat(vm.split(parts[0], ",\"situations\":")[0], "}");
        string memory epilogue = string.concat("{\"heads\":", vm.split(json, "\"heads\":")[1]);
        uint256 cases = 0;
        for (uint256 i = 1; i < parts.length; ++i) {
            // A call of its own, so that its memory is given back.
            cases += this.replay(prologue, parts[i], epilogue);
        }
        assertEq(cases, vm.parseJsonUint(epilogue, ".count"));
        assertEq(cases, accepted + refused);
        assertGt(accepted, 1000);
    }

    function replay(string calldata prologue, string calldata part, string calldata epilogue)
        external
        returns (uint256)
    {
        string[] memory halves = vm.split(part, ",\"cases\":");
        string memory name = vm.split(part, "\"")[0];
        loadSituation(string.concat("{\"name\":\"", halves[0], "}"));
        address[] memory authors = vm.parseJsonAddressArray(prologue, ".authors");
        RulesHarness.Event[] memory events = readEvents(prologue);
        JsonHead[] memory heads = abi.decode(vm.parseJsonTypeArray(epilogue, ".heads", HEAD), (JsonHead[]));
        string memory rows = string.concat("{\"cases\":", vm.split(halves[1], "]]")[0], "]]}");
        uint256[5][] memory cases = abi.decode(vm.parseJsonType(rows, "C(uint256[5][] cases)"), (Cases)).cases;
        for (uint256 i = 0; i < cases.length; ++i) {
            check(events[cases[i][1]], authors[cases[i][0]], cases[i], heads, name);
        }
        return cases.length;
    }

    struct Cases {
        uint256[5][] cases;
    }

    function check(
        RulesHarness.Event memory event_,
        address author,
        uint256[5] memory row,
        JsonHead[] memory heads,
        string memory name
    ) private {
        if (event_.kind == IJobScheduler.EventKind.Ticked) {
            // No chain needs ticks: `WrongState`, `NotRequester`, `NothingDue` or no change, but never an event here.
            row[4] < 1000 ? ++refused : ++accepted;
            return;
        }
        RulesHarness.Stamp memory stamp = RulesHarness.Stamp({
            author: author,
            at: row[2],
            isFunded: row[3] & 1 != 0,
            satInParent: row[3] & 2 != 0,
            isCurrent: row[3] & 4 == 0,
            paid: row[3] >> 3
        });
        try harness.step(event_, agreed, stamp) returns (RulesHarness.Next memory next) {
            ++accepted;
            if (row[4] < 1000) revert(string.concat(name, ": accepted, not refused: ", describe(row)));
            compare(next, heads[row[4] - 1000], event_, stamp.at, string.concat(name, ": ", describe(row)));
        } catch (bytes memory reason) {
            ++refused;
            if (Selectors.rejection(bytes4(reason)) != row[4]) {
                revert(string.concat(name, ": another outcome: ", describe(row), vm.toString(reason)));
            }
        }
    }

    function compare(
        RulesHarness.Next memory next,
        JsonHead memory wanted,
        RulesHarness.Event memory event_,
        uint256 at,
        string memory name
    ) private view {
        (IJobScheduler.JobState state, uint256 revealBy) = States.stateAt(next.head, at);
        assertEq(stateNames[uint256(state)], wanted.state, name);
        bool isUpdate = event_.kind == IJobScheduler.EventKind.DealUpdated;
        assertEq(isUpdate ? keccak256(abi.encode(event_.terms)) : job.revision, wanted.revision, name);
        assertEq(next.head.epoch(), wanted.epoch, name);
        assertEq(next.head.deadline(), wanted.commitBy == 0 ? wanted.openBy : wanted.commitBy, name);
        if (state == IJobScheduler.JobState.Revealing) assertEq(revealBy, wanted.revealBy, name);
        assertEq(next.head.changedAt(), wanted.changedAt, name);
        assertEq(next.head.failed(), wanted.failed, name);
        assertEq(next.head.committed(), wanted.committed, name);
        assertEq(next.head.revealed(), wanted.revealed, name);
        assertEq(stageNames[uint256(next.head.audit())], wanted.audit, name);
        if (state == IJobScheduler.JobState.Verified) {
            bool isVerdict = event_.kind == IJobScheduler.EventKind.VerdictPosted;
            if (isVerdict) assertEq(event_.accepted, wanted.accepted, name);
        }
        assertEq(next.head.filled(), wanted.holders.length, name);
        if (next.seat != Rules.NO_SEAT) assertEq(wanted.holders[next.seat], next.node, name);
        for (uint256 i = 0; i < wanted.bids.length; ++i) {
            address node = address(uint160(wanted.bids[i][0]));
            Slot slot = node == next.node ? next.slot : harness.slots(node);
            assertEq(code(slot, node), wanted.bids[i][2], name);
            bool isCommitted = slot.status() == IJobScheduler.BidStatus.Committed;
            assertEq(isCommitted ? next.head.epoch() : slot.epoch(), wanted.bids[i][1], name);
        }
    }

    /// A bid's status as the cases write it: 4 + its seat once it has or had one.
    function code(Slot slot, address node) private view returns (uint256) {
        IJobScheduler.BidStatus status = slot.status();
        if (status == IJobScheduler.BidStatus.Committed) return 4 + seatOf[node];
        if (slot.wasSeated()) return 4 + slot.seat();
        return uint256(status) - 1;
    }

    function describe(uint256[5] memory row) private pure returns (string memory) {
        return string.concat(
            "author ",
            vm.toString(row[0]),
            " event ",
            vm.toString(row[1]),
            " at ",
            vm.toString(row[2]),
            " facts ",
            vm.toString(row[3]),
            " expected ",
            vm.toString(row[4]),
            " "
        );
    }

    // Reading.

    function loadSituation(string memory json) private {
        job = abi.decode(vm.parseJsonType(json, ".job", JOB), (JsonJob));
        agreed = readTerms(json, ".job.deal");
        harness = new RulesHarness();
        delete known;
        delete commitments;
        uint256 seats = 0;
        while (vm.keyExistsJson(json, string.concat(".job.seats[", vm.toString(seats), "]"))) ++seats;
        address[] memory holders = new address[](seats);
        for (uint256 i = 0; i < seats; ++i) {
            holders[i] = vm.parseJsonAddress(json, string.concat(".job.seats[", vm.toString(i), "].node"));
            seatOf[holders[i]] = i;
        }
        string[] memory nodes = vm.parseJsonKeys(json, ".job.bids");
        Head head = readHead(seats);
        harness.load(job.id, job.requester, head, holders, readFailures(json).anyShared());
        for (uint256 i = 0; i < nodes.length; ++i) {
            address node = vm.parseAddress(nodes[i]);
            string memory path = string.concat(".job.bids.", nodes[i]);
            Slot bid = readBid(json, path);
            // Whoever had a seat that another holds reported a failure.
            bool isFormer = bid.wasSeated() && holders[bid.seat()] != node;
            harness.put(node, isFormer ? bid.withStatus(IJobScheduler.BidStatus.Failed) : bid);
        }
        for (uint256 i = 0; i < seats; ++i) {
            readSeat(json, i, holders[i]);
        }
    }

    function readFailures(string memory json) private pure returns (FailureCounts counts) {
        uint256[] memory list = vm.parseJsonUintArray(json, ".job.failures");
        for (uint256 kind = 0; kind < list.length; ++kind) {
            for (uint256 i = 0; i < list[kind]; ++i) {
                counts = counts.withOneMore(IJobScheduler.FailureKind(kind));
            }
        }
    }

    function readHead(uint256 filled) private view returns (Head) {
        uint256 state = index(stateNames, job.state);
        // `Revealing` is not stored.
        if (state == 2) state = 1;
        uint256 stage = index(stageNames, job.audit);
        uint256 asked = agreed.concurrency;
        if (stage == uint256(IJobScheduler.AuditStage.Drawn)) asked += uint256(agreed.audit) & 31;
        return Head.wrap(
            asked | uint256(agreed.confidence) << 5 | uint256(agreed.acceptance) << 10 | state << 12 | filled
                << 15 | job.failed << 20 | job.committed << 51 | job.revealed << 82 | uint256(agreed.timeout)
                << 113 | uint256(agreed.reveal) << 135 | stage << 158 | job.epoch << 168
                | (job.commitBy == 0 ? job.openBy : job.commitBy) << 192 | job.changedAt << 224
        );
    }

    function readBid(string memory json, string memory path) private view returns (Slot) {
        uint256 price = vm.parseJsonUint(json, string.concat(path, ".price"));
        uint256 epoch = vm.parseJsonUint(json, string.concat(path, ".epoch"));
        string memory seated = string.concat(path, ".status.seated");
        if (vm.keyExistsJson(json, seated)) {
            return Slots.make(price, epoch, IJobScheduler.BidStatus.Seated, vm.parseJsonUint(json, seated));
        }
        bytes32 status = keccak256(bytes(vm.parseJsonString(json, string.concat(path, ".status"))));
        if (status == keccak256("standing")) {
            return Slots.make(price, epoch, IJobScheduler.BidStatus.Standing, 0);
        }
        if (status == keccak256("withdrawn")) {
            return Slots.make(price, epoch, IJobScheduler.BidStatus.Withdrawn, 0);
        }
        if (status == keccak256("rejected")) {
            return Slots.make(price, epoch, IJobScheduler.BidStatus.Rejected, 0);
        }
        assertEq(status, keccak256("skipped"));
        return Slots.make(price, epoch, IJobScheduler.BidStatus.Skipped, 0);
    }

    function readSeat(string memory json, uint256 seat, address node) private {
        string memory path = string.concat(".job.seats[", vm.toString(seat), "].status");
        if (vm.keyExistsJson(json, string.concat(path, ".failed"))) {
            harness.put(node, harness.slots(node).withStatus(IJobScheduler.BidStatus.Failed));
        } else if (vm.keyExistsJson(json, string.concat(path, ".committed"))) {
            bytes32 commitment = vm.parseJsonBytes32(json, string.concat(path, ".committed"));
            commitments.push(commitment);
            harness.put(node, Slots.ofCommitment(commitment, agreed.price, seat));
        } else if (vm.keyExistsJson(json, string.concat(path, ".revealed"))) {
            IJobScheduler.Opening memory opening = readOpening(json, string.concat(path, ".revealed"));
            known.push(IJobScheduler.SeatOpening(uint8(seat), node, agreed.price, opening));
            harness.put(node, Slots.ofCommitment(commitmentOf(seat, node, opening), agreed.price, seat));
        }
    }

    function commitmentOf(uint256 seat, address node, IJobScheduler.Opening memory opening)
        private
        view
        returns (bytes32)
    {
        bytes memory head =
            abi.encode(0, address(0), job.id, seat, node, opening.resultHash, opening.outputRoot);
        bytes memory tail = abi.encode(opening.exitCode, opening.fingerprint, opening.summary, opening.salt);
        return keccak256(bytes.concat(head, tail));
    }

    function readEvents(string memory prologue) private view returns (RulesHarness.Event[] memory events) {
        uint256 count = 0;
        while (vm.keyExistsJson(prologue, item(count))) ++count;
        events = new RulesHarness.Event[](count);
        for (uint256 i = 0; i < count; ++i) {
            readEvent(events[i], prologue, item(i));
        }
    }

    function item(uint256 i) private pure returns (string memory) {
        return string.concat(".events[", vm.toString(i), "]");
    }

    function readEvent(RulesHarness.Event memory event_, string memory json, string memory path)
        private
        view
    {
        event_.terms = agreed;
        string[16] memory names = [
            "submitted",
            "deal_updated",
            "cancelled",
            "bid_placed",
            "bid_withdrawn",
            "bid_accepted",
            "bid_rejected",
            "failure_reported",
            "committed",
            "stopped",
            "revealed",
            "verdict_posted",
            "expired",
            "remarked",
            "ticked",
            "secret_published"
        ];
        for (uint256 kind = 0; kind < names.length; ++kind) {
            string memory fields = string.concat(path, ".", names[kind]);
            if (vm.keyExistsJson(json, fields)) {
                event_.kind = IJobScheduler.EventKind(kind);
                readFields(event_, json, fields);
                return;
            }
        }
        // An event without fields is its name alone.
        string memory name = vm.parseJsonString(json, path);
        for (uint256 kind = 0; kind < names.length; ++kind) {
            if (keccak256(bytes(names[kind])) == keccak256(bytes(name))) {
                event_.kind = IJobScheduler.EventKind(kind);
            }
        }
        assertNotEq(uint256(event_.kind), 0, name);
    }

    function readFields(RulesHarness.Event memory event_, string memory json, string memory path)
        private
        view
    {
        IJobScheduler.EventKind kind = event_.kind;
        if (kind == IJobScheduler.EventKind.DealUpdated) {
            event_.terms = readTerms(json, string.concat(path, ".deal"));
        } else if (kind == IJobScheduler.EventKind.BidPlaced) {
            event_.price = uint96(vm.parseJsonUint(json, string.concat(path, ".price")));
        } else if (kind == IJobScheduler.EventKind.Committed) {
            event_.commitment = vm.parseJsonBytes32(json, string.concat(path, ".commitment"));
        } else if (event_.kind == IJobScheduler.EventKind.SecretPublished) {
            event_.commitment = vm.parseJsonBytes32(json, string.concat(path, ".secret"));
            event_.openings = new IJobScheduler.SeatOpening[](commitments.length);
            for (uint256 i = 0; i < commitments.length; ++i) {
                event_.openings[i].opening.resultHash = commitments[i];
            }
        } else if (kind == IJobScheduler.EventKind.Revealed) {
            event_.openings = new IJobScheduler.SeatOpening[](1);
            event_.openings[0] = readSeatOpening(json, path);
        } else if (kind == IJobScheduler.EventKind.VerdictPosted) {
            event_.accepted = vm.parseJsonUint(json, string.concat(path, ".accepted"));
            event_.openings = merged(readOpenings(json, string.concat(path, ".openings")));
        } else if (vm.keyExistsJson(json, string.concat(path, ".node"))) {
            event_.node = vm.parseJsonAddress(json, string.concat(path, ".node"));
            string memory remark = string.concat(path, ".remark");
            if (vm.keyExistsJson(json, remark)) {
                event_.remarkLength = bytes(vm.parseJsonString(json, remark)).length;
            }
        }
    }

    function readOpenings(string memory json, string memory path)
        private
        view
        returns (IJobScheduler.SeatOpening[] memory openings)
    {
        uint256 count = 0;
        while (vm.keyExistsJson(json, string.concat(path, "[", vm.toString(count), "]"))) ++count;
        openings = new IJobScheduler.SeatOpening[](count);
        for (uint256 i = 0; i < count; ++i) {
            openings[i] = readSeatOpening(json, string.concat(path, "[", vm.toString(i), "]"));
        }
    }

    function readSeatOpening(string memory json, string memory path)
        private
        view
        returns (IJobScheduler.SeatOpening memory given)
    {
        given.seat = uint8(vm.parseJsonUint(json, string.concat(path, ".seat")));
        given.price = agreed.price;
        if (given.seat < 3) given.node = holderOf(given.seat);
        given.opening = readOpening(json, string.concat(path, ".opening"));
    }

    function holderOf(uint256 seat) private view returns (address) {
        try harness.holders(seat) returns (address node) {
            return node;
        } catch {
            return address(0);
        }
    }

    /// What a caller sends: the openings given and those known from before, unless they are out of order.
    function merged(IJobScheduler.SeatOpening[] memory given)
        private
        view
        returns (IJobScheduler.SeatOpening[] memory all)
    {
        uint256 seats = 0;
        for (uint256 i = 0; i < given.length; ++i) {
            if (i > 0 && given[i - 1].seat >= given[i].seat) return given;
            seats |= 1 << given[i].seat;
        }
        uint256 extra = 0;
        for (uint256 i = 0; i < known.length; ++i) {
            if (seats >> known[i].seat & 1 == 0) ++extra;
        }
        all = new IJobScheduler.SeatOpening[](given.length + extra);
        uint256 filled = 0;
        for (uint256 seat = 0; seat < 32; ++seat) {
            for (uint256 i = 0; i < given.length; ++i) {
                if (given[i].seat == seat) all[filled++] = given[i];
            }
            for (uint256 i = 0; i < known.length; ++i) {
                if (known[i].seat == seat && seats >> seat & 1 == 0) all[filled++] = known[i];
            }
        }
    }
}
