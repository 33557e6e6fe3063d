"""Asks a Docker engine over its API: ping, has-image NAME, load (an image archive on stdin).

Standard library only. Honours DOCKER_HOST (unix:// and tcp://); otherwise the default socket.
Exit codes: 0 yes or done, 1 no, or the reason on stderr.
"""

import http.client
import json
import os
import socket
import sys
import urllib.parse

DEFAULT = "unix:///var/run/docker.sock"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connect(host, timeout):
    url = urllib.parse.urlsplit(host)
    if url.scheme == "unix":
        return UnixConnection(url.path, timeout)
    if url.scheme in ("tcp", "http"):
        return http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=timeout)
    raise OSError(f"{url.scheme}:// is not understood here")


def ask(host, method, path, body=None, timeout=5):
    """The status and the body of one answer."""
    connection = connect(host, timeout)
    headers = {} if body is None else {"Content-Type": "application/x-tar"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def ping(host):
    status, body = ask(host, "GET", "/version")
    if status != 200:
        sys.exit(f"{host} answers with status {status}")
    version = json.loads(body)
    print(f"{version['Version']} at {host}")


def has_image(host, name):
    status, _ = ask(host, "GET", f"/images/{name}/json")
    sys.exit(0 if status == 200 else 1)


def load(host):
    status, body = ask(host, "POST", "/images/load?quiet=1", sys.stdin.buffer.read(), timeout=120)
    # A refusal in the middle of the work comes as a line of the body, with status 200.
    if status != 200 or b'"error"' in body:
        sys.exit(f"{host} refuses the image: {body.decode(errors='replace').strip()}")


def main():
    host = os.environ.get("DOCKER_HOST") or DEFAULT
    try:
        {"ping": ping, "has-image": has_image, "load": load}[sys.argv[1]](host, *sys.argv[2:])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        sys.exit(f"{host} does not answer: {error}")


if __name__ == "__main__":
    main()
