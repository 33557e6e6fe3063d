// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";

/// Steps of up to three jobs at once in any order, and what they ought to leave, kept apart from the contract.
///
/// Nodes are drawn from the bidders of the base. A call that the rules refuse is no failure: the handler tries it and
/// goes on.
contract Handler is SchedulerBase {
    struct Ghost {
        bytes32 job;
        IJobScheduler.Terms terms;
        address[] holders;
        uint256 committed;
        uint256 revealed;
        uint256 failed;
        uint256 maxState;
        bool isOver;
        bytes32[] commitments;
        uint256 endedWith;
    }

    Ghost[] internal ghosts;
    uint256 public deposited;
    uint256 public accepted;
    uint256 public ended;

    function setUp() public override {
        super.setUp();
        deposited = (2 + nodes.length) * MONEY;
    }

    function count() external view returns (uint256) {
        return ghosts.length;
    }

    function ghost(uint256 i) external view returns (Ghost memory) {
        return ghosts[i];
    }

    function chain() external view returns (IJobScheduler) {
        return scheduler;
    }

    function parties() external view returns (address[] memory list) {
        list = new address[](nodes.length + 2);
        for (uint256 i = 0; i < nodes.length; ++i) {
            list[i] = nodes[i];
        }
        (list[nodes.length], list[nodes.length + 1]) = (requester, keeper);
    }

    modifier onJob(uint256 seed) {
        if (ghosts.length == 0) return;
        _;
    }

    function pick(uint256 seed) private view returns (Ghost storage) {
        return ghosts[seed % ghosts.length];
    }

    // Steps.

    function submit(uint256 seed) external {
        if (ghosts.length >= 3) return;
        IJobScheduler.Terms memory t = terms();
        t.deterministic = seed & 1 != 0;
        t.acceptance = IJobScheduler.Acceptance(seed >> 1 & 1);
        t.method = IJobScheduler.Method(seed % 3);
        t.confidence = uint8(1 + seed % 3);
        bytes32 job = submit(t);
        deposited += escrow(t);
        Ghost storage made = ghosts.push();
        (made.job, made.terms) = (job, t);
        made.commitments = new bytes32[](3);
    }

    function bid(uint256 job, uint256 node) external onJob(job) {
        Ghost storage g = pick(job);
        address who = nodes[node % nodes.length];
        IJobScheduler.Deal memory d = deal_(g.terms);
        uint96 price = g.terms.price;
        vm.prank(who);
        try scheduler.bid(g.job, d, price) {
            if (g.terms.acceptance == IJobScheduler.Acceptance.FirstCome) seat(g, who);
        } catch {}
    }

    function accept(uint256 job, uint256 node) external onJob(job) {
        Ghost storage g = pick(job);
        address[] memory list = new address[](1);
        list[0] = nodes[node % nodes.length];
        IJobScheduler.Deal memory d = deal_(g.terms);
        vm.prank(requester);
        try scheduler.acceptBids(g.job, d, list) {
            (IJobScheduler.BidStatus status,) = scheduler.bids(g.job, list[0]);
            if (status == IJobScheduler.BidStatus.Seated) seat(g, list[0]);
        } catch {}
    }

    /// Bids and acceptances until the seats are full, so that jobs get further than chance would take them.
    function fill(uint256 job) external onJob(job) {
        for (uint256 node = 0; node < nodes.length; ++node) {
            this.bid(job, node);
            this.accept(job, node);
        }
    }

    function commitRest(uint256 job) external onJob(job) {
        for (uint256 i = 0; i < pick(job).holders.length; ++i) {
            this.commit(job, i);
        }
    }

    function withdrawBid(uint256 job, uint256 node) external onJob(job) {
        vm.prank(nodes[node % nodes.length]);
        try scheduler.withdrawBid(pick(job).job) {} catch {}
    }

    function seat(Ghost storage g, address who) private {
        ++accepted;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (g.failed >> i & 1 != 0) {
                g.holders[i] = who;
                g.failed &= ~(1 << i);
                return;
            }
        }
        g.holders.push(who);
    }

    function said(Ghost storage g, uint256 i) private view returns (IJobScheduler.Opening memory o) {
        o = opening(i, 3);
        if (g.terms.method != IJobScheduler.Method.Hash && !g.terms.deterministic) {
            o.resultHash = keccak256(abi.encode(i));
        }
    }

    function commit(uint256 job, uint256 number) external onJob(job) {
        Ghost storage g = pick(job);
        if (g.holders.length == 0) return;
        uint256 i = number % g.holders.length;
        bytes32 commitment = scheduler.commitmentOf(g.job, uint8(i), g.holders[i], said(g, i));
        vm.prank(g.holders[i]);
        try scheduler.commit(g.job, commitment) {
            require(g.committed >> i & 1 == 0, "committed twice");
            g.committed |= 1 << i;
            g.commitments[i] = commitment;
        } catch {}
    }

    function fail_(uint256 job, uint256 number) external onJob(job) {
        Ghost storage g = pick(job);
        if (g.holders.length == 0) return;
        uint256 i = number % g.holders.length;
        IJobScheduler.Deal memory d = deal_(g.terms);
        vm.prank(g.holders[i]);
        try scheduler.reportFailure(g.job, d, IJobScheduler.FailureKind.Engine) {
            g.failed |= 1 << i;
        } catch {}
    }

    function reveal(uint256 job, uint256 number) external onJob(job) {
        Ghost storage g = pick(job);
        if (g.holders.length == 0) return;
        uint256 i = number % g.holders.length;
        IJobScheduler.Opening memory o = said(g, i);
        (IJobScheduler.JobState before,,,) = scheduler.jobs(g.job);
        vm.prank(g.holders[i]);
        try scheduler.reveal(g.job, uint8(i), g.terms.price, o) {
            require(before == IJobScheduler.JobState.Revealing, "revealed before commits closed");
            g.revealed |= 1 << i;
        } catch {}
    }

    function postVerdict(uint256 job, uint256 guess) external onJob(job) {
        verdict(pick(job), guess % 8);
    }

    function stop(uint256 job) external onJob(job) {
        Ghost storage g = pick(job);
        if (job % 5 != 0) return;
        uint256 live = ((1 << g.holders.length) - 1) & ~g.failed;
        IJobScheduler.SeatHolder[] memory list = holders(g, live);
        IJobScheduler.Deal memory d = deal_(g.terms);
        vm.prank(requester);
        try scheduler.stop(g.job, d, list) {
            over(g, 0);
        } catch {}
    }

    function cancel(uint256 job) external onJob(job) {
        Ghost storage g = pick(job);
        if (job % 5 != 0) return;
        IJobScheduler.Deal memory d = deal_(g.terms);
        vm.prank(requester);
        try scheduler.cancel(g.job, d) {
            over(g, 0);
        } catch {}
    }

    function expire(uint256 job) external onJob(job) {
        tryExpire(pick(job));
    }

    function wait_(uint256 secs) external {
        vm.warp(block.timestamp + secs % 700);
    }

    function withdraw(uint256 node, uint256 amount) external {
        address who = nodes[node % nodes.length];
        amount = amount % (free(who) / 4 + 1);
        vm.prank(who);
        scheduler.withdraw(amount);
        deposited -= amount;
    }

    function deposit(uint256 node, uint256 amount) external {
        amount = amount % 1 ether;
        vm.deal(keeper, amount);
        vm.prank(keeper);
        scheduler.depositFor{value: amount}(nodes[node % nodes.length]);
        deposited += amount;
    }

    // Ends.

    function over(Ghost storage g, uint256 verdict_) private {
        require(!g.isOver, "ended twice");
        (g.isOver, g.endedWith) = (true, verdict_);
        ++ended;
    }

    function holders(Ghost storage g, uint256 seats)
        private
        view
        returns (IJobScheduler.SeatHolder[] memory list)
    {
        list = new IJobScheduler.SeatHolder[](size(seats));
        uint256 filled = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (seats >> i & 1 == 0) continue;
            list[filled++] = IJobScheduler.SeatHolder(uint8(i), g.holders[i], g.terms.price, g.commitments[i]);
        }
    }

    function verdict(Ghost storage g, uint256 guess) private returns (bool) {
        (IJobScheduler.JobState state, uint256 revealBy,,) = scheduler.jobs(g.job);
        if (state != IJobScheduler.JobState.Revealing) return false;
        uint256 seats = block.timestamp > revealBy ? g.revealed : g.committed;
        IJobScheduler.SeatOpening[] memory list = new IJobScheduler.SeatOpening[](size(seats));
        uint256 filled = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (seats >> i & 1 == 0) continue;
            list[filled++] = IJobScheduler.SeatOpening(uint8(i), g.holders[i], g.terms.price, said(g, i));
        }
        IJobScheduler.Deal memory d = deal_(g.terms);
        uint256[3] memory before;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            before[i] = free(g.holders[i]);
        }
        vm.prank(keeper);
        try scheduler.postVerdict(g.job, d, list, uint32(guess)) {
            over(g, guess);
            for (uint256 i = 0; i < g.holders.length; ++i) {
                require(free(g.holders[i]) == before[i] + due(g, i, seats, guess), "paid otherwise");
            }
            return true;
        } catch {
            return false;
        }
    }

    /// What a verdict owes a seat, written down anew from the rules of money.
    function due(Ghost storage g, uint256 i, uint256 opened, uint256 guess) private view returns (uint256) {
        if (g.failed >> i & 1 != 0 || opened >> i & 1 == 0) return 0;
        if (guess >> i & 1 != 0) return g.terms.price + g.terms.bond;
        return guess != 0 && g.terms.deterministic ? 0 : g.terms.bond;
    }

    function tryExpire(Ghost storage g) private returns (bool) {
        uint256 live = g.holders.length == 0 ? 0 : ((1 << g.holders.length) - 1) & ~g.failed;
        // What is due depends on how far the job came; the contract takes one of these and no other.
        uint256[3] memory dues = [live, g.committed, g.revealed];
        IJobScheduler.Deal memory d = deal_(g.terms);
        for (uint256 i = 0; i < 3; ++i) {
            IJobScheduler.SeatHolder[] memory list = holders(g, dues[i]);
            vm.prank(keeper);
            try scheduler.expire(g.job, d, list) {
                over(g, 0);
                return true;
            } catch {}
        }
        return false;
    }

    /// Ends a job by what anybody may do, once every deadline has passed.
    function finish(uint256 i) external returns (bool) {
        Ghost storage g = ghosts[i];
        if (g.isOver) return true;
        vm.warp(block.timestamp + 10_000);
        for (uint256 guess = 0; guess < 8; ++guess) {
            if (verdict(g, guess)) return true;
        }
        return tryExpire(g);
    }
}
