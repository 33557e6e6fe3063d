// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";
import {Head} from "../../src/Packing.sol";
import {IWatcher, Bomb, GreedyReenterer, Reenterer, Refuser} from "../harness/Griefers.sol";
import {Replica} from "../harness/Replica.sol";
import {SchedulerBase} from "../harness/SchedulerBase.sol";
import {Terms} from "../harness/Terms.sol";
import {Token} from "../harness/Tokens.sol";

/// What the steps ought to leave, kept apart from the contract: each job as its steps made it, and what each step moved,
/// seen from outside.
abstract contract Ghosts is SchedulerBase, IWatcher {
    struct Ghost {
        bytes32 job;
        uint64 nonce;
        /// As submitted, and now.
        IJobScheduler.Terms submitted;
        IJobScheduler.Terms terms;
        bool isRostered;
        address[] holders;
        uint96[] prices;
        bytes32[] commitments;
        uint256 failed;
        /// Those of them that came too late for another node; the kind of each, and how often each was reported.
        uint256 late;
        uint256[32] kinds;
        uint256[12] failures;
        uint256 committed;
        uint256 revealed;
        IJobScheduler.AuditStage stage;
        // The end.
        bool isOver;
        IJobScheduler.JobState endState;
        uint256 opened;
        uint256 accepted;
        bool isVerdict;
        address keeper;
        /// The verdict of the reference over what was opened.
        uint256 right;
    }

    /// What every audit commits to: the draw differs with the commitments.
    bytes32 internal constant SECRET = keccak256("secret of the requester");

    Ghost[] internal ghosts;
    /// The heads of rostered jobs, of which the contract keeps a hash.
    mapping(bytes32 job => uint256) internal heads;
    Replica public replica;
    address[] internal parties;
    /// What a party has put in and taken out.
    mapping(address party => int256) public net;
    /// What the steps of a job moved into a party's free balance, and into what is burnt.
    mapping(bytes32 job => mapping(address party => int256)) public flow;
    mapping(bytes32 job => uint256) public burntBy;
    mapping(bytes32 job => mapping(address node => bool)) public wasSeated;
    mapping(bytes32 job => mapping(address node => bool)) public hasFailed;
    /// Sent along by nobody's deposit.
    uint256 public forced;
    /// What must never happen, counted.
    uint256 public robberies;
    uint256 public shortfalls;
    uint256 public earlyReveals;
    uint256 public misjudgements;
    uint256 public misdraws;
    uint256 public reusedIds;
    uint256 public changedEnds;
    uint256 public changedCommitments;

    uint256[] private before;
    uint256 private burntBefore;

    /// The head of a job, and the deadline of reveals once commits closed.
    function headOf(bytes32 job) public view returns (uint256 head, uint256 revealBy) {
        (, revealBy, head,) = scheduler.jobs(job);
        if (!Head.wrap(head).isRostered()) return (head, revealBy);
        head = heads[job];
        bool isRevealing = stateOf(job) == IJobScheduler.JobState.Revealing;
        if (isRevealing) revealBy = Head.wrap(head).changedAt() + Head.wrap(head).reveal();
    }

    function setUp() public virtual override {
        replica = new Replica();
        vm.recordLogs();
        super.setUp();
        makeNodes(7);
        // In setUp every deposit is a transaction, which makes no difference to a deposit.
        replica.take(vm.getRecordedLogs(), block.timestamp);
        parties = nodes;
        parties.push(requester);
        parties.push(keeper);
        parties.push(makeAddr("stranger"));
        for (uint256 i = 0; i < parties.length; ++i) {
            net[parties[i]] = int256(free(parties[i]));
        }
        // These nodes do as others do until they are sent money.
        vm.etch(nodes[1], type(Reenterer).runtimeCode);
        vm.store(nodes[1], 0, bytes32(uint256(uint160(address(this)))));
        vm.etch(nodes[2], type(Refuser).runtimeCode);
        vm.etch(nodes[3], type(Bomb).runtimeCode);
        vm.etch(nodes[4], type(GreedyReenterer).runtimeCode);
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

    function everybody() external view returns (address[] memory) {
        return parties;
    }

    /// A step that is one transaction, concerning a job or none.
    modifier transaction(bytes32 job, address sender) {
        begin();
        _;
        finishStep(job, sender, 0);
    }

    function begin() internal {
        vm.recordLogs();
        delete before;
        for (uint256 i = 0; i < parties.length; ++i) {
            before.push(free(parties[i]));
        }
        burntBefore = scheduler.burnt();
    }

    /// Of a call that was refused: what it emitted before is recorded all the same.
    function forget() internal {
        vm.getRecordedLogs();
    }

    /// `sent` came along with the call of the sender.
    function finishStep(bytes32 job, address sender, uint256 sent) internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        net[sender] += int256(sent);
        for (uint256 i = 0; i < parties.length; ++i) {
            address party = parties[i];
            int256 moved = int256(free(party)) - int256(before[i]);
            if (party == sender) moved -= int256(sent);
            if (job != 0) flow[job][party] += moved;
            // Only a bond may be taken from somebody who does nothing, and only for the seat it bid for.
            if (moved < 0 && party != sender && moved != -int256(bondTaken(logs, job, party))) ++robberies;
        }
        if (job != 0) burntBy[job] += scheduler.burnt() - burntBefore;
        else if (scheduler.burnt() != burntBefore) ++robberies;
        replica.take(logs, block.timestamp);
    }

    function bondTaken(Vm.Log[] memory logs, bytes32 job, address party) private view returns (uint256 bond) {
        for (uint256 i = 0; i < logs.length; ++i) {
            bool isSeat = logs[i].topics[0] == IJobScheduler.BidAccepted.selector;
            if (!isSeat || logs[i].topics[1] != job) continue;
            if (address(uint160(uint256(logs[i].topics[2]))) != party) continue;
            for (uint256 g = 0; g < ghosts.length; ++g) {
                if (ghosts[g].job == job) bond += ghosts[g].terms.bond;
            }
        }
    }

    // Money.

    /// The keeper deposits for somebody.
    function depositTo(address account, uint256 amount) internal {
        vm.deal(keeper, amount);
        begin();
        if (address(token) == address(0)) {
            vm.prank(keeper);
            scheduler.depositFor{value: amount}(account);
        } else {
            depositTokens(keeper, account, amount);
        }
        net[account] += int256(amount);
        finishStep(0, keeper, 0);
    }

    function purse(address party) external view returns (uint256) {
        return purseOf(party);
    }

    /// Before `setUp`: the scheduler counts in a token.
    function useToken() external {
        token = new Token();
    }

    function escrowOf(Ghost storage g) internal view returns (uint256) {
        return Terms.mostSeats(g.terms) * g.terms.price + g.terms.keeperFee;
    }

    // Audits.

    function firstStage(IJobScheduler.Terms memory t) internal pure returns (IJobScheduler.AuditStage) {
        return t.audit == 0 ? IJobScheduler.AuditStage.None : IJobScheduler.AuditStage.Undrawn;
    }

    /// The seats of a job now: of both waves once the second was drawn.
    function askedOf(Ghost storage g) internal view returns (uint256) {
        bool isDrawn = g.stage == IJobScheduler.AuditStage.Drawn;
        return isDrawn ? Terms.mostSeats(g.terms) : g.terms.concurrency;
    }

    /// Whether some seat is still to be filled, or can still commit.
    function isCommitting(Ghost storage g) internal view returns (bool) {
        if (g.stage == IJobScheduler.AuditStage.Spared) return false;
        if (g.holders.length < askedOf(g)) return true;
        (uint256 word,) = headOf(g.job);
        uint256 commitBy = Head.wrap(word).deadline();
        bool isRefilled = g.failed != 0 && block.timestamp <= commitBy - g.terms.timeout - 60;
        return block.timestamp <= commitBy && (isRefilled || live(g) != g.committed);
    }

    /// Whether commits have closed with a quorum, so that the draw is due, or reveals.
    function isClosed(Ghost storage g) internal view returns (bool) {
        uint256 runs = size(g.committed);
        bool isQuorum = 2 * runs > askedOf(g) && runs >= g.terms.confidence;
        return !g.isOver && !isCommitting(g) && isQuorum;
    }

    function isDrawDue(Ghost storage g) internal view returns (bool) {
        return isClosed(g) && g.stage == IJobScheduler.AuditStage.Undrawn;
    }

    function mayReveal(Ghost storage g) internal view returns (bool) {
        return isClosed(g) && g.stage != IJobScheduler.AuditStage.Undrawn;
    }

    function closed(uint256 i) external view returns (bool) {
        return isClosed(ghosts[i]);
    }

    function live(Ghost storage g) internal view returns (uint256) {
        return ((1 << g.holders.length) - 1) & ~g.failed;
    }

    /// What live jobs hold of a party's money.
    function lockedOf(address party) public view returns (uint256 locked) {
        for (uint256 i = 0; i < ghosts.length; ++i) {
            Ghost storage g = ghosts[i];
            if (g.isOver) continue;
            if (party == requester) locked += escrowOf(g);
            for (uint256 k = 0; k < g.holders.length; ++k) {
                if (g.holders[k] != party) continue;
                if (g.failed >> k & 1 == 0) locked += g.terms.bond;
                else if (g.late >> k & 1 != 0) locked += g.terms.bond / 4;
            }
        }
    }

    /// What the contract owes: free balances, and what live jobs hold.
    function owed() public view returns (uint256 sum) {
        for (uint256 i = 0; i < parties.length; ++i) {
            sum += free(parties[i]) + lockedOf(parties[i]);
        }
    }

    /// Called by a receiver in the middle of its withdrawal.
    function onTransfer() external {
        if (purseOf(address(scheduler)) < owed() + scheduler.burnt()) ++shortfalls;
    }

    // What nodes say: a third of the runs are lies, and some have no fingerprint.

    function said(Ghost storage g, uint256 seat) internal view returns (IJobScheduler.Opening memory o) {
        uint256 chance = uint256(keccak256(abi.encode(g.job, seat, g.holders[seat])));
        bool isLie = chance % 3 == 0;
        bool isRandom = uint256(g.job) % 2 == 0;
        o.resultHash = keccak256(abi.encode(isRandom ? chance : isLie ? chance % 2 : 7));
        o.outputRoot = keccak256("root");
        // Now and then a false one, beside an output that agrees.
        o.exitCode = isLie || chance >> 20 & 7 == 0 ? int32(-1) : int32(2);
        o.fingerprint = bytes32(word(isLie ? 50 + chance % 7 : 1600 + chance % 11, isLie ? 10 : 900));
        if (chance >> 8 & 7 == 0) o.fingerprint = bytes32(type(uint256).max);
        // Near one of the others, or no further than its tolerance from some.
        o.summary = bytes32((chance >> 16) % (isLie ? 200 : 80));
        if (chance >> 12 & 7 == 0) o.summary = bytes32(type(uint256).max);
        o.salt = keccak256(abi.encode("salt", chance));
    }
}
