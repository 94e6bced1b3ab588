"""Peers that reset: in the middle of a head, a body, a response, a frame."""

from figures import bytes_held, descriptors, is_quiet, left_open, memory, without_record
from others import Others, report
from support import BINARY_FRAME, Testbed, Wire, eventually, frame, http_request

EACH, AT_ONCE = 1000, 50
HALF_A_FRAME = frame(BINARY_FRAME, b"x" * 1000)[:500]


def head(wire):
    wire.send(b"GET /plaintext HTTP/1.1\r\nHost: te")


def body(wire):
    wire.send(http_request("POST", "/echo", "Content-Length: 100000", body=b"x" * 1000))
    wire.exactly(1)  # the body is being echoed


def response(wire):
    wire.request("GET", "/stream?chunks=1000&size=65536")
    wire.exactly(1)


def incoming_frame(wire):
    wire.open("/ws")
    wire.send(HALF_A_FRAME)


def outgoing_frame(wire):
    wire.open("/flood?n=1000&size=65536")
    wire.exactly(1)


PLACES = {
    "head": head,
    "body": body,
    "response": response,
    "frame that comes": incoming_frame,
    "frame that goes": outgoing_frame,
}


def reset(testbed, place, count):
    for _ in range(count // AT_ONCE):
        wires = [Wire(testbed, receive_buffer=65536) for _ in range(AT_ONCE)]
        for wire in wires:
            place(wire)
        for wire in wires:
            wire.reset()


def settle(testbed):
    eventually(lambda: testbed.stats()["connections"]["now"] == 1)


def resets(table):
    with Testbed("--workers", "2", log="error") as testbed:
        nobody = descriptors(testbed)
        for place in PLACES.values():
            reset(testbed, place, 200)
        settle(testbed)
        before = memory(testbed)
        with Others(testbed) as others:
            for name, place in PLACES.items():
                ever = testbed.stats()["connections"]["ever"]
                reset(testbed, place, EACH)
                # The others' eight connections stay; the questions are connections too.
                eventually(lambda: testbed.stats()["connections"]["now"] <= 9)
                came = testbed.stats()["connections"]["ever"] - ever
                table.add("resets", f"in a {name}: connections", came, least=EACH)
                table.add("resets", f"in a {name}: memory since the first",
                          memory(testbed) - before, "MiB", most=16)  # fmt: skip
            report(table, "resets", "beside them", others.figures())
        settle(testbed)
        table.exactly("resets", "descriptors left open", left_open(testbed, nobody), 0)
        table.exactly("resets", "bytes held", bytes_held(testbed), 0)
        table.exactly("resets", "connections without a record", without_record(testbed), 0)
        is_quiet(testbed)
