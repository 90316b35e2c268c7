"""Names, addresses and pings against the lab: which address of a name is used, what DNS failures are called, IPv6, who may be
touched, and how the relay pings with either kind of socket."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from pushing import PushCase, SUCCESS, rows_by_name  # noqa: E402
from test_stages import End, PROBE, REFUSER, StageCase  # noqa: E402

SILENT = "10.50.255.250"  # nobody's, in the targets' network
DATAGRAM = ["sh", "-c", 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range && exec "$@"', "sh"]

# Answers A questions with one address and leaves AAAA ones alone. Arguments: the address, then the command to run beside it.
ONE_FAMILY = """
import socket, subprocess, sys, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
def serve():
    while True:
        query, client = server.recvfrom(600)
        end = query.index(0, 12) + 5
        if query[end - 4 : end - 2] == bytes([0, 1]):
            answer = bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]) + socket.inet_aton(sys.argv[1])
            server.sendto(query[:2] + bytes([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]) + query[12:end] + answer, client)
threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""

# Answers everything with bytes that make no sense: cut, looping names, counts without records, noise. Argument: the command.
MADMAN = """
import itertools, os, random, socket, subprocess, sys, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
def serve():
    for turn in itertools.count():
        query, client = server.recvfrom(600)
        end = query.index(0, 12) + 5
        head, question = query[:2] + bytes([0x81, 0x80]), query[12:end]
        loop = bytes([0xC0, end]) + query[end - 4 : end] + bytes([0, 0, 0, 9, 0, 4, 10, 50, 1, 1])
        server.sendto([
            head + bytes([0, 1, 0, 1, 0, 0, 0, 0]) + question + loop,
            head + bytes([0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]) + question,
            head + bytes([0, 1, 0, 1, 0, 0, 0, 0]) + question + bytes([0xC0, 12]),
            head + bytes([0, 1, 0, 1, 0, 0, 0, 0]) + question + bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0xFF, 0xFF, 10]),
            query[:2] + random.Random(turn).randbytes(200),
        ][turn % 5], client)
threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""

# Answers each echo request to an address where the kernel doesn't, 700 ms late and twice. Arguments: address, seconds to live.
LATE = """
import select, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
address, end = socket.inet_aton(sys.argv[1]), time.monotonic() + float(sys.argv[2])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.bind((sys.argv[1], 0))
print("ready", flush=True)
late = []
while time.monotonic() < end:
    if select.select([wire], [], [], 0.01)[0]:
        packet = wire.recv(2000)
        if packet[9] == 1 and packet[16:20] == address and packet[20] == 8:
            rest = packet[24:44]
            body = bytes(4) + rest
            reply = bytes(2) + struct.pack("!H", checksum(body)) + rest
            late.append((time.monotonic() + 0.7, reply, socket.inet_ntoa(packet[12:16])))
    while late and late[0][0] <= time.monotonic():
        _, reply, back = late.pop(0)
        for _ in range(2):
            raw.sendto(reply, (back, 0))
