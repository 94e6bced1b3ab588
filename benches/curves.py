"""What a message costs as connections, bytes and receivers grow: CPU time and user instructions of the
testbed, over loopback.

    benches/curves.sh [--seconds 0.7] [--rounds 3]
    python3 benches/curves.py --draw        only draws what docs/perf/curves.csv holds

CPU time is that of the best round: other work on the machine only adds to it. Instructions are
counted by callgrind and are the same whatever else runs.

Writes docs/perf/curves.csv and curves-connections.svg, curves-sizes.svg, curves-receivers.svg.
"""

import argparse
import csv
import math
import os
import statistics
import tempfile
from pathlib import Path

import measure
from draw import COLOURS, Drawing

OUT = Path(__file__).resolve().parent.parent / "docs" / "perf"
FIELDS = ("curve", "line", "x", "cpu_us", "cpu_us_median", "instructions")


class Curve:
    """Lines over one quantity: for each the arguments of the load, at each x."""

    def __init__(self, name, title, xs, lines, logarithmic):
        self.name, self.title, self.xs, self.lines = name, title, xs, lines
        self.logarithmic = logarithmic


CURVES = (
    Curve(
        "connections",
        "of a request or message, by connections",
        [1, 10, 100, 1_000, 10_000],
        {
            "GET": lambda x: ["get", "--connections", x],
            "echo of 20 B": lambda x: ["echo", "--connections", x],
        },
        False,
    ),
    Curve(
        "sizes",
        "of an echo on 16 connections, by bytes of the message",
        [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20],
        {"echo": lambda x: ["echo", "--connections", 16, "--size", x]},
        True,
    ),
    Curve(
        "receivers",
        "of a delivery of 64 B, by receivers",
        [1, 10, 100, 1_000],
        {
            "one message at a time": lambda x: ["broadcast", "--size", 64, "--connections", x],
            "16 on the way": lambda x: [
                "broadcast", "--size", 64, "--connections", x, "--depth", 16,
            ],
        },
        False,
    ),
)  # fmt: skip


def points(descriptors):
    for curve in CURVES:
        for line, arguments in curve.lines.items():
            for x in curve.xs:
                if curve.name == "sizes" or x < descriptors - 100:
                    yield curve, line, x, [str(argument) for argument in arguments(x)]


def cpu_time(arguments, seconds, core):
    """Microseconds each."""
    with measure.Testbed(core=core) as testbed:
        report = measure.load(
            testbed.port, *arguments,
            "--process", testbed.pid, "--seconds", seconds, "--warm-up", 0.3,
        )  # fmt: skip
    return report["cpu"] / report["answers"] * 1e6


def instructions(point):
    """User instructions each: two runs, the difference taken."""
    curve, _, x, arguments = point
    if curve.name == "sizes":
        few = min(4_000, max(100, (32 << 20) // x))
        lengths = few, 4 * few
    else:
        # Each connection has answered some times before the difference begins.
        lengths = 1_000 + 4 * x, 21_000 + 8 * x
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        for answers in lengths:
            file = Path(folder, str(answers))
            with measure.Testbed(under=measure.callgrind(file)) as testbed:
                report = measure.load(testbed.port, *arguments, "--answers", answers)
            runs[report["answers"]] = measure.total(file)
    (few, less), (many, more) = sorted(runs.items())
    return (more - less) / (many - few)


def take(seconds, rounds):
    """All points, as rows of the file."""
    every = list(points(measure.raise_descriptors()))
    allowed = os.sched_getaffinity(0)
    server, load = measure.cores()
    os.sched_setaffinity(0, {load})
    times = [[] for _ in every]
    for number in range(rounds):
        for index, (curve, line, x, arguments) in enumerate(every):
            times[index].append(cpu_time(arguments, seconds, server))
        print(f"CPU time: round {number + 1} of {rounds}", flush=True)
    os.sched_setaffinity(0, allowed)
    counts = measure.side_by_side(instructions, every)
    return [
        dict(zip(FIELDS, (
            curve.name, line, x,
            f"{min(taken):.3f}", f"{statistics.median(taken):.3f}", f"{count:.0f}",
        )))
        for (curve, line, x, _), taken, count in zip(every, times, counts)
    ]  # fmt: skip


# Drawing


def short(value):
    """1000 as 1k, 1048576 as 1Mi."""
    if value >= 1024 and value % 1024 == 0:
        return f"{value >> 20} MiB" if value >= 1 << 20 else f"{value >> 10} KiB"
    return f"{value:,}" if value < 100_000 else f"{value // 1000:,}k"


def ticks(most, least, logarithmic):
    if logarithmic:
        return [10**e for e in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if most / s <= 6)
    return [step * n for n in range(math.ceil(most / step) + 1)]


def panel(drawing, curve, rows, field, left, title):
    top, width, height = 62, 300, 210
    values = [float(row[field]) for row in rows]
    marks = ticks(max(values), min(values), curve.logarithmic)
    low, high = marks[0], marks[-1]

    def at_x(x):
        spread = math.log(curve.xs[-1]) - math.log(curve.xs[0])
        return left + width * (math.log(x) - math.log(curve.xs[0])) / spread

    def at_y(y):
        if curve.logarithmic:
            share = (math.log(y) - math.log(low)) / (math.log(high) - math.log(low))
        else:
            share = (y - low) / (high - low)
        return top + height * (1 - share)

    drawing.text(left, top - 12, title)
    for mark in marks:
        drawing.line([(left, at_y(mark)), (left + width, at_y(mark))], width=0.4, dashes="2 4")
        label = f"{mark:,.0f}" if mark >= 1 or not mark else f"{mark:g}"
        drawing.text(left - 6, at_y(mark) + 4, label, 10.5, "end")
    for number, x in enumerate(curve.xs):
        drawing.line([(at_x(x), top + height), (at_x(x), top + height + 4)])
        if len(curve.xs) < 7 or number % 2 == 0:
            drawing.text(at_x(x), top + height + 17, short(x), 10.5, "middle")
    for line, colour in zip(curve.lines, COLOURS):
        of_line = [(int(row["x"]), float(row[field])) for row in rows if row["line"] == line]
        drawing.line([(at_x(x), at_y(y)) for x, y in of_line], colour, 2)
        for x, y in of_line:
            drawing.dot(at_x(x), at_y(y), colour, f"{line}, {short(x)}: {y:,.6g}")


def draw(rows):
    for curve in CURVES:
        here = [row for row in rows if row["curve"] == curve.name]
        drawing = Drawing(760, 305, f"cost {curve.title}")
        drawing.text(8, 18, f"Cost {curve.title}", 13)
        at = 430
        if len(curve.lines) > 1:
            for line, colour in zip(curve.lines, COLOURS):
                drawing.box(at, 8, 11, 11, colour)
                drawing.text(at + 15, 18, line)
                at += 40 + 6.4 * len(line)
        panel(drawing, curve, here, "cpu_us", 60, "CPU time of the server, µs each")
        panel(drawing, curve, here, "instructions", 440, "user instructions each")
        drawing.save(OUT / f"curves-{curve.name}.svg")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.7, help="of each point")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", action="store_true", help="only draw what was measured")
    arguments = parser.parse_args()
    file = OUT / "curves.csv"
    if not arguments.draw:
        OUT.mkdir(exist_ok=True)
        rows = take(arguments.seconds, arguments.rounds)
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    with file.open(newline="") as lines:
        draw(list(csv.DictReader(lines)))


try:
    main()
except measure.Broken as broken:
    measure.fail(broken)
