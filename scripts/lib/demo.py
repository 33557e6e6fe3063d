"""What the demo needs besides a shell: python3 demo.py COMMAND ARGUMENT...

gather DIR                     fills DIR with text of this machine, and prints how much it is
api DEVSTACK                   prints the address of the API, once the devstack has written it
nodes DEVSTACK                 prints the nodes
check NAME OUTPUTS DEVSTACK JOB
                               fails unless the verdict of the job rejects the bad nodes and accepts all others.
                               OUTPUTS says how the results of the others must be: equal, or distinct

DEVSTACK and JOB are files of JSON, as `assay devstack` and `assay job describe` write it.
"""

import json
import os
import sys
import sysconfig

# Text that any Debian has; what is missing is passed over. Python's own library is there wherever this runs.
SOURCES = [
    "/usr/share/common-licenses",
    sysconfig.get_path("stdlib"),
    "/usr/share/doc",
    "/usr/share/perl5",
    "/usr/share/perl",
]
SUFFIXES = (".pm", ".pod", ".py", ".txt", "copyright")
TOTAL = 12_000_000
PART = 1_000_000


def texts():
    """The contents of text files, in the same order on the same machine."""
    for source in SOURCES:
        for folder, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not (name.endswith(SUFFIXES) or folder == SOURCES[0]) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    data = file.read(PART)
                if b"\0" not in data:
                    yield data


def gather(directory):
    total = 0
    for data in texts():
        with open(os.path.join(directory, f"part-{total // PART:02}.txt"), "ab") as part:
            part.write(data)
        total += len(data)
        if total >= TOTAL:
            break
    print(f"{total / 1e6:.1f} MB")


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def api(devstack):
    try:
        print(read(devstack)["api"])
    except ValueError:
        sys.exit("nothing there yet")


def nodes(devstack):
    for node in read(devstack)["nodes"]:
        print(f"  {node['id']}  {node['fault'] or 'honest'}")


def check(name, outputs, devstack, job):
    job, members = read(job), read(devstack)["nodes"]
    bad = {node["id"] for node in members if node["fault"]}
    honest = {node["id"] for node in members} - bad
    verdict = job["verdict"] or {"accepted": [], "rejected": [], "absent": []}
    wrong = []
    if job["state"] != "verified":
        wrong.append(f"the job is {job['state']}")
    if honest != set(verdict["accepted"]):
        wrong.append(f"accepted are {verdict['accepted']}, and not the honest {sorted(honest)}")
    if bad != set(verdict["rejected"]):
        wrong.append(f"rejected are {verdict['rejected']}, and not the bad {sorted(bad)}")
    # Otherwise the job shows something else than it is there for.
    hashes = [seat["result"]["result_hash"] for seat in job["seats"] if seat["node"] in honest and seat["result"]]
    if len(set(hashes)) != (1 if outputs == "equal" else len(honest)):
        wrong.append(f"the outputs of honest nodes are not {outputs}: {hashes}")
    if wrong:
        sys.exit(f"{name}: " + "; ".join(wrong))
    print(f"{name}: {len(bad)} bad rejected, {len(honest)} honest accepted, outputs {outputs}")


def main():
    commands = {"gather": gather, "api": api, "nodes": nodes, "check": check}
    commands[sys.argv[1]](*sys.argv[2:])


main()
