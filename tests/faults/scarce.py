"""More connections than the server has descriptors for (`ulimit -n 64`)."""

import time

from figures import at_the_door, cpu_seconds, descriptors, is_quiet
from support import Testbed, Wire, eventually

LIMIT = 64
CROWD = LIMIT + at_the_door(136)


def answered(wire):
    """Has it got an answer? Asks the system, and does not wait."""
    wire.socket.setblocking(False)
    try:
        return wire.socket.recv(4096).startswith(b"HTTP/1.1 200 ")
    except BlockingIOError:
        return False
    finally:
        wire.socket.setblocking(True)


def scarce(table):
    with Testbed(descriptors=LIMIT, log="error") as testbed:
        crowd = [Wire(testbed) for _ in range(CROWD)]
        for wire in crowd:
            wire.request("GET", "/plaintext")
        waiting, inside = list(crowd), []

        def sort():
            for wire in list(waiting):
                if answered(wire):
                    waiting.remove(wire)
                    inside.append(wire)

        def full():
            sort()
            return descriptors(testbed) == LIMIT and len(inside) >= LIMIT - 20

        eventually(full)
        before = cpu_seconds(testbed)
        time.sleep(2)  # the time over which it is measured
        spent = cpu_seconds(testbed) - before
        sort()
        table.add("scarce", "served at once", len(inside), least=LIMIT - 20, most=LIMIT)
        table.add("scarce", "descriptors", descriptors(testbed), most=LIMIT)
        table.add("scarce", "processor time in 2 s without one left", spent, "s", most=1)
        again = 0
        for wire in inside:
            wire.request("GET", "/plaintext")
            again += wire.response().status == 200
        table.exactly("scarce", "those inside who are served on", again, len(inside))
        begin, late, outside = time.monotonic(), 0, len(waiting)
        while waiting:
            for wire in inside:
                wire.close()
            inside.clear()
            # No new event announces those who wait.
            eventually(lambda: sort() or inside)
            late += len(inside)
        elapsed = time.monotonic() - begin
        table.exactly("scarce", "served when others left", late, outside)
        table.add("scarce", "until all of them were", elapsed, "s", most=60)
        for wire in inside:
            wire.close()
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)
        is_quiet(testbed)
