"""What is done to the programs: one fault is one cycle. The seed says what, to whom, when and for how long.

    fault.begin(now)      False: whom it was meant for is being broken already, and nobody else is left
    fault.step(now)       True: it is over, everything heals
"""

import contextlib
import os
import random
import shutil
import signal

import disk
from house import LEASE_MS, RESERVE_BYTES, Failure

LEASE_S = LEASE_MS / 1000
FIRE_S = 3  # how long to wait for the write or sync that is to fail
END_S = 60  # for a daemon to stop after its disk has failed


class Fault:
    """KIND: the word of --kinds."""

    kind = ""
    owns_end = True  # the daemon's end is this fault's doing

    def __init__(self, world, cycle, chance):
        self.world, self.cycle, self.chance = world, cycle, chance
        self.keepers = []
        self.until = 0.0
        self.what = ""

    def take(self, *keepers):
        for keeper in keepers:
            keeper.fault = self
        self.keepers = list(keepers)

    def release(self):
        for keeper in self.keepers:
            keeper.fault = None
        self.keepers = []

    def free(self, keepers):
        """Those that nobody breaks, in an order of the seed's."""
        found = list(keepers)
        self.chance.shuffle(found)
        return [keeper for keeper in found if not keeper.fault and keeper.daemon.alive() and not keeper.up_at]

    def shape(self, pick):
        """Which of several: {name: weight}."""
        return self.chance.choices(list(pick), list(pick.values()))[0]

    def begin(self, now):
        raise NotImplementedError

    def step(self, now):
        raise NotImplementedError


class Kill(Fault):
    """kill -9, at once, in the middle of a write, or with a loss of power; of daemons or of the command."""

    kind = "kill"

    def __init__(self, *words):
        super().__init__(*words)
        self.whom = self.shape({"coordinator": 24, "relay": 32, "both": 12, "site": 8, "all": 4, "command": 16, "private": 6})
        self.how = self.shape({"plain": 45, "torn": 25, "power": 30})
        away = self.shape({"none": 60, "short": 25, "long": 15})
        self.away_s = {"none": 0, "short": self.chance.uniform(0.1, 1), "long": LEASE_S * self.chance.uniform(1.1, 1.5)}[away]
        self.countdown, self.seed = self.chance.randrange(12), self.chance.randrange(1 << 32)
        self.delay_s = self.chance.uniform(0, 0.4)
        self.command = None
        self.dead = False

    def begin(self, now):
        house = self.world.house
        if self.whom in ("command", "private"):
            return self._begin_command(now)
        relays = self.free(house.relay_keepers)
        head = self.free([house.head])
        if self.whom == "relay" or self.whom in ("both", "all", "coordinator") and not head:
            chosen = relays[:1]
        elif self.whom == "site" and relays:
            chosen = [keeper for keeper in relays if keeper.daemon.branch is relays[0].daemon.branch]
        else:
            chosen = head + {"both": relays[:1], "all": relays}.get(self.whom, [])
        if not chosen:
            return False
        self.take(*chosen)
        if self.how != "plain":
            for keeper in chosen:
                keeper.disk.order(disk.TORN if self.how == "torn" else disk.POWER, self.countdown, self.seed)
        self.until = now + (FIRE_S if self.how != "plain" else 0)
        self.what = f"kill -9 ({self.how}) of {', '.join(k.name for k in chosen)}, away {self.away_s:.1f} s"
        return True

    def _begin_command(self, now):
        own = self.whom == "private"  # it takes a coordinator and a relay along
        self.command = self.world.private_to_kill() if own else self.world.command_to_kill(self.chance)
        self.until = now + self.delay_s * (4 if own else 1)
        self.what = f"kill -9 of the command of {'private ' if own else ''}push {self.command.number}"
        return True

    def step(self, now):
        if self.command:
            if now < self.until:
                return False
            self.command.kill()
            return True
        if not self.dead:
            if now < self.until and any(keeper.daemon.alive() for keeper in self.keepers):
                return False
            self._bury(now)
            return False
        if now < self.until:
            return False
        for keeper in self.keepers:
            keeper.start()
        self.release()
        return True

    def _bury(self, now):
        for keeper in self.keepers:
            keeper.kill()
            keeper.disk.clear()
            if keeper.daemon.process.returncode != -signal.SIGKILL:
                raise Failure(f"{keeper.name} ended with {keeper.daemon.process.returncode} where it should be killed: "
                              f"{keeper.daemon.said()[-1500:]}")
            keeper.check_store()
        if self.world.house.head in self.keepers:
            self.world.truth.check_acknowledged()
        self.dead, self.until = True, now + self.away_s


