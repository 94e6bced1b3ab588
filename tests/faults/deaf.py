"""Peers that stop reading: a long response, a broadcast."""

import time

from figures import MIB, is_quiet, memory, quantile
from others import Others, report
from support import BINARY_FRAME, PATIENCE, Testbed, Wire, eventually, frame

WRITE = 2
#: How much later than its deadline a cut may be seen on a busy machine.
LATE = 13
GIB = 1 << 30
PATH = f"/stream?chunks={GIB // 65536}&size=65536"
DEAF, READERS = 20, 50
PAYLOAD = 65536
#: In the longest of the three length forms.
FRAME = PAYLOAD + 10


def cut(testbed):
    return testbed.stats()["closed"].get("write-timeout", 0)


def deaf_response(table):
    with Testbed("--write-timeout", str(WRITE), log="error") as testbed:
        with Others(testbed, requests=500) as others:
            report(table, "deaf", "alone", others.figures())
        before = memory(testbed)
        with Others(testbed) as others:
            begin = time.monotonic()
            wires = [Wire(testbed, receive_buffer=4096) for _ in range(DEAF)]
            for wire in wires:
                wire.request("GET", PATH)
            most = 0

            def all_cut():
                nonlocal most
                most = max(most, memory(testbed))
                return cut(testbed) == DEAF

            eventually(all_cut)
            elapsed = time.monotonic() - begin
            report(table, "deaf", f"beside {DEAF} deaf to 1 GiB", others.figures())
        table.add("deaf", f"all {DEAF} are cut after", elapsed, "s", WRITE - 0.1, WRITE + LATE)
        table.add("deaf", f"memory for {DEAF} times 1 GiB unread", most - before, "MiB", most=24)
        for wire in wires:
            wire.close()
        whole_response(table, testbed)
        is_quiet(testbed)


def whole_response(table, testbed):
    """Who reads gets all of it, and it is never in memory."""
    before, most, got, begin = memory(testbed), 0, 0, time.monotonic()
    buffer = bytearray(MIB)
    with Wire(testbed) as wire:
        wire.request("GET", PATH, "Connection: close")
        while n := wire.socket.recv_into(buffer):
            got += n
            most = max(most, memory(testbed))
    table.add("deaf", "1 GiB read by one who reads", got / GIB, "GiB", least=1)
    table.add("deaf", "its rate", got / MIB / (time.monotonic() - begin), "MiB/s")
    table.add("deaf", "memory for it", most - before, "MiB", most=16)


class Room:
    """Readers of a broadcast and one who speaks, in step: each message is read by all before the
    next is sent."""

    def __init__(self, testbed):
        self.readers = [Wire(testbed) for _ in range(READERS)]
        self.speaker = self.readers[0]
        for reader in self.readers:
            reader.open("/broadcast")
        self.buffer = bytearray(FRAME)
        self.count = 0

    def round(self):
        """One message; the time until all have it (ms)."""
        self.count += 1
        stamp = self.count.to_bytes(8, "big")
        message = frame(BINARY_FRAME, stamp + b"x" * (PAYLOAD - 8))
        begin = time.perf_counter()
        self.speaker.send(message)
        for reader in self.readers:
            got = 0
            while got < FRAME:
                n = reader.socket.recv_into(memoryview(self.buffer)[got:])
                assert n > 0, "a reader was cut"
                got += n
            assert self.buffer[10:18] == stamp, "each reader gets each message"
        return (time.perf_counter() - begin) * 1000

    def close(self):
        for reader in self.readers:
            reader.close()


def deaf_broadcast(table):
    with Testbed("--write-timeout", str(WRITE), log="error") as testbed:
        room = Room(testbed)
        alone = [room.round() for _ in range(50)]
        before = memory(testbed)
        wire = Wire(testbed, receive_buffer=4096)
        wire.open("/broadcast")
        beside, most, held = [], 0, 0
        # What the system takes for it differs from machine to machine.
        deadline = time.monotonic() + 3 * PATIENCE
        while not cut(testbed):
            assert time.monotonic() < deadline, "the deaf member is still there"
            beside += [room.round() for _ in range(10)]
            most = max(most, memory(testbed))
            held = max(held, testbed.stats()["bytes_held"])
        room.round()
        room.close()
        wire.close()
        table.add("broadcast", f"messages to {READERS} readers and a deaf one", len(beside), least=10)
        for when, times in (("alone", alone), ("beside the deaf one", beside)):
            table.add("broadcast", f"all {READERS} have it, {when}: median",
                      quantile(times, 0.5), "ms", most=1000)
            table.add("broadcast", f"all {READERS} have it, {when}: 99th percentile",
                      quantile(times, 0.99), "ms", most=5000)  # fmt: skip
        table.add("broadcast", "memory", most - before, "MiB", most=24)
        table.add("broadcast", "bytes held, at most", held / MIB, "MiB", most=2)
        table.exactly("broadcast", "cut at the write timeout", cut(testbed), 1)
        is_quiet(testbed)


def deaf(table):
    deaf_response(table)
    deaf_broadcast(table)
