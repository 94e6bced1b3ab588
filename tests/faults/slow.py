"""Slow peers: heads and bodies at one byte a second, bodies that stop."""

import selectors
import socket
import time

from figures import descriptors, is_quiet, left_open, memory, quantile
from others import Others, report
from support import HOST, Testbed, eventually

HEAD, BODY_TIMEOUT, GRACE = 3, 3, 5
#: How much later than its deadline a refusal may be seen on a busy machine.
LATE = 10
FLAGS = f"--head-timeout {HEAD} --body-timeout {BODY_TIMEOUT} --min-body-rate 240".split()


class Kind:
    """Peers of one kind: how they begin, and when and how they must be refused."""

    def __init__(self, name, count, begin, drips, due, answer):
        self.name, self.count, self.begin = name, count, begin
        self.drips, self.due, self.answer = drips, due, answer


KINDS = [
    Kind("heads at 1 B/s", 500,
         b"GET /plaintext HTTP/1.1\r\nHost: test\r\nX: ", True, HEAD, b" 408 "),
    # The handler answers when the body is complete: it can still be refused.
    Kind("bodies at 1 B/s", 250,
         b"GET /plaintext HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n", True, GRACE,
         b" 408 "),
    # The answer has begun: the connection is cut.
    Kind("echoed bodies at 1 B/s", 250,
         b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n", True, GRACE,
         b" 200 "),
    Kind("bodies that stop", 100,
         b"GET /plaintext HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nx", False,
         BODY_TIMEOUT, b" 408 "),
]  # fmt: skip


class Peer:
    def __init__(self, port, kind):
        self.kind, self.got, self.ended = kind, b"", None
        self.began = time.monotonic()
        self.socket = socket.create_connection((HOST, port), timeout=60)
        self.socket.sendall(kind.begin)
        self.socket.setblocking(False)

    def drip(self):
        try:
            self.socket.send(b"x")
        except OSError:
            pass  # it was cut; the next read tells

    def read(self):
        """False at the end of the connection."""
        try:
            data = self.socket.recv(4096)
        except ConnectionResetError:
            data = b""
        self.got += data
        if not data:
            self.ended = time.monotonic() - self.began
            self.socket.close()
        return bool(data)


def slow(table):
    with Testbed(*FLAGS, log="error") as testbed:
        nobody = descriptors(testbed)
        with Others(testbed, requests=1000) as others:
            report(table, "slow", "alone", others.figures())
        before = memory(testbed)
        with Others(testbed) as others:
            peers = [Peer(testbed.port, kind) for kind in KINDS for _ in range(kind.count)]
            most = refuse(testbed, peers)
            report(table, "slow", "beside the slow ones", others.figures())
        for kind in KINDS:
            judge(table, kind, [peer for peer in peers if peer.kind is kind])
        table.add("slow", "memory for 1,100 slow peers", most - before, "MiB", most=32)
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)
        table.exactly("slow", "descriptors left open", left_open(testbed, nobody), 0)
        is_quiet(testbed)


def refuse(testbed, peers):
    """Drips and reads until all have been refused; the most memory meanwhile."""
    selector = selectors.DefaultSelector()
    for peer in peers:
        selector.register(peer.socket, selectors.EVENT_READ, peer)
    left, most, tick = len(peers), 0, 0
    deadline = time.monotonic() + GRACE + 2 * LATE
    next_tick = time.monotonic()
    while left:
        now = time.monotonic()
        assert now < deadline, f"{left} slow peers are still there"
        if now >= next_tick:
            # A tenth of them each tenth of a second.
            for peer in peers[tick % 10 :: 10]:
                if peer.kind.drips and peer.ended is None:
                    peer.drip()
            tick += 1
            next_tick += 0.1
            most = max(most, memory(testbed))
        for key, _ in selector.select(max(next_tick - time.monotonic(), 0)):
            if not key.data.read():
                left -= 1
    selector.close()
    return most


def judge(table, kind, peers):
    answered = sum(peer.got[8:13] == kind.answer for peer in peers)
    table.exactly("slow", f"{kind.name}: ended as they must be", answered, kind.count)
    times = [peer.ended for peer in peers]
    table.add("slow", f"{kind.name}: first ended after", min(times), "s", least=kind.due - 0.1)
    table.add("slow", f"{kind.name}: last ended after", max(times), "s", most=kind.due + LATE)
    table.add("slow", f"{kind.name}: half of them after", quantile(times, 0.5), "s")
