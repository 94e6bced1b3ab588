"""SIGTERM under load: who has asked is answered."""

import os
import selectors
import signal
import time

from figures import at_the_door, is_quiet
from support import CLOSE, PATIENCE, Testbed, Wire, frame, http_request

#: Nothing here is ended by it.
DRAIN = ("--drain-timeout", "60")
REQUEST = http_request("GET", "/plaintext")
#: The answers after which the signal comes.
ANSWERS = 5000
KEPT, SLOW, STREAMS, EVENTS, SOCKETS = 64, 30, 5, 10, 20
QUEUED = at_the_door(300)


def signal_to_a_crowd(table):
    """The server is held still, so that all of them have asked and none was accepted when the
    signal comes."""
    with Testbed(*DRAIN, log="error") as testbed:
        kept = [Wire(testbed) for _ in range(KEPT)]
        for wire in kept:
            wire.request("GET", "/plaintext")
            wire.response()
        testbed.signal(signal.SIGSTOP)
        waiting = kept + [Wire(testbed) for _ in range(QUEUED)]
        for wire in waiting:
            wire.send(REQUEST)
        testbed.signal()
        testbed.signal(signal.SIGCONT)
        answers = [last_answer(wire) for wire in waiting]
        answers = [answer for answer in answers if answer]
        table.exactly("drain", "asked before the signal, in the queue: answered", len(answers),
                      len(waiting))
        # Not those who were served before the signal was heard.
        table.add("drain", "of them told Connection: close", sum(map(says_close, answers)))
        table.exactly("drain", "exit code", testbed.exit_code(), 0)
        is_quiet(testbed)


def last_answer(wire):
    """A whole answer and the end behind it, or none."""
    try:
        response = wire.response()
        return response if response.body == b"Hello, World!" and wire.at_end() else None
    except (AssertionError, ConnectionError):
        return None
    finally:
        wire.close()


def says_close(response):
    return response.get("connection") == "close"


class Client:
    """Asks again as soon as it is answered, on one connection."""

    def __init__(self, testbed):
        self.wire = Wire(testbed)
        self.wire.socket.setblocking(False)
        self.answers, self.got = 0, b""
        self.asked_before_signal = self.told_to_close = self.ended = False
        self.asked = False

    def ask(self, signalled):
        self.asked, self.asked_before_signal = True, not signalled
        try:
            assert self.wire.socket.send(REQUEST) == len(REQUEST)
        except ConnectionError:
            pass  # it was ended; the next read tells

    def read(self, signalled):
        """What came; an answer is followed by the next request."""
        try:
            data = self.wire.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.got += data
        if not data:
            self.ended = True
        elif self.got.endswith(b"\r\n\r\nHello, World!"):
            head, self.got = self.got.lower(), b""
            self.answers, self.asked = self.answers + 1, False
            if b"\r\nconnection: close\r\n" in head:
                self.told_to_close = True
            else:
                self.ask(signalled)


def signal_under_load(table):
    with Testbed(*DRAIN, "--workers", "2", log="error") as testbed:
        slow = [Wire(testbed) for _ in range(SLOW)]
        streams = [Wire(testbed) for _ in range(STREAMS)]
        sockets = [Wire(testbed) for _ in range(SOCKETS)]
        for wire in sockets:
            wire.open("/ws")
        # They say nothing for far longer than the drain.
        events = [Wire(testbed) for _ in range(EVENTS)]
        for wire in events:
            wire.request("GET", "/events?n=2&ms=600000")
            assert wire.head().status == 200
        clients = [Client(testbed) for _ in range(KEPT)]
        begin = run(testbed, clients, slow, streams)
        for what, kept in (("slow answers", slow), ("streams", streams)):
            whole = sum(wire_whole(wire) for wire in kept)
            table.exactly("drain", f"{what} under way, answered whole", whole, len(kept))
        ended = sum(ends_whole(wire) for wire in events)
        table.exactly("drain", "server-sent events, ended whole", ended, EVENTS)
        told = sum(going_away(wire) for wire in sockets)
        table.exactly("drain", "WebSockets told 1001", told, SOCKETS)
        table.exactly("drain", "exit code", testbed.exit_code(), 0)
        table.add("drain", "ended after", time.monotonic() - begin, "s", most=40)
        judge(table, clients)
        is_quiet(testbed)


def run(testbed, clients, slow, streams):
    """All clients to their end; the signal on the way. Gives its time."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.wire.socket, selectors.EVENT_READ, client)
        client.ask(signalled=False)
    begin, left, deadline = None, len(clients), time.monotonic() + PATIENCE
    while left:
        assert time.monotonic() < deadline, f"{left} clients were left alone"
        for key, _ in selector.select(1):
            client = key.data
            client.read(signalled=begin is not None)
            if client.ended:
                selector.unregister(client.wire.socket)
                client.wire.close()
                left -= 1
        if begin is None and sum(client.answers for client in clients) >= ANSWERS:
            for wire in slow:
                wire.request("GET", "/slow?ms=700")
            for wire in streams:
                wire.request("GET", "/stream?chunks=1000&size=10000")
            # Everything that was sent up to here is accepted.
            os.kill(testbed.process.pid, signal.SIGTERM)
            begin = time.monotonic()
    selector.close()
    return begin


def wire_whole(wire):
    with wire:
        response = wire.response()
        return response.body in (b"done", b"x" * 10_000_000) and wire.at_end()


def ends_whole(wire):
    with wire:
        return wire.rest().endswith(b"\r\n0\r\n\r\n")


def going_away(wire):
    with wire:
        code, _ = wire.close_frame()
        wire.send(frame(CLOSE, b"\x03\xe9"))
        return code == 1001 and wire.at_end()


def judge(table, clients):
    lost = [client for client in clients if client.asked]
    before = sum(client.asked_before_signal for client in lost)
    table.add("drain", "requests answered under load", sum(c.answers for c in clients))
    table.exactly("drain", "asked before the signal, not answered", before, 0)
    table.exactly("drain", "half an answer", sum(bool(client.got) for client in clients), 0)
    table.add("drain", "clients told Connection: close", sum(c.told_to_close for c in clients))
    # They all ask again at once, so within the grace.
    table.exactly("drain", "asked after the signal, not answered", len(lost) - before, 0)


def drain(table):
    signal_to_a_crowd(table)
    signal_under_load(table)
