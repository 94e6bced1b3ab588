"""More connections than --max-connections."""

import time

from figures import is_quiet, quantile
from support import Testbed, Wire, eventually

MOST, NEWCOMERS, LEAVING = 50, 100, 20


def served(wire):
    wire.request("GET", "/plaintext")
    return wire.response().status == 200


def crowd(table):
    with Testbed("--max-connections", str(MOST), "--workers", "2", log="error") as testbed:
        inside = [Wire(testbed) for _ in range(MOST)]
        table.exactly("crowd", "served up to the maximum", sum(map(served, inside)), MOST)
        times, refused = [], 0
        for _ in range(NEWCOMERS):
            begin = time.perf_counter()
            # At once: the newcomer has not said anything yet.
            with Wire(testbed) as wire:
                response = wire.response()
                refused += response.status == 503 and response.get("connection") == "close"
                assert wire.at_end()
            times.append((time.perf_counter() - begin) * 1000)
        table.exactly("crowd", "newcomers past it: 503 and closed", refused, NEWCOMERS)
        table.add("crowd", "newcomers past it: median", quantile(times, 0.5), "ms", most=500)
        table.add("crowd", "newcomers past it: slowest", max(times), "ms", most=5000)
        table.exactly("crowd", "those inside, served on", sum(map(served, inside)), MOST)
        for wire in inside[:LEAVING]:
            wire.close()
        inside = inside[LEAVING:]
        for _ in range(LEAVING):
            inside.append(eventually(lambda: enter(testbed)))
        table.exactly("crowd", "served after others left", sum(map(served, inside)), MOST)
        table.exactly("crowd", "one more: let in", int(enter(testbed) is not None), 0)
        for wire in inside:
            wire.close()
        is_quiet(testbed)


def enter(testbed):
    """A newcomer who is served, or none. One who is refused may find the connection reset."""
    wire = Wire(testbed)
    try:
        if served(wire):
            return wire
    except (AssertionError, ConnectionError):
        pass
    wire.close()
    return None
