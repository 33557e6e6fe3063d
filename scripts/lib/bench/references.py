"""What Assay is compared with, each as its own documentation says to use it."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import engine as docker_api

from .processes import Failed, Server, run

IMAGE = "assay/demo:1"
HERE = Path(__file__).resolve().parent


def docker_run():
    """One container by the command line."""
    run("docker", "run", "--rm", "--network", "none", IMAGE, "true")


def docker_run_three():
    """Three containers by the command line, at once."""
    run("xargs", "-P3", "-I{}", "docker", "run", "--rm", "--network", "none", IMAGE, "true", input=b"1\n2\n3\n")


def docker_version():
    """One round trip to the engine by the command line."""
    run("docker", "version")


# What `src/executor/docker/config.rs` asks for each container of a job that asks for nothing special, but for
# its user and its directory of outputs.
CONFINED = {
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "rw,nosuid,nodev,size=67108864,mode=1777,uid=65534"},
    "Memory": 512 << 20,
    "MemorySwap": 512 << 20,
    "NanoCpus": 1_000_000_000,
    "PidsLimit": 257,
    "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "fsize", "Soft": 1 << 30, "Hard": 1 << 30}],
    "Init": True,
}


class DockerApi:
    """Containers over the engine's API, with one kept connection for each that runs at the same time.

    Create, start, wait, remove; no network, and no log on the engine's side. With `confined`, also what Assay asks of
    the engine so that a container can do no harm.
    """

    def __init__(self, confined=False):
        self.host = os.environ.get("DOCKER_HOST") or docker_api.DEFAULT
        self.own = threading.local()
        self.restrictions = CONFINED if confined else {}

    def _ask(self, method, path, body=None):
        if not hasattr(self.own, "connection"):
            self.own.connection = docker_api.connect(self.host, 120)
        headers = {"Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        self.own.connection.request(method, path, text, headers)
        answer = self.own.connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise Failed(f"the engine answers {method} {path} with {answer.status}: {content[:200]}")
        return json.loads(content) if content else {}

    def container(self, _number):
        host = {"NetworkMode": "none", "LogConfig": {"Type": "none"}, **self.restrictions}
        body = {"Image": IMAGE, "Cmd": ["true"], "NetworkDisabled": True, "HostConfig": host}
        name = self._ask("POST", "/containers/create", body)["Id"]
        self._ask("POST", f"/containers/{name}/start")
        self._ask("POST", f"/containers/{name}/wait")
        self._ask("DELETE", f"/containers/{name}")

    def backlog(self, count, at_once):
        """Seconds for so many containers."""
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(self.container, range(count)))
        return time.perf_counter() - begun


@contextlib.contextmanager
def celery(python):
    """A Celery worker over Redis, and a client of it: a server that takes `run COUNT WINDOW`.

    Redis listens on a Unix socket and writes nothing to disk, which is the fastest that it can be.
    """
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as scratch:
        socket = Path(scratch, "redis.sock")
        redis = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        # A worker may be run by root only if that is said.
        environment = {"BENCH_REDIS": f"redis+socket://{socket}", "PYTHONPATH": str(HERE), "C_FORCE_ROOT": "1"}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = []
        try:
            started.append(subprocess.Popen([*redis, "--dir", scratch], **quiet))
            deadline = time.monotonic() + 20
            while not socket.exists():
                if time.monotonic() > deadline:
                    raise Failed("redis-server does not start")
                time.sleep(0.02)
            worker = [python, "-m", "celery", "-A", "celery_noop", "worker", "--concurrency", "3", "--without-gossip"]
            worker += ["--without-mingle", "--loglevel", "ERROR"]
            started.append(subprocess.Popen(worker, cwd=scratch, env={**os.environ, **environment}, **quiet))
            with Server([python, HERE / "celery_noop.py"], environment) as client:
                yield client
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
