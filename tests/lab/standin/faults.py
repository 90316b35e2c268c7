"""What can be wrong with a target, and what a push must report for it.

A fault is a name, with an argument after a colon where it takes one ("scheduler-error:0x80041318"). Each row says
where it is made (the network, smbd's configuration of that address, the drive, the scheduler) and which stage and
reason a correct push gives; None means that a push still succeeds.
"""

from dataclasses import dataclass, field, replace


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
    account: dict = field(default_factory=dict)  # how the accounts of that smbd differ
    stopped: bool = False  # that smbd is stopped (SIGSTOP)
    line: bool = False  # connections go through line.py
    tamper: str | None = None  # connections go through tamper.py: kind of tampering, with ":argument" where it takes one
    scheduler: bool = False  # the scheduler itself acts on the name
    code: str | None = None  # what must stand beside the reason: kind and number; None: not told
    state: str | None = None  # of the row, where it is another one than the reason's own
    default: bool = False  # one of the ten that "--faults default" deals out

    def expected(self, argument=None):
        """Stage, reason and code that a push must report, None for success; a code may be the fault's argument."""
        if not self.stage:
            return None
        code = self.code
        if code and argument and argument.startswith("0x"):
            code = f"{code.split()[0]} 0x{int(argument, 0):08X}"
        found = {"stage": self.stage, "reason": self.reason, "code": code}
        return found | {"state": self.state} if self.state else found



def _PROTOCOL(name):
    """Options of an smbd that speaks this protocol and no other."""
    return {"server min protocol": name, "server max protocol": name}


