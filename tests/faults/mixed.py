"""Everything at once for a while; at the end nothing is left of it."""

import random
import threading
import time

import resets
from figures import bytes_held, descriptors, is_quiet, left_open, memory
from support import (
    BINARY_FRAME, PATIENCE, Testbed, Wire, eventually, frame, http_request, pattern,
)  # fmt: skip

FLAGS = "--workers 2 --head-timeout 3 --body-timeout 3 --write-timeout 3".split()
BYTES = pattern(200_000)
BAD = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n",
    b"GET / HTTP/3.0\r\nHost: h\r\n\r\n",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
]


class Traffic:
    """Each kind on a thread of its own until it is over."""

    def __init__(self, testbed):
        self.testbed, self.over = testbed, threading.Event()
        self.counts, self.errors = {}, []
        kinds = [
            self.kept, self.kept, self.posts, self.sockets, self.broadcast, self.fresh, self.slow,
            self.deaf, self.resets, self.bad,
        ]  # fmt: skip
        self.threads = [
            threading.Thread(target=self.run, args=(kind, random.Random(number)))
            for number, kind in enumerate(kinds)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, kind, chance):
        try:
            for count in kind(chance):
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + count
                if self.over.is_set():
                    break
        except BaseException as error:
            self.errors.append(f"{kind.__name__}: {error!r}")

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)
        assert not self.errors, self.errors

    def kept(self, chance):
        with Wire(self.testbed) as wire:
            while True:
                wire.request("GET", chance.choice(["/plaintext", "/json", "/scope", "/stream"]))
                assert wire.response().status == 200
                yield 1

    def posts(self, chance):
        with Wire(self.testbed) as wire:
            while True:
                body = BYTES[: chance.randrange(len(BYTES))]
                if chance.random() < 0.5:
                    wire.request("POST", "/echo", f"Content-Length: {len(body)}", body=body)
                else:
                    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
                    wire.request("POST", "/echo", "Transfer-Encoding: chunked", body=chunk)
                response = wire.response()
                assert response.status == 200 and response.body == body
                yield 1

    def sockets(self, chance):
        while True:
            with Wire(self.testbed) as wire:
                wire.open("/ws")
                for _ in range(50):
                    payload = BYTES[: chance.randrange(100_000)]
                    wire.send(frame(BINARY_FRAME, payload))
                    assert wire.frame() == (True, BINARY_FRAME, payload)
                    yield 1
                wire.finish(1000)

    def broadcast(self, chance):
        while True:
            members = [Wire(self.testbed) for _ in range(10)]
            for member in members:
                member.open("/broadcast")
            for _ in range(50):
                payload = BYTES[: chance.randrange(10_000)]
                chance.choice(members).send(frame(BINARY_FRAME, payload))
                for member in members:
                    assert member.frame() == (True, BINARY_FRAME, payload)
                yield 1
            for member in members:
                member.close()

    def fresh(self, chance):
        while True:
            with Wire(self.testbed) as wire:
                wire.request("GET", "/json", "Connection: close")
                assert wire.response().status == 200 and wire.at_end()
            yield 1

    def slow(self, chance):
        """A head that comes byte by byte: refused in time."""
        while True:
            wires = [Wire(self.testbed) for _ in range(20)]
            for wire in wires:
                wire.send(b"GET / HTTP/1.1\r\nX: ")
                wire.socket.setblocking(False)
            while wires:
                self.over.wait(0.05)  # their pace
                for wire in list(wires):
                    try:
                        wire.socket.send(b"x")
                        answer = wire.socket.recv(4096)
                        assert answer.startswith(b"HTTP/1.1 408 "), answer
                    except BlockingIOError:
                        continue
                    wires.remove(wire)
                    wire.close()
            yield 20

    def deaf(self, chance):
        """A response that nobody reads: cut in time."""
        while True:
            with Wire(self.testbed, receive_buffer=4096) as wire:
                query = f"chunks=10000&size=65536&deaf={chance.random()}"
                wire.request("GET", f"/stream?{query}")
                self.testbed.disconnect(query)
            yield 1

    def resets(self, chance):
        while True:
            wires = [Wire(self.testbed, receive_buffer=65536) for _ in range(10)]
            for wire in wires:
                chance.choice(list(resets.PLACES.values()))(wire)
            for wire in wires:
                wire.reset()
            yield 10

    def bad(self, chance):
        while True:
            with Wire(self.testbed) as wire:
                wire.send(chance.choice(BAD))
                response = wire.response()
                assert 400 <= response.status < 600 and response.get("connection") == "close"
                assert wire.at_end()
            yield 1


def sum_up(counts):
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def mixed(table, seconds):
    with Testbed(*FLAGS, log="error") as testbed:
        nobody = descriptors(testbed)
        traffic = Traffic(testbed)
        samples, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not traffic.errors:
            time.sleep(min(0.25, left))  # between two samples
            samples.append((memory(testbed), descriptors(testbed)))
        traffic.end()
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)
        warm = max(used for used, _ in samples[: len(samples) // 4])
        table.add("mixed", f"requests, messages, peers in {seconds:g} s",
                  sum(traffic.counts.values()), least=100)  # fmt: skip
        print(f"{'':12}{sum_up(traffic.counts)}")
        stats = testbed.stats()
        table.add("mixed", "connections", stats["connections"]["ever"])
        print(f"{'':12}{sum_up(stats['closed'])}")
        table.add("mixed", "descriptors at most", max(count for _, count in samples), most=200)
        table.exactly("mixed", "descriptors left open", left_open(testbed, nobody), 0)
        table.exactly("mixed", "bytes held at the end", bytes_held(testbed), 0)
        table.add("mixed", "memory in the first quarter, at most", warm, "MiB")
        table.add("mixed", "memory later, at most", max(used for used, _ in samples), "MiB",
                  most=warm + 24)  # fmt: skip
        table.add("mixed", "memory at the end", memory(testbed), "MiB", most=warm + 16)
        is_quiet(testbed)
