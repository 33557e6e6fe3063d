// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Fingerprints} from "./Fingerprints.sol";
import {IJobScheduler} from "./IJobScheduler.sol";
import {Summaries} from "./Summaries.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title `kmeans` and balls: which runs did like work, and which have like outputs
/// @notice The twins of `src/verdict/kmeans.rs` and `ball.rs`. A ball is a set of runs that all agree with one of them:
/// by `ball` in memory, CPU time and page faults; by `Near`, or where work is required, in their outputs too or alone.
///
/// Memory is compared ten samples at a time: two words of five lanes of 40 bits. A lane holds at most 31 samples of
/// 20 bits, 25 bits, so that sums and multiples stay in their lanes and the top bit of each is free to say which
/// of two is larger. Everything is in units of 256 KiB until it is compared with the tolerance.
library Scorers {
    uint256 private constant CPU_TOLERANCE_MS = 200;
    uint256 private constant FAULTS_TOLERANCE = 600;
    uint256 private constant FAULTS_PERMILLE = 200;

    /// 2^40 - 1: a word of 40-bit lanes modulo this is the sum of its lanes, if that is smaller.
    uint256 private constant LANE_MODULUS = 0xffffffffff;
    /// Bit 39 of each lane.
    uint256 private constant TOP_BITS = 0x80000000008000000000800000000080000000008000000000;
    /// The bits of a sample in each lane.
    uint256 private constant SAMPLE_BITS = 0x00000fffff00000fffff00000fffff00000fffff00000fffff;
    /// Bit 0 of each lane.
    uint256 private constant ONES = 0x0010000000001000000000100000000010000000001;

    /// What runs of a ball agree in.
    struct Relation {
        /// Whether equal outputs are asked for, whether a summary is a part of them, and whether near ones will do.
        bool byOutput;
        bool withSummary;
        bool bySummary;
        /// Whether work is compared, and how far apart memory and CPU time may be.
        bool byWork;
        uint256 most;
        uint256 cpuPermille;
    }

    /// The runs that the scorer of `question` finds to agree, and how many, whether or not they are enough.
    function score(Verdicts.Question memory question, Verdicts.Runs memory runs)
        internal
        pure
        returns (uint256 set, uint256 size)
    {
        unchecked {
            IJobScheduler.Method method = question.method;
            bool byScorer = method == IJobScheduler.Method.KMeans || method == IJobScheduler.Method.Ball;
            bool byWork = byScorer || question.requireWork;
            uint256[] memory words = runs.words;
            uint256 present = (1 << words.length) - 1;
            if (byWork) {
                for (uint256 i = 0; i < words.length; ++i) {
                    if (Verdicts.at(words, i) == Fingerprints.VOID) present ^= 1 << i;
                }
            }
            if (method == IJobScheduler.Method.KMeans) {
                set = kmeans(question, words, present);
                return (set, Verdicts.popcount(set));
            }
            Relation memory relation = Relation({
                byOutput: !byScorer,
                withSummary: method == IJobScheduler.Method.Near,
                bySummary: method == IJobScheduler.Method.Near && !question.deterministic,
                byWork: byWork,
                most: byWork ? ballTolerance(question, words, present) : 0,
                cpuPermille: question.cpuPermille
            });
            return largest(ballsOf(relation, runs, present), runs.keys);
        }
    }

    /// Around each run those that agree with it: members in the low 32 bits, the sum of distances above them.
    /// Distances are ten times the mean, below 2^24 units each; without work there are none.
    function ballsOf(Relation memory relation, Verdicts.Runs memory runs, uint256 present)
        private
        pure
        returns (uint256[] memory balls)
    {
        unchecked {
            uint256 n = runs.keys.length;
            balls = new uint256[](n);
            for (uint256 i = 0; i < n; ++i) {
                if (present >> i & 1 == 0) continue;
                uint256 others = present >> i + 1 << i + 1;
                // Of the last nothing is asked.
                if (others != 0 && relation.byOutput) others &= alike(relation, runs, i);
                if (relation.byWork) pair(relation, runs.words, balls, i, others);
                else join(balls, i, others);
            }
        }
    }

    /// Of the runs after run `i` those whose outputs agree with its own.
    function alike(Relation memory relation, Verdicts.Runs memory runs, uint256 i)
        private
        pure
        returns (uint256 set)
    {
        unchecked {
            if (relation.bySummary) {
                uint256 summary = Verdicts.at(runs.summaries, i);
                // Equal ones agree, so that equal outputs add nothing.
                if (summary != Summaries.VOID) return Summaries.agreeing(summary, runs.summaries, i + 1);
            }
            set = same(runs.outputs, i);
            if (relation.withSummary) set &= same(runs.summaries, i);
        }
    }

    /// Of the items after item `i` those that are the same.
    function same(uint256[] memory list, uint256 i) private pure returns (uint256 set) {
        assembly ("memory-safe") {
            let at := add(list, shl(5, add(i, 1)))
            let item := mload(at)
            for { let j := add(i, 1) } lt(j, mload(list)) { j := add(j, 1) } {
                at := add(at, 32)
                set := or(set, shl(j, eq(item, mload(at))))
            }
        }
    }

    /// Completes the ball of run `i`, and puts it into those of `others`, which come after it.
    function join(uint256[] memory balls, uint256 i, uint256 others) private pure {
        assembly ("memory-safe") {
            let at := add(balls, shl(5, add(i, 1)))
            // Bit `i`: the shift comes first in Yul.
            // slither-disable-next-line incorrect-shift
            mstore(at, or(mload(at), or(others, shl(i, 1))))
            for { let rest := shr(add(i, 1), others) } rest { rest := shr(1, rest) } {
                at := add(at, 32)
                mstore(at, or(mload(at), shl(i, and(rest, 1))))
            }
        }
    }

    /// Completes the ball of run `i`, and puts it into those of `others` after it, as far as their work agrees.
    function pair(
        Relation memory relation,
        uint256[] memory words,
        uint256[] memory balls,
        uint256 i,
        uint256 others
    ) private pure {
        unchecked {
            uint256 own = Verdicts.at(balls, i) + (1 << i);
            if (others == 0) return Verdicts.put(balls, i, own);
            (uint256 even, uint256 odd) = Fingerprints.lanes(Verdicts.at(words, i));
            // Page faults, and CPU time in the low 32 bits.
            uint256 spent =
                Fingerprints.faults(Verdicts.at(words, i)) << 32 | Fingerprints.cpuMs(Verdicts.at(words, i));
            for (uint256 j = i + 1; j < words.length; ++j) {
                if (others >> j & 1 == 0) continue;
                uint256 word = Verdicts.at(words, j);
                if (!like(uint32(spent), Fingerprints.cpuMs(word), CPU_TOLERANCE_MS, relation.cpuPermille)) {
                    continue;
                }
                if (!like(spent >> 32, Fingerprints.faults(word), FAULTS_TOLERANCE, FAULTS_PERMILLE)) {
                    continue;
                }
                uint256 apart = between(even, odd, word);
                if (apart > relation.most) continue;
                own += (apart << 32) + (1 << j);
                Verdicts.put(balls, j, Verdicts.at(balls, j) + (apart << 32) + (1 << i));
            }
            Verdicts.put(balls, i, own);
        }
    }

    /// The sum over all lanes of what a row and a run's differ by: `distance` in one piece, since every pair needs it.
    function between(uint256 even, uint256 odd, uint256 word) private pure returns (uint256 sum) {
        assembly ("memory-safe") {
            let raw := sub(or(even, TOP_BITS), and(word, SAMPLE_BITS))
            let smaller := xor(shr(39, and(raw, TOP_BITS)), ONES)
            sum := add(xor(and(raw, not(TOP_BITS)), sub(shl(39, smaller), smaller)), smaller)
            raw := sub(or(odd, TOP_BITS), and(shr(20, word), SAMPLE_BITS))
            smaller := xor(shr(39, and(raw, TOP_BITS)), ONES)
            sum := add(sum, add(xor(and(raw, not(TOP_BITS)), sub(shl(39, smaller), smaller)), smaller))
            sum := mod(sum, LANE_MODULUS)
        }
    }

    /// The largest ball; then the tightest; then that around the run with the least key.
    function largest(uint256[] memory balls, uint256[] memory keys)
        private
        pure
        returns (uint256 best, uint256 bestSize)
    {
        unchecked {
            uint256 bestSpread = 0;
            uint256 bestKey = 0;
            for (uint256 i = 0; i < balls.length; ++i) {
                uint256 ball = Verdicts.at(balls, i);
                uint256 members = uint32(ball);
                // Most balls are the same: its size is known.
                uint256 size = members == best ? bestSize : Verdicts.popcount(members);
                // A run that takes no part has a ball without members.
                if (size == 0 || size < bestSize) continue;
                (uint256 spread, uint256 key) = (ball >> 32, Verdicts.at(keys, i));
                if (size == bestSize) {
                    if (spread > bestSpread) continue;
                    if (spread == bestSpread && key > bestKey) continue;
                }
                (best, bestSize, bestSpread, bestKey) = (members, size, spread, key);
            }
        }
    }

    /// Most that runs of a ball may be apart, in units: the tolerance at the lower median of the memory levels.
    function ballTolerance(Verdicts.Question memory question, uint256[] memory words, uint256 present)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256[] memory levels = new uint256[](words.length);
            uint256 n = 0;
            for (uint256 i = 0; i < words.length; ++i) {
                if (present >> i & 1 == 0) continue;
                (uint256 even, uint256 odd) = Fingerprints.lanes(words[i]);
                levels[n++] = laneSum(even + odd);
            }
            if (n == 0) return 0;
            assembly ("memory-safe") {
                mstore(levels, n)
            }
            sort(levels);
            uint256 level = levels[(n - 1) / 2];
            // 1000 x 256 x distance <= max(10000 Q, permille x 256 x level), distances being whole.
            return max(
                10_000 * question.toleranceKib, question.relativePermille * Fingerprints.UNIT_KIB * level
            ) / (1000 * Fingerprints.UNIT_KIB);
        }
    }

    /// Whether two numbers differ by at most `floor`, or by at most so much of the larger.
    function like(uint256 a, uint256 b, uint256 floor, uint256 permille) private pure returns (bool yes) {
        assembly ("memory-safe") {
            yes := 1
            // By more than `floor` to either side.
            if gt(add(sub(a, b), floor), shl(1, floor)) {
                let high := xor(a, mul(xor(a, b), lt(a, b)))
                yes := iszero(gt(mul(1000, sub(shl(1, high), add(a, b))), mul(permille, high)))
            }
        }
    }

    /// The runs near the mean of all, found by an exact 2-means split of their distances from it, as often as the
    /// two groups are further apart than the tolerance; nothing when no majority is left or it is itself spread.
    function kmeans(Verdicts.Question memory question, uint256[] memory words, uint256 near)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256[] memory scores = new uint256[](words.length);
            while (true) {
                uint256 n = Verdicts.popcount(near);
                (uint256 even, uint256 odd) = sums(words, near);
                uint256 total = 0;
                for (uint256 i = 0; i < words.length; ++i) {
                    if (near >> i & 1 == 0) continue;
                    uint256 apart = apartFrom(words[i], n, even, odd);
                    scores[i] = apart;
                    total += apart;
                }
                uint256 low = split(scores, near, n, total);
                if (low == 0 || !isApart(question, words, low, near & ~low)) {
                    bool spread = total > 0
                        && 1000 * Fingerprints.UNIT_KIB * total
                            >= tolerance(question, n * n, n * laneSum(even + odd));
                    return spread ? 0 : near;
                }
                near = low;
                if (2 * Verdicts.popcount(near) <= question.asked) return 0;
            }
            return 0;
        }
    }

    /// 1000 times the tolerance in KiB for sums with this weight: of the absolute part, and the level of memory,
    /// in units, that the relative part is of. Below 2^60.
    function tolerance(Verdicts.Question memory question, uint256 weight, uint256 level)
        private
        pure
        returns (uint256)
    {
        unchecked {
            return max(
                10_000 * question.toleranceKib * weight,
                question.relativePermille * Fingerprints.UNIT_KIB * level
            );
        }
    }

    /// Whether the runs of `high` are, on average, at least the tolerance away from the mean of `low`.
    function isApart(Verdicts.Question memory question, uint256[] memory words, uint256 low, uint256 high)
        private
        pure
        returns (bool)
    {
        unchecked {
            uint256 size = Verdicts.popcount(low);
            (uint256 even, uint256 odd) = sums(words, low);
            uint256 far = 0;
            for (uint256 i = 0; i < words.length; ++i) {
                if (high >> i & 1 != 0) far += apartFrom(words[i], size, even, odd);
            }
            return 1000 * Fingerprints.UNIT_KIB * far
                >= tolerance(question, size, laneSum(even + odd)) * Verdicts.popcount(high);
        }
    }

    /// The runs of `near` with the lower scores, by the split that lessens the sum of squared distances from two
    /// centres the most; nothing when all scores are equal. `n` runs have scores that add up to `total`.
    function split(uint256[] memory scores, uint256 near, uint256 n, uint256 total)
        private
        pure
        returns (uint256 low)
    {
        unchecked {
            uint256[] memory sorted = new uint256[](n);
            uint256 filled = 0;
            for (uint256 i = 0; i < scores.length; ++i) {
                if (near >> i & 1 != 0) sorted[filled++] = scores[i];
            }
            sort(sorted);
            uint256 size = cut(sorted, total);
            if (size == 0) return 0;
            uint256 last = sorted[size - 1];
            for (uint256 i = 0; i < scores.length; ++i) {
                if (near >> i & 1 != 0 && scores[i] <= last) low |= 1 << i;
            }
        }
    }

    /// How many of the sorted values are in the low group; none when all are equal.
    ///
    /// The gain of a cut after the i least, whose sum is L, is (i T - n L)^2 / (i (n - i)). Scores are below 2^36, so
    /// the squares are below 2^92 and the products far below 2^256.
    function cut(uint256[] memory sorted, uint256 total) private pure returns (uint256 best) {
        unchecked {
            uint256 n = sorted.length;
            uint256 sum = 0;
            uint256 bestGain = 0;
            uint256 bestWeight = 1;
            for (uint256 i = 1; i < n; ++i) {
                uint256 last = sorted[i - 1];
                sum += last;
                if (last == sorted[i]) continue;
                uint256 weight = i * (n - i);
                uint256 gain = i * total - n * sum;
                gain *= gain;
                if (gain * bestWeight < bestGain * weight) continue;
                // Equal gains: the more uneven cut, then the larger; cuts come with ascending i.
                bool equal = best != 0 && gain * bestWeight == bestGain * weight;
                if (equal && max(i, n - i) < max(best, n - best)) continue;
                (bestGain, bestWeight, best) = (gain, weight, i);
            }
        }
    }

    /// The sums of the samples of some runs.
    function sums(uint256[] memory words, uint256 runs) private pure returns (uint256 even, uint256 odd) {
        unchecked {
            for (uint256 i = 0; i < words.length; ++i) {
                if (runs >> i & 1 == 0) continue;
                (uint256 e, uint256 o) = Fingerprints.lanes(words[i]);
                even += e;
                odd += o;
            }
        }
    }

    /// Ten `n` times the mean distance of a run from the mean of `n` runs with these sums.
    function apartFrom(uint256 word, uint256 n, uint256 even, uint256 odd) private pure returns (uint256) {
        unchecked {
            (uint256 e, uint256 o) = Fingerprints.lanes(word);
            return distance(n * e, n * o, even, odd);
        }
    }

    /// The sum over all lanes of what two rows differ by.
    function distance(uint256 even, uint256 odd, uint256 otherEven, uint256 otherOdd)
        private
        pure
        returns (uint256)
    {
        unchecked {
            return laneSum(differences(even, otherEven) + differences(odd, otherOdd));
        }
    }

    /// Lane by lane, the larger minus the smaller. Lanes are below 2^39.
    function differences(uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            // With the top bit lent to each lane no lane borrows from the next; it is left where a >= b.
            let raw := sub(or(a, TOP_BITS), b)
            let smaller := xor(shr(39, and(raw, TOP_BITS)), ONES)
            // Where a < b, raw is 2^39 - (b - a): negate it within 39 bits.
            result := add(xor(and(raw, not(TOP_BITS)), sub(shl(39, smaller), smaller)), smaller)
        }
    }

    function laneSum(uint256 word) private pure returns (uint256) {
        return word % LANE_MODULUS;
    }

    /// Insertion sort: at most 31 values, often nearly in order.
    function sort(uint256[] memory values) private pure {
        unchecked {
            uint256 n = values.length;
            for (uint256 i = 1; i < n; ++i) {
                uint256 value = values[i];
                uint256 j = i;
                while (j > 0 && values[j - 1] > value) {
                    values[j] = values[j - 1];
                    --j;
                }
                values[j] = value;
            }
        }
    }

    function max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
