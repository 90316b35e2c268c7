"""The row sweep: a site's whole address space, most of it dead, through the real programs.

Of N addresses 90 % are silent, almost 10 % answer ping but not on port 445 (half of those refuse, half say nothing), and a
few are machines that take the package. They come in mixed order. How long it must take follows from the relay's windows.
"""

import ipaddress
import json
import random
import statistics

NETWORK = ipaddress.ip_network("10.61.0.0/16")  # beside the lab's own subnets and that of the row ping

# The relay's windows and budgets: relay/core/agent.c, relay/stage/ping.c, session.c, access.c.
PING_WINDOW = 4096
PING_S = 2.5  # three tries
CONNECT_WINDOW = 1024  # connecting; those that log on have places of their own
CONNECT_S = 5.0  # a port that says nothing
REFUSED_S = 1.0  # a port that refuses: asked three times, half a second apart
HELD_MAX = 8192


def plan(count, machines):
    """(silent, refusing, filtered) addresses; the same at every run."""
    first = int(NETWORK.network_address) + 1
    addresses = [str(ipaddress.ip_address(first + i)) for i in range(count - machines)]
    alive = max(count // 10 - machines, 2)
    random.Random(1).shuffle(addresses)
    return addresses[alive:], addresses[: alive // 2], addresses[alive // 2 : alive]


def prepare(lab, refusing, filtered):
    """Packet filter of the targets' side: who answers, and how. Returns None or what went wrong."""
    rules = f"""table ip sweep {{
        set refusing {{ type ipv4_addr; elements = {{ {", ".join(refusing)} }} }}
        set filtered {{ type ipv4_addr; elements = {{ {", ".join(filtered)} }} }}
        chain before {{ type filter hook prerouting priority -300; ip daddr {NETWORK} notrack; }}
        chain after {{ type filter hook output priority -300; ip saddr {NETWORK} notrack; }}
        chain input {{ type filter hook input priority -10;
            ip daddr @refusing tcp dport 445 reject with tcp reset
            ip daddr @refusing accept
            ip daddr @filtered tcp dport 445 drop
            ip daddr @filtered accept
            ip daddr {NETWORK} drop
        }}
    }}
    """
    for command, feed in ((["nft", "delete", "table", "ip", "sweep"], None), (["nft", "-f", "-"], rules),
                          (["ip", "route", "replace", "local", str(NETWORK), "dev", "lo"], None)):
        done = lab.run(command, side="target", input=feed)
        if done.returncode != 0 and command[1] != "delete":
            return f"{command[0]}: {done.stderr.strip()}"
    return None


def seconds(silent, refusing, filtered):
    """What the windows account for: each stage's places, used up by those who keep one longest; both run at once, and the last
    one to answer a ping may find that its port says nothing. Start, leases and the report come on top."""
    ping_s = max(len(silent) / PING_WINDOW, 1) * PING_S
    access_s = (len(filtered) * CONNECT_S + len(refusing) * REFUSED_S) / CONNECT_WINDOW
    return ping_s, access_s, max(ping_s - PING_S, access_s) + CONNECT_S


def peaks(cost):
    """Peak kilobytes of relay and coordinator."""
    found = {}
    for key, row in cost["watched"].items():
        for name in ("pusher-relay", "pusher-coordin"):
            if key.startswith(name):
                found[name] = max(row["peak_kb"], found.get(name, 0))
    return found.get("pusher-relay", 0), found.get("pusher-coordin", 0)


def rows_of(out):
    """The rows of a JSON report that other words may stand around."""
    return json.JSONDecoder().raw_decode(out[out.index("{"):])[0]["targets"]


def median_s(rows, reason):
    found = [row["elapsed_ms"] / 1000 for row in rows if row["reason"] == reason]
    return (len(found), statistics.median(found), max(found)) if found else (0, None, None)


def run(desk, package, targets, options):
    """Returns the lines of two tables, and the sentence for the end."""
    silent, refusing, filtered = plan(options.sweep, len(targets))
    wrong = prepare(desk.lab, refusing, filtered)
    if wrong:
        raise ValueError(wrong)
    machines = [target["address"] for target in targets]
    everybody = silent + refusing + filtered + machines
    random.Random(2).shuffle(everybody)
    alone = desk.push(package, machines[:1], "-o", "json", check=False)
    dead = desk.push(package, silent[: 2 * HELD_MAX], "-o", "json", check=False)
    desk.clean(targets)
    cost = desk.push(package, everybody, "-o", "json", check=False)
    found = rows_of(cost["out"])
    if len(found) != len(everybody):
        raise ValueError(f"{len(found)} rows for {len(everybody)} targets")
    kinds = {kind: median_s(found, reason) for kind, reason in
             (("machines that take it", None), ("silent", "NO_REPLY"), ("port refuses", "PORT_CLOSED"),
              ("port says nothing", "CONNECT_TIMEOUT"))}
    expected = (len(machines), len(silent), len(refusing), len(filtered))
    if tuple(row[0] for row in kinds.values()) != expected:
        raise ValueError(f"wrong ends: {kinds}, expected {expected}")
    ping_s, access_s, predicted = seconds(silent, refusing, filtered)
    relay, coordinator = peaks(cost)
    waiting = min(HELD_MAX, len(silent))
    memory = [
        ["pusher-relay", f"{relay / 1024:.1f}", f"{peaks(dead)[0] / 1024:.1f}", f"{peaks(alone)[0] / 1024:.1f}",
         f"{waiting:,}", f"{1024 * (peaks(dead)[0] - peaks(alone)[0]) / waiting:,.0f}"],
        ["pusher-coordinator", f"{coordinator / 1024:.1f}", f"{peaks(dead)[1] / 1024:.1f}",
         f"{peaks(alone)[1] / 1024:.1f}", f"{len(everybody):,}",
         f"{1024 * (coordinator - peaks(alone)[1]) / len(everybody):,.0f}"],
    ]
    ends = [[kind, f"{number:,}", f"{median:.2f}", f"{most:.2f}"] for kind, (number, median, most) in kinds.items()]
    said = (f"sweep {cost['wall_s']:.0f} s for {len(everybody):,} addresses; the windows account for {predicted:.0f} s "
            f"(ping {ping_s:.0f} s, access {access_s:.0f} s at the same time, then the last port that says nothing); "
            f"{1e6 * cost['cpu_s'] / len(everybody):,.0f} us CPU an address")
    return ends, memory, said