_PLAIN = {"server smb encrypt": "off"}
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
    Fault(
        "other-password", "access", "LOGON_FAILURE", "the accounts have other passwords there",
        account={"nt_hash": "00" * 16},
    ),
    Fault(
        "guest-session", "access", "LOGON_FAILURE", "other passwords, and whoever doesn't know them is let in as a guest",
        instance={"map to guest": "bad password"}, account={"nt_hash": "00" * 16},
    ),
    Fault("null-session", "access", "LOGON_FAILURE", "lets the account in as nobody", tamper="null-session"),
    Fault("account-locked", "access", "ACCOUNT_LOCKED", "the accounts are locked out there", account={"locked": True}),
    Fault(
        "account-disabled", "access", "ACCOUNT_DISABLED", "the accounts are disabled there", account={"disabled": True}
    ),
    Fault("account-expired", "access", "ACCOUNT_DISABLED", "the accounts have expired there", account={"expired": True}),
    Fault(
        "password-must-change", "access", "PASSWORD_EXPIRED", "the passwords must be changed there",
        account={"must_change": True},
    ),
    Fault(
        "ntlm-blocked", "access", "NTLM_BLOCKED", "refuses NTLM", tamper="logon-status:0xC0000418"
    ),
    Fault(
        "clock-refused", "access", "CLOCK_SKEW", "refuses the logon because of the clocks",
        tamper="logon-status:0xC0000133",
    ),
    Fault("smb-2.1", None, None, "speaks SMB 2.1 only", instance=_PROTOCOL("SMB2_10")),
    Fault("smb-3.0", None, None, "speaks SMB 3.0 only", instance=_PROTOCOL("SMB3_00")),
    Fault("smb-3.0.2", None, None, "speaks SMB 3.0.2 only", instance=_PROTOCOL("SMB3_02")),
    Fault("smb-3.1.1", None, None, "speaks SMB 3.1.1 only", instance=_PROTOCOL("SMB3_11")),
    Fault(
        "smb1-only", "access", "DIALECT_REFUSED", "speaks SMB 1 only",
        instance=_PROTOCOL("NT1"),
    ),
    Fault("must-encrypt", None, None, "answers encrypted sessions only", instance={"server smb encrypt": "required"}),
    Fault("no-encrypt", None, None, "cannot encrypt", instance=_PLAIN),
    Fault("must-sign", None, None, "answers signed sessions only", instance={"server signing": "mandatory"} | _PLAIN),
    Fault("one-credit", None, None, "never grants more than one credit", instance={"smb2 max credits": "1"}),
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
    Fault("stopped", "access", "CONN_LOST", "the machine hangs: the kernel still accepts, no program runs", stopped=True),
    Fault("not-smb", "access", "PROTOCOL_ERROR", "something else than SMB answers at port 445", line=True),
    Fault("slow", None, None, "a thin line (argument: bytes per second, default 100000)", line=True),
    Fault("unsafe-path", "path", "UNSAFE_PATH", "SPDISTRO exists, users may write to it", drive="unsafe-path"),
    Fault("foreign-owner", "path", "UNSAFE_PATH", "SPDISTRO exists, a user owns it", drive="foreign-owner"),
    Fault(
        "path-is-link", "path", "UNSAFE_PATH", "SPDISTRO is a symbolic link", instance=_PROTOCOL("SMB2_10"),
        tamper="link",
    ),
    Fault(
        "reparse-point", "path", "UNSAFE_PATH", "SPDISTRO is a reparse point", instance=_PROTOCOL("SMB2_10"),
        tamper="reparse-point",
    ),
    Fault(
        "infected", "copy", "AV_BLOCKED", "a virus scanner refuses the package's bytes (when they begin with MZ)",
        instance=_PROTOCOL("SMB2_10"), tamper="infected",
    ),
    Fault(
        "other-bytes", None, None, "what is read back of a file (that begins with MZ) is not what was written",
        instance=_PROTOCOL("SMB2_10"), tamper="other-bytes",
    ),
    Fault(
        "interim", None, None, "word that an answer will come goes before each", instance=_PROTOCOL("SMB2_10"),
        tamper="interim",
    ),
    Fault(
        "session-lost", None, None, "the first session expires at the first file", instance=_PROTOCOL("SMB2_10"),
        tamper="session-lost",
    ),
    Fault(
        "hung-up", None, None, "the first connection is closed before a byte of the package is written", instance=_PLAIN,
        tamper="hung-up:close",
    ),
    Fault(
        "nonsense", "access", "PROTOCOL_ERROR", "the answer about the share makes no sense",
        instance=_PROTOCOL("SMB2_10"), tamper="nonsense",
    ),
    *(
        Fault(name, "access", "SIGNING_REFUSED", text, instance=instance, tamper=kind)
        for name, kind, instance, text in (
            ("unsigned", "unsigned", _PLAIN, "answers have lost their signature"),
            ("unsigned-2.1", "unsigned", _PROTOCOL("SMB2_10"), "the same, SMB 2.1"),
            ("unsigned-logon", "unsigned-logon", None, "the end of the logon has lost its signature"),
            ("bit-flipped", "bit-flipped", _PLAIN, "a bit of a signed answer is another one"),
            ("bit-flipped-2.1", "bit-flipped", _PROTOCOL("SMB2_10"), "the same, SMB 2.1"),
            ("bit-flipped-3.0.2", "bit-flipped", _PROTOCOL("SMB3_02") | _PLAIN, "the same, SMB 3.0.2"),
            ("sealed-bit-flipped", "sealed-bit-flipped", None, "a bit of an encrypted answer is another one"),
            ("plain-answer", "plain-answer", None, "an encrypted answer is replaced by one in clear text"),
            ("signing-off", "signing-off", None, "the negotiated need of signing is gone"),
            ("signing-off-3.0.2", "signing-off", _PROTOCOL("SMB3_02"), "the same, SMB 3.0.2"),
            ("signing-off-2.1", "signing-off", _PROTOCOL("SMB2_10"), "the same, SMB 2.1"),
            ("downgraded", "downgraded", None, "the client's newest dialect is gone"),
            ("downgraded-2.1", "downgraded:0x0210", None, "all of the client's dialects but 2.1 are gone"),
            ("other-dialect", "other-dialect", None, "the server's choice of dialect is another one"),
            ("encryption-off", "encryption-off", None, "the negotiated cipher is gone"),
            ("encryption-off-3.0.2", "encryption-off", _PROTOCOL("SMB3_02"), "the same, SMB 3.0.2"),
            ("session-flags-off", "session-flags-off", {"server smb encrypt": "required"},
             "the server's demand of encryption is gone"),
        )
    ),
    Fault(
        "unsigned-pipe", "schedule", "SIGNING_REFUSED", "the pipe's answers have lost their signature", instance=_PLAIN,
        tamper="unsigned:ioctl",
    ),
    Fault(
        "unsigned-once", None, None, "the first answer to the registering call has lost its signature", instance=_PLAIN,
        tamper="unsigned-once:1",
    ),
    Fault(
        "unsigned-copy", "copy", "SIGNING_REFUSED", "answers about written bytes have lost their signature",
        instance=_PLAIN, tamper="unsigned:write",
    ),
    Fault("pipe-closed", "schedule", "RPC_UNAVAILABLE", "the pipe opens and closes before an answer", scheduler=True),
    Fault(
        "call-dropped", "schedule", "RPC_UNAVAILABLE", "the pipe closes instead of registering", scheduler=True,
        state="unknown_effect",  # who can tell whether it will still be registered?
    ),
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
    Fault("task-denied", "schedule", "ACCESS_DENIED", "registering is denied", scheduler=True),
    Fault("task-malformed", "schedule", "BAD_TASK", "the definition is called malformed", scheduler=True),
    Fault("task-infected", "schedule", "AV_BLOCKED", "a virus scanner refuses the task", scheduler=True),
    Fault("scheduler-slow", None, None, "every call takes a while (argument: seconds, default 3)", scheduler=True),
    Fault("small-fragments", None, None, "answers in many fragments (argument: bytes, default 200)", scheduler=True),
    Fault("folder-conflict", "schedule", "NAME_CONFLICT", "\\Pusher exists and users may write to it", scheduler=True),
    Fault("timezone", None, None, "its local time is ahead of UTC (argument: minutes, default 120)", scheduler=True),
    Fault("on-battery", None, None, "a laptop on battery: tasks that ask for mains do not start", scheduler=True),
]

