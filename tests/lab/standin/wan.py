"""The head office's network and the links to its branches, in user space: delay, jitter, loss, rate, cuts, and a count of
every byte.

usage: python -m standin.wan      (started by sites.py; the first line of its input says what to make)

This process owns the head office's network namespace: 10.48.0.1 on lo, where a DNS server answers, and a TUN device for
each branch. The other end of each link is a TUN device in the branch's namespace. What one end sends is read here, held
for as long as the link takes, and written to the other. TUN devices and namespace go when this process goes.

Requests are lines of JSON on standard input, each answered by one on standard output:

    {"do": "set", "link": "lyon", "delay_ms": 40, "jitter_ms": 5, "loss": 0.01, "rate": 1000000, "cut": true}
    {"do": "counters"}      {"lyon": {"up": {"packets": N, "bytes": N, "lost": N, "ports": {"7801": N}}, "down": ...}}
    {"do": "capture", "path": FILE}      every packet from here on, as 4 bytes of length and the packet; null: no more
"""

import collections
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

from standin import kernel, net

HEAD_ADDRESS = "10.48.0.1"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
PACKET_MAX = 65536
QUEUE_S = 0.5  # what waits longer than this for its turn on a slow link is dropped
BURST = 64  # packets read from one device before the others have their turn


def open_tun(name):
    """A TUN device in this thread's network namespace; it lives as long as the descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def server_port(packet, upwards):
    """The head office's port of a TCP packet, None for anything else."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    ports = (packet[0] & 15) * 4
    if len(packet) < ports + 4:
        return None
    source, destination = struct.unpack_from(">HH", packet, ports)
    return destination if upwards else source


class Way:
    """One direction of a link."""

    def __init__(self, link, upwards, out):
        self.link, self.upwards, self.out = link, upwards, out
        self.queue = collections.deque()  # (when it is there, packet), in this order
        self.free_at = self.last_due = 0.0
        self.packets = self.bytes = self.lost = 0
        self.ports = collections.Counter()

    def cut(self):
        return self.link.cut in (True, "up" if self.upwards else "down")

    def take(self, packet, now, chance):
        link = self.link
        if self.cut():
            self.lost += 1
            return
        self.free_at = max(self.free_at, now)
        if self.free_at - now > QUEUE_S:
            self.lost += 1
            return
        if link.rate:
            self.free_at += len(packet) / link.rate
        self.packets += 1
        self.bytes += len(packet)
        port = server_port(packet, self.upwards)
        if port is not None:
            self.ports[port] += len(packet)
        if chance.random() < link.loss:
            self.lost += 1
            return
        due = self.free_at + link.delay_s + chance.random() * link.jitter_s
        self.last_due = max(self.last_due, due)  # nothing overtakes
        self.queue.append((self.last_due, packet))

    def give(self, now):
        """Writes what has arrived; returns when the next will have."""
        while self.queue and self.queue[0][0] <= now:
            packet = self.queue.popleft()[1]
            if self.cut():
                self.lost += 1
                continue
            try:
                os.write(self.out, packet)
            except OSError:
                self.lost += 1  # its queue is full: as on any link
        return self.queue[0][0] if self.queue else None

    def counters(self):
        return {"packets": self.packets, "bytes": self.bytes, "lost": self.lost,
                "ports": {str(port): count for port, count in self.ports.items()}}


class Link:
    """One branch's line to the head office."""

    def __init__(self, row):
        self.name = row["name"]
        self.cut, self.loss, self.rate, self.delay_s, self.jitter_s = False, 0.0, 0, 0.0, 0.0
        number = row["branch"]
        near, far = f"10.48.{number}.1", f"10.48.{number}.2"
        self.head = self._device(f"wan{number}", near, far, [])
        with open("/proc/self/ns/net", "rb") as own:
            kernel.setns(f"/proc/{row['pid']}/ns/net", kernel.CLONE_NEWNET)
            try:
                self.branch = self._device("wan0", far, near, [HEAD_ADDRESS])
            finally:
                kernel.setns(f"/proc/self/fd/{own.fileno()}", kernel.CLONE_NEWNET)
        self.up, self.down = Way(self, True, self.head), Way(self, False, self.branch)

    @staticmethod
    def _device(name, address, peer, routes):
        fd = open_tun(name)
        net.run("ip", "address", "add", address, "peer", peer, "dev", name)
        net.run("ip", "link", "set", name, "up", "txqueuelen", "1000")
        for route in routes:
            net.run("ip", "route", "add", route, "dev", name)
        return fd

    def set(self, cut=None, loss=None, rate=None, delay_ms=None, jitter_ms=None):
        self.cut = self.cut if cut is None else cut if cut in ("up", "down") else bool(cut)
        self.loss = self.loss if loss is None else float(loss)
        self.rate = self.rate if rate is None else float(rate)
        self.delay_s = self.delay_s if delay_ms is None else delay_ms / 1000
        self.jitter_s = self.jitter_s if jitter_ms is None else jitter_ms / 1000


