"""The site's own DNS server: dnsmasq with an address for every target, nothing else, and a zone that never answers."""

import os

from . import faults, net

ZONE = "lab.test"
SLOW_ZONE = "slow.test"


SILENT_ADDRESS = "10.50.255.250"  # in the targets' prefix, but nobody's


def _kind(target):
    return faults.split(target["fault"])[0].dns if target["fault"] else None


def write(directory, targets):
    """Writes the configuration and the hosts file; returns the command to run."""
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
                hosts.write(f"{SILENT_ADDRESS} {target['fqdn']}\n")
        hosts.write(f"{net.ROUTER_ADDRESS} dns.{ZONE}\n")
    with open(os.path.join(folder, "dnsmasq.conf"), "w", encoding="ascii") as conf:
        conf.write(
            "no-resolv\nno-poll\nno-round-robin\nno-hosts\nno-daemon\nkeep-in-foreground\nbind-interfaces\n"
            f"listen-address={net.ROUTER_ADDRESS}\n"
            f"addn-hosts={folder}/hosts\n"
            f"local=/{ZONE}/\nlocal=/test/\n"
            f"server=/{SLOW_ZONE}/{net.DEAD_DNS_ADDRESS}\n"
            + "".join(
                f"server=/{target['fqdn']}/{net.DEAD_DNS_ADDRESS}\n" for target in targets if _kind(target) == "silent"
            )
            + "address=/#/\n"  # everything else does not exist, without asking anybody
            "dns-forward-max=10000\ncache-size=0\nuser=root\ngroup=root\n"
            f"pid-file={folder}/dnsmasq.pid\n"
        )
    with open(os.path.join(directory, "resolv.conf"), "w", encoding="ascii") as resolv:
        resolv.write(f"search {ZONE}\nnameserver {net.ROUTER_ADDRESS}\noptions timeout:2 attempts:2\n")
    return ["dnsmasq", f"--conf-file={folder}/dnsmasq.conf"]
