"""The reference against the vectors that every implementation is held to: python3 -m unittest discover -s tests/reference"""

import hashlib
import json
import unittest
from pathlib import Path

from summary import word_of
from verdict import Run, Terms, Work, decide, unpack_fingerprint, unpack_summary

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
METHODS = ["hash", "kmeans", "ball", "near"]


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def terms(vector, method, **changed):
    names = ("confidence", "tolerance_kib", "relative_permille", "deterministic", "require_work", "cpu_permille")
    given = {name: vector[name] for name in names if name in vector}
    return Terms(**given | {"method": method} | changed)


def work(row, method):
    """A row of the older vectors: samples in order of time, which `ball` compares sorted, and no page faults."""
    _, samples, cpu = row
    if samples is None:
        return None
    return Work(tuple(sorted(samples) if method == "ball" else samples), cpu, 0)


def mask(runs):
    return sum(1 << run for run in runs)


def told(outcome):
    return {
        "outcome": "verdict" if outcome.verdict else "inconclusive",
        "accepted": outcome.accepted,
        "rejected": outcome.rejected,
        "absent": outcome.absent,
        "scores": {str(run): score for run, score in outcome.scores.items()},
        "note": outcome.note,
    }


class Reference(unittest.TestCase):
    def test_packed_cases_have_the_verdict_of_the_program(self):
        found = vectors("verdict-packed")
        self.assertEqual(len(found["cases"]), found["count"])
        for vector in found["cases"]:
            words = zip(vector["words"], vector["outputs"], vector["summaries"], vector["exit_codes"])
            runs = [
                Run(
                    output=int(output, 16) or None,
                    work=unpack_fingerprint(int(word, 16)),
                    summary=unpack_summary(int(summary, 16)),
                    exit_code=exit_code,
                )
                for word, output, summary, exit_code in words
            ]
            outcome = decide(terms(vector, METHODS[vector["method"]]), runs)
            with self.subTest(vector["name"]):
                masks = [mask(runs) for runs in (outcome.accepted, outcome.rejected, outcome.absent)]
                self.assertEqual(
                    [outcome.verdict, *masks],
                    [vector[key] for key in ("verdict", "accepted", "rejected", "absent")],
                )

    def test_random_cases_have_scores_and_verdict(self):
        cases = vectors("verdict-random")
        self.assertEqual(len(cases), 300)
        for number, vector in enumerate(cases):
            for method in ("kmeans", "ball"):
                runs = [Run(output=row[0] or None, work=work(row, method)) for row in vector["rows"]]
                with self.subTest(number, method=method):
                    self.assertEqual(told(decide(terms(vector, method), runs)), vector[method])

    def test_older_cases_have_scores_and_verdict(self):
        for vector in vectors("verdict-reference")["verdicts"]:
            # A row stands for as many nodes as its first number says, each with an output of its own.
            rows = [row for row in vector["rows"] for _ in range(row[0])]
            for key, method, relative in (("kmeans_0", "kmeans", 0), ("ball_300", "ball", 300), ("ball_0", "ball", 0)):
                runs = [Run(output=number, work=work(row, method)) for number, row in enumerate(rows, 1)]
                # Alone, a run's own output is a majority: the vector says what the scorer would.
                alone = {"note": "equal outputs", "scores": {}} if len(runs) == 1 else {}
                with self.subTest(vector["name"], method=method):
                    outcome = decide(terms(vector, method, relative_permille=relative), runs)
                    self.assertEqual(told(outcome), vector[key] | alone)

    def test_numbers_have_the_summary_word_of_the_program(self):
        found = vectors("summary")
        self.assertEqual(len(found["cases"]), found["count"])
        for vector in found["cases"]:
            with self.subTest(kinds=vector["kinds"], text=vector["text"]):
                self.assertEqual(word_of(vector["kinds"].split(","), vector["text"]), int(vector["word"], 16))

    def test_fingerprints_are_read_as_the_program_reads_them(self):
        found = vectors("fingerprint")
        self.assertEqual(len(found["unpack"]), found["unpack_count"])
        for vector in found["unpack"]:
            word = int(vector["word"], 16)
            with self.subTest(vector["word"]):
                if vector["dirty"]:
                    self.assertRaises(ValueError, unpack_fingerprint, word)
                elif vector["void"]:
                    self.assertIsNone(unpack_fingerprint(word))
                else:
                    row = tuple(vector["memory_kib"])
                    self.assertEqual(unpack_fingerprint(word), Work(row, vector["cpu_ms"], vector["faults"]))

    def test_the_seed_of_a_job_is_that_of_the_program(self):
        for vector in vectors("seed"):
            job = bytes.fromhex(vector["job"].removeprefix("0x"))
            digest = hashlib.sha256(b"assay seed v1\0" + job).digest()
            self.assertEqual(digest.hex(), vector["seed"])
            self.assertEqual(int.from_bytes(digest[:4], "big") & 0x7FFFFFFF, vector["seed32"])


if __name__ == "__main__":
    unittest.main()
