// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {Terms} from "../harness/Terms.sol";
import {Steps} from "./Steps.sol";

/// The draw of an audit, and the steps that lead through a second wave.
abstract contract AuditSteps is Steps {
    /// The right secret and holders from the requester, or one of them wrong.
    function publishSecret(uint256 job, uint256 seed) public onJob {
        Ghost storage g = pick(job);
        if (g.isRostered && isDrawDue(g) && seed & 7 == 0) unpack(job);
        address caller = seed >> 8 & 3 == 0 ? someParty(seed >> 16) : requester;
        bytes32 secret = seed >> 24 & 3 == 0 ? keccak256(abi.encode(seed)) : SECRET;
        uint256 seats = seed >> 32 & 3 == 0 ? (seed >> 40) & live(g) : g.committed;
        IJobScheduler.SeatHolder[] memory given = holders(g, seats);
        bool isRight = secret == SECRET && caller == requester && seats == g.committed;
        if (seed >> 48 & 3 == 0 && given.length != 0) {
            spoil(given[(seed >> 56) % given.length], seed >> 64);
            isRight = false;
        }
        draw(g, caller, secret, given, isRight);
    }

    /// The steps of an audit in order, as far as they go, so that second waves come to their end. Between them a draw that
    /// may be wrong, and reveals that are too early.
    function audit(uint256 job, uint256 seed) external onJob {
        commitRest(job);
        revealOne(job, seed >> 8);
        publishSecret(job, seed);
        publishSecret(job, type(uint256).max);
        if (seed & 3 != 0) fill(job);
        revealOne(job, seed >> 8);
        if (seed & 12 != 0) commitRest(job);
    }

    function someParty(uint256 seed) private view returns (address) {
        return parties[seed % parties.length];
    }

    /// Another node, price or commitment than the seat's.
    function spoil(IJobScheduler.SeatHolder memory holder, uint256 which) private view {
        if (which % 3 == 0) holder.node = keeper;
        else if (which % 3 == 1) holder.price += 1;
        else holder.commitment = keccak256("another");
    }

    /// A draw is taken exactly when it is due, from the requester, over all that is committed.
    function draw(
        Ghost storage g,
        address caller,
        bytes32 secret,
        IJobScheduler.SeatHolder[] memory given,
        bool isRight
    ) private {
        bytes memory call = abi.encodeCall(
            IJobScheduler.publishSecret, (g.job, deal_(g.job, g.terms), secret, given)
        );
        (uint256 head, uint256 drawBy) = headOf(g.job);
        bool isDue = isRight && isDrawDue(g) && block.timestamp <= drawBy;
        if (g.isRostered) {
            call = abi.encodeCall(
                IJobScheduler.publishSecretRostered, (g.job, deal_(g.job, g.terms), head, secret, given)
            );
        }
        begin();
        vm.prank(caller);
        (bool isTaken,) = address(scheduler).call(call);
        if (isTaken) drawn(g);
        else forget();
        finishStep(g.job, caller, 0);
        if (isTaken != isDue) ++misdraws;
    }

    function drawn(Ghost storage g) private {
        bytes memory commitments;
        for (uint256 i = 0; i < g.holders.length; ++i) {
            if (g.committed >> i & 1 != 0) commitments = bytes.concat(commitments, g.commitments[i]);
        }
        bool isDrawn = Terms.draws(g.terms, SECRET, commitments);
        g.stage = isDrawn ? IJobScheduler.AuditStage.Drawn : IJobScheduler.AuditStage.Spared;
        if (!g.isRostered) return;
        // Seats that wait for others have a word each.
        if (isDrawn) g.isRostered = false;
        else heads[g.job] = Head.unwrap(Head.wrap(heads[g.job]).spared(block.timestamp));
    }
}
