"""Samba's smbd as the file server of all targets.

One instance serves every address: what differs per target (name, share options, whether there is a scheduler) is in
hosts/ADDRESS.conf, included by %i, the address the client connected to. An instance is a dict of [global] options, so
that other dialects or signing rules are one more instance on another port, chosen per address by the packet filter.
"""

import os
import subprocess
import time

from . import net

WORKGROUP = "LAB"

# Masks are written out: Samba 4.17 takes SDDL's FA for 0x1ff.
# The drive's own descriptor is Windows': ordinary users may make folders under C:\\ and own what they make, and what
# is made there without a descriptor of its own lets Authenticated Users modify it.
DRIVE_SDDL = (
    "O:SYG:SYD:PAI(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)(A;OICI;0x1200a9;;;BU)"
    "(A;OICIIO;0x1301bf;;;AU)(A;;LC;;;AU)"
)

DEFAULT_OPTIONS = {
    "server min protocol": "SMB2_10",
    "server max protocol": "SMB3_11",
    "server signing": "auto",
    "server smb encrypt": "default",
}


class Instance:
    """One smbd with its own private directories."""

    def __init__(self, directory, name="default", port=445, options=None, clock_s=0, host=None):
        self.name = name
        self.kind = None  # what makes it another one than the default, for finding it again
        self.stopped = False
        self.host = host  # whose DNS name it tells; Samba knows only the machine's own
        self.clock_s = clock_s  # how far its clock is ahead
        self.port = port
        self.options = DEFAULT_OPTIONS | (options or {})
        self.lab = directory
        self.home = os.path.join(directory, "smbd", name)
        self.conf = os.path.join(self.home, "smb.conf")
        self.ncalrpc = os.path.join(directory, "np")

    def write(self, accounts):
        for sub in ("private", "lock", "state", "cache", "pid", "usershare"):
            os.makedirs(os.path.join(self.home, sub), exist_ok=True)
        os.makedirs(os.path.join(self.lab, "targets"), exist_ok=True)
        for folder in ("np", "nopipe"):
            os.makedirs(os.path.join(self.lab, folder, "np"), exist_ok=True)
            os.chmod(os.path.join(self.lab, folder, "np"), 0o700)
        options = {
            "server role": "standalone server",
            "workgroup": WORKGROUP,
            "server string": "lab target",
            "passdb backend": f"tdbsam:{self.home}/private/passdb.tdb",
            "private dir": f"{self.home}/private",
            "lock directory": f"{self.home}/lock",
            "state directory": f"{self.home}/state",
            "cache directory": f"{self.home}/cache",
            "pid directory": f"{self.home}/pid",
            "ncalrpc dir": self.ncalrpc,
            "usershare path": "",
            "usershare max shares": "0",
            "log file": f"{self.lab}/log/smbd-{self.name}.log",
            "max log size": "5000",
            "log level": "1 auth_audit:2",  # a line for every refused logon
            "bind interfaces only": "no",
            "smb ports": str(self.port),
            "disable netbios": "yes",
            "dns proxy": "no",
            "ntlm auth": "ntlmv2-only",
            "map to guest": "never",
            "rpc start on demand helpers": "no",
            "load printers": "no",
            "printing": "bsd",
            "printcap name": "/dev/null",
            "disable spoolss": "yes",
            "deadtime": "0",
            "unix extensions": "no",
            "host msdfs": "no",
            "kernel oplocks": "no",
            "multicast dns register": "no",
            "vfs objects": "acl_xattr",
            "acl_xattr:ignore system acls": "yes",
            "acl_xattr:default acl style": "windows",
            "map acl inherit": "yes",
            "store dos attributes": "yes",
        } | self.options
        with open(self.conf, "w", encoding="utf-8") as conf:
            conf.write("[global]\n")
            for key, value in options.items():
                conf.write(f"\t{key} = {value}\n")
            conf.write(f"\tinclude = {self.lab}/targets/%i.conf\n")
        self._import_accounts(accounts)

    def _import_accounts(self, accounts):
        """Fills tdbsam in one call, from a file in smbpasswd's format."""
        source = os.path.join(self.home, "private", "import")
        with open(source, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            for account in accounts:
                flags = "[UD         ]" if account.get("disabled") else "[U          ]"
                changed = 0 if account.get("must_change") else int(time.time())
                hashes = f"{'X' * 32}:{account['nt_hash'].upper()}"
                out.write(f"{account['user']}:{account['uid']}:{hashes}:{flags}:LCT-{changed:08X}:\n")
        self._pdbedit("-i", f"smbpasswd:{source}", "-e", f"tdbsam:{self.home}/private/passdb.tdb")
        os.unlink(source)
        for account in accounts:
            if account.get("locked"):
                self._pdbedit("-u", account["user"], "-c", "[L]")
            if account.get("expired"):
                self._pdbedit("-u", account["user"], "-K", "86400")

    def _pdbedit(self, *arguments):
        done = subprocess.run(
            ["pdbedit", "-s", self.conf, "-d", "0", *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"pdbedit {' '.join(arguments)}: {done.stderr.strip()}")

    def environment(self):
        """Libraries that are loaded before the C library's functions: a deep queue, maybe a clock of its own."""
        queue = library(self.lab, "listen_deep")
        if not self.clock_s:
            return {"LD_PRELOAD": queue}
        return {"LD_PRELOAD": f"{queue}:{library(self.lab, 'clock_shift')}", "LAB_CLOCK_SHIFT_S": str(self.clock_s)}

    def command(self):
        return ["smbd", "--foreground", "--no-process-group", f"--configfile={self.conf}"]


def library(directory, name):
    """Compiles NAME.c, once for each lab."""
    made = os.path.join(directory, "smbd", f"{name}.so")
    if not os.path.exists(made):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.c")
        done = subprocess.run(
            ["cc", "-O1", "-fPIC", "-shared", "-o", made, source], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"cc {name}.c: {done.stderr.strip()}")
    return made


def write_target(directory, target, share=None, options=None):
    """Writes one address's own part of the configuration; it holds for connections made afterwards."""
    drive = f"{directory}/hosts/{target['address']}/C"
    shares = {
        "C$": {"path": drive},
        "ADMIN$": {"path": f"{drive}/Windows"},
    }
    common = {
        "valid users": "@admins",
        "force user": "root",
        "read only": "no",
        "browseable": "no",
        "comment": "Default share",
        "create mask": "0644",
        "directory mask": "0755",
    }
    settings = {"netbios name": target["netbios"]} | (options or {})
    if settings.pop("pipe", None) == "none":
        settings["ncalrpc dir"] = f"{directory}/nopipe"
    lines = [f"\t{key} = {value}\n" for key, value in settings.items()]
    for name, own in shares.items():
        merged = common | own | (share or {} if name == "C$" else {})
        if merged.pop("available", "yes") is None:
            continue
        lines.append(f"[{name}]\n")
        lines += [f"\t{key} = {value}\n" for key, value in merged.items()]
    for address in (target["address"], net.address6(target["address"])):
        path = f"{directory}/targets/{address}.conf"
        with open(f"{path}.new", "w", encoding="utf-8") as conf:
            conf.writelines(lines)
        os.replace(f"{path}.new", path)


def write_passwd(directory, accounts, targets):
    """The Unix side of the accounts, bind-mounted over /etc/passwd and /etc/group in the target namespace only."""
    folder = os.path.join(directory, "etc")
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/passwd", "w", encoding="utf-8") as passwd:
        passwd.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
        for account in accounts:
            gid = 7000 if account["admin"] else 7001
            passwd.write(f"{account['user']}:x:{account['uid']}:{gid}::/nonexistent:/usr/sbin/nologin\n")
    admins = ",".join(account["user"] for account in accounts if account["admin"])
    with open(f"{folder}/group", "w", encoding="utf-8") as group:
        group.write(f"root:x:0:\nnogroup:x:65534:\nadmins:x:7000:{admins}\nlabusers:x:7001:\n")
    with open(f"{folder}/nsswitch.conf", "w", encoding="ascii") as nss:
        nss.write("passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    with open(f"{folder}/hosts", "w", encoding="ascii") as hosts:
        hosts.write("127.0.0.1 localhost\n127.0.1.1 standin.lab.test standin\n")
        for target in targets:
            if len(target["host"]) > 15:
                hosts.write(f"127.0.1.1 {target['fqdn']} {target['host']}\n")
    return folder
