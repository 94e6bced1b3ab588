"""Figures: read from the system, printed as a table, each held against its bound."""

import os
import time

from support import PATIENCE

MIB = 1 << 20


class Table:
    """Prints each figure as it comes and remembers those past their bound."""

    def __init__(self):
        self.broken = []

    def add(self, fault, what, value, unit="", least=None, most=None):
        bound = " and ".join(
            f"{word} {limit:g}" for word, limit in (("at least", least), ("at most", most))
            if limit is not None
        )  # fmt: skip
        holds = (least is None or value >= least) and (most is None or value <= most)
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        mark = "" if holds else "   BROKEN"
        print(f"{fault:<12}{what:<58}{shown:>10} {unit:<8}{bound}{mark}", flush=True)
        if not holds:
            self.broken.append(f"{fault}: {what}: {shown} {unit}, not {bound}")

    def exactly(self, fault, what, value, expected):
        self.add(fault, what, value, least=expected, most=expected)


def quantile(values, part):
    """The value below which this part of them is."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def memory(testbed):
    """Resident memory (MiB)."""
    with open(f"/proc/{testbed.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def descriptors(testbed):
    return len(os.listdir(f"/proc/{testbed.process.pid}/fd"))


def at_rest(figure):
    """A figure that must come to 0 and stay there. Who has just left may be noticed a moment later,
    and who leaves while it is asked may be counted in one part of an answer and not in another."""
    deadline = time.monotonic() + PATIENCE
    while (value := figure()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


def left_open(testbed, before):
    """Descriptors that it has more than when nobody had come yet."""
    return at_rest(lambda: descriptors(testbed) - before)


def bytes_held(testbed):
    return at_rest(lambda: testbed.stats()["bytes_held"])


def without_record(testbed):
    """Connections that are gone and were not counted when they were closed."""

    def lacking():
        stats = testbed.stats()
        open_now = stats["connections"]["now"]
        return stats["connections"]["ever"] - open_now - sum(stats["closed"].values())

    return at_rest(lacking)


def at_the_door(wished):
    """So many connections, or as many as the system lets wait for an `accept`."""
    with open("/proc/sys/net/core/somaxconn") as most:
        return min(wished, int(most.read()) * 3 // 4)


def cpu_seconds(testbed):
    with open(f"/proc/{testbed.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_quiet(testbed):
    """It said where it listens, and no error: a panic would be one."""
    assert len(testbed.lines) == 1, testbed.lines
    return True
