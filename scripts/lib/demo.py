"""What the demo needs besides a shell: python3 demo.py COMMAND ARGUMENT...

gather DIR                     fills DIR with text of this machine, and prints how much it is
api DEVSTACK                   prints the address of the API, once the devstack has written it
nodes DEVSTACK                 prints the nodes
check NAME OUTPUTS DEVSTACK JOB
                               fails unless the verdict of the job rejects the bad nodes and accepts all others.
                               OUTPUTS says how the results of the others must be: equal, or distinct

balances DEVSTACK              prints what each node has in the contract, as JSON; needs cast
money DEVSTACK BEFORE JOB...   prints what each party earned by the jobs, and fails unless that is what the rules say of
                               honest and bad nodes and no wei is missing. BEFORE is what balances printed
gas JOB...                     prints the gas of each step

DEVSTACK and JOB are files of JSON, as `assay devstack` and `assay job describe` write it.
"""

import json
import os
import subprocess
import sys
import sysconfig

# Text that any Debian has; missing files are skipped. Python's own library exists wherever this runs.
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
    # Otherwise the job would not show what it is for.
    hashes = [seat["result"]["result_hash"] for seat in job["seats"] if seat["node"] in honest and seat["result"]]
    if len(set(hashes)) != (1 if outputs == "equal" else len(honest)):
        wrong.append(f"the outputs of honest nodes are not {outputs}: {hashes}")
    if wrong:
        sys.exit(f"{name}: " + "; ".join(wrong))
    print(f"{name}: {len(bad)} bad rejected, {len(honest)} honest accepted, outputs {outputs}")


def cast(chain, *words):
    command = ["cast", *words, "--rpc-url", chain["rpc_url"]]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()[0]


def read_balances(devstack):
    chain = devstack["chain"]
    contract = chain["contract"]

    def free(node):
        # The first member of the account.
        words = cast(chain, "call", contract, "accounts(address)(uint96,uint32,uint32,uint32,uint32)", node["id"])
        return int(words)

    return {
        "free": {node["id"]: free(node) for node in devstack["nodes"]},
        "burnt": int(cast(chain, "call", contract, "burnt()(uint256)")),
        "held": int(cast(chain, "balance", contract)),
    }


def balances(devstack):
    print(json.dumps(read_balances(read(devstack))))


def ether(wei):
    digits = f"{abs(wei) // 10**18}.{abs(wei) % 10**18:018}".rstrip("0").rstrip(".")
    return ("-" if wei < 0 else "+" if wei > 0 else "") + digits


def money(devstack, before, *jobs):
    devstack, before, jobs = read(devstack), read(before), [read(job) for job in jobs]
    after = read_balances(devstack)
    bad = {node["id"] for node in devstack["nodes"] if node["fault"]}
    gain = {node: after["free"][node] - before["free"][node] for node in after["free"]}
    burnt = after["burnt"] - before["burnt"]
    # What the seats and the keeper's fee come to, so that what is left of the requester's gain is what it paid.
    seats, fees, wrong = dict.fromkeys(gain, 0), dict.fromkeys(gain, 0), []
    for job in jobs:
        fees[job["ended_by"]] += int(job["deal"]["keeper_fee"])
        for seat in job["seats"]:
            node, price, bond = seat["node"], int(seat["price"]), int(job["deal"]["bond"])
            if price == 0:
                wrong.append(f"{node} asked for nothing")
            if node not in bad:
                seats[node] += price
            elif job["deal"]["deterministic"]:
                seats[node] -= bond
    (requester,) = {job["requester"] for job in jobs}
    escrow = sum(int(seat["price"]) for job in jobs for seat in job["seats"] if seat["node"] not in bad)
    # A wrong output of a deterministic job burns what the requester locked for the seat too.
    lost = sum(
        int(job["deal"]["price"])
        for job in jobs
        for seat in job["seats"]
        if seat["node"] in bad and job["deal"]["deterministic"]
    )
    spent = escrow + lost + sum(fees.values())
    expected = {node: seats[node] + fees[node] - (spent if node == requester else 0) for node in gain}
    if gain != expected:
        wrong.append(f"the parties have {gain} more than before, and not {expected}")
    if burnt != lost - sum(seats[node] for node in bad):
        wrong.append(f"{burnt} wei are burnt")
    if not sum(after["free"].values()) + after["burnt"] == after["held"] == before["held"]:
        wrong.append(f"the contract holds {after['held']} wei, and owes or burnt another sum: {after}")
    print(f"{'PARTY':<10}{'':<32}{'ETHER':>8}")
    print(f"{requester[2:10]:<10}{'pays as the requester':<32}{ether(-spent):>8}")
    for node in sorted(gain, key=lambda node: (node in bad, node != requester)):
        role = "cheats" if node in bad else "works"
        print(f"{node[2:10]:<10}{role:<32}{ether(seats[node]):>8}")
    for node, fee in fees.items():
        if fee:
            print(f"{node[2:10]:<10}{'ends jobs':<32}{ether(fee):>8}")
    print(f"{'':<10}{'burnt':<32}{ether(burnt):>8}")
    if wrong:
        sys.exit("; ".join(wrong))


def gas(*jobs):
    """Transactions that begin with the same step together: a submission may bring bids and their acceptance."""
    costs = {}
    for job in map(read, jobs):
        for step in job["steps"]:
            if step["cost"] is None:
                sys.exit(f"the chain does not tell the gas of {step['transaction']}")
            costs.setdefault(step["transaction"], (step["event"], step["cost"]))
    print(f"{'STEP':<20}{'TRANSACTIONS':>12}{'GAS':>12}{'EACH':>10}")
    total = 0
    for event in dict.fromkeys(event for event, _ in costs.values()):
        used = [cost["gas_used"] for kind, cost in costs.values() if kind == event]
        total += sum(used)
        print(f"{event:<20}{len(used):>12}{sum(used):>12}{sum(used) // len(used):>10}")
    print(f"{'together':<20}{len(costs):>12}{total:>12}")
    told = sum(job["gas_used"] for job in map(read, jobs))
    if told != total:
        sys.exit(f"the jobs tell {told} gas, their steps {total}")


def main():
    commands = {
        "gather": gather,
        "api": api,
        "nodes": nodes,
        "check": check,
        "balances": balances,
        "money": money,
        "gas": gas,
    }
    commands[sys.argv[1]](*sys.argv[2:])


main()
