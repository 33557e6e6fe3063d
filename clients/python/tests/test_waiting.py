"""Both clients against a node that answers as it is told, for what a real node seldom does: break, go away, come back."""

from __future__ import annotations

import asyncio
import inspect
import json
import tempfile
import threading
import unittest
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from assay_client import Assay, AssayError, AsyncAssay, AsyncJob, ConnectionLost, Job, JobFailed, Refused, wire

JOB = "0x" + "a1" * 32
DEFAULTS: dict[str, Any] = {"resources": {}, "deal": {}}

KINDS: tuple[Any, ...] = (Assay, AsyncAssay)

Reply = tuple[int, Any]


def view(state: str, **other: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"broken": None, "requester_gone": False, "failure": None, "seats": [], "deadlines": [], "now": 100}
    return {"job": JOB, "state": state, **usual, **other}


def refusal(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "hint": None}}


class Node:
    """Answers each path with its replies in turn, the last one again and again. `None`: hangs up; `...`: says nothing more."""

    def __init__(self, **replies: list[Reply | None]) -> None:
        usual: dict[str, list[Reply | None]] = {
            "job": [(200, view("verified"))],
            "events": [(200, "")],
            "output": [(200, "hello")],
        }
        self.replies = {**usual, **replies}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.over = threading.Event()
        self.server: ThreadingHTTPServer | None = None
        self.start(0)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, port: int) -> None:
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                node.answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.over.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        words = request.path.split("?")[0].removeprefix("/api/v1/").split("/")
        name = "submit" if request.command == "POST" else words[2] if len(words) > 2 else "list" if words == ["jobs"] else {"jobs": "job"}.get(words[0], words[0])
        self.asked.append((name, request.headers.get("Authorization"), request.headers.get("Idempotency-Key")))
        told = self.replies[name]
        reply = told.pop(0) if len(told) > 1 else told[0]
        if reply is None:
            return
        status, body = reply
        request.send_response(status)
        request.end_headers()
        if body is ...:
            request.wfile.flush()
            self.over.wait()
        else:
            request.wfile.write(body.encode() if isinstance(body, str) else json.dumps(body).encode())

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _, _ in self.asked)


async def value(of: Any) -> Any:
    """What a method of either client returns."""
    return await of if inspect.isawaitable(of) else of