class Wan:
    """All links, and who asks about them."""

    def __init__(self, rows):
        self.links = {row["name"]: Link(row) for row in rows}
        self.chance = random.Random(1)  # the same losses in every run, as far as timing allows
        self.capture = None
        self.ways = {}
        for link in self.links.values():
            self.ways[link.branch] = link.up
            self.ways[link.head] = link.down

    def run(self):
        poll = select.poll()
        for fd in (0, *self.ways):
            poll.register(fd, select.POLLIN)
        asked = b""
        while True:
            now = time.monotonic()
            dues = [due for due in [way.give(now) for way in self.ways.values()] if due is not None]
            wait = None if not dues else max(0, (min(dues) - now) * 1000)
            for fd, _ in poll.poll(wait):
                if fd:
                    self._read(fd)
                    continue
                said = os.read(0, PACKET_MAX)
                if not said:
                    return
                asked += said
                *lines, asked = asked.split(b"\n")
                for line in lines:
                    print(json.dumps(self._answer(json.loads(line))), flush=True)

    def _read(self, fd):
        way, now = self.ways[fd], time.monotonic()
        for _ in range(BURST):
            try:
                packet = os.read(fd, PACKET_MAX)
            except BlockingIOError:
                return
            if self.capture:
                self.capture.write(struct.pack(">I", len(packet)) + packet)
            way.take(packet, now, self.chance)

    def _answer(self, request):
        verb = request.pop("do")
        if verb == "counters":
            return {name: {"up": link.up.counters(), "down": link.down.counters()} for name, link in self.links.items()}
        if verb == "set":
            self.links[request.pop("link")].set(**request)
        elif verb == "capture":
            if self.capture:
                self.capture.close()
            self.capture = open(request["path"], "ab") if request["path"] else None
        else:
            return {"error": f"unknown request {verb!r}"}
        return {}


def _start_dns(directory, names):
    """The head office's own DNS server: NAMES and nothing else."""
    with open(f"{directory}/head.hosts", "w", encoding="ascii") as hosts:
        hosts.writelines(f"{address} {name}\n" for name, address in names.items())
    with open(f"{directory}/head.dnsmasq.conf", "w", encoding="ascii") as conf:
        conf.write(
            "no-resolv\nno-poll\nno-hosts\nno-daemon\nkeep-in-foreground\nbind-interfaces\ncache-size=0\n"
            f"user=root\ngroup=root\nlisten-address={HEAD_ADDRESS}\naddn-hosts={directory}/head.hosts\n"
            f"pid-file={directory}/head.dnsmasq.pid\nlocal=/test/\naddress=/#/\n"
        )
    with open(f"{directory}/head.log", "ab") as log:
        return subprocess.Popen(
            ["dnsmasq", f"--conf-file={directory}/head.dnsmasq.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=kernel.die_with_parent)


def main():
    orders = json.loads(sys.stdin.buffer.raw.readline())
    directory = orders["directory"]
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    kernel.private_mounts()
    with open(f"{directory}/head.resolv.conf", "w", encoding="ascii") as resolv:
        resolv.write(f"nameserver {HEAD_ADDRESS}\noptions timeout:2 attempts:2\n")
    kernel.bind(f"{directory}/head.resolv.conf", "/etc/resolv.conf")
    net.run("ip", "link", "set", "lo", "up")
    net.run("ip", "address", "add", f"{HEAD_ADDRESS}/32", "dev", "lo")
    wan = Wan(orders["links"])
    server = _start_dns(directory, orders["names"])
    while not net.accepts((HEAD_ADDRESS, 53)):
        if server.poll() is not None:
            raise RuntimeError(f"dnsmasq ended with {server.returncode}; see {directory}/head.log")
        time.sleep(0.02)
    print("{}", flush=True)
    wan.run()


if __name__ == "__main__":
    main()
