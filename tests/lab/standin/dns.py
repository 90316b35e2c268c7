"""The site's own DNS server: dnsmasq with an address for every target, nothing else, and a zone that never answers."""

import os

from . import faults, net

ZONE = "lab.test"
SLOW_ZONE = "slow.test"


def _kind(target):
    return faults.split(target["fault"])[0].dns if target["fault"] else None


# Zones with another name of the first target each, under its own first label.
CNAME_ZONE, CHAIN_ZONE = "alias.test", "chain.test"  # an alias, and an alias of the alias
DEAD_FIRST_ZONE = "dead-first.test"  # an address where nobody answers, then the right one
MANY_ZONE = "many.test"  # 60 addresses, too many for a UDP answer; the right one is the first
NODATA_ZONE = "nodata.test"  # the name is there, but without an address
SPLIT4_ZONE, SPLIT6_ZONE = "split4.test", "split6.test"  # the first target's A; the second's AAAA under the same name
ODD_ZONE = "odd.test"  # addresses that no machine can have
MAPPED_ZONE = "mapped.test"  # the IPv4 address, told as an IPv4-mapped AAAA


def _extra_hosts(targets, place):
    """Lines of the hosts file."""
    first, second = targets[0], targets[min(1, len(targets) - 1)]
    host, address = first["host"], first["address"]
    yield f"{place.silent} {host}.{DEAD_FIRST_ZONE}"
    yield f"{address} {host}.{DEAD_FIRST_ZONE}"
    yield f"{address} {host}.{MANY_ZONE}"
    for number in range(1, 60):
        yield f"10.50.254.{number} {host}.{MANY_ZONE}"
    yield f"{address} {host}.{SPLIT4_ZONE}"
    yield f"{net.address6(second['address'])} {host}.{SPLIT6_ZONE}"
    for odd in ("0.0.0.0", "224.0.0.9", "ff02::1", "fe80::1"):
        yield f"{odd} {host}.{ODD_ZONE}"
    yield f"::ffff:{address} {host}.{MAPPED_ZONE}"


def _extra_lines(targets):
    """Lines of dnsmasq.conf."""
    host, fqdn = targets[0]["host"], targets[0]["fqdn"]
    yield f"cname={host}.{CNAME_ZONE},{fqdn}"
    yield f"cname={host}.{CHAIN_ZONE},{host}.{CNAME_ZONE}"
    yield f"txt-record={host}.{NODATA_ZONE},nothing else"


def write(lab):
    """Writes the configuration and the hosts file; returns the command to run."""
    directory, targets, zone, place = lab["directory"], lab["targets"], lab["zone"], net.plan(lab["branch"])
    folder = os.path.join(directory, "dns")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "hosts"), "w", encoding="ascii") as hosts:
        for target in targets:
            kind = _kind(target)
            if kind in ("six", "both"):
                hosts.write(f"{net.address6(target['address'])} {target['fqdn']}\n")
            if kind not in ("none", "silent", "six"):
                hosts.write(f"{target['address']} {target['fqdn']}\n")
            if kind == "two":
                hosts.write(f"{place.silent} {target['fqdn']}\n")
        hosts.write(f"{place.router} dns.{zone}\n")
        hosts.writelines(f"{line}\n" for line in _extra_hosts(targets, place))
    with open(os.path.join(folder, "dnsmasq.conf"), "w", encoding="ascii") as conf:
        conf.write(
            "no-resolv\nno-poll\nno-round-robin\nno-hosts\nno-daemon\nkeep-in-foreground\nbind-interfaces\n"
            f"listen-address={place.router}\n"
            f"addn-hosts={folder}/hosts\n"
            f"local=/{zone}/\nlocal=/test/\n"
            f"server=/{SLOW_ZONE}/{place.dead_dns}\n"
            + "".join(
                f"server=/{target['fqdn']}/{place.dead_dns}\n" for target in targets if _kind(target) == "silent"
            )
            + "".join(f"{line}\n" for line in _extra_lines(targets))
            + "address=/#/\n"  # everything else does not exist, without asking anybody
            "dns-forward-max=10000\ncache-size=0\nuser=root\ngroup=root\n"
            f"pid-file={folder}/dnsmasq.pid\n"
        )
    with open(os.path.join(directory, "resolv.conf"), "w", encoding="ascii") as resolv:
        resolv.write(f"search {zone}\nnameserver {place.router}\noptions timeout:2 attempts:2\n")
    return ["dnsmasq", f"--conf-file={folder}/dnsmasq.conf"]
