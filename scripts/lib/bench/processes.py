"""Programs that are started for a measurement, spoken to over their standard input, and always ended."""

import contextlib
import json
import os
import select
import subprocess
import time


class Failed(Exception):
    """A program did not do as it should; the text says which and how."""


class Server:
    """A program that prints one line of JSON when it is ready, and one for each line that it is given."""

    def __init__(self, command, environment=None, patience=180):
        self.command, self.patience = [str(word) for word in command], patience
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self._rest = b""
        try:
            self.ready = self._answer()
        except BaseException:
            self.kill()
            raise
        self.seconds_to_ready = time.perf_counter() - begun

    def ask(self, *words, patience=None):
        self.process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())
        self.process.stdin.flush()
        return self._answer(patience)

    def _answer(self, patience=None):
        deadline = time.monotonic() + (patience or self.patience)
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"{' '.join(self.command)} is silent for {patience or self.patience} s")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                raise Failed(f"{' '.join(self.command)} ended; what it said is above")
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def cpu_seconds(self):
        """CPU time of all its threads since its start, in ticks of the kernel; not that of programs that it started."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split(" ")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Ends it in order, by the end of its input; returns when it is gone."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Devstack:
    """`assay devstack`, the program itself."""

    def __init__(self, assay, nodes, scheduler):
        command = [assay, "--output", "json", "devstack", "--nodes", nodes, "--scheduler", scheduler]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if not select.select([self.process.stdout], [], [], 120)[0]:
            self.stop()
            raise Failed("assay devstack is not ready after two minutes")
        document, rest = b"", b" "
        # The document is the first that is whole: it may be spread over lines.
        while rest:
            rest = os.read(self.process.stdout.fileno(), 1 << 16)
            document += rest
            with contextlib.suppress(ValueError):
                self.api = json.loads(document)["api"]
                return
        self.stop()
        raise Failed("assay devstack ended before it was ready")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run(*command, environment=None, patience=120, input=None):
    """Runs a command to its end; its output is dropped unless it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        capture_output=True,
        timeout=patience,
        input=input,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise Failed(f"{' '.join(words)} ended with {done.returncode}: {' '.join(said)}")