# The codes that such a fault is told with: errno, NTSTATUS, HRESULT, RPC status, ICMP type and code.
_CODES = {
    "port-closed": "errno 111", "port-filtered": "errno 110", "host-unreachable": "icmp 3/1",
    "no-share": "ntstatus 0xC00000CC", "read-only": "ntstatus 0xC0000022", "access-denied": "ntstatus 0xC0000022",
    "path-is-file": "ntstatus 0xC0000103", "disk-full": "ntstatus 0xC000007F", "package-held": "ntstatus 0xC0000043",
    "package-running": "ntstatus 0xC0000043", "no-pipe": "ntstatus 0xC0000034", "rpc-fault": "rpc 0x1C010003",
    "scheduler-error": "hresult 0x80041315", "task-denied": "hresult 0x80070005",
    "task-malformed": "hresult 0x8004131A", "task-infected": "hresult 0x800700E1",
    "other-password": "ntstatus 0xC000006D", "account-locked": "ntstatus 0xC0000234",
    "account-disabled": "ntstatus 0xC0000072", "account-expired": "ntstatus 0xC0000193",
    "password-must-change": "ntstatus 0xC0000224", "ntlm-blocked": "ntstatus 0xC0000418",
    "clock-refused": "ntstatus 0xC0000133", "path-is-link": "ntstatus 0x8000002D",
    "infected": "ntstatus 0xC0000906", "cut": "errno 104", "stall": "errno 110", "stopped": "errno 110",
    "frozen": "errno 110", "downgraded": "errno 104", "downgraded-2.1": "errno 104",
}
_ROWS = [replace(row, code=_CODES.get(row.name)) for row in _ROWS]
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
