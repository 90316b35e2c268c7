"""What can be wrong with a target, and what a push must report for it.

A fault is a name, with an argument after a colon where it takes one ("scheduler-error:0x80041318"). Each row says
where it is made (the network, smbd's configuration of that address, the drive, the scheduler) and which stage and
reason a correct push gives; None means that a push still succeeds.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    stage: str | None
    reason: str | None
    help: str
    nft_set: str | None = None  # the address joins this set of the packet filter
    share: dict = field(default_factory=dict)  # options of [C$]; {"available": None} removes the share
    target: dict = field(default_factory=dict)  # options that hold for the whole address
    drive: str | None = None  # what is done to the drive, see drives.py
    instance: dict | None = None  # [global] options of an smbd of its own that serves the address
    # "none": no such name, "silent": nobody answers for it, "two": a dead address beside it, "six": AAAA only,
    # "both": A and AAAA
    dns: str | None = None
    line: bool = False  # connections go through line.py
    scheduler: bool = False  # the scheduler itself acts on the name
    default: bool = False  # one of the ten that "--faults default" deals out

    def expected(self):
        return {"stage": self.stage, "reason": self.reason} if self.stage else None


_ROWS = [
    Fault("no-ping", "ping", "NO_REPLY", "drops echo requests, all else works", nft_set="noping", default=True),
    Fault("host-down", "ping", "NO_REPLY", "nothing answers", nft_set="down", default=True),
    Fault("port-closed", "access", "PORT_CLOSED", "port 445 answers with a reset", nft_set="closed", default=True),
    Fault("port-filtered", "access", "CONNECT_TIMEOUT", "port 445 is silent", nft_set="filtered", default=True),
    Fault("no-share", "access", "BAD_SHARE", "there is no C$", share={"available": None}, default=True),
    Fault("read-only", "path", "ACCESS_DENIED", "C$ can be read only", share={"read only": "yes"}, default=True),
    Fault("path-is-file", "path", "NOT_A_DIRECTORY", "C:\\SPDISTRO is a file", drive="path-is-file", default=True),
    Fault("disk-full", "copy", "DISK_FULL", "folders can be made, no byte written", drive="disk-full", default=True),
    Fault(
        "package-held",
        "copy",
        "SHARING_VIOLATION",
        "the package's final name (argument, default: the lab's --package-name) is open elsewhere, shared with nobody",
        drive="package-held",
        default=True,
    ),
    Fault("no-pipe", "schedule", "RPC_UNAVAILABLE", "there is no atsvc pipe", target={"pipe": "none"}, default=True),
    Fault(
        "package-running",
        "copy",
        "SHARING_VIOLATION",
        "the package (argument: its name) is open as a running program is",
        drive="package-held",
    ),
    Fault(
        "package-read-only", None, None, "an older package (argument: its name) has the read-only attribute",
        drive="package-held",
    ),
    Fault("host-unreachable", "ping", "HOST_UNREACHABLE", "a router says so", nft_set="unreachable"),
    Fault(
        "wrong-name",
        "access",
        "NAME_MISMATCH",
        "another machine (argument, default OTHER-PC) answers behind the name",
        target={"netbios name": "OTHER-PC"},
    ),
    Fault(
        "access-denied", "access", "ACCESS_DENIED", "C$ is closed to the account (as remote UAC does)",
        share={"valid users": "pushadmin2"},
    ),
    Fault("other-password", "access", "LOGON_FAILURE", "the accounts have other passwords there", instance={}),
    Fault("smb-2.1", None, None, "speaks SMB 2.1 at most", instance={"server max protocol": "SMB2_10"}),
    Fault("smb-3.0", None, None, "speaks SMB 3.0 at most", instance={"server max protocol": "SMB3_00"}),
    Fault("smb-3.0.2", None, None, "speaks SMB 3.0.2 at most", instance={"server max protocol": "SMB3_02"}),
    Fault(
        "smb1-only", "access", "DIALECT_REFUSED", "speaks SMB 1 only",
        instance={"server min protocol": "NT1", "server max protocol": "NT1"},
    ),
    Fault("must-encrypt", None, None, "answers encrypted sessions only", instance={"server smb encrypt": "required"}),
    Fault("no-encrypt", None, None, "cannot encrypt", instance={"server smb encrypt": "off"}),
    Fault(
        "guest-sessions", None, None, "makes a wrong password a guest session",
        instance={"map to guest": "bad password"},
    ),
    Fault(
        "clock", None, None, "its clock is off (argument: seconds, negative is behind, default 3600)", instance={}
    ),
    Fault("no-name", "resolve", "NXDOMAIN", "DNS does not know its name", dns="none"),
    Fault("name-timeout", "resolve", "DNS_TIMEOUT", "DNS does not answer for its name", dns="silent"),
    Fault("two-addresses", None, None, "its name has a second address where nobody answers", dns="two"),
    Fault("ipv6-only", None, None, "its name has an IPv6 address only", dns="six"),
    Fault("ipv4-dead", None, None, "its IPv4 address is dead, its IPv6 address works", nft_set="down", dns="both"),
    Fault("long-name", None, None, "its name has more than 15 characters, so NetBIOS cuts it", instance={}),
    Fault("frozen", "access", "CONN_LOST", "port 445 accepts and never says a word", line=True),
    Fault("cut", "copy", "CONN_LOST", "connections are reset (argument: after bytes, default 20000)", line=True),
    Fault("stall", "copy", "CONN_LOST", "connections go silent (argument: after bytes, default 20000)", line=True),
    Fault("slow", None, None, "a thin line (argument: bytes per second, default 100000)", line=True),
    Fault("unsafe-path", "path", "UNSAFE_PATH", "SPDISTRO exists, users may write to it", drive="unsafe-path"),
    Fault("pipe-closed", "schedule", "RPC_UNAVAILABLE", "the pipe opens and closes before an answer", scheduler=True),
    Fault("call-dropped", "schedule", "RPC_UNAVAILABLE", "the pipe closes instead of registering", scheduler=True),
    Fault("answer-dropped", None, None, "the call is carried out, the pipe closes before the answer (argument: "
          "number of the method, default 1, SchRpcRegisterTask)", scheduler=True),
    Fault(
        "rpc-fault",
        "schedule",
        "SCHEDULER_REFUSED",
        "calls fault (argument: status, default 0x1c010003)",
        scheduler=True,
    ),
    Fault(
        "scheduler-error",
        "schedule",
        "SCHEDULER_REFUSED",
        "registering fails (argument: HRESULT, default 0x80041315)",
        scheduler=True,
    ),
    Fault("scheduler-slow", None, None, "every call takes a while (argument: seconds, default 3)", scheduler=True),
    Fault("small-fragments", None, None, "answers in many fragments (argument: bytes, default 200)", scheduler=True),
    Fault("folder-conflict", "schedule", "NAME_CONFLICT", "\\Pusher exists and users may write to it", scheduler=True),
    Fault("timezone", None, None, "its local time is ahead of UTC (argument: minutes, default 120)", scheduler=True),
    Fault("on-battery", None, None, "a laptop on battery: tasks that ask for mains do not start", scheduler=True),
]

FAULTS = {row.name: row for row in _ROWS}
DEFAULT_NAMES = [row.name for row in _ROWS if row.default]


def split(text):
    """"name:argument" -> (Fault, argument or None)."""
    name, _, argument = text.partition(":")
    if name not in FAULTS:
        raise ValueError(f"no fault called {name!r}; there are: {', '.join(FAULTS)}")
    return FAULTS[name], argument or None


def deal(spec, targets):
    """Gives faults to targets (dicts with address and host). SPEC is default, none, or a comma list of NAME=FAULT for
    one host or address, FAULT*N or FAULT for any N (1) targets. Returns {address: fault text}."""
    if spec in (None, "", "none"):
        return {}
    dealt, wanted = {}, []
    if spec == "default":
        total = len(targets)
        count = max(len(DEFAULT_NAMES), total // 5) if total >= 2 * len(DEFAULT_NAMES) else total // 5
        wanted = [DEFAULT_NAMES[i % len(DEFAULT_NAMES)] for i in range(count)]
    else:
        names = {t["host"]: t["address"] for t in targets} | {t["address"]: t["address"] for t in targets}
        for item in spec.split(","):
            who, equals, text = item.strip().partition("=")
            if equals:
                if who not in names:
                    raise ValueError(f"no target called {who!r}")
                split(text)
                dealt[names[who]] = text
                continue
            text, _, count = who.partition("*")
            split(text)
            wanted += [text] * int(count or 1)
    free = [t["address"] for t in targets if t["address"] not in dealt]
    if len(wanted) > len(free):
        raise ValueError(f"{len(wanted)} faults for {len(free)} targets")
    for index, text in enumerate(wanted):
        dealt[free[index * len(free) // len(wanted)]] = text
    return dealt
