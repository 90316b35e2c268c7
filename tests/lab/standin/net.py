"""The lab's network: one admin namespace, one target namespace that answers for every target's address, and nft
between them to make hosts silent, dead or unreachable. A lab that is a branch office has addresses of its own, so that
several fit beside each other; branch 0 is a lab alone:

    admin 10.49.BRANCH.1 --- veth --- 10.49.BRANCH.2 (router, DNS) | lo: all of 10.(50 + BRANCH).0.0/16
"""

import dataclasses
import os
import socket
import subprocess

BRANCHES_MAX = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """The addresses of one lab."""

    admin: str
    router: str
    dead_dns: str  # no DNS server ever answers there
    prefix: str  # of all targets
    silent: str  # among the targets' addresses, but nobody's
    admin6: str
    router6: str
    prefix6: str


def plan(branch=0):
    if not 0 <= branch < BRANCHES_MAX:
        raise ValueError(f"branch {branch}: from 0 to {BRANCHES_MAX - 1}")
    outer, inner = f"10.49.{branch}", 50 + branch
    outer6 = f"fd49::{branch:x}:" if branch else "fd49::"
    return Plan(
        admin=f"{outer}.1", router=f"{outer}.2", dead_dns=f"{outer}.66", prefix=f"10.{inner}.0.0/16",
        silent=f"10.{inner}.255.250", admin6=f"{outer6}1", router6=f"{outer6}2",
        prefix6=f"fd50::10:{inner}:0:0/96" if branch else "fd50::/64",
    )


def rules(place):
    return f"""
table ip lab {{
    set targets {{ type ipv4_addr; flags interval; }}
    set down {{ type ipv4_addr; }}
    set unreachable {{ type ipv4_addr; }}
    set noping {{ type ipv4_addr; }}
    set closed {{ type ipv4_addr; }}
    set filtered {{ type ipv4_addr; }}
    map instance {{ type ipv4_addr : ipv4_addr . inet_service; }}
    chain input {{
        type filter hook input priority 0; policy accept;
        ip daddr {place.dead_dns} drop
        ip daddr {place.prefix} ip daddr != @targets drop
        ip daddr @down drop
        ip daddr @unreachable reject with icmp type host-unreachable
        ip daddr @noping icmp type echo-request drop
        ip daddr @closed tcp dport 445 reject with tcp reset
        ip daddr @filtered tcp dport 445 drop
    }}
    chain instances {{
        type nat hook prerouting priority -100; policy accept;
        tcp dport 445 dnat to ip daddr map @instance
    }}
}}
"""


def rules6(place):
    return f"""
table ip6 lab {{
    set targets {{ type ipv6_addr; }}
    chain input {{
        type filter hook input priority 0; policy accept;
        ip6 daddr {place.prefix6} ip6 daddr != @targets drop
    }}
}}
"""


def has_ipv6():
    """Machines whose kernel has no IPv6 get a lab without it."""
    return os.path.isdir("/proc/sys/net/ipv6")


def address6(address):
    """The IPv6 address of the target with this IPv4 address: its numbers as they are read."""
    return "fd50::" + ":".join(address.split("."))


def run(*command, feed=None):
    done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def accepts(place):
    """Whether somebody listens there."""
    try:
        socket.create_connection(place, timeout=1).close()
        return True
    except OSError:
        return False


def set_up(admin_pid, subnets, place):
    """Called in the target namespace while the host's /proc is still mounted there."""
    admin_net = f"/proc/{admin_pid}/ns/net"

    def admin(*command):
        run("nsenter", f"--net={admin_net}", *command)

    run("ip", "link", "set", "lo", "up")
    admin("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "lab0", "type", "veth", "peer", "name", "lab1", "netns", admin_net)
    run("ip", "address", "add", f"{place.router}/24", "dev", "lab0")
    run("ip", "link", "set", "lab0", "up")
    admin("ip", "address", "add", f"{place.admin}/24", "dev", "lab1")
    admin("ip", "link", "set", "lab1", "up")
    admin("ip", "route", "add", "default", "via", place.router)
    if has_ipv6():
        run("ip", "address", "add", f"{place.router6}/64", "dev", "lab0", "nodad")
        admin("ip", "address", "add", f"{place.admin6}/64", "dev", "lab1", "nodad")
        admin("ip", "route", "add", "default", "via", place.router6)
        run("ip", "route", "add", "local", place.prefix6, "dev", "lo")
        run("nft", "-f", "-", feed=rules6(place))
    run("ip", "route", "add", "local", f"{place.dead_dns}/32", "dev", "lo")
    for subnet in subnets:
        run("ip", "route", "add", "local", subnet, "dev", "lo")
    run("nft", "-f", "-", feed=rules(place))


def add_targets(addresses):
    for start in range(0, len(addresses), 1000):
        part = addresses[start : start + 1000]
        feed = f"add element ip lab targets {{ {', '.join(part)} }}\n"
        if has_ipv6():
            feed += f"add element ip6 lab targets {{ {', '.join(map(address6, part))} }}\n"
        run("nft", "-f", "-", feed=feed)


def set_member(name, address, present):
    """Puts an address into one of the fault sets, or takes it out; saying the same twice is fine."""
    if present:
        run("nft", "add", "element", "ip", "lab", name, f"{{ {address} }}")
    else:
        subprocess.run(
            ["nft", "delete", "element", "ip", "lab", name, f"{{ {address} }}"], capture_output=True, check=False
        )


def set_members(name, addresses):
    if addresses:
        run("nft", "-f", "-", feed=f"add element ip lab {name} {{ {', '.join(addresses)} }}\n")


def use_instance(address, port):
    """Sends the target's port 445 to the smbd instance listening on another port; 445 is the default one."""
    subprocess.run(
        ["nft", "delete", "element", "ip", "lab", "instance", f"{{ {address} }}"], capture_output=True, check=False
    )
    if port != 445:
        run("nft", "add", "element", "ip", "lab", "instance", f"{{ {address} : {address} . {port} }}")
