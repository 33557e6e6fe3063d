// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Fingerprints} from "../../src/Fingerprints.sol";
import {IJobScheduler} from "../../src/IJobScheduler.sol";

/// @title The verdict, written down naively from `docs/verification.md`
/// @notice Plain loops over samples, no lanes, no bitmaps inside, every count by counting. Runs are given in the order
/// of their seats.
library Reference {
    uint256 private constant SAMPLES = 10;

    struct Runs {
        uint256 asked;
        uint256 confidence;
        uint256 toleranceKib;
        uint256 permille;
        uint256 cpuPermille;
        uint256[] words;
        uint256[] keys;
    }

    /// What runs must agree in: outputs, equal or near by summary, and work.
    struct Relation {
        bool byOutput;
        bool withSummary;
        bool bySummary;
        bool byWork;
        bytes32[] outputs;
        uint256[] summaries;
    }

    /// The seats accepted over these openings; none when the job is inconclusive.
    function verdict(IJobScheduler.Terms memory t, IJobScheduler.SeatOpening[] memory all)
        internal
        pure
        returns (uint256 seats)
    {
        IJobScheduler.SeatOpening[] memory openings = withTheUsualExit(t, all);
        uint256 n = openings.length;
        Runs memory runs = Runs(
            t.concurrency,
            t.confidence,
            t.toleranceKib,
            t.relativePermille,
            t.cpuPermille,
            new uint256[](n),
            keys(all, openings)
        );
        for (uint256 i = 0; i < n; ++i) {
            runs.words[i] = uint256(openings[i].opening.fingerprint);
        }
        return seatsOf(openings, enough(runs, agreed(t, runs, openings)));
    }

    function agreed(
        IJobScheduler.Terms memory t,
        Runs memory runs,
        IJobScheduler.SeatOpening[] memory openings
    ) private pure returns (uint256) {
        if (t.method == IJobScheduler.Method.Near || t.requireWork) {
            return ball(runs, relationOf(t, openings));
        }
        for (uint256 i = 0; i < openings.length; ++i) {
            uint256 equal = 0;
            for (uint256 j = 0; j < openings.length; ++j) {
                if (openings[j].opening.resultHash == openings[i].opening.resultHash) equal |= 1 << j;
            }
            if (2 * count(equal) > t.concurrency) return equal;
        }
        if (t.deterministic || t.method == IJobScheduler.Method.Hash) return 0;
        return score(runs, t.method);
    }

    /// The openings that state the exit code which more than half of all that were asked state; none without such a code.
    function withTheUsualExit(IJobScheduler.Terms memory t, IJobScheduler.SeatOpening[] memory openings)
        private
        pure
        returns (IJobScheduler.SeatOpening[] memory kept)
    {
        for (uint256 i = 0; i < openings.length; ++i) {
            uint256 stating = 0;
            for (uint256 j = 0; j < openings.length; ++j) {
                if (openings[j].opening.exitCode == openings[i].opening.exitCode) ++stating;
            }
            if (2 * stating <= t.concurrency) continue;
            IJobScheduler.SeatOpening[] memory longer = new IJobScheduler.SeatOpening[](kept.length + 1);
            for (uint256 j = 0; j < kept.length; ++j) {
                longer[j] = kept[j];
            }
            longer[kept.length] = openings[i];
            kept = longer;
        }
    }

    function score(Runs memory runs, IJobScheduler.Method method) internal pure returns (uint256) {
        return enough(runs, method == IJobScheduler.Method.Ball ? ball(runs, work()) : kmeans(runs));
    }

    /// Work alone, as `ball` compares it.
    function work() private pure returns (Relation memory relation) {
        relation.byWork = true;
    }

    function relationOf(IJobScheduler.Terms memory t, IJobScheduler.SeatOpening[] memory openings)
        private
        pure
        returns (Relation memory relation)
    {
        uint256 n = openings.length;
        relation.byOutput = true;
        relation.withSummary = t.method == IJobScheduler.Method.Near;
        relation.bySummary = t.method == IJobScheduler.Method.Near && !t.deterministic;
        relation.byWork = t.requireWork;
        (relation.outputs, relation.summaries) = (new bytes32[](n), new uint256[](n));
        for (uint256 i = 0; i < n; ++i) {
            relation.outputs[i] = openings[i].opening.resultHash;
            relation.summaries[i] = uint256(openings[i].opening.summary);
        }
    }

    function keys(IJobScheduler.SeatOpening[] memory all, IJobScheduler.SeatOpening[] memory openings)
        private
        pure
        returns (uint256[] memory list)
    {
        bytes memory salts;
        list = new uint256[](openings.length);
        for (uint256 i = 0; i < all.length; ++i) {
            salts = bytes.concat(salts, all[i].opening.salt);
        }
        for (uint256 i = 0; i < openings.length; ++i) {
            list[i] = uint256(keccak256(abi.encodePacked(keccak256(salts), openings[i].node)));
        }
    }

    function seatsOf(IJobScheduler.SeatOpening[] memory openings, uint256 runs)
        private
        pure
        returns (uint256 seats)
    {
        for (uint256 i = 0; i < openings.length; ++i) {
            if (runs >> i & 1 != 0) seats |= 1 << openings[i].seat;
        }
    }

    function enough(Runs memory runs, uint256 set) private pure returns (uint256) {
        return 2 * count(set) > runs.asked && count(set) >= runs.confidence ? set : 0;
    }

    function count(uint256 set) internal pure returns (uint256 size) {
        for (; set != 0; set >>= 1) {
            size += set & 1;
        }
    }

    // Balls.

    /// Whether two summaries agree: each of ten numbers of 25 bits within 64 of the other, on a circle.
    function isNear(uint256 a, uint256 b) internal pure returns (bool) {
        if (a == type(uint256).max || b == type(uint256).max) return false;
        for (uint256 k = 0; k < 10; ++k) {
            uint256 difference = apart(a >> (25 * k) & (2 ** 25 - 1), b >> (25 * k) & (2 ** 25 - 1));
            if (difference > 64 && 2 ** 25 - difference > 64) return false;
        }
        return true;
    }

    /// Whether two runs agree in everything that they must.
    function agreeIn(Relation memory relation, Runs memory runs, uint256 i, uint256 j, uint256 most)
        private
        pure
        returns (bool)
    {
        if (relation.byOutput) {
            bool isSame = relation.outputs[i] == relation.outputs[j];
            if (relation.withSummary) isSame = isSame && relation.summaries[i] == relation.summaries[j];
            bool near = relation.bySummary && isNear(relation.summaries[i], relation.summaries[j]);
            if (!isSame && !near) return false;
        }
        return !relation.byWork || agree(runs, runs.words[i], runs.words[j], most);
    }

    /// Whether two runs agree at this tolerance: ten times what their means may differ by, in thousandths of a KiB.
    function agree(Runs memory runs, uint256 a, uint256 b, uint256 most) internal pure returns (bool) {
        (uint256 x, uint256 y) = (Fingerprints.cpuMs(a), Fingerprints.cpuMs(b));
        uint256 cpu = 1000 * apart(x, y);
        if (1000 * between(a, b) > most || cpu > larger(1000 * 200, runs.cpuPermille * larger(x, y))) {
            return false;
        }
        (x, y) = (faultsOf(a), faultsOf(b));
        return 5 * apart(x, y) <= larger(3000, larger(x, y));
    }

    /// Page faults, by the definition of their code.
    function faultsOf(uint256 word) internal pure returns (uint256) {
        uint256 code = word / 2 ** 232 % 2 ** 20;
        (uint256 exponent, uint256 fraction) = (code / 2 ** 15, code % 2 ** 15);
        return exponent == 0 ? fraction : (2 ** 15 + fraction) * 2 ** (exponent - 1);
    }

    /// The tolerance of `ball`: of the lower median of the sums of samples.
    function tolerance(Runs memory runs) internal pure returns (uint256) {
        uint256[] memory levels = new uint256[](runs.words.length);
        uint256 n = 0;
        for (uint256 i = 0; i < runs.words.length; ++i) {
            if (runs.words[i] != Fingerprints.VOID) levels[n++] = between(runs.words[i], 0);
        }
        for (uint256 i = 0; i < n; ++i) {
            // The level that (n - 1) / 2 others precede.
            uint256 before = 0;
            for (uint256 j = 0; j < n; ++j) {
                if (levels[j] < levels[i] || (levels[j] == levels[i] && j < i)) ++before;
            }
            if (before == (n - 1) / 2) {
                return larger(10_000 * runs.toleranceKib, runs.permille * levels[i]);
            }
        }
        return 0;
    }

    function ball(Runs memory runs, Relation memory relation) internal pure returns (uint256 best) {
        uint256 most = relation.byWork ? tolerance(runs) : 0;
        uint256 bestSpread = 0;
        uint256 bestKey = 0;
        for (uint256 i = 0; i < runs.words.length; ++i) {
            (uint256 members, uint256 spread) = around(relation, runs, i, most);
            bool isBetter = count(members) > count(best);
            if (members != 0 && count(members) == count(best)) {
                isBetter = spread < bestSpread || (spread == bestSpread && runs.keys[i] < bestKey);
            }
            if (isBetter) (best, bestSpread, bestKey) = (members, spread, runs.keys[i]);
        }
    }

    /// The ball around a run, and how far its members are from it in memory, if that is compared.
    function around(Relation memory relation, Runs memory runs, uint256 i, uint256 most)
        private
        pure
        returns (uint256 members, uint256 spread)
    {
        if (relation.byWork && runs.words[i] == Fingerprints.VOID) return (0, 0);
        for (uint256 j = 0; j < runs.words.length; ++j) {
            if (relation.byWork && runs.words[j] == Fingerprints.VOID) continue;
            if (!agreeIn(relation, runs, i, j, most)) continue;
            members |= 1 << j;
            if (relation.byWork) spread += between(runs.words[i], runs.words[j]);
        }
    }

    // `kmeans`.

    function kmeans(Runs memory runs) private pure returns (uint256 near) {
        for (uint256 i = 0; i < runs.words.length; ++i) {
            if (runs.words[i] != Fingerprints.VOID) near |= 1 << i;
        }
        while (true) {
            uint256 low = lowOf(runs, near);
            if (low == near) break;
            uint256 most = allowed(runs, low, count(low));
            if (1000 * total(runs, near & ~low, low) < most * count(near & ~low)) break;
            near = low;
            if (2 * count(near) <= runs.asked) return 0;
        }
        uint256 spread = total(runs, near, near);
        if (spread > 0 && 1000 * spread >= allowed(runs, near, count(near) ** 2)) return 0;
    }

    /// The larger of the absolute tolerance and of what is relative to the level of a set; `weight` is the size of
    /// the set, or its square, in which the level counts as often.
    function allowed(Runs memory runs, uint256 set, uint256 weight) private pure returns (uint256) {
        uint256 level = 0;
        for (uint256 i = 0; i < runs.words.length; ++i) {
            if (set >> i & 1 != 0) level += between(runs.words[i], 0);
        }
        if (weight != count(set)) level *= count(set);
        return larger(10_000 * runs.toleranceKib * weight, runs.permille * level);
    }

    /// How far the runs of a set are from the mean of another, in 10 x its size.
    function total(Runs memory runs, uint256 set, uint256 centre) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < runs.words.length; ++i) {
            if (set >> i & 1 != 0) sum += fromMean(runs, i, centre);
        }
    }

    function fromMean(Runs memory runs, uint256 run, uint256 centre) private pure returns (uint256 sum) {
        for (uint256 k = 0; k < SAMPLES; ++k) {
            uint256 column = 0;
            for (uint256 i = 0; i < runs.words.length; ++i) {
                if (centre >> i & 1 != 0) column += Fingerprints.sampleKib(runs.words[i], k);
            }
            sum += apart(count(centre) * Fingerprints.sampleKib(runs.words[run], k), column);
        }
    }

    /// A group near the mean, how uneven it makes the cut, and the gain of the cut as a fraction.
    struct Cut {
        uint256 low;
        uint256 uneven;
        uint256 gain;
        uint256 weight;
    }

    /// The group near the mean: of every cut between two different distances the one with the largest gain, the more
    /// uneven, the larger. All of them when no two differ.
    function lowOf(Runs memory runs, uint256 near) private pure returns (uint256) {
        Cut memory best = Cut(near, 0, 0, 0);
        for (uint256 last = 0; last < runs.words.length; ++last) {
            if (near >> last & 1 == 0) continue;
            Cut memory cut = cutAt(runs, near, fromMean(runs, last, near));
            if (cut.low != near && (best.low == near || beats(cut, best))) best = cut;
        }
        return best.low;
    }

    function beats(Cut memory a, Cut memory b) private pure returns (bool) {
        (uint256 left, uint256 right) = (a.gain * b.weight, b.gain * a.weight);
        if (left != right) return left > right;
        if (a.uneven != b.uneven) return a.uneven > b.uneven;
        return count(a.low) > count(b.low);
    }

    function cutAt(Runs memory runs, uint256 near, uint256 most) private pure returns (Cut memory cut) {
        uint256 sum;
        (cut.low, sum) = upTo(runs, near, most);
        (uint256 n, uint256 i) = (count(near), count(cut.low));
        cut.uneven = larger(i, n - i);
        cut.weight = i * (n - i);
        cut.gain = (i * total(runs, near, near) - n * sum) ** 2;
    }

    /// The runs of a set that are no further from its mean than `most`, and the sum of their distances.
    function upTo(Runs memory runs, uint256 near, uint256 most)
        private
        pure
        returns (uint256 low, uint256 sum)
    {
        for (uint256 i = 0; i < runs.words.length; ++i) {
            if (near >> i & 1 == 0) continue;
            uint256 own = fromMean(runs, i, near);
            if (own <= most) (low, sum) = (low | 1 << i, sum + own);
        }
    }

    // Arithmetic.

    /// The sum of what the samples of two words differ by, in KiB.
    function between(uint256 a, uint256 b) internal pure returns (uint256 sum) {
        for (uint256 k = 0; k < SAMPLES; ++k) {
            sum += apart(Fingerprints.sampleKib(a, k), Fingerprints.sampleKib(b, k));
        }
    }

    function apart(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? b - a : a - b;
    }

    function larger(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
