// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Fingerprints} from "../../src/Fingerprints.sol";
import {Head, Slot, Slots} from "../../src/Packing.sol";
import {Reference} from "../harness/Reference.sol";
import {Terms} from "../harness/Terms.sol";
import {AuditSteps} from "./AuditSteps.sol";
import {Handler} from "./Handler.sol";
import {MoneyInvariants} from "./Money.sol";
import {Steps} from "./Steps.sol";

/// What holds after every step of any jobs, numbered as in `docs/contract.md`. What only shows in the middle of a step the
/// handler counts.
contract SchedulerInvariants is MoneyInvariants {
    function test_three_steps_end_a_signed_job() public {
        handler.submitWithBids((1 << 72 | 1 << 44 | 1 << 28 | 1 << 24) * 5 + 2, 1);
        assertTrue(handler.ghost(0).isRostered);
        handler.commitSigned(0, 0);
        assertEq(handler.ghost(0).committed, 7);
        handler.judgeOne(0, 1);
        assertTrue(handler.ghost(0).isVerdict);
        invariant_17_events_rebuild_storage();
    }

    /// Random steps, the same in every run, get to every end and by every way, so that what holds there is looked at.
    function test_the_steps_reach_every_end() public {
        uint256[8] memory ends;
        uint256[8][4] memory audits;
        uint256 kept = 0;
        uint256 signed = 0;
        uint256 slashed = 0;
        uint256 failed = 0;
        uint256 lateParts = 0;
        uint256 returned = 0;
        uint256 unpaid = 0;
        uint256 children = 0;
        bytes4[] memory list = steps();
        for (uint256 run = 0; run < 110; ++run) {
            setUp();
            for (uint256 i = 0; i < 120; ++i) {
                uint256 a = uint256(keccak256(abi.encode(run, i)));
                uint256 b = uint256(keccak256(abi.encode(a)));
                (bool done,) = address(handler).call(abi.encodeWithSelector(list[b % list.length], a, b >> 8));
                assertTrue(done);
            }
            for (uint256 k = 0; k < handler.count(); ++k) {
                Handler.Ghost memory g = handler.ghost(k);
                ++ends[uint256(g.endState)];
                ++audits[uint256(g.stage)][uint256(g.endState)];
                if (isKept(g)) ++kept;
                if (g.isRostered && g.isVerdict) ++signed;
                if (handler.burntBy(g.job) != 0) ++slashed;
                if (g.failed != 0) ++failed;
                for (uint256 i = 0; g.isOver && i < g.holders.length; ++i) {
                    if (g.late >> i & 1 != 0) latePart(g, i) != 0 ? ++lateParts : ++returned;
                }
                if (handler.hasFailed(g.job, g.keeper)) ++unpaid;
                if (g.terms.parent != 0) ++children;
            }
            invariant_01_money_is_conserved();
            invariant_02_each_account_is_missing_what_its_live_jobs_hold();
            invariant_17_events_rebuild_storage();
            invariant_19_a_draw_is_taken_when_due_and_is_a_hash();
            invariant_20_nothing_is_revealed_before_the_draw_and_the_last_commitment();
            invariant_21_who_is_kept_from_its_verdict_is_paid();
        }
        for (uint256 state = uint256(IJobScheduler.JobState.Verified); state < ends.length; ++state) {
            assertGt(ends[state], 0, vm.toString(state));
        }
        for (uint256 stage = 0; stage < audits.length; ++stage) {
            bool isUndrawn = stage == uint256(IJobScheduler.AuditStage.Undrawn);
            uint256 end = uint256(isUndrawn ? IJobScheduler.JobState.Failed : IJobScheduler.JobState.Verified);
            assertGt(audits[stage][end], 0, vm.toString(stage));
        }
        assertGt(audits[uint256(IJobScheduler.AuditStage.Drawn)][uint256(IJobScheduler.JobState.Failed)], 0);
        assertGt(kept, 0, "first wave kept from its verdict");
        assertGt(signed, 0, "verdict of a rostered job");
        assertGt(slashed, 0, "burnt bond");
        assertGt(failed, 0, "failed seat");
        assertGt(lateParts, 0, "part of a bond burnt");
        assertGt(returned, 0, "part of a bond returned");
        assertGt(unpaid, 0, "keeper that failed");
        assertGt(children, 0, "follow-up");
    }

    /// What an account put in and has not taken out is free, or held by its live jobs, or was settled by jobs that are
    /// over.
    function invariant_02_each_account_is_missing_what_its_live_jobs_hold() public view {
        address[] memory parties = handler.everybody();
        for (uint256 i = 0; i < parties.length; ++i) {
            int256 wanted = handler.net(parties[i]) - int256(handler.lockedOf(parties[i]));
            for (uint256 k = 0; k < handler.count(); ++k) {
                Handler.Ghost memory g = handler.ghost(k);
                if (g.isOver) wanted += settled(g, parties[i]);
            }
            assertEq(int256(uint256(scheduler.accounts(parties[i]).free)), wanted);
        }
    }

    /// Escrow and bonds of a job that is over went to somebody or were burnt, to the last wei and once.
    function invariant_03_escrow_goes_out_exactly_once() public view {
        address[] memory parties = handler.everybody();
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            int256 sum = int256(handler.burntBy(g.job));
            for (uint256 i = 0; i < parties.length; ++i) {
                sum += handler.flow(g.job, parties[i]);
            }
            assertEq(-sum, g.isOver ? int256(0) : int256(held(g)));
        }
    }

    function invariant_04_bonds_are_released_or_burnt() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            uint256 lost = 0;
            for (uint256 i = 0; i < g.holders.length; ++i) {
                if (g.isOver && isSlashed(g, i)) lost += g.terms.bond;
                if (g.isOver && isWrong(g, i)) lost += g.terms.price;
                if (g.isOver) lost += latePart(g, i);
            }
            assertEq(handler.burntBy(g.job), lost);
        }
    }

    function invariant_05_ends_are_final_and_ids_unique() public view {
        assertEq(handler.changedEnds(), 0);
        assertEq(handler.reusedIds(), 0);
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            (IJobScheduler.JobState state,,,) = scheduler.jobs(g.job);
            assertEq(state > IJobScheduler.JobState.Revealing, g.isOver);
            if (g.isOver) assertEq(uint256(state), uint256(g.endState));
        }
    }

    /// However far a job came, a passer-by ends it once its deadlines have passed.
    function invariant_06_anybody_ends_every_job() public {
        for (uint256 k = 0; k < handler.count(); ++k) {
            assertTrue(handler.canBeEnded(k), "a job is stuck");
        }
    }

    function invariant_07_seats_nest_and_have_different_holders() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            Head head = stored(g.job);
            assertEq(head.filled(), g.holders.length);
            assertEq(head.asked(), asked(g));
            assertLe(head.filled(), head.asked());
            assertEq(head.failed(), g.failed);
            assertEq(head.committed(), g.committed);
            assertEq(head.committed() >> head.filled(), 0);
            assertEq(head.committed() & head.failed(), 0);
            assertEq(head.revealed() & ~head.committed(), 0);
            assertEq(head.revealed(), g.isVerdict ? g.revealed | g.opened : g.revealed);
            for (uint256 a = 0; a < g.holders.length; ++a) {
                for (uint256 b = 0; b < a; ++b) {
                    assertNotEq(g.holders[a], g.holders[b]);
                }
            }
        }
    }

    function invariant_08_commitments_stay_and_nothing_is_revealed_early() public view {
        assertEq(handler.changedCommitments(), 0);
        assertEq(handler.earlyReveals(), 0);
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            for (uint256 i = 0; i < g.holders.length && !g.isRostered; ++i) {
                if (g.committed >> i & 1 == 0) continue;
                (, uint256 slot) = scheduler.bids(g.job, g.holders[i]);
                assertTrue(Slot.wrap(slot).equals(Slots.ofCommitment(g.commitments[i], g.prices[i], i)));
            }
        }
    }

    /// Seats of a job that is over end as the rules of money say: the accepted with their price more, the rejected with
    /// nothing less, or the bond where outputs alone decide.
    function invariant_09_a_verdict_pays_exactly_its_seats() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (g.endState != IJobScheduler.JobState.Verified) continue;
            for (uint256 i = 0; i < g.holders.length; ++i) {
                int256 flow = handler.flow(g.job, g.holders[i]);
                flow -= int256(feeOf(g, g.holders[i]));
                if (g.accepted >> i & 1 != 0) assertEq(flow, int256(uint256(g.prices[i])));
                else if (g.failed >> i & 1 != 0) assertEq(flow, -int256(latePart(g, i)));
                else assertEq(flow, isSlashed(g, i) ? -int256(uint256(g.terms.bond)) : int256(0));
            }
        }
    }

    function invariant_10_who_does_not_reveal_gets_nothing() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (!g.isVerdict) continue;
            for (uint256 i = 0; i < g.holders.length; ++i) {
                if ((g.opened | g.failed) >> i & 1 != 0) continue;
                int256 fee = int256(feeOf(g, g.holders[i]));
                assertEq(handler.flow(g.job, g.holders[i]) - fee, -int256(uint256(g.terms.bond)));
            }
        }
    }

    /// Whatever anybody posts: taken exactly when it is due and what the reference says.
    function invariant_11_verdicts_are_those_of_the_reference() public view {
        assertEq(handler.misjudgements(), 0);
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (g.isVerdict) assertEq(g.accepted, g.right);
        }
    }

    function invariant_12_verdicts_are_majorities_and_blame_nobody_without() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (!g.isVerdict) continue;
            bool isVerified = g.endState == IJobScheduler.JobState.Verified;
            assertEq(isVerified, g.accepted != 0);
            if (isVerified) {
                assertGt(2 * Reference.count(g.accepted), asked(g));
                assertGe(Reference.count(g.accepted), g.terms.confidence);
                assertEq(g.accepted & ~g.opened, 0);
                continue;
            }
            for (uint256 i = 0; i < g.holders.length; ++i) {
                if (g.opened >> i & 1 == 0) continue;
                int256 fee = int256(feeOf(g, g.holders[i]));
                assertEq(handler.flow(g.job, g.holders[i]), fee + int256(uint256(g.prices[i]) / 2));
            }
        }
    }

    /// Every opened seat of a verdict is counted once, by its price if it was accepted; see also
    /// `testFuzz_14_counters_stop_at_their_largest`.
    function invariant_14_records_count_the_seats_decided() public view {
        address[] memory parties = handler.everybody();
        for (uint256 p = 0; p < parties.length; ++p) {
            uint256 good = 0;
            uint256 bad = 0;
            for (uint256 k = 0; k < handler.count(); ++k) {
                Handler.Ghost memory g = handler.ghost(k);
                if (g.endState != IJobScheduler.JobState.Verified || asked(g) == 1) continue;
                for (uint256 i = 0; i < g.holders.length; ++i) {
                    bool isOwn = g.holders[i] == parties[p] && g.opened >> i & 1 != 0 && g.prices[i] != 0;
                    if (!isOwn) continue;
                    if (g.accepted >> i & 1 != 0) good += g.prices[i];
                    else ++bad;
                }
            }
            IJobScheduler.Account memory account = scheduler.accounts(parties[p]);
            assertEq(account.paid, good);
            assertEq(account.rejected, bad);
        }
    }

    function invariant_16_bidders_without_a_seat_lose_and_gain_nothing() public view {
        address[] memory parties = handler.everybody();
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            // The last three are the requester, the keeper and a passer-by.
            for (uint256 i = 0; i + 3 < parties.length; ++i) {
                if (handler.wasSeated(g.job, parties[i])) continue;
                assertEq(handler.flow(g.job, parties[i]), int256(feeOf(g, parties[i])));
            }
        }
    }

    function invariant_17_events_rebuild_storage() public {
        handler.replica().compare(scheduler, block.timestamp);
    }

    /// But for the bond of a bid it placed or signed; counted at every step.
    function invariant_18_nobody_takes_from_another() public view {
        assertEq(handler.robberies(), 0);
    }

    /// Whoever publishes whatever: taken exactly when due, and what it opens follows from secret and commitments alone.
    function invariant_19_a_draw_is_taken_when_due_and_is_a_hash() public view {
        assertEq(handler.misdraws(), 0);
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            assertEq(uint256(stored(g.job).audit()), uint256(g.stage));
        }
    }

    /// A seat's opening is told to nobody who could still commit to it, in either wave.
    function invariant_20_nothing_is_revealed_before_the_draw_and_the_last_commitment() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (g.stage == IJobScheduler.AuditStage.Undrawn) assertEq(stored(g.job).revealed(), 0);
            if (!g.isOver && !handler.closed(k)) assertEq(stored(g.job).revealed(), 0);
        }
    }

    /// Its requester withheld the secret, or filled no second wave: who committed is paid, nobody loses a bond by it.
    function invariant_21_who_is_kept_from_its_verdict_is_paid() public view {
        for (uint256 k = 0; k < handler.count(); ++k) {
            Handler.Ghost memory g = handler.ghost(k);
            if (!isKept(g)) continue;
            for (uint256 i = 0; i < g.holders.length; ++i) {
                if (g.committed >> i & 1 == 0) continue;
                int256 fee = g.keeper == g.holders[i] ? int256(uint256(g.terms.keeperFee)) : int256(0);
                assertEq(handler.flow(g.job, g.holders[i]) - fee, int256(uint256(g.prices[i])));
            }
        }
    }

    function afterInvariant() public {
        invariant_01_money_is_conserved();
        invariant_03_escrow_goes_out_exactly_once();
        invariant_06_anybody_ends_every_job();
        invariant_17_events_rebuild_storage();
    }

    // The rules of money, written down anew.

    function stored(bytes32 job) private view returns (Head) {
        (uint256 head,) = handler.headOf(job);
        return Head.wrap(head);
    }

    function asked(Handler.Ghost memory g) private pure returns (uint256) {
        bool isDrawn = g.stage == IJobScheduler.AuditStage.Drawn;
        return isDrawn ? Terms.mostSeats(g.terms) : g.terms.concurrency;
    }

    /// Whether the requester alone kept a job that is over from its verdict.
    function isKept(Handler.Ghost memory g) private pure returns (bool) {
        bool isUndrawn = g.stage == IJobScheduler.AuditStage.Undrawn;
        bool isUnfilled = g.stage == IJobScheduler.AuditStage.Drawn && g.holders.length < asked(g);
        bool hasQuorum =
            2 * Reference.count(g.committed) > asked(g) && Reference.count(g.committed) >= g.terms.confidence;
        return g.endState == IJobScheduler.JobState.Failed && (isUnfilled || (isUndrawn && hasQuorum));
    }

    /// Whether a seat of a job that is over lost its bond.
    function isSlashed(Handler.Ghost memory g, uint256 i) private pure returns (bool) {
        bool isFree = g.failed >> i & 1 != 0 || g.endState == IJobScheduler.JobState.Cancelled;
        if (isFree) return false;
        return g.opened >> i & 1 == 0 || isWrong(g, i);
    }

    /// Whether a seat was judged to have a wrong output where outputs alone decide.
    function isWrong(Handler.Ghost memory g, uint256 i) private pure returns (bool) {
        bool isRejected = g.isVerdict && g.accepted != 0 && (g.opened & ~g.accepted) >> i & 1 != 0;
        return isRejected && g.terms.deterministic;
    }

    function held(Handler.Ghost memory g) private pure returns (uint256 sum) {
        sum = Terms.mostSeats(g.terms) * g.terms.price + g.terms.keeperFee;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (g.failed >> i & 1 == 0) sum += g.terms.bond;
            else if (g.late >> i & 1 != 0) sum += g.terms.bond / 4;
        }
    }

    /// What a late failure costs its node in the end.
    function latePart(Handler.Ghost memory g, uint256 i) private pure returns (uint256) {
        // An engine that fails and a node that is stopped are the node's own.
        bool isShared = g.failures[g.kinds[i]] > 1 && g.kinds[i] != 3 && g.kinds[i] != 6;
        if (g.endState == IJobScheduler.JobState.Verified) isShared = false;
        return g.late >> i & 1 == 0 || isShared ? 0 : g.terms.bond / 4;
    }

    /// What a party earned by ending the job: nothing, if it failed in it.
    function feeOf(Handler.Ghost memory g, address party) private view returns (uint256) {
        bool isKeeper = g.isOver && g.endState != IJobScheduler.JobState.Cancelled && g.keeper == party;
        return isKeeper && !handler.hasFailed(g.job, party) ? g.terms.keeperFee : 0;
    }

    /// What a job that is over brought a party, all in all.
    function settled(Handler.Ghost memory g, address party) private view returns (int256 sum) {
        uint256 paid = feeOf(g, g.keeper);
        sum += int256(feeOf(g, party));
        for (uint256 i = 0; i < g.holders.length; ++i) {
            bool isShared = g.endState == IJobScheduler.JobState.Inconclusive && g.opened >> i & 1 != 0;
            uint256 price = g.accepted >> i & 1 != 0 ? g.prices[i] : isShared ? g.prices[i] / 2 : 0;
            paid += isWrong(g, i) ? g.terms.price : price;
            if (g.holders[i] != party) continue;
            sum += int256(price);
            if (isSlashed(g, i)) sum -= int256(uint256(g.terms.bond));
            sum -= int256(latePart(g, i));
        }
        if (party == requester) sum -= int256(paid);
    }
}
