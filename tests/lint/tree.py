#!/usr/bin/python3
"""Checks rules about the source tree that no compiler knows. Prints each breach as file:line: rule."""
import pathlib
import re
import sys

BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|localtime|getaddrinfo|alloca)\s*\(")

# Who owns a foreign header: only files under these folders may include it.
OWNERS = {
    "pb-c.h": ["common/wire/"],
    "zmq.h": ["common/net/"], "czmq.h": ["common/net/"],
    "sodium.h": ["common/trust/", "common/signed/", "common/net/", "common/pkg/"],
    "sqlite3.h": ["coordinator/store/", "relay/spool."],
    "gssapi": ["relay/auth/"],
    "ares.h": ["common/dns/"],
    "expat.h": ["relay/tsch/task_read"],
    "jansson.h": ["common/report/"],
    "cyaml": ["common/config"],
}

# The include rule: a file under the key may include project headers under the values only (its own folder always).
BASE, MODEL = "common/base/", "common/model/"
RULE = {
    BASE: [],
    MODEL: [BASE],
    "common/wire/": [BASE, MODEL],
    "common/trust/": [BASE, MODEL],
    "common/signed/": [BASE, MODEL, "common/trust/", "common/wire/"],
    "common/pkg/": [BASE, MODEL],
    "common/dns/": [BASE, MODEL],
    "common/net/": [BASE, MODEL, "common/trust/"],
    "common/report/": [BASE, MODEL],
    "coordinator/core/": [BASE, MODEL],
    "relay/core/": [BASE, MODEL],
    "coordinator/store/": [BASE, MODEL],
    "relay/auth/": [BASE, MODEL],
    "relay/smb/": [BASE, "relay/auth/"],
    "relay/sd/": [BASE],
    "relay/rpc/": [BASE, "relay/auth/"],
    "relay/tsch/": [BASE, "relay/rpc/"],
    "relay/stage/": [BASE, MODEL, "common/dns/", "common/pkg/", "relay/auth/", "relay/smb/", "relay/sd/", "relay/rpc/", "relay/tsch/"],
    "coordinator/cli/": ["common/"],
    "coordinator/": ["common/", "coordinator/"],
    "relay/": ["common/", "relay/"],
}
CORES = ("coordinator/core/", "relay/core/")
IMPURE = re.compile(r'#include <(time|sys/time|sys/socket|sys/random|unistd|fcntl|stdio|uv|sodium|zmq|czmq)')


def rule_for(path):
    best = max((k for k in RULE if path.startswith(k)), key=len, default=None)
    return best, RULE.get(best)


def check(root):
    bad = []
    for folder in ("common", "coordinator", "relay"):
        for file in sorted((root / folder).rglob("*.[ch]")):
            path = str(file.relative_to(root))
            text = file.read_text(encoding="utf-8")
            lines = text.splitlines()
            if len(lines) > 800:
                bad.append(f"{path}:1: {len(lines)} lines: split it")
            if not text.startswith("/*"):
                bad.append(f"{path}:1: no file comment")
            room, allowed = rule_for(path)
            for number, line in enumerate(lines, 1):
                where = f"{path}:{number}"
                code = re.sub(r'"(\\.|[^"\\])*"', '""', line) if "#include" not in line else line
                if BANNED.search(code.split("/*")[0]):
                    bad.append(f"{where}: banned function: {line.strip()}")
                own = re.match(r'#include "([^"]+)"', line)
                if own:
                    target = own.group(1)
                    ok = target.endswith(".pb-c.h") or target.startswith(room) or any(
                        target.startswith(a) for a in allowed)
                    if not ok:
                        bad.append(f"{where}: {room} may not include {target}")
                any_include = re.match(r'#include [<"]([^">]+)[">]', line)
                if any_include:
                    for header, owners in OWNERS.items():
                        if header in any_include.group(1) and not any(path.startswith(o) for o in owners):
                            bad.append(f"{where}: {any_include.group(1)} belongs to {', '.join(owners)}")
                if path.startswith(CORES) and IMPURE.match(line):
                    bad.append(f"{where}: a core touches the world: {line.strip()}")
    return bad


def main():
    root = pathlib.Path(sys.argv[1])
    bad = check(root)
    print("\n".join(bad) if bad else "tree: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
