#!/usr/bin/python3
"""What deploy/quickstart.sh shows: one push to 40 stand-in Windows machines, and whether the report tells the truth.

Usage: demo.py FOLDER-OF-THE-PROGRAMS
"""

import pathlib
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration"), str(pathlib.Path(__file__).resolve().parent)]

from lablib import LabError  # noqa: E402  pylint: disable=wrong-import-position
from pushing import Admin, Lab, differences  # noqa: E402  pylint: disable=wrong-import-position

TARGETS = 40


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pusher-demo-") as folder:
        package = pathlib.Path(folder) / "package.exe"
        package.write_bytes(b"MZ" + bytes(range(256)) * 2048)
        with Lab(targets=TARGETS, subnets=2, faults="default", package_name=package.name) as lab:
            print(f"lab: {TARGETS} targets in {' and '.join(lab.data['subnets'])}; broken on purpose:", file=sys.stderr)
            for target in lab.targets:
                if target["fault"]:
                    print(f"lab:   {target['host']:8} {target['fault']}", file=sys.stderr)
            admin = Admin(lab, pathlib.Path(folder) / "state", sys.argv[1])
            names = pathlib.Path(folder) / "targets.txt"
            names.write_text("".join(t["host"] + "\n" for t in lab.targets), encoding="utf-8")
            arguments = admin.push_arguments(package, [f"@{names}"])
            print("\n$ pusher " + " ".join(map(str, arguments)) + " -- /S", file=sys.stderr, flush=True)
            push = admin.run(*arguments, "--", "/S", capture_output=False)
            broken = next(t for t in lab.targets if t["fault"])
            print("\n$ pusher why " + broken["host"], file=sys.stderr, flush=True)
            admin.run("why", broken["host"], capture_output=False)
            problems = differences(lab, admin.report())
    healthy = sum(1 for t in lab.targets if t["expected"] is None)
    if push.returncode != 3:
        problems.append(f"pusher push ended with {push.returncode}; some targets fail, so 3 was expected")
    for problem in problems:
        print(f"quickstart: {problem}", file=sys.stderr)
    verdict = "differs from" if problems else "is exactly"
    print(f"\nquickstart: the report {verdict} what the lab predicts: {healthy} scheduled, "
          f"{TARGETS - healthy} broken on purpose")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"quickstart: {error}", file=sys.stderr)
        sys.exit(1)
