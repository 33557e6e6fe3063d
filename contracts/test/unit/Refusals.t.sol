// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";

/// Sends everything on, again.
contract Reentrant {
    address private immutable SCHEDULER;

    constructor(address scheduler) {
        SCHEDULER = scheduler;
    }

    function drain(uint256 amount) external {
        IJobScheduler(SCHEDULER).withdraw(amount);
    }

    receive() external payable {
        IJobScheduler(SCHEDULER).withdraw(msg.value);
    }
}

/// What the functions refuse beyond the rules, which `RulesVectors.t.sol` replays: terms, deals, money, callers.
contract RefusalsTest is SchedulerBase {
    function refusesTerms(IJobScheduler.Terms memory t, IJobScheduler.Term term) private {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, term));
        scheduler.submit{value: 1 ether}(Terms.pack(t), SPEC, 0);
    }

    function test_every_term_is_checked_at_its_bounds() public {
        IJobScheduler.Terms memory t = terms();
        t.concurrency = 0;
        refusesTerms(t, IJobScheduler.Term.Concurrency);
        t.concurrency = 32;
        refusesTerms(t, IJobScheduler.Term.Concurrency);
        t = terms();
        t.confidence = 0;
        refusesTerms(t, IJobScheduler.Term.Confidence);
        t.confidence = 4;
        refusesTerms(t, IJobScheduler.Term.Confidence);
        t = terms();
        t.relativePermille = 1001;
        refusesTerms(t, IJobScheduler.Term.RelativePermille);
        t = terms();
        t.bond = t.price - 1;
        refusesTerms(t, IJobScheduler.Term.Bond);
        t.bond = 10 * t.price + 1;
        refusesTerms(t, IJobScheduler.Term.Bond);
        t = terms();
        (t.price, t.bond) = (type(uint96).max, type(uint96).max);
        refusesTerms(t, IJobScheduler.Term.Price);
        t = terms();
        t.escalationLimit = 2;
        refusesTerms(t, IJobScheduler.Term.EscalationLimit);
        t.escalationLimit = 32;
        refusesTerms(t, IJobScheduler.Term.EscalationLimit);
        t = terms();
        t.cpuPermille = 1001;
        refusesTerms(t, IJobScheduler.Term.CpuPermille);
        t = terms();
        t.canonical = 32;
        refusesTerms(t, IJobScheduler.Term.Canonical);
    }

    function test_work_is_required_where_outputs_are_compared_and_none_is_slashed() public {
        IJobScheduler.Terms memory t = terms();
        t.requireWork = true;
        refusesTerms(t, IJobScheduler.Term.RequireWork);
        t.method = IJobScheduler.Method.KMeans;
        refusesTerms(t, IJobScheduler.Term.RequireWork);
        t.method = IJobScheduler.Method.Hash;
        submit(t);
        t.deterministic = true;
        refusesTerms(t, IJobScheduler.Term.RequireWork);
        t = nearTerms();
        t.requireWork = true;
        submit(t);
        t.deterministic = true;
        refusesTerms(t, IJobScheduler.Term.RequireWork);
    }

    function test_a_summary_goes_with_the_method_near_alone() public {
        IJobScheduler.Terms memory t = nearTerms();
        t.summary = 0;
        refusesTerms(t, IJobScheduler.Term.Summary);
        for (uint256 method = 0; method < 3; ++method) {
            t = terms();
            (t.method, t.summary) = (IJobScheduler.Method(method), bytes32(uint256(1) << 255));
            refusesTerms(t, IJobScheduler.Term.Summary);
        }
        (t.method, t.cpuPermille, t.canonical) = (IJobScheduler.Method.Near, 1000, 31);
        submit(t);
    }

    function test_every_duration_is_checked_at_its_bounds() public {
        uint32 most = 30 days;
        IJobScheduler.Terms memory t = terms();
        t.open = 0;
        refusesTerms(t, IJobScheduler.Term.Open);
        t.open = most + 1;
        refusesTerms(t, IJobScheduler.Term.Open);
        t = terms();
        t.timeout = 0;
        refusesTerms(t, IJobScheduler.Term.Timeout);
        t = terms();
        t.run = t.timeout + 59;
        refusesTerms(t, IJobScheduler.Term.Run);
        t.run = most + 1;
        refusesTerms(t, IJobScheduler.Term.Run);
        t = terms();
        t.reveal = 59;
        refusesTerms(t, IJobScheduler.Term.Reveal);
        t.reveal = most + 1;
        refusesTerms(t, IJobScheduler.Term.Reveal);
    }

    function test_an_allow_list_ascends_and_is_looked_up() public {
        IJobScheduler.Terms memory t = terms();
        t.allowList = new address[](2);
        (t.allowList[0], t.allowList[1]) = (nodes[1], nodes[1]);
        refusesTerms(t, IJobScheduler.Term.AllowList);
        t.allowList = new address[](65);
        for (uint160 i = 0; i < 65; ++i) {
            t.allowList[i] = address(i + 1);
        }
        refusesTerms(t, IJobScheduler.Term.AllowList);
        t.allowList = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            t.allowList[i] = nodes[i + 1];
        }
        bytes32 job = submit(t);
        bytes memory d = deal_(job, t);
        for (uint256 i = 0; i < 5; ++i) {
            vm.prank(nodes[i]);
            bool isListed = i > 0 && i < 4;
            if (!isListed) {
                vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotAllowed.selector, nodes[i]));
            }
            scheduler.bid(job, d, 0);
        }
    }

    function test_terms_have_one_encoding() public {
        bytes memory packed = Terms.pack(terms());
        // Method, deterministic, acceptance, live logs, whether work is required.
        uint8[5] memory octets = [8, 9, 10, 63, 109];
        for (uint256 i = 0; i < octets.length; ++i) {
            bytes memory dirty = bytes.concat(packed);
            dirty[octets[i]] = octets[i] == 8 ? bytes1(0x04) : bytes1(0x02);
            refusesEncoding(dirty);
        }
        refusesEncoding("");
        bytes memory short = bytes.concat(packed);
        assembly ("memory-safe") {
            mstore(short, 176)
        }
        refusesEncoding(short);
        refusesEncoding(bytes.concat(packed, hex"00"));
        refusesEncoding(bytes.concat(packed, new bytes(19)));
        vm.prank(requester);
        scheduler.submit{value: escrow(terms())}(packed, SPEC, 0);
    }

    function refusesEncoding(bytes memory packed) private {
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Encoding)
        );
        scheduler.submit{value: 1 ether}(packed, SPEC, 0);
    }

    function test_specs_are_bounded() public {
        IJobScheduler.Terms memory t = terms();
        vm.startPrank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidSpec.selector, 0));
        scheduler.submit{value: escrow(t)}(Terms.pack(t), "", 0);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.InvalidSpec.selector, 32_769));
        scheduler.submit{value: escrow(t)}(Terms.pack(t), new bytes(32_769), 0);
        scheduler.submit{value: escrow(t)}(Terms.pack(t), new bytes(32_768), 0);
    }

    function test_a_job_exists_once() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.JobExists.selector, job));
        scheduler.submit{value: escrow(t)}(Terms.pack(t), SPEC, 0);
    }

    function test_no_such_job() public {
        bytes32 job = keccak256("nothing");
        bytes memory d = deal_(job, terms());
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NoSuchJob.selector, job));
        scheduler.bid(job, d, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NoSuchJob.selector, job));
        scheduler.commit(job, 0);
    }

    function test_an_escrow_comes_from_what_is_sent_and_what_is_free() public {
        IJobScheduler.Terms memory t = terms();
        uint256 needed = escrow(t);
        vm.startPrank(requester);
        scheduler.submit(Terms.pack(t), SPEC, 0);
        assertEq(free(requester), MONEY - needed);
        scheduler.submit{value: needed + 5}(Terms.pack(t), SPEC, 1);
        assertEq(free(requester), MONEY - needed + 5);
        scheduler.withdraw(MONEY - needed + 5);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.NotFunded.selector, requester, needed - 1, needed)
        );
        scheduler.submit{value: needed - 1}(Terms.pack(t), SPEC, 2);
    }

    function test_another_deal_is_refused_and_a_stranger_is_no_requester() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = submit(t);
        bytes memory d = deal_(job, t);
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotRequester.selector, requester));
        scheduler.cancel(job, d);
        d = Terms.deal(keeper, nonceOf[job], sha256(SPEC), t);
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongDeal.selector, job));
        scheduler.cancel(job, d);
        t.price -= 1;
        d = deal_(job, t);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongDeal.selector, job));
        scheduler.cancel(job, d);
    }

    function test_a_deal_too_short_for_its_requester_is_refused() public {
        bytes32 job = submit(terms());
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(IJobScheduler.InvalidTerms.selector, IJobScheduler.Term.Encoding)
        );
        scheduler.cancel(job, new bytes(59));
    }

    /// Every word of an opening that is narrower than a word: seat, node, price, exit code.
    function test_openings_have_one_encoding() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        bytes memory call = abi.encodeCall(IJobScheduler.postVerdict, (job, deal_(job, t), openings(t, 7), 3));
        // They are the last of the call, nine words each.
        uint256 first = call.length - 3 * 288;
        uint8[4] memory words = [0, 1, 2, 5];
        for (uint256 i = 0; i < words.length; ++i) {
            bytes memory dirty = bytes.concat(call);
            dirty[first + 288 + 32 * uint256(words[i])] = 0x80;
            (bool done, bytes memory reason) = address(scheduler).call(dirty);
            assertFalse(done, vm.toString(words[i]));
            assertEq(reason, "", vm.toString(words[i]));
        }
        (bool ok,) = address(scheduler).call(call);
        assertTrue(ok);
    }

    function test_only_the_right_holders_are_paid() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = running(t);
        commit(job, 0, opening(0, 3));
        bytes memory d = deal_(job, t);
        IJobScheduler.SeatHolder[] memory holders = holdersOf(job, t, 7, 1);
        vm.startPrank(requester);
        holders[1].node = keeper;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongHolder.selector, 1));
        scheduler.stop(job, d, holders);
        holders[1].node = nodes[1];
        holders[2].price -= 1;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongHolder.selector, 2));
        scheduler.stop(job, d, holders);
        holders[2] = holders[1];
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongSeats.selector, 7));
        scheduler.stop(job, d, holders);
        holders = holdersOf(job, t, 7, 1);
        holders[0].commitment = 0;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.WrongHolder.selector, 0));
        scheduler.stop(job, d, holders);
    }

    function test_a_verdict_pays_the_price_of_the_bid() public {
        IJobScheduler.Terms memory t = terms();
        bytes32 job = revealing(t);
        IJobScheduler.SeatOpening[] memory list = openings(t, 7);
        list[0].price -= 1;
        bytes memory d = deal_(job, t);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.BadOpening.selector, 0));
        scheduler.postVerdict(job, d, list, 3);
        list[0].price += 1;
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.VerdictMismatch.selector, 7));
        scheduler.postVerdict(job, d, list, 7);
    }

    function test_withdrawing_calls_back_without_harm() public {
        Reentrant attacker = new Reentrant(address(scheduler));
        scheduler.depositFor{value: 1 ether}(address(attacker));
        uint256 held = address(scheduler).balance;
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        attacker.drain(1 ether);
        assertEq(address(scheduler).balance, held);
        assertEq(free(address(attacker)), 1 ether);
    }

    function test_nobody_withdraws_more_than_is_free() public {
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.NotFunded.selector, keeper, MONEY, MONEY + 1));
        scheduler.withdraw(MONEY + 1);
    }

    function test_a_receiver_that_refuses_blocks_itself_alone() public {
        scheduler.depositFor{value: 1}(address(this));
        vm.expectRevert(IJobScheduler.TransferFailed.selector);
        scheduler.withdraw(1);
        assertEq(free(address(this)), 1);
    }

    function test_all_money_fits_an_account() public {
        vm.deal(keeper, type(uint128).max);
        vm.prank(keeper);
        vm.expectRevert(IJobScheduler.TooMuchMoney.selector);
        scheduler.deposit{value: type(uint96).max}();
    }

    function test_announcements_are_bounded() public {
        vm.expectEmit();
        emit IJobScheduler.Announced(address(this), "/ip4/127.0.0.1/tcp/1");
        scheduler.announce("/ip4/127.0.0.1/tcp/1");
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.AnnouncementTooLong.selector, 1025));
        scheduler.announce(string(new bytes(1025)));
    }

    function test_minimum_of_what_was_paid() public {
        IJobScheduler.Terms memory t = terms();
        t.minPaid = t.price;
        bytes32 job = submit(t);
        bytes memory d = deal_(job, t);
        vm.prank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobScheduler.TooLittlePaid.selector, 0, t.price));
        scheduler.bid(job, d, 0);
        bytes32 first = revealing(terms());
        postVerdict(first, terms(), 7, 3);
        vm.warp(1_700_000_000);
        vm.prank(nodes[0]);
        scheduler.bid(job, d, 0);
    }
}
