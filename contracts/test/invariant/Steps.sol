// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {Terms} from "../harness/Terms.sol";
import {Ghosts} from "./Ghosts.sol";

/// Steps of jobs from their submission to the last reveal, in any order. A call that the rules refuse is no failure: it is
/// tried, and the ghosts stay as they are.
abstract contract Steps is Ghosts {
    modifier onJob() {
        if (ghosts.length == 0) return;
        _;
    }

    function pick(uint256 seed) internal view returns (Ghost storage) {
        return ghosts[seed % ghosts.length];
    }

    function someNode(uint256 seed) internal view returns (address) {
        return nodes[seed % nodes.length];
    }

    function list(address node) internal pure returns (address[] memory one) {
        one = new address[](1);
        one[0] = node;
    }

    /// Terms of every kind.
    function termsOf(uint256 seed) internal pure returns (IJobScheduler.Terms memory t) {
        t = terms();
        t.concurrency = uint8(1 + seed % 5);
        t.confidence = uint8(1 + (seed >> 8) % t.concurrency);
        t.method = IJobScheduler.Method((seed >> 16) % 4);
        t.deterministic = seed >> 20 & 3 == 0;
        if (t.method == IJobScheduler.Method.Near) t.summary = bytes32(uint256(1));
        bool byOutputs = t.method == IJobScheduler.Method.Near || t.method == IJobScheduler.Method.Hash;
        t.requireWork = byOutputs && !t.deterministic && seed >> 48 & 1 == 0;
        if (seed >> 52 & 1 == 0) t.cpuPermille = uint16((seed >> 56) % 1001);
        t.canonical = uint8(seed >> 66 & 31);
        t.acceptance =
            seed >> 24 & 3 == 0 ? IJobScheduler.Acceptance.FirstCome : IJobScheduler.Acceptance.Requester;
        if (seed >> 28 & 7 == 0) (t.price, t.bond) = (0, 0);
        if (seed >> 32 & 3 == 0) t.keeperFee = 0;
        (t.timeout, t.run, t.reveal) = (600, seed >> 36 & 1 == 0 ? 660 : 2000, 200);
        if (seed >> 40 & 1 == 0) t.escalationLimit = 7;
        if (seed >> 44 & 7 == 0) t.minPaid = t.price;
        // Never drawn, by an even chance, or always: at most as many seats as there are nodes.
        if (seed >> 72 & 1 == 0) {
            uint256[3] memory chances = [uint256(1), 500, 1000];
            t.audit = Terms.audit(SECRET, chances[(seed >> 80) % 3], 1 + (seed >> 88) % 2);
        }
    }

    function priceOf(IJobScheduler.Terms memory t, uint256 seed) internal pure returns (uint96) {
        return uint96(t.price - uint256(keccak256(abi.encode(seed))) % (t.price / 2 + 1));
    }

    function add(bytes32 job, IJobScheduler.Terms memory t) private {
        for (uint256 i = 0; i < ghosts.length; ++i) {
            if (ghosts[i].job == job) ++reusedIds;
        }
        Ghost storage made = ghosts.push();
        (made.job, made.nonce, made.submitted, made.terms) = (job, nonce, t, t);
        made.stage = firstStage(t);
        nonceOf[job] = nonce++;
    }

    // The requester.

    /// Pays out of what is free, what is sent, or both.
    function submitPlain(uint256 seed) external {
        if (ghosts.length >= 4) return;
        IJobScheduler.Terms memory t = termsOf(seed);
        uint256 sent = escrow(t) * (seed >> 48 & 3) / 2;
        if (address(token) != address(0)) {
            depositTo(requester, sent);
            sent = 0;
        }
        begin();
        vm.prank(requester);
        try scheduler.submit{value: sent}(Terms.pack(t), SPEC, nonce) returns (bytes32 job) {
            add(job, t);
            finishStep(job, requester, sent);
        } catch {
            forget();
            finishStep(0, requester, 0);
        }
    }

    /// The follow-up of an inconclusive job.
    function submitChild(uint256 job) external onJob {
        job %= ghosts.length;
        for (uint256 i = 0; i < ghosts.length; ++i) {
            if (pick(job).endState != IJobScheduler.JobState.Inconclusive) ++job;
        }
        Ghost storage parent = pick(job);
        if (parent.isRostered) unpack(job);
        bytes memory old = deal_(parent.job, parent.terms);
        IJobScheduler.Terms memory t = parent.terms;
        (t.parent, t.concurrency, t.audit) = (parent.job, uint8(2 * Terms.mostSeats(t) + 1), 0);
        if (t.concurrency > t.escalationLimit) t.concurrency = t.escalationLimit;
        begin();
        vm.prank(requester);
        try scheduler.submitChild(Terms.pack(t), old, SPEC, nonce) returns (bytes32 child) {
            if (parent.endState != IJobScheduler.JobState.Inconclusive) ++misjudgements;
            add(child, t);
            finishStep(child, requester, 0);
        } catch {
            forget();
            finishStep(0, requester, 0);
        }
    }

    /// With bids that nodes signed: as many as there are seats, fewer or more, one of them perhaps revoked.
    function submitWithBids(uint256 seed, uint256 bids) external {
        if (ghosts.length >= 4) return;
        IJobScheduler.Terms memory t = termsOf(seed);
        bytes32 job = nextJob(t);
        if (bids & 3 == 0) this.revoke(job, bids >> 8);
        uint256 size = 1 + (bids >> 16) % nodes.length;
        if (bids & 4 == 0 && size < t.concurrency) size = t.concurrency;
        uint256 first = (bids >> 24) % (nodes.length - size + 1);
        IJobScheduler.SignedBid[] memory offers = new IJobScheduler.SignedBid[](size);
        for (uint256 i = 0; i < size; ++i) {
            address node = nodes[first + i];
            uint96 price = priceOf(t, bids + i);
            bytes32 payload = bytes32(uint256(price));
            // Of one in eight the time is over.
            uint256 until = (bids >> (32 + i)) & 7 == 7 ? block.timestamp - 1 : block.timestamp;
            IJobScheduler.EventKind kind = IJobScheduler.EventKind.BidPlaced;
            offers[i] = IJobScheduler.SignedBid(
                node, price, signedUntil(job, revisionOf(t), node, kind, payload, until)
            );
        }
        begin();
        vm.prank(requester);
        try scheduler.submitSigned(Terms.pack(t), SPEC, nonce, offers) {
            add(job, t);
            Ghost storage g = ghosts[ghosts.length - 1];
            seatOffers(g, offers);
            g.isRostered = g.holders.length == t.concurrency;
            heads[job] = rosteredHead(t, block.timestamp, 0);
            finishStep(job, requester, 0);
        } catch {
            forget();
            finishStep(0, requester, 0);
        }
    }

    /// Those bids got a seat whose node paid a bond; where there is none, those that were not passed over, in order.
    function seatOffers(Ghost storage g, IJobScheduler.SignedBid[] memory offers) private {
        for (uint256 i = 0; i < offers.length && g.holders.length < g.terms.concurrency; ++i) {
            (IJobScheduler.BidStatus status,) = scheduler.bids(g.job, offers[i].node);
            bool isOut = status == IJobScheduler.BidStatus.Skipped || revoked[g.job][offers[i].node]
                || uint256(offers[i].signed.seen) < block.timestamp;
            if (!isOut) seat(g, offers[i].node, offers[i].price);
        }
    }

    mapping(bytes32 job => mapping(address node => bool)) internal revoked;

    function revoke(bytes32 job, uint256 node) external transaction(job, someNode(node)) {
        vm.prank(someNode(node));
        try scheduler.revokeSignedBid(job) {
            revoked[job][someNode(node)] = true;
        } catch {
            forget();
        }
    }

    function updateDeal(uint256 job, uint256 seed) external onJob {
        Ghost storage g = pick(job);
        bytes memory d = deal_(g.job, g.terms);
        IJobScheduler.Terms memory next = termsOf(seed);
        next.parent = g.terms.parent;
        begin();
        vm.prank(requester);
        try scheduler.updateDeal(g.job, d, Terms.pack(next)) {
            (g.terms, g.stage) = (next, firstStage(next));
        } catch {
            forget();
        }
        finishStep(g.job, requester, 0);
    }

    function acceptBid(uint256 job, uint256 node) public onJob transaction(pick(job).job, requester) {
        Ghost storage g = pick(job);
        address who = someNode(node);
        bytes memory d = deal_(g.job, g.terms);
        vm.prank(requester);
        try scheduler.acceptBids(g.job, d, list(who)) {
            (IJobScheduler.BidStatus status, uint256 slot) = scheduler.bids(g.job, who);
            if (status == IJobScheduler.BidStatus.Seated) seat(g, who, uint96(slot));
        } catch {
            forget();
        }
    }

    function reject(uint256 job, uint256 node) external onJob transaction(pick(job).job, requester) {
        Ghost storage g = pick(job);
        bytes memory d = deal_(g.job, g.terms);
        vm.prank(requester);
        try scheduler.rejectBids(g.job, d, list(someNode(node))) {}
        catch {
            forget();
        }
    }

    function remark(uint256 job, uint256 node) external onJob transaction(pick(job).job, requester) {
        Ghost storage g = pick(job);
        bytes memory d = deal_(g.job, g.terms);
        vm.prank(requester);
        try scheduler.remark(g.job, d, someNode(node), "late") {}
        catch {
            forget();
        }
    }

    /// The same call that made a job once must not make it again, whatever became of it.
    function resubmit(uint256 job) external onJob transaction(0, requester) {
        Ghost storage g = pick(job);
        IJobScheduler.Terms memory t = g.submitted;
        uint256 value = address(token) == address(0) ? escrow(t) : 0;
        vm.prank(requester);
        try scheduler.submit{value: value}(Terms.pack(t), SPEC, g.nonce) {
            ++reusedIds;
        } catch {
            forget();
        }
    }

    // Nodes.

    function placeBid(uint256 job, uint256 node) public onJob transaction(pick(job).job, someNode(node)) {
        Ghost storage g = pick(job);
        address who = someNode(node);
        bytes memory d = deal_(g.job, g.terms);
        uint96 price = priceOf(g.terms, node);
        vm.prank(who);
        try scheduler.bid(g.job, d, price) {
            if (g.terms.acceptance == IJobScheduler.Acceptance.FirstCome) seat(g, who, price);
        } catch {
            forget();
        }
    }

    function withdrawBid(uint256 job, uint256 node)
        external
        onJob
        transaction(pick(job).job, someNode(node))
    {
        bytes32 id = pick(job).job;
        vm.prank(someNode(node));
        try scheduler.withdrawBid(id) {}
        catch {
            forget();
        }
    }

    function seat(Ghost storage g, address who, uint96 price) private {
        wasSeated[g.job][who] = true;
        for (uint256 i = 0; i < g.holders.length && g.holders.length == askedOf(g); ++i) {
            if (g.failed >> i & 1 == 0) continue;
            (g.holders[i], g.prices[i]) = (who, price);
            g.failed &= ~(1 << i);
            return;
        }
        g.holders.push(who);
        g.prices.push(price);
        g.commitments.push(0);
    }

    /// Bids and acceptances until the seats are full, so that jobs get further than chance would take them.
    function fill(uint256 job) public onJob {
        for (uint256 node = 0; node < nodes.length; ++node) {
            placeBid(job, node);
            acceptBid(job, node);
        }
    }

    function commitOne(uint256 job, uint256 number) public onJob {
        Ghost storage g = pick(job);
        if (g.holders.length == 0) return;
        uint256 i = number % g.holders.length;
        address who = g.holders[i];
        bytes32 commitment = scheduler.commitmentOf(g.job, uint8(i), who, said(g, i));
        begin();
        vm.prank(who);
        try scheduler.commit(g.job, commitment) {
            committed(g, i, commitment);
        } catch {
            forget();
        }
        finishStep(g.job, who, 0);
    }

    function committed(Ghost storage g, uint256 i, bytes32 commitment) private {
        if (g.committed >> i & 1 != 0) ++changedCommitments;
        g.committed |= 1 << i;
        g.commitments[i] = commitment;
    }

    function commitRest(uint256 job) public onJob {
        if (pick(job).isRostered) commitSigned(job, type(uint256).max);
        for (uint256 i = 0; i < pick(job).holders.length; ++i) {
            commitOne(job, i);
        }
    }

    /// Somebody commits again, to something else, for itself or in another's seat.
    function recommit(uint256 job, uint256 node) external onJob transaction(pick(job).job, someNode(node)) {
        Ghost storage g = pick(job);
        (IJobScheduler.BidStatus status,) = scheduler.bids(g.job, someNode(node));
        bool maySeal = status == IJobScheduler.BidStatus.Seated;
        if (maySeal) return;
        vm.prank(someNode(node));
        try scheduler.commit(g.job, keccak256("another")) {
            ++changedCommitments;
        } catch {
            forget();
        }
    }

    /// Commitments that nodes signed: of a rostered job all, of another some.
    function commitSigned(uint256 job, uint256 seats) public onJob {
        Ghost storage g = pick(job);
        seats &= live(g);
        if (g.isRostered) seats = live(g);
        IJobScheduler.SeatHolder[] memory given = holders(g, seats);
        for (uint256 i = 0; i < given.length; ++i) {
            uint8 seat_ = given[i].seat;
            given[i].commitment = scheduler.commitmentOf(g.job, seat_, given[i].node, said(g, seat_));
        }
        IJobScheduler.Signed[] memory by = signatures(g.job, g.terms, given);
        begin();
        if (commitBy(g, given, by)) {
            for (uint256 i = 0; i < given.length; ++i) {
                committed(g, given[i].seat, given[i].commitment);
            }
        } else {
            forget();
        }
        finishStep(g.job, keeper, 0);
    }

    function commitBy(
        Ghost storage g,
        IJobScheduler.SeatHolder[] memory given,
        IJobScheduler.Signed[] memory by
    ) private returns (bool done) {
        bytes32 revision = revisionOf(g.terms);
        bytes memory call =
            abi.encodeCall(IJobScheduler.commitSigned, (g.job, deal_(g.job, g.terms), given, by));
        uint256 head = heads[g.job];
        if (g.isRostered) {
            call = abi.encodeCall(IJobScheduler.commitRostered, (g.job, revision, head, given, by));
        }
        vm.prank(keeper);
        (done,) = address(scheduler).call(call);
        if (!done || !g.isRostered) return done;
        heads[g.job] = Head.unwrap(Head.wrap(head).withCommitted(live(g)).withChangedAt(block.timestamp));
    }

    function unpack(uint256 job) public onJob {
        Ghost storage g = pick(job);
        IJobScheduler.SeatHolder[] memory roster = holders(g, live(g));
        bytes32 revision = revisionOf(g.terms);
        address caller = parties[parties.length - 1];
        begin();
        vm.prank(caller);
        try scheduler.unpack(g.job, revision, heads[g.job], roster) {
            g.isRostered = false;
        } catch {
            forget();
        }
        finishStep(g.job, caller, 0);
    }

    function fail_(uint256 job, uint256 number) external onJob {
        Ghost storage g = pick(job);
        if (g.holders.length != 0) failOne(g, number % g.holders.length, (number >> 16) % 12);
    }

    /// As where the job is at fault: every seat that can reports the same.
    function failRest(uint256 job, uint256 kind) external onJob {
        Ghost storage g = pick(job);
        for (uint256 i = 0; i < g.holders.length; ++i) {
            failOne(g, i, kind % 12);
        }
    }

    function failOne(Ghost storage g, uint256 i, uint256 kind) private {
        bytes memory d = deal_(g.job, g.terms);
        (uint256 head,) = headOf(g.job);
        begin();
        vm.prank(g.holders[i]);
        try scheduler.reportFailure(g.job, d, IJobScheduler.FailureKind(kind)) {
            g.failed |= 1 << i;
            g.kinds[i] = kind;
            ++g.failures[kind];
            hasFailed[g.job][g.holders[i]] = true;
            if (block.timestamp > Head.wrap(head).deadline() - g.terms.timeout - 60) g.late |= 1 << i;
        } catch {
            forget();
        }
        finishStep(g.job, g.holders[i], 0);
    }

    function revealOne(uint256 job, uint256 number) public onJob {
        Ghost storage g = pick(job);
        if (g.holders.length == 0) return;
        uint256 i = number % g.holders.length;
        IJobScheduler.Opening memory o = said(g, i);
        bool isEarly = !mayReveal(g);
        begin();
        // Whoever has the opening may send it.
        vm.prank(number % 3 == 0 ? keeper : g.holders[i]);
        try scheduler.reveal(g.job, sealedBy(g.holders[i], uint8(i), g.prices[i], o)) {
            if (isEarly) ++earlyReveals;
            g.revealed |= 1 << i;
        } catch {
            forget();
        }
        finishStep(g.job, g.holders[i], 0);
    }

    function revealSome(uint256 job, uint256 seats) external onJob {
        for (uint256 i = 0; i < pick(job).holders.length; ++i) {
            if (seats >> i & 1 != 0) revealOne(job, i);
        }
    }

    function holders(Ghost storage g, uint256 seats)
        internal
        view
        returns (IJobScheduler.SeatHolder[] memory given)
    {
        given = new IJobScheduler.SeatHolder[](size(seats));
        uint256 filled = 0;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (seats >> i & 1 == 0) continue;
            given[filled++] = IJobScheduler.SeatHolder(uint8(i), g.holders[i], g.prices[i], g.commitments[i]);
        }
    }
}
