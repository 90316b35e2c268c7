#!/usr/bin/python3
"""What deploy/quickstart.sh shows: a head office and two branches from nothing, one push to 40 stand-in Windows machines, one
merged report, and whether it tells the truth.

Usage: demo.py FOLDER-OF-THE-PROGRAMS

Each command is printed before it runs, as an administrator types it. Only the names of files and folders are shortened.
"""

import json
import os
import pathlib
import shlex
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration"), str(pathlib.Path(__file__).resolve().parent)]

TARGETS = 20  # of each branch
RELAYS = {"lyon": 2, "oslo": 1}


WHY = {
    "pusher-coordinator init": "The coordinator at the head office: its keys and its store, then the daemon.",
    "pusher key": "An operator's key, behind a passphrase. Whatever reaches a machine is signed with it, on this desk.",
    "pusher policy": "The first policy, signed: which operators and which coordinator the relays believe.",
    "pusher site": "Sites: whose machines are where. Longest prefix first, then the name.",
    "pusher relay": "Relays: a token for one relay, which it enrols with, and approval of the fingerprint that it shows.",
    "pusher cred": "The account that may write to the machines of a site: sealed to its relays, opaque to the coordinator.",
    "pusher-relay run": "The relays at work. They dial out; nothing is opened in the branches.",
    "pusher push": "One push to both branches. Each line carries the package; each machine's Task Scheduler runs it.",
    "pusher why": "What happened to one machine, and what to do:",
}


def shown(command, folder):
    """The command as it is typed: programs without their folder, files without the demo's."""
    words = [word.replace(f"{folder}/", "").replace(str(folder), ".") for word in map(str, command)]
    words[0] = os.path.basename(words[0])
    return shlex.join(words)


def problems_of(branch, report):
    """The rows of one branch against what its machines' faults predict."""
    from pushing import differences

    rows = [row for row in report["targets"] if branch.owns(row)]
    names = {target["fqdn"]: target["host"] for target in branch.targets}
    rows = [row | {"target": names.get(row["target"], row["target"])} for row in rows]
    parts = [part for part in report["sites"] if part["site"] == branch.name]
    if len(parts) != 1:
        return [f"{len(parts)} parts for {branch.name}"]
    return differences(branch, {"totals": parts[0], "targets": rows})


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["PUSHER_BIN"] = sys.argv[1]
    from branchcase import Organisation
    from branchtruth import sums_untruths
    from sites import Sites

    class Shown(Organisation):
        """An organisation whose commands are printed."""

        said = set()

        def show(self, place, command):
            programs = " ".join([os.path.basename(command[0]), command[1]])
            why = next((key for key in WHY if programs.startswith(key)), None)
            if why and why not in self.said:
                self.said.add(why)
                print(f"\n# {WHY[why]}", file=sys.stderr)
            print(f"{place}$ {shown(command, self.folder)}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="pusher-demo-", dir="/tmp") as folder, \
            Sites(RELAYS, targets=TARGETS, subnets=1, faults="default", package_name="package.exe") as sites:
        folder = pathlib.Path(folder)
        for branch in sites:
            sites.link(branch.name, delay_ms=20, jitter_ms=5, rate=2_000_000)
            broken = [target["fqdn"] for target in branch.targets if target["expected"]]
            print(f"lab: {branch.name}: {TARGETS} machines in {branch.data['subnets'][0]}, behind a line of 2 MB/s and 20 ms; "
                  f"broken on purpose: {len(broken)}", file=sys.stderr)
        organisation = Shown(sites, folder, RELAYS)
        try:
            organisation.set_up()
            return show_push(organisation, sites, sums_untruths)
        finally:
            organisation.end()


def show_push(organisation, sites, sums_untruths):
    package = organisation.folder / "package.exe"
    package.write_bytes(b"MZ" + bytes(range(256)) * 2048)
    pool = organisation.folder / "targets.txt"
    pool.write_text("".join(f"{target['fqdn']}\n" for branch in sites for target in branch.targets), encoding="ascii")
    words = ("push", package, "-t", f"@{pool}", *organisation.sign, "-y")
    organisation.show("head office", organisation.command(*words, "--", "/S"))
    push = organisation.pusher(*words, "--", "/S", capture_output=False)
    broken = next(target["fqdn"] for target in sites["lyon"].targets if target["expected"])
    organisation.show("head office", organisation.command("why", broken))
    organisation.pusher("why", broken, capture_output=False)
    report = json.loads(organisation.pusher("report", "-o", "json").stdout)
    problems = sums_untruths(report) + [problem for branch in sites for problem in problems_of(branch, report)]
    healthy = sum(1 for branch in sites for target in branch.targets if target["expected"] is None)
    if push.returncode != 3:
        problems.append(f"pusher push ended with {push.returncode}; some targets fail, so 3 was expected")
    for problem in problems:
        print(f"quickstart: {problem}", file=sys.stderr)
    verdict = "differs from" if problems else "is exactly"
    print(f"\nquickstart: the report {verdict} what the lab predicts: {healthy} scheduled, "
          f"{len(sites.branches) * TARGETS - healthy} broken on purpose")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssertionError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        sys.exit(1)