class Stop(Fault):
    """SIGSTOP, mostly for longer than a lease."""

    kind = "stop"

    def __init__(self, *words):
        super().__init__(*words)
        self.whom = self.shape({"coordinator": 30, "relay": 60, "site": 10})
        long = self.shape({"long": 75, "short": 25})
        self.for_s = LEASE_S * self.chance.uniform(1.05, 1.5) if long == "long" else self.chance.uniform(0.3, 2)

    def begin(self, now):
        relays, head = self.free(self.world.house.relay_keepers), self.free([self.world.house.head])
        chosen = head if self.whom == "coordinator" and head else relays[:1]
        if self.whom == "site" and relays:
            chosen = [keeper for keeper in relays if keeper.daemon.branch is relays[0].daemon.branch]
        if not chosen:
            return False
        self.take(*chosen)
        for keeper in chosen:
            keeper.stop()
        self.until = now + self.for_s
        self.what = f"stop of {', '.join(k.name for k in chosen)} for {self.for_s:.1f} s"
        return True

    def step(self, now):
        if now < self.until:
            return False
        for keeper in self.keepers:
            keeper.go_on()
        self.release()
        return True


class Cut(Fault):
    """A site's line, both ways or one; or one relay of a site that is heard no more."""

    kind = "cut"

    def __init__(self, *words):
        super().__init__(*words)
        self.which = self.shape({"both": 35, "up": 20, "down": 20, "relay": 25})
        long = self.shape({"long": 60, "short": 40})
        self.for_s = LEASE_S * self.chance.uniform(1.05, 1.5) if long == "long" else self.chance.uniform(0.3, 2)
        self.branch = self.relay = None

    def begin(self, now):
        branches = [branch for branch in self.world.house.sites if branch.name not in self.world.cut]
        self.chance.shuffle(branches)
        if not branches:
            return False
        self.branch = branches[0]
        self.world.cut.add(self.branch.name)
        if self.which == "relay":
            relays = [k for k in self.world.house.relay_keepers if k.daemon.branch is self.branch]
            self.relay = self.chance.choice(relays)
            self._nft("add table inet chaos; add chain inet chaos out { type filter hook output priority 0; }; "
                      f"add rule inet chaos out oifname wan0 meta skgid {self.relay.group} drop")
        else:
            self.world.house.sites.link(self.branch.name, cut=True if self.which == "both" else self.which)
        self.until = now + self.for_s
        name = f"{self.relay.name} to head office" if self.relay else f"line of {self.branch.name}"
        self.what = f"cut of {name} ({self.which}) for {self.for_s:.1f} s"
        return True

    def _nft(self, rules):
        done = self.branch.run(["nft", rules])
        if done.returncode != 0:
            raise Failure(f"nft {rules}: {done.stderr}")

    def step(self, now):
        if now < self.until:
            return False
        if self.relay:
            self._nft("delete table inet chaos")
        else:
            self.world.house.sites.link(self.branch.name, cut=False)
        self.world.cut.discard(self.branch.name)
        return True


