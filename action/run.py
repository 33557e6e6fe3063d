"""Submits the job of this step, waits for its verdict and fails if nodes disagree. Reads INPUT_*, as action.yml sets them.

Words from nodes and containers are never printed as they are: a line that begins with `::` would be a command to GitHub.
"""

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile

# The program's own exit codes: no result to keep, and a wrong command line.
DISAGREEMENT = 121
UNUSABLE = 2

# The step waits for the verdict of what it submits.
OTHER = ["-d", "--detach", "--dry-run", "--output-dir", "-o", "--output"]

MARKDOWN = str.maketrans({char: f"&#{ord(char)};" for char in "&<>|`[]*_\\"})


class Unusable(Exception):
    """The step's inputs do not make a job: what is wrong, and what to do."""


def given(name):
    return os.environ.get("INPUT_" + name, "").strip()


def words(name):
    try:
        return shlex.split(given(name))
    except ValueError as error:
        raise Unusable(f"`{name.lower()}` is not a list of words: {error}; close each quote") from None


def allows_rejected():
    value = given("ALLOW_REJECTED")
    if value not in ("", "true", "false"):
        raise Unusable(f"`allow-rejected` is {value!r}; it must be true or false")
    return value == "true"


def submission():
    """The words of the command."""
    image, file = given("IMAGE"), given("FILE")
    if bool(image) == bool(file):
        raise Unusable("give either `image` or `file`")
    if file and given("COMMAND"):
        raise Unusable("a job file holds its command; leave out `command`")
    if bool(given("API")) == bool(given("CONTRACT")):
        raise Unusable("give either `api`, the address of a node, or `contract`")
    if other := [word for word in words("OPTIONS") if word.split("=")[0] in OTHER]:
        raise Unusable(f"`options` cannot have {other[0]}: the step waits for the verdict and reads its document, and `output-dir` says where results go")
    options = [*words("OPTIONS"), "--output-dir", given("OUTPUT_DIR") or "assay-results"]
    job = ["--file", file] if file else [image, "--", *words("COMMAND")]
    return ["assay", "--output", "json", "job", "submit", *options, *job]


def settings(private):
    """The command's environment. Secrets go into files of a directory that only this user can read."""

    def kept(name):
        path = os.path.join(private, name.lower())
        with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(given(name) + "\n")
        return path

    environment = {name: value for name, value in os.environ.items() if not name.startswith("INPUT_")}
    for name in ["API", "CONTRACT", "RPC_URL", "FIRST_BLOCK"]:
        if given(name):
            environment["ASSAY_" + name] = given(name)
    if given("CONTRACT"):
        environment["ASSAY_SCHEDULER"] = "contract"
    for name, variable in [("TOKEN", "API_TOKEN_FILE"), ("KEY", "KEY"), ("PASSPHRASE", "PASSPHRASE_FILE")]:
        if given(name):
            environment["ASSAY_" + variable] = kept(name)
    return environment


def command(name, text):
    """A command to GitHub, whose text can be anything."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{name}::{escaped}", flush=True)


def harmless(text):
    """A line for the log: nothing in it is a command, and nothing moves the cursor."""
    return "".join(char if char.isprintable() else "?" for char in text).replace("::", ": :").replace("##[", "# #[")


def say(text):
    for line in text.rstrip("\n").split("\n"):
        print(harmless(line), flush=True)


def relay(lines):
    """Prints messages as they come, and errors as GitHub's."""
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            say(line)
            continue
        if not isinstance(message, dict):
            say(line)
        elif "error" in message:
            parts = [message["error"], *message.get("because", []), message.get("hint") or ""]
            command("error", "; ".join(part for part in parts if part))
        else:
            say(message.get("note") or message.get("warning") or line)


def tell(outputs):
    """Hands values to later steps."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with open(path, "a") as file:
            for name, value in outputs.items():
                end = secrets.token_hex(16)
                file.write(f"{name}<<{end}\n{value}\n{end}\n")


def rejected(document):
    """The nodes whose results were rejected, of one job or of a sweep."""
    if "nodes" in document:
        return [node for node, count in document["nodes"].items() if count["rejected"]]
    return (document["verdict"] or {}).get("rejected", [])


def summary(document):
    """What came of the job, or of each job of a sweep, as a table in Markdown."""

    def row(*cells):
        escaped = (harmless(cell).translate(MARKDOWN) for cell in cells)
        return "| " + " | ".join(escaped) + " |"

    if "jobs" in document:
        head, rows = ["job", "state", "why"], [(job["job"], job["state"], job["reason"] or "") for job in document["jobs"]]
    else:
        head = [document["summary"], "verdict", "why"]
        rows = [(seat["node"], seat["judgement"] or "", seat["reason"] or "") for seat in document["seats"]]
    return "\n".join([row(*head), "|---" * 3 + "|", *(row(*cells) for cells in rows)]) + "\n"


def ending(code, disagreeing):
    """The exit code of the step."""
    if code == 0 and disagreeing and not allows_rejected():
        command("error", f"the results of {len(disagreeing)} node(s) differ from the others': {' '.join(disagreeing)}")
        return DISAGREEMENT
    return code


def run():
    line, _ = submission(), allows_rejected()
    if shutil.which("assay") is None:
        raise Unusable("there is no program `assay`; install it in a step before, in a directory of PATH")
    kept = os.environ.get("RUNNER_TEMP")
    descriptor, path = tempfile.mkstemp(prefix="assay-", suffix=".json", dir=kept)
    with tempfile.TemporaryDirectory(dir=kept) as private, open(descriptor) as printed:
        options = {"stdin": subprocess.DEVNULL, "stdout": descriptor, "stderr": subprocess.PIPE, "text": True}
        # Waits for the command whatever happens here: it needs the secrets until its end.
        with subprocess.Popen(line, env=settings(private), errors="replace", **options) as process:
            relay(process.stderr)
        code = process.returncode
        printed.seek(0)
        text = printed.read()
    if not text.strip():
        return code or DISAGREEMENT
    document = json.loads(text)
    disagreeing = rejected(document)
    tell(
        {
            "job": document.get("job") or document["group"],
            "state": document.get("state") or ("verified" if code == 0 else "failed"),
            "rejected": " ".join(disagreeing),
            "document": path,
        }
    )
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a") as file:
            file.write(summary(document))
    return ending(code, disagreeing)


try:
    sys.exit(run())
except Unusable as unusable:
    command("error", str(unusable))
    sys.exit(UNUSABLE)