"""


class NamesCase(StageCase):
    """With ways to change how names are looked up, and what is sent where."""

    OPTIONS = {"targets": 4, "faults": "pc-0003=no-ping"}

    def resolv_conf(self, text):
        """For one test; in place, since the lab has the file mounted."""
        path = f"{self.lab.directory}/resolv.conf"
        with open(path, encoding="ascii") as file:
            before = file.read()
        self.addCleanup(self.write, path, before)
        self.write(path, text.replace("DNS", before.split("nameserver ")[1].split()[0]))

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def nft(self, *words):
        done = self.lab.run(["nft", *words], side="target")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def address6(self, host):
        return "fd50::" + ":".join(self.lab.address(host).split("."))

    def reject6(self, address, what):
        """Until the end of the test, packets to this address are answered so."""
        self.nft("add", "table", "ip6", "extra")
        self.addCleanup(self.nft, "delete", "table", "ip6", "extra")
        self.nft("add", "chain", "ip6", "extra", "input", "{ type filter hook input priority 10; }")
        self.nft("add", "rule", "ip6", "extra", "input", "ip6", "daddr", address, *what.split())


class Names(NamesCase):
    """Which addresses a name has, and what is said when it has none."""

    def ends_at(self, name, address, stage="schedule", *options):
        end = self.push_one(name, "--last", stage, *options)
        self.passed(end, stage)
        self.assertEqual(end.address, address, end)
        return end

    def test_alias_and_alias_of_alias(self):
        for zone in ("alias.test", "chain.test"):
            with self.subTest(zone=zone):
                self.ends_at(f"pc-0001.{zone}", self.lab.address("pc-0001"))

    def test_case_and_final_dot_make_no_difference(self):
        for name in ("PC-0001", "Pc-0001.LAB.test", "pc-0001.lab.test."):
            with self.subTest(name=name):
                end = self.ends_at(name, self.lab.address("pc-0001"))
                self.assertEqual(end.name_check, "1")

    def test_final_dot_keeps_search_domains_away(self):
        self.failed(self.push_one("pc-0001."), "resolve", "NXDOMAIN", "dns 3")

    def test_search_domains_are_tried_in_order(self):
        self.resolv_conf("search nowhere.test nodata.test lab.test\nnameserver DNS\n")
        self.ends_at("pc-0001", self.lab.address("pc-0001"), "resolve")

    def test_search_ends_at_a_failure(self):
        """The next domain may have another machine of that name."""
        self.resolv_conf("search slow.test lab.test\nnameserver DNS\n")
        self.failed(self.push_one("pc-0001"), "resolve", "DNS_TIMEOUT")

    def test_families_of_two_domains_are_never_mixed(self):
        for zones, address in (("split4.test split6.test", self.lab.address("pc-0001")),
                               ("split6.test split4.test", self.address6("pc-0002"))):
            with self.subTest(zones=zones):
                self.resolv_conf(f"search {zones}\nnameserver DNS\n")
                self.ends_at("pc-0001", address, "ping")

    def test_ndots_decides_what_is_tried_first(self):
        self.resolv_conf("search test\noptions ndots:2\nnameserver DNS\n")
        self.ends_at("pc-0001.lab", self.lab.address("pc-0001"), "resolve")

    def test_name_without_an_address_is_told_from_no_name(self):
        end = self.push_one("pc-0001.nodata.test")
        self.failed(end, "resolve", "NXDOMAIN", "dns 0")
        self.assertIn("neither an A nor an AAAA", end.detail)

    def test_answer_too_long_for_udp_is_fetched_by_tcp(self):
        end = self.push_one("pc-0001.many.test", "--last", "resolve")
        self.passed(end, "resolve")
        self.assertRegex(end.address, r"^10\.50\.(254\.[0-9]+|1\.1)$")

    def test_dead_address_is_passed_over(self):
        address = self.lab.address("pc-0001")
        self.ends_at("pc-0001.dead-first.test", address)
        self.ends_at("pc-0001.dead-first.test", address, "schedule", "--ping", "skip")
        self.ends_at("pc-0001.dead-first.test", address, "schedule", "--ping", "prefer")

    def test_family_that_gets_no_answer_delays_no_other(self):
        self.resolv_conf("nameserver 127.0.0.1\n")
        address = self.lab.address("pc-0001")
        end = self.push_one("pc-0001.lab.test", "--last", "resolve",
                            prefix=["/usr/bin/python3", "-c", ONE_FAMILY, address])
        self.passed(end, "resolve")
        self.assertEqual((end.address, end.tries), (address, "1"))

    def test_answers_that_make_no_sense_resolve_nothing(self):
        self.resolv_conf("nameserver 127.0.0.1\n")
        names = [f"pc-0001.zone{number}.test" for number in range(20)]
        for end in self.push(names, prefix=["/usr/bin/python3", "-c", MADMAN]):
            self.assertEqual((end.stage, end.verdict), ("resolve", "failed"), end)
            self.assertIn(end.reason, ("DNS_TIMEOUT", "NXDOMAIN"), end)

    def test_refusals_are_told_by_their_code(self):
        self.resolv_conf("search lab.test\nnameserver 127.0.0.1\n")
        for rcode in ("1", "2", "4", "5"):
            with self.subTest(rcode=rcode):
                end = self.push_one("pc-0001", prefix=["/usr/bin/python3", "-c", REFUSER, rcode])
                self.failed(end, "resolve", "DNS_TIMEOUT", f"dns {rcode}")

    def test_thousand_names_at_once_lose_none(self):
        ends = self.push([f"pc-000{1 + number % 4}.lab.test." for number in range(1000)], "--last", "resolve")
        self.assertEqual((len(ends), {end.verdict for end in ends}), (1000, {"passed"}))
        # Those that were lost and asked again; a machine that stands still for a while may lose what is under way.
        self.assertLess(sum(end.tries != "1" for end in ends), 100)


class Scope(NamesCase):
    """Who may be touched."""

    def test_address_outside_is_never_touched(self):
        address, six = self.lab.address("pc-0001"), self.address6("pc-0001")
        self.nft("add", "table", "inet", "seen")
        self.addCleanup(self.nft, "delete", "table", "inet", "seen")
        self.nft("add", "chain", "inet", "seen", "before", "{ type filter hook prerouting priority -200; }")
        self.nft("add", "rule", "inet", "seen", "before", "ip", "daddr", address, "counter")
        self.nft("add", "rule", "inet", "seen", "before", "ip6", "daddr", six, "counter")
        for name in (address, "pc-0001", six, f"::ffff:{address}", "pc-0001.mapped.test"):
            with self.subTest(name=name):
                end = self.push_one(name, "--allow", "10.50.2.0/24", "--allow", "fd51::/16", "--ping", "skip")
                self.failed(end, "resolve", "OUT_OF_SCOPE")
                self.assertEqual(end.address, six if name == six else address)
        self.assertEqual(self.nft("list", "table", "inet", "seen").count("packets 0 bytes 0"), 2)
        self.passed(self.push_one("pc-0001", "--allow", f"{address}/32", "--last", "ping"), "ping")

    def test_addresses_outside_are_left_out(self):
        address = self.lab.address("pc-0001")
        end = self.push_one("pc-0001.dead-first.test", "--allow", SILENT, "--last", "ping")
        self.failed(end, "ping", "NO_REPLY")
        self.assertEqual(end.address, SILENT)
        end = self.push_one("pc-0001.dead-first.test", "--allow", address)
        self.passed(end)
        self.assertEqual(end.address, address)

    def test_addresses_of_no_machine_are_refused(self):
        for name in ("pc-0001.odd.test", "224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "fe80::1", "::"):
            with self.subTest(name=name):
                self.failed(self.push_one(name, "--ping", "skip"), "resolve", "OUT_OF_SCOPE")


class Six(NamesCase):
    """IPv6 through all stages, and its failures."""

    def test_literal_goes_through_all_stages(self):
        address = self.address6("pc-0001")
        end = self.push_one(address)
        self.passed(end)
        self.assertEqual((end.address, end.name_check), (address, "0"))
        self.assertTrue(self.lab.check("pc-0001", self.package)["package_ok"])

    def test_mapped_literal_is_the_ipv4_address(self):
        end = self.push_one(f"::ffff:{self.lab.address('pc-0001')}", "--last", "access")
        self.passed(end, "access")
        self.assertEqual(end.address, self.lab.address("pc-0001"))

    def test_link_local_without_a_zone_is_refused(self):
        self.failed(self.push_one("fe80::1"), "resolve", "OUT_OF_SCOPE")

    def test_silence_and_router_errors_by_both_sockets(self):
        address = self.address6("pc-0002")
        self.reject6(address, "reject with icmpv6 type addr-unreachable")
        self.addCleanup(self.lab.run, ["sh", "-c", 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'])
        for prefix in ([], DATAGRAM):
            with self.subTest(datagram=bool(prefix)):
                ends = {end.target: end for end in self.push(
                    [address, "fd50::99", self.address6("pc-0001")], "--last", "ping", prefix=prefix)}
                self.failed(ends[address], "ping", "HOST_UNREACHABLE", "icmp 1/3")
                self.failed(ends["fd50::99"], "ping", "NO_REPLY")
                self.passed(ends[self.address6("pc-0001")], "ping")

    def test_closed_and_filtered_ports(self):
        for what, reason, code in (("tcp dport 445 reject with tcp reset", "PORT_CLOSED", "errno 111"),
                                   ("tcp dport 445 drop", "CONNECT_TIMEOUT", "errno 110")):
            with self.subTest(reason=reason):
                address = self.address6("pc-0004")
                self.reject6(address, what)
                self.failed(self.push_one(address), "access", reason, code)
                self.doCleanups()

    def test_no_route_is_host_unreachable(self):
        self.lab.run(["ip", "-6", "route", "add", "unreachable", "2001:db8:9::/48"])
        self.addCleanup(self.lab.run, ["ip", "-6", "route", "del", "unreachable", "2001:db8:9::/48"])
        self.failed(self.push_one("2001:db8:9::1"), "ping", "HOST_UNREACHABLE")
        self.failed(self.push_one("2001:db8:9::1", "--ping", "skip"), "access", "HOST_UNREACHABLE")


class Pings(NamesCase):
    """Both kinds of socket, and what must not be believed."""

    def test_datagram_socket_meets_every_end(self):
        self.lab.fault("pc-0002", "host-unreachable")
        self.addCleanup(self.lab.fault, "pc-0002", None)
        self.addCleanup(self.lab.run, ["sh", "-c", 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'])
        bare = [*DATAGRAM, "setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"]
        ends = {end.target: end for end in self.push(
            ["pc-0001", "pc-0002", "pc-0003", "pc-0001.dead-first.test"], "--last", "ping", prefix=bare)}
        self.passed(ends["pc-0001"], "ping")
        self.failed(ends["pc-0002"], "ping", "HOST_UNREACHABLE", "icmp 3/1")
        self.failed(ends["pc-0003"], "ping", "NO_REPLY")
        self.passed(ends["pc-0001.dead-first.test"], "ping")

    def test_late_and_double_answers_count_once(self):
        self.addCleanup(self.lab.run, ["sh", "-c", 'echo "1 0" >/proc/sys/net/ipv4/ping_group_range'])
        command = ["/usr/bin/python3", "-c", LATE, self.lab.address("pc-0003"), "120"]
        with self.lab.popen(command, side="target", stdout=subprocess.PIPE, text=True) as late:
            self.assertEqual(late.stdout.readline(), "ready\n")
            for prefix in ([], DATAGRAM):
                ends = [end for end in self.push(["pc-0003", "pc-0001"], "--last", "ping", prefix=prefix)
                        if end.stage == "ping"]
                self.assertEqual(sorted((end.target, end.verdict) for end in ends),
                                 [("pc-0001", "passed"), ("pc-0003", "passed")])
            late.kill()

    def test_without_any_socket_ping_is_not_allowed(self):
        bare = ["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"]
        for name in ("pc-0001", self.address6("pc-0001"), "pc-0001.dead-first.test"):
            with self.subTest(name=name):
                self.failed(self.push_one(name, prefix=bare), "ping", "PING_NOT_ALLOWED")

    def test_thousands_of_pings_all_come_back(self):
        """The whole network answers, more at once than any buffer holds."""
        self.lab.run(["ip", "route", "replace", "local", "10.62.0.0/16", "dev", "lo"], side="target")
        addresses = [f"10.62.{number // 250}.{number % 250 + 1}" for number in range(3000)]
        ends = [end for end in self.push(addresses, "--last", "ping") if end.stage == "ping"]
        self.assertEqual((len(ends), {end.verdict for end in ends}), (3000, {"passed"}))

    def test_on_link_pings_leave_room_in_the_neighbour_table(self):
        """Nobody is there; each unanswered one takes a place in the kernel's table."""
        self.lab.run(["ip", "address", "add", "10.63.0.1/16", "dev", "lab1"])
        self.addCleanup(self.lab.run, ["ip", "address", "del", "10.63.0.1/16", "dev", "lab1"])
        addresses = [f"10.63.{1 + number // 250}.{number % 250 + 1}" for number in range(1200)]
        command = [PROBE, "--user", "nobody", "--password-file", self.lab.data["password_file"], "--last", "ping",
                   *addresses]
        most = 0
        with tempfile.TemporaryFile("w+") as out, self.lab.popen(command, stdout=out) as probe:
            while probe.poll() is None:
                done = self.lab.run(["ip", "neighbour", "show", "dev", "lab1", "nud", "incomplete"])
                most = max(most, done.stdout.count("10.63."))
            out.seek(0)
            ends = [End(*line.split("\t")) for line in out.read().splitlines()]
        self.assertEqual(probe.returncode, 0)
        self.assertEqual(sum(end.stage == "ping" for end in ends), len(addresses))
        # The kernel tells a few that nobody is there, not all: its ICMP errors are rate-limited.
        self.assertLessEqual({end.reason for end in ends if end.stage == "ping"}, {"HOST_UNREACHABLE", "NO_REPLY"})
        self.assertGreater(most, 0)
        self.assertLessEqual(most, 1024 * 3 // 4)


class Pushes(PushCase):
    """The same through the whole product: rows, reports and options."""

    TARGETS, FAULTS = 6, "pc-0005=no-ping,pc-0006=ipv4-dead"

    def six(self, host):
        return "fd50::" + ":".join(self.lab.address(host).split("."))

    def confine(self, *subnets):
        """From now on the desk's relay may touch these subnets only."""
        folder = self.folder / "bin"
        folder.mkdir()
        shutil.copy(self.admin.bin / "pusher", folder)
        (folder / "pusher-coordinator").symlink_to(self.admin.bin / "pusher-coordinator")
        allow = " ".join(f"--allow {subnet}" for subnet in subnets)
        relay = folder / "pusher-relay"
        relay.write_text(f'#!/bin/sh\ncase $1 in run) set -- "$@" {allow};; esac\n'
                         f'exec {self.admin.bin}/pusher-relay "$@"\n', encoding="ascii")
        relay.chmod(0o755)
        self.admin.bin = folder

    def test_ipv6_targets_of_every_form(self):
        package = self.package()
        one, two = self.six("pc-0001"), self.six("pc-0002")
        done, report = self.admin.push(package, [f"[{one}]", f"{two}/127", "pc-0006", "pc-0004.lab.test."])
        self.assert_report(done, report)
        rows = rows_by_name(report)
        self.assertEqual(set(rows), {one, two, self.six("pc-0003"), "pc-0006", "pc-0004.lab.test."})
        for row in rows.values():
            self.assertIn(row["state"], SUCCESS, row)
        for name in (one, two):
            self.assertEqual(rows[name]["address"], name)
        self.assertEqual(rows["pc-0006"]["address"], self.six("pc-0006"))
        self.assertEqual(rows["pc-0004.lab.test."]["address"], self.lab.address("pc-0004"))
        for host in ("pc-0001", "pc-0002", "pc-0003", "pc-0004", "pc-0006"):
            self.assertTrue(self.lab.check(host, package)["package_ok"], host)
        for words in (("report", "-o", "wide"), ("why", one)):
            self.assertIn(one, self.admin.run(*words).stdout)

    def test_targets_outside_the_relays_subnets_are_out_of_scope(self):
        self.confine(self.lab.address("pc-0001") + "/32", "fd50::/64")
        done, report = self.admin.push(self.package(), ["pc-0001", "pc-0002", self.six("pc-0003")])
        self.assert_report(done, report)
        rows = rows_by_name(report)
        self.assertEqual((rows["pc-0002"]["stage"], rows["pc-0002"]["reason"]), ("resolve", "OUT_OF_SCOPE"))
        self.assertEqual(rows["pc-0002"]["address"], self.lab.address("pc-0002"))
        for name in ("pc-0001", self.six("pc-0003")):
            self.assertIn(rows[name]["state"], SUCCESS, rows[name])
        self.assertEqual(done.returncode, 3)
        self.assertIn("--allow", self.admin.run("why", "pc-0002").stdout)

    def test_ping_may_be_required_preferred_or_skipped(self):
        for mode in ("require", "prefer", "skip"):
            with self.subTest(mode=mode):
                done, report = self.admin.push(self.package(), ["pc-0005"], "--ping", mode)
                self.assert_report(done, report)
                row = report["targets"][0]
                if mode == "require":
                    self.assertEqual((row["state"], row["stage"], row["reason"]), ("unreachable", "ping", "NO_REPLY"))
                else:
                    self.assertIn(row["state"], SUCCESS, row)


del NamesCase, PushCase, StageCase  # not to be run for themselves

if __name__ == "__main__":
    unittest.main(verbosity=2)
