"""What the figures were measured on: the machine, its load, and the versions of what is compared."""

import os
import platform
import re
import subprocess
from pathlib import Path


def _first_match(path, pattern):
    found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    return found.group(1) if found else "unknown"


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def load():
    """Load averages and the share of time in which something waited for a resource, as the kernel says."""
    lines = [f"loadavg: {Path('/proc/loadavg').read_text().strip()}"]
    for resource in ("cpu", "io", "memory"):
        path = Path("/proc/pressure") / resource
        try:
            lines.append(f"pressure, {resource}: {path.read_text().splitlines()[0]}")
        except OSError:
            lines.append(f"pressure, {resource}: the kernel does not say")
    return lines


def commit(root):
    """The commit that was measured, and whether files differ from it."""
    name = _output("git", "-C", str(root), "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return f"{name}, with uncommitted changes" if changed else name


def describe(anvil):
    """Pairs of a name and a value."""
    processor = _first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$")
    memory = int(_first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)")) / 1024**2
    engine = _output("docker", "version", "--format", "{{.Server.Version}}, command {{.Client.Version}}")
    return [
        ("processor", f"{processor}, {os.cpu_count()} of them"),
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Docker", engine),
        ("Anvil", _output(anvil, "--version").splitlines()[0]),
        ("Rust", _output("rustc", "--version")),
    ]
