"""The client against a real devstack, with one liar. ASSAY names the program."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from assay_client import Assay, AssayError, AsyncAssay, ConnectionLost, JobFailed, Refused, Result

PROGRAM = os.environ["ASSAY"]
ECHO = ["echo", "hello"]


class WithADevstack(unittest.TestCase):
    home: tempfile.TemporaryDirectory[str]
    devstack: subprocess.Popen[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.home = tempfile.TemporaryDirectory()
        os.environ["XDG_STATE_HOME"] = cls.home.name
        words = [PROGRAM, "--output", "json", "devstack", "--nodes", "3", "--bad-actors", "1"]
        cls.devstack = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(cls.stop)
        assert cls.devstack.stdout
        # One document, when all nodes are ready.
        told = ""
        for line in cls.devstack.stdout:
            told += line
            if line == "}\n":
                break
        cls.liar = next(node["id"] for node in json.loads(told)["nodes"] if node["fault"])

    @classmethod
    def stop(cls) -> None:
        cls.devstack.send_signal(signal.SIGINT)
        cls.devstack.wait()
        assert cls.devstack.stdout
        cls.devstack.stdout.close()
        cls.home.cleanup()

    liar: str

    def test_a_result_has_output_files_and_the_reason_for_each_run(self) -> None:
        with Assay() as assay:
            job = assay.submit("assay/demo:1", ECHO, concurrency=3, confidence=2)
            result = job.result()
            self.assertEqual((result.text, result.exit_code, result.state), ("hello\n", 0, "verified"))
            [rejected] = result.rejected
            self.assertEqual(rejected.node, self.liar)
            self.assertIn("its output differs from the majority's", rejected.reason or "")
            files = job.files()
            self.assertEqual(files["stdout"], b"hello\n")
            self.assertTrue(files["trace.csv"].startswith(b"t_ms,"))
            self.assertTrue(job.plot().startswith("<svg"))
            self.assertEqual(assay.job(job.id[:12]).id, job.id)
            self.assertIn(job.id, [row["job"] for row in assay.jobs(states=["verified"])])
            self.assertEqual(len(assay.nodes()), 3)

    def test_many_commands_run_as_one_group_and_come_back_in_order(self) -> None:
        with Assay() as assay:
            commands = [["sh", "-c", f"echo $(({number} * {number}))"] for number in range(4)]
            ended = list(assay.map("assay/demo:1", commands, max_parallel=2))
            self.assertEqual([result.text for result in ended if isinstance(result, Result)], ["0\n", "1\n", "4\n", "9\n"])
            first = ended[0]
            assert isinstance(first, Result)
            group = first.view["spec"]["environment"]["SWEEP_GROUP"]
            self.assertEqual(len(assay.jobs(group=group)), 4)

    def test_a_job_without_a_result_says_why(self) -> None:
        with Assay() as assay:
            job = assay.submit("assay/demo:1", ECHO, deal={"allow_list": [f"0x{'11' * 20}"]}, concurrency=1, confidence=1)
            with self.assertRaises(TimeoutError):
                job.wait(timeout=0)
            job.cancel()
            with self.assertRaises(JobFailed) as failed:
                job.result()
            self.assertEqual(failed.exception.result.state, "cancelled")
            with self.assertRaises(AssayError):
                job.files()

    def test_what_the_node_refuses_is_told_with_its_hint(self) -> None:
        with Assay() as assay:
            with self.assertRaises(Refused) as refused:
                assay.submit("assay/demo:1", ECHO, concurrency=2, confidence=3)
            self.assertEqual(refused.exception.code, "invalid_deal")
            with self.assertRaises(Refused) as refused:
                assay.job("0" * 64)
            self.assertEqual(refused.exception.code, "no_such_job")
            with self.assertRaises(TypeError):
                assay.submit("assay/demo:1", "echo hello")
        with Assay("http://127.0.0.1:9") as nobody, self.assertRaises(ConnectionLost):
            nobody.nodes()

    def test_a_token_file_that_others_can_read_is_refused(self) -> None:
        path = Path(self.home.name) / "exposed"
        path.write_text("00")
        path.chmod(0o644)
        with Assay(token_file=path) as assay, self.assertRaisesRegex(AssayError, "chmod 600"):
            assay.nodes()

    def test_asyncio_has_the_same(self) -> None:
        async def use() -> None:
            async with AsyncAssay() as assay:
                job = await assay.submit("assay/demo:1", ECHO)
                self.assertEqual((await job.result(timeout=60)).text, "hello\n")
                self.assertEqual(await job.state(), "verified")
                self.assertEqual((await job.files())["stdout"], b"hello\n")
                self.assertTrue((await job.plot()).startswith("<svg"))
                self.assertIn(job.id, [row["job"] for row in await assay.jobs(states=["verified"])])
                self.assertEqual(len(await assay.nodes()), 3)
                mapped = assay.map("assay/demo:1", [["echo", str(number)] for number in range(3)])
                texts = [result.text async for result in mapped if isinstance(result, Result)]
                self.assertEqual(texts, ["0\n", "1\n", "2\n"])

        asyncio.run(use())

    def test_the_example_runs(self) -> None:
        before = Path.cwd()
        example = Path(__file__).parent.parent / "examples" / "traces.py"
        os.chdir(self.home.name)
        try:
            runpy.run_path(str(example))
            self.assertTrue(Path("runs.svg").read_text().startswith("<svg"))
        finally:
            os.chdir(before)


if __name__ == "__main__":
    unittest.main()
