"""What a lab is made of: targets, accounts and faults, computed once from the options and written to lab.json."""

import ipaddress
import json
import os
import secrets

from impacket import ntlm

from . import dns, faults, net

MAX_DIRECTORY = 60  # smbd's socket names below it have to fit into 108 bytes


def _password():
    return "Lab-" + secrets.token_hex(8) + "!"


def make_accounts():
    """The accounts every target knows: one that may push, and one of each kind that may not."""
    rows = [
        {"user": "pushadmin", "admin": True},
        {"user": "pushadmin2", "admin": True},
        {"user": "plainuser", "admin": False},
        {"user": "disabled", "admin": True, "disabled": True},
        {"user": "locked", "admin": True, "locked": True},
        {"user": "expired", "admin": True, "expired": True},
        {"user": "mustchange", "admin": True, "must_change": True},
        {"user": "jürgen", "admin": True, "password": "Lab-\N{KEY}-пароль-e\N{COMBINING ACUTE ACCENT}-" + _password()},
    ]
    for index, row in enumerate(rows):
        row["uid"] = 20001 + index
        row.setdefault("password", _password())
        row["nt_hash"] = ntlm.compute_nthash(row["password"]).hex()
    return rows


def make_targets(count, subnet_count, whole=None, zone=dns.ZONE):
    """COUNT targets spread evenly over SUBNET_COUNT networks of WHOLE (10.50.K.0/24; bigger ones when they don't fit)."""
    whole = whole or net.plan().prefix
    per_subnet = -(-count // subnet_count)
    prefix = 24
    while (1 << (32 - prefix)) - 2 < per_subnet:
        prefix -= 1
    networks = list(ipaddress.ip_network(whole).subnets(new_prefix=prefix))
    networks = networks[1:] if subnet_count < len(networks) else networks
    if subnet_count > len(networks):
        raise ValueError(f"{count} targets in {subnet_count} subnets do not fit into {whole}")
    subnets = networks[:subnet_count]
    targets = []
    for index in range(count):
        subnet = subnets[index // per_subnet]
        host = f"pc-{index + 1:04d}"
        targets.append(
            {
                "address": str(subnet[index % per_subnet + 1]),
                "host": host,
                "fqdn": f"{host}.{zone}",
                "netbios": host.upper()[:15],
                "subnet": str(subnet),
                "fault": None,
                "expected": None,
            }
        )
    return targets, [str(subnet) for subnet in subnets]


def make(directory, targets=10, subnets=1, fault_spec="none", package_name="package.exe", branch=0, zone=dns.ZONE,
         **extra):
    """The whole lab as a dict; BRANCH and ZONE: whose addresses and names; `extra` are options for the scheduler."""
    directory = os.path.abspath(directory)
    if len(directory) > MAX_DIRECTORY:
        raise ValueError(f"{directory}: longer than {MAX_DIRECTORY} characters (Unix sockets live below it)")
    if targets < 1 or subnets < 1:
        raise ValueError("a lab has at least one target and one subnet")
    place = net.plan(branch)
    rows, networks = make_targets(targets, subnets, place.prefix, zone)
    dealt = faults.deal(fault_spec, rows)
    for row in rows:
        text = dealt.get(row["address"])
        if text:
            row["fault"] = text
            fault, argument = faults.split(text)
            if fault.name == "long-name":
                row["host"] = f"workstation-of-{row['host']}"
                row["fqdn"] = f"{row['host']}.{zone}"
                row["netbios"] = row["host"].upper()[:15]
            row["expected"] = fault.expected(argument)
    accounts = make_accounts()
    return {
        "schema": 1,
        "directory": directory,
        "token": secrets.token_hex(16),
        "branch": branch,
        "zone": zone,
        "slow_zone": dns.SLOW_ZONE,
        "dns": place.router,
        "admin_address": place.admin,
        "subnets": networks,
        "package_name": package_name,
        "account": accounts[0]["user"],
        "password": accounts[0]["password"],
        "password_file": f"{directory}/password",
        "accounts": accounts,
        "targets": rows,
        "options": extra,
    }


def save(lab):
    """lab.json and the password files, all readable by their owner only."""
    directory = lab["directory"]
    os.makedirs(f"{directory}/passwords", mode=0o700, exist_ok=True)
    _private(f"{directory}/password", lab["password"] + "\n")
    for account in lab["accounts"]:
        _private(f"{directory}/passwords/{account['user']}", account["password"] + "\n")
    _private(f"{directory}/lab.json", json.dumps(lab, indent=1) + "\n")


def load(directory):
    with open(os.path.join(directory, "lab.json"), encoding="utf-8") as file:
        return json.load(file)


def _private(path, text):
    with open(f"{path}.new", "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)
    os.replace(f"{path}.new", path)
