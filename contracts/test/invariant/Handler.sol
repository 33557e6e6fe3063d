// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {Reference} from "../harness/Reference.sol";
import {Terms} from "../harness/Terms.sol";
import {AuditSteps} from "./AuditSteps.sol";

/// The ends of jobs, time, and money that comes and goes.
contract Handler is AuditSteps {
    // Ends.

    function over(Ghost storage g, address caller) private {
        if (g.isOver) ++changedEnds;
        (g.isOver, g.endState, g.keeper) = (true, stateOf(g.job), caller);
    }

    /// By anybody, with the verdict of the reference or a guess.
    function judgeOne(uint256 job, uint256 guess) external onJob {
        Ghost storage g = pick(job);
        uint256 wanted = right(g);
        if (guess & 3 == 0) wanted = (guess >> 8) % (1 << askedOf(g));
        judge(g, parties[(guess >> 16) % parties.length], wanted);
    }

    /// The seats whose openings a verdict needs now.
    function neededNow(Ghost storage g) private view returns (uint256) {
        (, uint256 revealBy) = headOf(g.job);
        return revealBy != 0 && block.timestamp > revealBy ? g.revealed : g.committed;
    }

    function opened(Ghost storage g) private view returns (IJobScheduler.SeatOpening[] memory given) {
        uint256 seats = neededNow(g);
        given = new IJobScheduler.SeatOpening[](size(seats));
        uint256 filled = 0;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (seats >> i & 1 == 0) continue;
            given[filled++] = IJobScheduler.SeatOpening(uint8(i), g.holders[i], g.prices[i], said(g, i));
        }
    }

    function isDue(Ghost storage g) private view returns (bool) {
        uint256 given = size(neededNow(g));
        return mayReveal(g) && 2 * given > askedOf(g) && given >= g.terms.confidence;
    }

    /// The verdict of the reference over what is known, of as many seats as are asked.
    function right(Ghost storage g) private view returns (uint256) {
        IJobScheduler.Terms memory t = g.terms;
        t.concurrency = uint8(askedOf(g));
        return Reference.verdict(t, opened(g));
    }

    /// Exactly the verdict of the reference is taken, and exactly when it is due.
    function judge(Ghost storage g, address caller, uint256 accepted) private returns (bool done) {
        uint256 seats = neededNow(g);
        uint256 wanted = right(g);
        bool isRight = isDue(g) && accepted == wanted;
        done = post(g, caller, accepted);
        if (done != isRight) ++misjudgements;
        if (!done) return false;
        over(g, caller);
        (g.isVerdict, g.opened) = (true, seats);
        (g.accepted, g.right) = (accepted, wanted);
    }

    function post(Ghost storage g, address caller, uint256 accepted) private returns (bool done) {
        IJobScheduler.SeatOpening[] memory given = opened(g);
        bytes memory d = deal_(g.job, g.terms);
        uint256 head = heads[g.job];
        bytes memory call = abi.encodeCall(IJobScheduler.postVerdict, (g.job, d, given, uint32(accepted)));
        if (g.isRostered) {
            call =
                abi.encodeCall(IJobScheduler.postVerdictRostered, (g.job, d, head, given, uint32(accepted)));
        }
        begin();
        vm.prank(caller);
        (done,) = address(scheduler).call(call);
        if (!done) {
            forget();
        } else {
            heads[g.job] = Head.unwrap(Head.wrap(head).withRevealed(g.committed).withState(stateOf(g.job)));
        }
        finishStep(g.job, caller, 0);
    }

    function stop(uint256 job) external onJob {
        Ghost storage g = pick(job);
        if (job % 5 != 0) return;
        IJobScheduler.SeatHolder[] memory given = holders(g, live(g));
        bytes memory d = deal_(g.job, g.terms);
        begin();
        vm.prank(requester);
        try scheduler.stop(g.job, d, given) {
            over(g, requester);
            g.accepted = live(g);
        } catch {
            forget();
        }
        finishStep(g.job, requester, 0);
    }

    function cancel(uint256 job) external onJob {
        Ghost storage g = pick(job);
        if (job % 5 != 0) return;
        bytes memory d = deal_(g.job, g.terms);
        begin();
        vm.prank(requester);
        try scheduler.cancel(g.job, d) {
            over(g, requester);
        } catch {
            forget();
        }
        finishStep(g.job, requester, 0);
    }

    function expireOne(uint256 job, uint256 caller) external onJob {
        Ghost storage g = pick(job);
        address who = parties[caller % parties.length];
        // Often one whose own failure ended the job.
        for (uint256 i = 0; i < g.holders.length && caller >> 8 & 1 == 0; ++i) {
            if (g.failed >> i & 1 != 0) who = g.holders[i];
        }
        tryExpire(g, who);
    }

    function tryExpire(Ghost storage g, address caller) private returns (bool) {
        // What is due depends on how far the job came: who is left, who committed, who revealed.
        uint256 due = live(g);
        bool isKept = isKeptFromVerdict(g);
        if (isClosed(g)) {
            due = isKept || g.revealed == 0 ? g.committed : g.revealed;
        } else if (stateOf(g.job) == IJobScheduler.JobState.Running && isPastCommits(g)) {
            due = g.committed;
        }
        IJobScheduler.SeatHolder[] memory given = holders(g, due);
        bytes memory d = deal_(g.job, g.terms);
        bool done;
        begin();
        vm.prank(caller);
        try scheduler.expire(g.job, d, given) {
            over(g, caller);
            g.opened = due;
            // A seat that has committed and is kept from its verdict is paid.
            if (isKept) g.accepted = g.committed;
            done = true;
        } catch {
            forget();
        }
        finishStep(g.job, caller, 0);
        return done;
    }

    /// An audit whose requester does not go on: it withholds the secret, or leaves the second wave open.
    function abandon(uint256 job, uint256 seed) external onJob {
        Ghost storage g = pick(job);
        commitRest(job);
        if (g.isRostered) unpack(job);
        if (seed & 1 == 0) publishSecret(job, type(uint256).max);
        if (seed & 2 == 0) placeBid(job, seed >> 8);
        if (seed & 2 == 0) acceptBid(job, seed >> 8);
        if (g.isOver || !isKeptFromVerdict(g)) return;
        (uint256 word, uint256 drawBy) = headOf(g.job);
        uint256 late = 1 + (drawBy == 0 ? Head.wrap(word).deadline() : drawBy);
        if (late > block.timestamp) vm.warp(late);
        // Too late for the secret.
        publishSecret(job, type(uint256).max);
        tryExpire(g, parties[(seed >> 16) % parties.length]);
    }

    /// Whether the requester withholds the secret, or has not filled the second wave.
    function isKeptFromVerdict(Ghost storage g) private view returns (bool) {
        if (g.stage == IJobScheduler.AuditStage.Drawn) return g.holders.length < askedOf(g);
        return isDrawDue(g);
    }

    function isPastCommits(Ghost storage g) private view returns (bool) {
        (uint256 head,) = headOf(g.job);
        return block.timestamp > Head.wrap(head).deadline();
    }

    /// Ends a job by what anybody may do, once every deadline has passed. Leaves nothing behind but whether it could.
    function canBeEnded(uint256 i) external returns (bool done) {
        Ghost storage g = ghosts[i];
        if (g.isOver) return true;
        uint256 snapshot = vm.snapshotState();
        uint256 now_ = block.timestamp;
        address caller = makeAddr("passer-by");
        vm.warp(now_ + 100_000);
        done = judge(g, caller, right(g));
        if (!done) {
            if (g.isRostered) unpack(i);
            done = tryExpire(g, caller);
        }
        done = done && uint256(stateOf(g.job)) > uint256(IJobScheduler.JobState.Revealing);
        vm.revertToState(snapshot);
        vm.warp(now_);
    }

    // Time.

    function wait_(uint256 secs) external {
        vm.warp(block.timestamp + secs % 100);
    }

    /// To the second before a deadline of a job, to the deadline, or to the second after it.
    function approach(uint256 job, uint256 side) external onJob {
        (uint256 word, uint256 revealBy) = headOf(pick(job).job);
        Head head = Head.wrap(word);
        uint256 refillBy = head.deadline() - head.timeout() - 60;
        uint256[3] memory deadlines = [head.deadline(), refillBy, revealBy];
        uint256 wanted = deadlines[(side >> 8) % 3] + side % 3;
        if (wanted > block.timestamp + 1 && wanted < block.timestamp + 10_000) vm.warp(wanted - 1);
    }

    // Money.

    function withdraw(uint256 node, uint256 amount) external {
        address who = parties[node % parties.length];
        amount = amount % (free(who) / 4 + 1);
        uint256 had = purseOf(who);
        uint256 freeBefore = free(who);
        uint256 held = purseOf(address(scheduler));
        begin();
        vm.prank(who);
        try scheduler.withdraw(amount) {
            uint256 got = purseOf(who) - had;
            net[who] -= int256(got);
            bool isExact = freeBefore - free(who) == got && held - purseOf(address(scheduler)) == got;
            if (!isExact || got < amount) ++robberies;
        } catch {
            forget();
            // Only a receiver that refuses its money is left without.
            if (who != nodes[2]) ++robberies;
        }
        finishStep(0, who, 0);
    }

    function deposit(uint256 node, uint256 amount) external {
        depositTo(parties[node % parties.length], amount % 1 ether);
    }

    /// Money that no function was told of.
    function force(uint256 amount) external {
        amount = amount % 1 ether;
        forced += amount;
        if (address(token) != address(0)) token.mint(address(scheduler), amount);
        else vm.deal(address(scheduler), address(scheduler).balance + amount);
    }

    /// A passer-by with no part in any job calls what only others may.
    function meddle(uint256 job, uint256 which) external onJob {
        Ghost storage g = pick(job);
        address stranger = parties[parties.length - 1];
        bytes memory d = deal_(g.job, g.terms);
        IJobScheduler.SeatHolder[] memory given = holders(g, live(g));
        bytes[9] memory calls = [
            abi.encodeCall(IJobScheduler.updateDeal, (g.job, d, Terms.pack(g.terms))),
            abi.encodeCall(IJobScheduler.cancel, (g.job, d)),
            abi.encodeCall(IJobScheduler.stop, (g.job, d, given)),
            abi.encodeCall(IJobScheduler.publishSecret, (g.job, d, SECRET, holders(g, g.committed))),
            abi.encodeCall(IJobScheduler.acceptBids, (g.job, d, nodes)),
            abi.encodeCall(IJobScheduler.rejectBids, (g.job, d, list(someNode(which)))),
            abi.encodeCall(IJobScheduler.reportFailure, (g.job, d, IJobScheduler.FailureKind.Engine)),
            abi.encodeCall(IJobScheduler.commit, (g.job, keccak256("meddling"))),
            abi.encodeCall(IJobScheduler.withdraw, (free(stranger) + 1))
        ];
        begin();
        vm.prank(stranger);
        (bool done,) = address(scheduler).call(calls[which % calls.length]);
        forget();
        if (done) ++robberies;
        finishStep(g.job, stranger, 0);
    }

    function draws(Ghost storage g, bytes memory d, IJobScheduler.SeatHolder[] memory given)
        private
        view
        returns (bytes memory)
    {
        if (!g.isRostered) return abi.encodeCall(IJobScheduler.publishSecret, (g.job, d, SECRET, given));
        return abi.encodeCall(IJobScheduler.publishSecretRostered, (g.job, d, heads[g.job], SECRET, given));
    }

    /// Whoever may, with a list that was repeated, cut, turned round or crossed with a stranger: none of them is taken.
    function garble(uint256 job, uint256 which) external onJob {
        Ghost storage g = pick(job);
        (uint256 kind, uint256 how) = (which % 5, (which >> 8) % 4);
        // Cut, the holders of live seats may be those that an expiry pays.
        if (kind == 3 && how == 1) return;
        bytes memory d = deal_(g.job, g.terms);
        uint32 accepted = uint32(right(g));
        uint256 seats = kind == 1 ? g.committed : kind == 4 ? neededNow(g) : live(g);
        if (seats == 0 || (how == 2 && size(seats) == 1)) return;
        bytes memory call;
        if (kind == 4) {
            IJobScheduler.SeatOpening[] memory openings_ = opened(g);
            uint256[] memory order = garbledOrder(openings_.length, how);
            IJobScheduler.SeatOpening[] memory given = new IJobScheduler.SeatOpening[](order.length);
            for (uint256 i = 0; i < order.length; ++i) {
                given[i] = openings_[order[i]];
            }
            if (how == 3) given[0].node = parties[parties.length - 1];
            call = abi.encodeCall(IJobScheduler.postVerdict, (g.job, d, given, accepted));
        } else {
            IJobScheduler.SeatHolder[] memory given = garbledHolders(holders(g, seats), how);
            if (kind == 0) call = abi.encodeCall(IJobScheduler.stop, (g.job, d, given));
            if (kind == 1) call = draws(g, d, given);
            if (kind == 2) {
                bytes32 revision = revisionOf(g.terms);
                call = abi.encodeCall(IJobScheduler.unpack, (g.job, revision, heads[g.job], given));
            }
            if (kind == 3) call = abi.encodeCall(IJobScheduler.expire, (g.job, d, given));
        }
        begin();
        vm.prank(requester);
        (bool done,) = address(scheduler).call(call);
        forget();
        if (done) ++robberies;
        finishStep(g.job, requester, 0);
    }

    function garbledHolders(IJobScheduler.SeatHolder[] memory list_, uint256 how)
        private
        view
        returns (IJobScheduler.SeatHolder[] memory given)
    {
        uint256[] memory order = garbledOrder(list_.length, how);
        given = new IJobScheduler.SeatHolder[](order.length);
        for (uint256 i = 0; i < order.length; ++i) {
            given[i] = list_[order[i]];
        }
        if (how == 3) given[0].node = parties[parties.length - 1];
    }

    /// The last twice, without the last, backwards, or as it was.
    function garbledOrder(uint256 count, uint256 how) private pure returns (uint256[] memory order) {
        order = new uint256[](how == 0 ? count + 1 : how == 1 ? count - 1 : count);
        for (uint256 i = 0; i < order.length; ++i) {
            order[i] = how == 2 ? count - 1 - i : i < count ? i : count - 1;
        }
    }
}
