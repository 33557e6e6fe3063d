// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Fingerprints} from "./Fingerprints.sol";
import {IJobScheduler} from "./IJobScheduler.sol";

/// @title Which runs of a job agree
/// @notice The twin of `src/verdict/`, and of the specification in `docs/verification.md`: the output gate, then
/// `kmeans` or `ball`. Sets of runs are bitmaps, bit i for run i.
///
/// Memory is compared ten samples at a time: two words of five lanes of 44 bits. A lane holds at most 31 samples of
/// 22 bits, 27 bits, so that sums and multiples stay in their lanes and the top bit of each is free to say which
/// of two is larger. Everything is in units of 64 KiB until it is compared with the tolerance.
library Verdicts {
    struct Question {
        uint256 asked;
        uint256 confidence;
        uint256 toleranceKib;
        uint256 relativePermille;
        IJobScheduler.Method method;
        bool deterministic;
    }

    uint256 private constant CPU_TOLERANCE_MS = 200;
    uint256 private constant CPU_TOLERANCE_PERMILLE = 333;

    /// 2^44 - 1: a word of 44-bit lanes modulo this is the sum of its lanes, if that is smaller.
    uint256 private constant LANE_MODULUS = (1 << 44) - 1;
    /// Bit 43 of each lane.
    uint256 private constant TOP_BITS = 1 << 43 | 1 << 87 | 1 << 131 | 1 << 175 | 1 << 219;
    /// Bit 0 of each lane.
    uint256 private constant ONES = TOP_BITS >> 43;

    /// The runs that agree, or nothing when there is no verdict. `outputs` and `words` hold the runs that brought a
    /// result; `keys` settle the last tie of `ball`, the least key first, and are asked for nothing else.
    function decide(
        Question memory question,
        bytes32[] memory outputs,
        uint256[] memory words,
        uint256[] memory keys
    ) internal pure returns (uint256 accepted) {
        if (question.confidence == 0 || question.relativePermille > 1000) return 0;
        (uint256 gate, bool decided) = majority(question.asked, outputs);
        if (decided) return enough(question, gate);
        if (question.deterministic || question.method == IJobScheduler.Method.Hash) return 0;
        uint256 present = 0;
        for (uint256 i = 0; i < words.length; ++i) {
            if (words[i] != Fingerprints.VOID) present |= 1 << i;
        }
        if (question.method == IJobScheduler.Method.KMeans) {
            return enough(question, kmeans(question, words, present));
        }
        return enough(question, ball(question, words, keys, present));
    }

    /// Whether the gate decides, so that no scorer, and hence no key, is asked for.
    function gateDecides(Question memory question, bytes32[] memory outputs)
        internal
        pure
        returns (bool decided)
    {
        (, decided) = majority(question.asked, outputs);
        decided = decided || question.deterministic || question.method == IJobScheduler.Method.Hash;
    }

    /// `runs` if they are a strict majority of those asked, and as many as the confidence asks for.
    function enough(Question memory question, uint256 runs) private pure returns (uint256) {
        uint256 size = popcount(runs);
        return 2 * size > question.asked && size >= question.confidence ? runs : 0;
    }

    /// The runs of the output with a strict majority of all that were asked. A candidate by pairing off different
    /// outputs, then a count.
    function majority(uint256 asked, bytes32[] memory outputs)
        private
        pure
        returns (uint256 group, bool found)
    {
        unchecked {
            bytes32 candidate = 0;
            uint256 lead = 0;
            uint256 n = outputs.length;
            for (uint256 i = 0; i < n; ++i) {
                bytes32 output = outputs[i];
                if (lead == 0) (candidate, lead) = (output, 1);
                else if (output == candidate) ++lead;
                else --lead;
            }
            uint256 size = 0;
            for (uint256 i = 0; i < n; ++i) {
                if (outputs[i] == candidate) {
                    group |= 1 << i;
                    ++size;
                }
            }
            found = 2 * size > asked;
        }
    }

    /// The largest set of runs that all lie within the tolerance of one of them; then the tightest; then that
    /// around the run with the least key. Distances are ten times the mean, below 2^26 units each.
    function ball(Question memory question, uint256[] memory words, uint256[] memory keys, uint256 present)
        internal
        pure
        returns (uint256 best)
    {
        unchecked {
            uint256 n = words.length;
            uint256 most = ballTolerance(question, words, present);
            // Members in the low 32 bits, the sum of distances above them.
            uint256[] memory balls = new uint256[](n);
            for (uint256 i = 0; i < n; ++i) {
                if (present >> i & 1 == 0) continue;
                (uint256 even, uint256 odd) = Fingerprints.lanes(words[i]);
                uint256 cpu = Fingerprints.cpuMs(words[i]);
                uint256 own = balls[i] + (1 << i);
                for (uint256 j = i + 1; j < n; ++j) {
                    if (present >> j & 1 == 0) continue;
                    uint256 word = words[j];
                    if (!cpuAgrees(cpu, Fingerprints.cpuMs(word))) continue;
                    (uint256 otherEven, uint256 otherOdd) = Fingerprints.lanes(word);
                    uint256 apart = distance(even, odd, otherEven, otherOdd);
                    if (apart > most) continue;
                    own += (apart << 32) + (1 << j);
                    balls[j] += (apart << 32) + (1 << i);
                }
                balls[i] = own;
            }
            uint256 bestSize = 0;
            uint256 bestSpread = 0;
            uint256 bestKey = 0;
            for (uint256 i = 0; i < n; ++i) {
                if (present >> i & 1 == 0) continue;
                uint256 members = balls[i] & type(uint32).max;
                uint256 spread = balls[i] >> 32;
                uint256 size = popcount(members);
                if (size < bestSize) continue;
                if (size == bestSize) {
                    if (spread > bestSpread) continue;
                    if (spread == bestSpread && keys[i] > bestKey) continue;
                }
                (best, bestSize, bestSpread, bestKey) = (members, size, spread, keys[i]);
            }
        }
    }

    /// Most that runs of a ball may be apart, in units: the tolerance at the lower median of the memory levels.
    function ballTolerance(Question memory question, uint256[] memory words, uint256 present)
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
            // 1000 x 64 x distance <= max(10000 Q, permille x 64 x level), distances being whole.
            return max(
                10_000 * question.toleranceKib, question.relativePermille * Fingerprints.UNIT_KIB * level
            ) / (1000 * Fingerprints.UNIT_KIB);
        }
    }

    function cpuAgrees(uint256 a, uint256 b) private pure returns (bool) {
        unchecked {
            (uint256 low, uint256 high) = a < b ? (a, b) : (b, a);
            return 1000 * (high - low) <= max(1000 * CPU_TOLERANCE_MS, CPU_TOLERANCE_PERMILLE * high);
        }
    }

    /// The runs near the mean of all, found by an exact 2-means split of their distances from it, as often as the
    /// two groups are further apart than the tolerance; nothing when no majority is left or it is itself spread.
    function kmeans(Question memory question, uint256[] memory words, uint256 near)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256[] memory scores = new uint256[](words.length);
            while (true) {
                uint256 n = popcount(near);
                (uint256 even, uint256 odd) = sums(words, near);
                uint256 total = 0;
                for (uint256 i = 0; i < words.length; ++i) {
                    if (near >> i & 1 == 0) continue;
                    uint256 score = apartFrom(words[i], n, even, odd);
                    scores[i] = score;
                    total += score;
                }
                uint256 low = split(scores, near, n, total);
                if (low == 0 || !isApart(question, words, low, near & ~low)) {
                    bool spread = total > 0
                        && 1000 * Fingerprints.UNIT_KIB * total
                            >= tolerance(question, n * n, n * laneSum(even + odd));
                    return spread ? 0 : near;
                }
                near = low;
                if (2 * popcount(near) <= question.asked) return 0;
            }
            return 0;
        }
    }

    /// 1000 times the tolerance in KiB for sums with this weight: of the absolute part, and the level of memory,
    /// in units, that the relative part is of. Below 2^60.
    function tolerance(Question memory question, uint256 weight, uint256 level)
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
    function isApart(Question memory question, uint256[] memory words, uint256 low, uint256 high)
        private
        pure
        returns (bool)
    {
        unchecked {
            uint256 size = popcount(low);
            (uint256 even, uint256 odd) = sums(words, low);
            uint256 far = 0;
            for (uint256 i = 0; i < words.length; ++i) {
                if (high >> i & 1 != 0) far += apartFrom(words[i], size, even, odd);
            }
            return 1000 * Fingerprints.UNIT_KIB * far
                >= tolerance(question, size, laneSum(even + odd)) * popcount(high);
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

    /// Lane by lane, the larger minus the smaller. Lanes are below 2^43.
    function differences(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            // With the top bit lent to each lane no lane borrows from the next; it is left where a >= b.
            uint256 raw = (a | TOP_BITS) - b;
            uint256 larger = (raw & TOP_BITS) >> 43;
            uint256 smaller = larger ^ ONES;
            // Where a < b, raw is 2^43 - (b - a): negate it within 43 bits.
            return ((raw & ~TOP_BITS) ^ (smaller * ((1 << 43) - 1))) + smaller;
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

    function popcount(uint256 set) internal pure returns (uint256 size) {
        unchecked {
            // Bits by pairs, by fours, by bytes; then all bytes are added up in the top one of the low four.
            set -= set >> 1 & 0x55555555;
            set = (set & 0x33333333) + (set >> 2 & 0x33333333);
            set = (set + (set >> 4)) & 0x0f0f0f0f;
            size = (set * 0x01010101) >> 24 & 0xff;
        }
    }

    function max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
