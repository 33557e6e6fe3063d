// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {Rules} from "../../src/Rules.sol";
import {Handler} from "./Handler.sol";

/// What holds after every step of any jobs. That nobody is paid otherwise than the rules say, that commitments never
/// change, that nothing is revealed early and no job ends twice is checked by the handler at each step.
contract SchedulerInvariants is Test {
    Handler private handler;
    IJobScheduler private scheduler;
    /// The last stored state of each job.
    mapping(uint256 => uint256) private last;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        scheduler = handler.chain();
        targetContract(address(handler));
        bytes4[] memory steps = new bytes4[](16);
        steps[0] = Handler.submit.selector;
        steps[1] = Handler.bid.selector;
        steps[2] = Handler.accept.selector;
        steps[3] = Handler.withdrawBid.selector;
        steps[4] = Handler.commit.selector;
        steps[5] = Handler.fail_.selector;
        steps[6] = Handler.reveal.selector;
        steps[7] = Handler.postVerdict.selector;
        steps[8] = Handler.stop.selector;
        steps[9] = Handler.cancel.selector;
        steps[10] = Handler.expire.selector;
        steps[11] = Handler.wait_.selector;
        steps[12] = Handler.withdraw.selector;
        steps[13] = Handler.deposit.selector;
        steps[14] = Handler.fill.selector;
        steps[15] = Handler.commitRest.selector;
        targetSelector(FuzzSelector({addr: address(handler), selectors: steps}));
    }

    /// The steps lead to a verdict, so that what holds after one is looked at too.
    function test_the_steps_reach_a_verdict() public {
        handler.submit(0);
        handler.fill(0);
        handler.commitRest(0);
        for (uint256 guess = 0; guess < 8; ++guess) {
            handler.postVerdict(0, guess);
        }
        assertEq(handler.ended(), 1);
        invariant_money_is_conserved();
        invariant_verdicts_are_majorities();
    }

    function lockedIn(Handler.Ghost memory g) private view returns (uint256 locked) {
        if (g.isOver) return 0;
        locked = uint256(g.terms.concurrency) * g.terms.price + g.terms.keeperFee;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (g.failed >> i & 1 == 0) locked += g.terms.bond;
        }
        assertEq(stored(g.job).isNone(), false);
    }

    function stored(bytes32 job) private view returns (Head) {
        (,, uint256 head,) = scheduler.jobs(job);
        return Head.wrap(head);
    }

    /// Free balances, what live jobs hold and what was burnt are what was deposited, to the wei: escrows and bonds
    /// are locked once, and everything a job held goes to somebody or is burnt when it ends.
    function invariant_money_is_conserved() public view {
        uint256 sum = scheduler.burnt();
        address[] memory parties = handler.parties();
        for (uint256 i = 0; i < parties.length; ++i) {
            sum += scheduler.accounts(parties[i]).free;
        }
        for (uint256 i = 0; i < handler.count(); ++i) {
            sum += lockedIn(handler.ghost(i));
        }
        assertEq(sum, handler.deposited());
        assertEq(address(scheduler).balance, handler.deposited());
    }

    /// Sets nest, match what the handler saw, and a terminal state never changes.
    function invariant_heads_are_sound() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Handler.Ghost memory g = handler.ghost(i);
            Head head = stored(g.job);
            assertEq(head.filled(), g.holders.length);
            assertLe(head.filled(), head.concurrency());
            assertEq(head.committed(), g.committed);
            assertEq(head.failed(), g.failed);
            assertEq(head.committed() & head.failed(), 0);
            assertEq(head.revealed() & ~head.committed(), 0);
            assertEq(g.revealed & ~head.revealed(), 0);
            for (uint256 a = 0; a < g.holders.length; ++a) {
                for (uint256 b = 0; b < a; ++b) {
                    assertNotEq(g.holders[a], g.holders[b]);
                }
            }
            uint256 state = uint256(head.state());
            assertEq(Rules.isTerminal(head.state()), g.isOver);
            assertGe(state, last[i]);
            if (last[i] > 2) assertEq(state, last[i]);
            last[i] = state;
        }
    }

    /// A verdict accepts nobody, or a strict majority and as many as the confidence asks for.
    function invariant_verdicts_are_majorities() public view {
        for (uint256 i = 0; i < handler.count(); ++i) {
            Handler.Ghost memory g = handler.ghost(i);
            if (g.endedWith == 0) continue;
            uint256 size = 0;
            for (uint256 set = g.endedWith; set != 0; set >>= 1) {
                size += set & 1;
            }
            assertGt(2 * size, g.terms.concurrency);
            assertGe(size, g.terms.confidence);
            assertEq(uint256(stored(g.job).state()), uint256(IJobScheduler.JobState.Verified));
        }
    }

    /// However far a job came, anybody ends it once its deadlines have passed.
    function afterInvariant() public {
        for (uint256 i = 0; i < handler.count(); ++i) {
            assertTrue(handler.finish(i), "a job is stuck");
        }
        invariant_money_is_conserved();
    }
}
