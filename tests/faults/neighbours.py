"""Peers that would hold the worker, and clients that behave beside them."""

import threading
import time
import zlib

from figures import is_quiet, memory
from others import Others, report
from support import BINARY_FRAME, TEXT, Testbed, Wire, frame

SECONDS = 5
PEERS = 4
#: Of one message (bytes), which is a thousandth of that on the wire.
ZEROS = 4 << 20
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"
#: A WebSocket that takes messages and says nothing.
SILENT = "/flood?n=0"
GETS = b"GET /plaintext HTTP/1.1\r\nHost: h\r\n\r\n" * 1000


def bombs():
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(ZEROS)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY_FRAME, packed[:-4], reserved=4) * 16


class Flood:
    """Peers that send the same bytes without pause, each on a thread of its own."""

    def __init__(self, testbed, data, path=None, *lines):
        self.over = False
        self.wires = [Wire(testbed) for _ in range(PEERS)]
        for wire in self.wires:
            if path:
                wire.open(path, *lines)
            wire.socket.settimeout(0.2)
        self.threads = [
            threading.Thread(target=self.run, args=(wire, memoryview(data)))
            for wire in self.wires
        ]
        for thread in self.threads:
            thread.start()

    def run(self, wire, data):
        at = 0
        while not self.over:
            try:
                at = (at + wire.socket.send(data[at:])) % len(data)
            except TimeoutError:
                pass
            except OSError:
                # Its deadline has passed: it was judged, whatever it sent.
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()
        for wire in self.wires:
            wire.close()


def beside(table, testbed, what, flood):
    with flood, Others(testbed) as others:
        time.sleep(SECONDS)
        report(table, "neighbours", f"{PEERS} peers send {what}", others.figures())
    table.add("neighbours", f"memory beside {what}", memory(testbed), "MiB", most=200)


def neighbours(table):
    # The deadline of the first ping passes while they send.
    flags = "--deflate --ping-interval 1 --ping-timeout 1".split()
    with Testbed(*flags, log="error") as testbed:
        beside(table, testbed, "bombs", Flood(testbed, bombs(), SILENT, OFFER))
        small = frame(TEXT, b"12345678") * 1000
        beside(table, testbed, "messages", Flood(testbed, small, SILENT))
        beside(table, testbed, "requests", Flood(testbed, GETS))
        is_quiet(testbed)