class Full(Fault):
    """Somebody else fills the disk under a state folder, and frees it later."""

    kind = "full"
    owns_end = False

    def __init__(self, *words):
        super().__init__(*words)
        self.whom = self.shape({"coordinator": 40, "relay": 60})
        self.leave = self.shape({0: 60, RESERVE_BYTES // 8: 40})
        self.for_s = self.chance.uniform(1, 4)

    def begin(self, now):
        small = [keeper for keeper in self.world.house.keepers if keeper.small]
        chosen = self.free([k for k in small if k.is_relay == (self.whom == "relay")]) or self.free(small)
        if not chosen:
            return False
        self.take(chosen[0])
        self._fill()
        self.until = now + self.for_s
        self.what = f"disk of {chosen[0].name} full but {self.leave} bytes for {self.for_s:.1f} s"
        return True

    def _fill(self):
        filler = self.keepers[0].folder / "filler"
        self.keepers[0].excuse()
        with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
            for size in (1 << 19, 4096, 1) if not self.leave else (1 << 19,):
                with contextlib.suppress(OSError):
                    while shutil.disk_usage(filler.parent).free > self.leave and file.write(b"\0" * size):
                        pass

    def step(self, now):
        if now < self.until:
            self._fill()  # what is given up is taken, too
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.keepers[0].folder / "filler")
        self.keepers[0].excuse()
        self.release()
        return True


class Sync(Fault):
    """A sync or a write that the disk fails; a daemon that is told of a failed sync stops, and never tries it again."""

    kind = "fsync"

    def __init__(self, *words):
        super().__init__(*words)
        self.whom = self.shape({"coordinator": 50, "relay": 50})
        self.action = self.shape({disk.SYNC_FAILS: 60, disk.WRITE_FAILS: 20, disk.WRITE_FULL: 20})
        self.countdown, self.seed = self.chance.randrange(8), self.chance.randrange(1 << 32)
        self.tried = []
        self.fired_at = 0.0
        self.must_end = False

    def _next(self, now):
        house = self.world.house
        preferred = [k for k in house.keepers if k.is_relay == (self.whom == "relay")]
        rest = [k for k in house.keepers if k not in preferred]
        chosen = [k for k in self.free(preferred) + self.free(rest) if k not in self.tried]
        if not chosen:
            return False
        self.take(chosen[0])
        self.tried.append(chosen[0])
        chosen[0].disk.order(self.action, self.countdown, self.seed)
        self.until = now + FIRE_S
        name = {disk.SYNC_FAILS: "sync", disk.WRITE_FAILS: "write", disk.WRITE_FULL: "write (no space)"}[self.action]
        self.what = f"failing {name} number {self.countdown + 1} of {chosen[0].name}"
        return True

    def begin(self, now):
        return self._next(now)

    def step(self, now):
        keeper = self.keepers[0]
        if not self.fired_at:
            if not keeper.disk.fired():
                if now < self.until:
                    return False
                keeper.disk.clear()
                if keeper.disk.fired():
                    return False
                self.release()
                # Nobody else writes either: the next one that does will fail.
                self.countdown = 0
                self.tried = self.tried if len(self.tried) < len(self.world.house.keepers) else []
                if not self._next(now):
                    self.tried = []
                    self.take(keeper)
                    self.until = now + FIRE_S
                    keeper.disk.order(self.action, 0, self.seed)
                return False
            self.fired_at = now
            self.what += f", of {keeper.disk.fired()}"
            # A store that may not be on the disk is read anew by a new process; anything else may be given up.
            self.must_end = self.action == disk.SYNC_FAILS and ".db" in keeper.disk.fired()
            self.until = now + (END_S if self.must_end else 2)
        if keeper.daemon.alive():
            if now < self.until:
                return False
            if self.must_end:
                raise Failure(f"{keeper.name} must stop when a sync fails; it goes on, {END_S} s after that of "
                              f"{keeper.disk.fired()}")
        return self._over(keeper)

    def _over(self, keeper):
        keeper.disk.clear()
        if keeper.disk.synced_again():
            raise Failure(f"{keeper.name} must not sync {keeper.disk.fired()} again after that has failed; it did, "
                          f"{keeper.disk.synced_again()} times")
        if not keeper.daemon.alive():
            status = keeper.daemon.process.returncode
            if status <= 0:
                raise Failure(f"{keeper.name} must say that its disk fails, and end; its status is {status}: "
                              f"{keeper.daemon.said()[-1500:]}")
            keeper.check_store()
            if not keeper.is_relay:
                self.world.truth.check_acknowledged()
            keeper.start()
        keeper.excuse(5)
        self.release()
        return True


KINDS = {"kill": Kill, "stop": Stop, "cut": Cut, "full": Full, "fsync": Sync}
WEIGHTS = {"kill": 41, "stop": 14, "cut": 17, "full": 12, "fsync": 16}


def make(world, cycle, kinds, seed):
    """The fault of a cycle."""
    chance = random.Random(f"{seed}/{cycle}")  # its own: what others take doesn't move them
    kind = chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
    return KINDS[kind](world, cycle, chance)