class BothClients(unittest.TestCase):
    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        patches: list[Any] = [
            mock.patch.dict("os.environ", {"XDG_STATE_HOME": home.name}),
            mock.patch.object(wire, "PAUSE", 0.01),
            mock.patch.object(wire, "LOOK", 0.05),
        ]
        for patch in patches:
            patch.start()
            self.addCleanup(patch.stop)

    def each(
        self,
        story: Callable[[Any, Node], Awaitable[None]],
        node: Callable[[], Node],
        *,
        token: Path | None = None,
        at_pause: Callable[[Node], None] | None = None,
    ) -> None:
        """Tells a story of each client, with a node of its own; `at_pause` is what happens while the client waits."""
        for kind in KINDS:
            with self.subTest(kind.__name__):
                self.tell(kind, story, node(), token, at_pause or (lambda _: None))

    def tell(
        self,
        kind: Any,
        story: Callable[[Any, Node], Awaitable[None]],
        node: Node,
        token: Path | None,
        at_pause: Callable[[Node], None],
    ) -> None:
        self.pauses = mock.Mock()

        def blocking(_: Any) -> None:
            self.pauses()
            at_pause(node)

        async def awaited(_: Any) -> None:
            blocking(_)

        async def whole() -> None:
            client = kind(node.address, token)
            await story(client, node)
            await value(client.close())

        try:
            with mock.patch.object(kind, "_pause", blocking if kind is Assay else awaited):
                asyncio.run(asyncio.wait_for(whole(), 20))
        finally:
            node.stop()

    def test_a_list_is_read_page_by_page(self) -> None:
        rows = [{"job": f"{number:04}"} for number in range(2500)]
        ids = [{"id": f"0x{number:040x}"} for number in range(2500)]

        async def story(assay: Any, node: Node) -> None:
            self.assertEqual(await value(assay.jobs(limit=None)), rows)
            self.assertEqual(await value(assay.nodes()), ids)
            self.assertEqual((node.count("list"), node.count("nodes")), (4, 3))

        def paged() -> Node:
            # A page may be short before the last one, even empty.
            pages: list[Reply | None] = [
                (200, {"jobs": rows[:1000], "next": "a"}),
                (200, {"jobs": rows[1000:1900], "next": "b"}),
                (200, {"jobs": [], "next": "c"}),
                (200, {"jobs": rows[1900:], "next": None}),
            ]
            return Node(list=pages, nodes=[(200, ids[:1000]), (200, ids[1000:2000]), (200, ids[2000:])])

        self.each(story, paged)

    def test_a_node_that_gives_a_page_again_is_not_asked_for_ever(self) -> None:
        async def story(assay: Any, node: Node) -> None:
            for ask, limit in ((assay.jobs, {"limit": None}), (assay.nodes, {})):
                with self.assertRaises(AssayError) as failed:
                    await value(ask(**limit))
                self.assertIn("again", str(failed.exception))
            self.assertEqual((node.count("list"), node.count("nodes")), (3, 2))

        def round_and_round() -> Node:
            ids = [{"id": f"0x{number:040x}"} for number in range(1000)]
            pages: list[Reply | None] = [(200, {"jobs": [{"job": "x"}], "next": after}) for after in ("a", "b", "a")]
            return Node(list=pages, nodes=[(200, ids), (200, ids)])

        self.each(story, round_and_round)

    def test_a_limit_ends_a_list_within_a_page(self) -> None:
        async def story(assay: Any, node: Node) -> None:
            self.assertEqual(await value(assay.jobs(limit=1500)), [{"job": "x"}] * 1500)
            self.assertEqual(node.count("list"), 2)

        def paged() -> Node:
            return Node(list=[(200, {"jobs": [{"job": "x"}] * 1000, "next": "a"}), (200, {"jobs": [{"job": "x"}] * 500, "next": "b"})])

        self.each(story, paged)

    def test_both_have_the_same_methods_with_the_same_parameters(self) -> None:
        def public(kind: type) -> dict[str, list[str]]:
            names = [name for name in dir(kind) if not name.startswith("_")]
            return {name: list(inspect.signature(getattr(kind, name)).parameters) for name in names}

        self.assertEqual(public(Assay), public(AsyncAssay))
        self.assertEqual(public(Job), public(AsyncJob))

    def test_a_job_that_its_node_cannot_follow_is_waited_for_no_longer(self) -> None:
        ends: list[tuple[dict[str, Any], str]] = [({"broken": "the log forks"}, "the log forks"), ({"requester_gone": True}, "not final")]
        for other, why in ends:
            # The stream says nothing and does not end.
            replies: list[Reply | None] = [(200, view("running")), (200, view("running")), (200, view("running", **other))]

            async def story(client: Any, node: Node, why: str = why) -> None:
                job = await value(client.job(JOB))
                with self.assertRaises(JobFailed) as failed:
                    await value(job.result(10))
                self.assertIn("is running", str(failed.exception))
                self.assertIn(why, str(failed.exception))
                self.assertTrue(failed.exception.result.is_open)

            self.each(story, lambda replies=replies: Node(job=[*replies], events=[(200, ...)]))  # type: ignore[misc]

    def test_a_job_is_waited_for_until_its_last_deadline_and_a_margin_on_our_clock(self) -> None:
        limit = wire.Limit(None)

        def is_overdue(ours: float, theirs: int, *deadlines: int) -> bool:
            due = view("running", now=theirs, deadlines=[{"at": at} for at in deadlines])
            with mock.patch("time.monotonic", lambda: ours):
                return limit.is_overdue(due)

        # A clock of the node that stands still moves nothing.
        seen = [is_overdue(ours, 100, 110, 160) for ours in (1000, 1179, 1181)]
        self.assertEqual(seen, [False, False, True])
        # The next phase has a later deadline.
        seen = [is_overdue(ours, 150, 200) for ours in (1190, 1359, 1361)]
        self.assertEqual(seen, [False, False, True])

        async def story(client: Any, _: Node) -> None:
            job = await value(client.job(JOB))
            with mock.patch.object(wire, "OVERDUE", 0.1), self.assertRaisesRegex(JobFailed, "is running: overdue"):
                await value(job.result(10))

        self.each(story, lambda: Node(job=[(200, view("running"))]))

    def test_a_stream_that_ends_early_or_is_busy_is_followed_again_after_a_pause(self) -> None:
        async def story(client: Any, node: Node) -> None:
            job = await value(client.job(JOB))
            self.assertEqual((await value(job.wait(10))).text, "hello")
            self.assertEqual((node.count("events"), self.pauses.call_count), (3, 3))

        live: list[Reply | None] = [(200, view("running"))] * 4
        events: list[Reply | None] = [(200, "data: 1\n\n"), (503, refusal("busy")), (200, "")]
        self.each(story, lambda: Node(job=[*live, (200, view("verified"))], events=[*events]))

    def test_a_stream_that_is_refused_is_an_error(self) -> None:
        async def story(client: Any, _: Node) -> None:
            job = await value(client.job(JOB))
            with self.assertRaises(Refused) as refused:
                await value(job.wait(10))
            self.assertEqual(refused.exception.code, "no_such_job")

        self.each(story, lambda: Node(job=[(200, view("open"))], events=[(404, refusal("no_such_job"))]))

    def test_a_wait_is_over_in_time(self) -> None:
        async def story(client: Any, _: Node) -> None:
            job = await value(client.job(JOB))
            with self.assertRaisesRegex(TimeoutError, "running after 0.2 s"):
                await value(job.wait(0.2))

        self.each(story, lambda: Node(job=[(200, view("running"))], events=[(200, ...)]))

    def test_a_node_that_starts_again_is_waited_for(self) -> None:
        def at_pause(node: Node) -> None:
            if not node.server:
                node.start(node.port)

        async def story(client: Any, node: Node) -> None:
            job = await value(client.job(JOB))
            node.stop()
            self.assertEqual((await value(job.wait(10))).text, "hello")

        self.each(story, Node, at_pause=at_pause)

    def test_a_node_that_never_answered_is_not_waited_for_and_one_that_did_not_for_ever(self) -> None:
        def at_pause(_: Node) -> None:
            # As if the time had passed.
            wire.PATIENCE = -1.0 if self.pauses.call_count == 3 else 60.0

        async def story(client: Any, node: Node) -> None:
            await value(client.job(JOB))
            node.stop()
            with mock.patch.object(wire, "PATIENCE", 60.0), self.assertRaises(ConnectionLost):
                await value(client.job(JOB))
            self.assertEqual(self.pauses.call_count, 3)
            stranger = type(client)(node.address)
            with self.assertRaises(ConnectionLost):
                await value(stranger.job(JOB))
            self.assertEqual(self.pauses.call_count, 3)
            await value(stranger.close())

        self.each(story, Node, at_pause=at_pause)

    def test_a_token_is_waited_for_while_the_node_starts_again(self) -> None:
        token = self.home / "token"

        def write(text: str) -> None:
            token.write_text(text)
            token.chmod(0o600)

        async def story(client: Any, node: Node) -> None:
            await value(client.job(JOB))
            token.unlink()
            await value(client.job(JOB))
            # The token is that of before, and the node refuses it.
            self.assertEqual((await value(client.job(JOB))).id, JOB)
            told = [authorization for _, authorization, _ in node.asked]
            self.assertEqual(told, ["Bearer old", "Bearer new", "Bearer new", "Bearer new"])
            token.unlink()
            stranger = type(client)(node.address, token)
            with self.assertRaises(ConnectionLost):
                await value(stranger.job(JOB))
            await value(stranger.close())
            write("old")

        write("old")
        known: Reply = (200, view("verified"))
        self.each(
            story,
            lambda: Node(job=[known, known, (401, refusal("unauthorized")), known]),
            token=token,
            at_pause=lambda _: write("new"),
        )

    def test_a_submission_whose_answer_is_lost_is_sent_again_under_its_key(self) -> None:
        async def story(client: Any, node: Node) -> None:
            self.assertEqual((await value(client.submit("image", ["echo"]))).id, JOB)
            keys = [key for name, _, key in node.asked if name == "submit"]
            self.assertEqual(len(keys), 2)
            self.assertEqual(len({*keys}), 1)

        self.each(story, lambda: Node(defaults=[(200, DEFAULTS)], submit=[None, (200, {"job": JOB})]))

    def test_a_map_asks_for_no_more_commands_than_may_run(self) -> None:
        async def story(client: Any, _: Node) -> None:
            taken = 0

            def commands() -> Any:
                nonlocal taken
                for number in range(50):
                    taken += 1
                    yield ["echo", str(number)]

            ended = client.map("image", commands(), max_parallel=2)
            for seen in range(1, 4):
                result = next(ended) if isinstance(client, Assay) else await anext(ended)
                self.assertEqual(result.text, "hello")
                self.assertLessEqual(taken, seen + 1)
            await value(ended.close() if isinstance(client, Assay) else ended.aclose())
            none = client.map("image", [["echo"]], max_parallel=0)
            with self.assertRaises(ValueError):
                await value(next(none) if isinstance(client, Assay) else anext(none))

        self.each(story, lambda: Node(defaults=[(200, DEFAULTS)], submit=[(200, {"job": JOB})]))


if __name__ == "__main__":
    unittest.main()
