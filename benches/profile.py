"""Where the instructions of a request or message go: by floor, by file, and as flame graphs.

    benches/profile.sh [get] [get16] [echo] [echo16]

Each scenario runs under callgrind twice: through a connection in memory, and over sockets with the
testbed, which adds the floor `net` and the libraries below it. The debug information tells of each
instruction which functions were inlined around it, so that a cost belongs to the file that it was
written in. What a library does (memcpy, the standard library) belongs to the file that called it.

With no scenario named, the system calls and the CPU time of each are measured, too.

Writes docs/perf/profile.csv, profile.md, calls.md, floors.svg and flame-SCENARIO.svg.
"""

import csv
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import measure
from draw import COLOURS, GREY, Drawing

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "perf"
SCENARIOS = ("get", "get16", "echo", "echo16")
FLOORS = ("bytes", "http", "ws", "asgi", "conn", "groups", "net", "application", "below")
MEANING = {
    "application": "the handler of the testbed",
    "below": "what no file of ours called",
    "net": "with mio and the C library around system calls",
}
#: Branches of a flame graph that are thinner than this share are not followed.
THIN = 0.0003


# From callgrind


class Profile:
    """Self costs by (object, function) and address, and calls with what they cost."""

    def __init__(self):
        self.costs = defaultdict(lambda: defaultdict(int))
        self.calls = defaultdict(lambda: defaultdict(int))

    @classmethod
    def read(cls, path):
        """The format is described in callgrind's manual: names are given once, then by number;
        addresses may be relative to the line before."""
        profile, names = cls(), {}
        here = {"ob": "", "fn": "", "cob": None, "cfn": ""}
        address, is_call = 0, False
        for line in Path(path).read_text().splitlines():
            if match := re.match(r"(c?)(ob|fn|fl|fi|fe)=\((\d+)\)(?: (.*))?$", line):
                called, kind, number, name = match.groups()
                family = kind if kind in ("ob", "fn") else "fl"
                if name:
                    names[family, number] = name
                if family != "fl":
                    here[called + kind] = names[family, number]
            elif line.startswith("calls="):
                is_call = True
            elif match := re.match(r"(0x[0-9a-f]+|[+-]\d+|\*) (?:[+-]?\d+|\*) (\d+)$", line):
                position, cost = match[1], int(match[2])
                if position.startswith("0x"):
                    address = int(position, 16)
                elif position != "*":
                    address += int(position)
                caller = (here["ob"], here["fn"])
                if is_call:
                    callee = (here["cob"] or here["ob"], here["cfn"])
                    profile.calls[caller][address, callee] += cost
                    is_call, here["cob"] = False, None
                else:
                    profile.costs[caller][address] += cost
        return profile

    def less(self, other, each):
        """What this run had more than the other, for each of so many."""
        rest = Profile()
        for mine, theirs, result in (
            (self.costs, other.costs, rest.costs),
            (self.calls, other.calls, rest.calls),
        ):
            for function, entries in mine.items():
                for key, cost in entries.items():
                    cost -= theirs[function][key]
                    if cost:
                        result[function][key] = cost / each
        return rest

    def total(self):
        return sum(sum(costs.values()) for costs in self.costs.values())

    def including_calls(self, function):
        return sum(self.costs[function].values()) + sum(self.calls[function].values())


# Names and files


class Frame:
    """A function, and the file that it was written in."""

    def __init__(self, name, file=""):
        self.name, self.file = plain(name), file
        self.floor = floor(file)

    def __eq__(self, other):
        return (self.name, self.file) == (other.name, other.file)

    def __hash__(self):
        return hash((self.name, self.file))


def plain(name):
    """Without hash, crates and types in angle brackets."""
    name = re.sub(r"::h[0-9a-f]{16}$", "", name.split("'")[0])
    if match := re.match(r"<(?:impl )?(.*?)(?: as (.*?))?>::(\w+)$", name):
        name = f"{match[1]}::{match[3]}"
    while (shorter := re.sub(r"<[^<>]*>", "", name)) != name:
        name = shorter
    name = name.replace("{{closure}}", "closure").replace("::::", "::")
    parts = [part for part in re.split(r"::", name) if part]
    return "::".join(parts[-2:]) if parts else "?"


def floor(file):
    if match := re.match(r"src/(\w+)/", file):
        return match[1]
    if file.startswith(("examples/", "benches/")):
        return "application"
    if file.startswith("tests/"):
        return "bench"
    return None


def symbols(binary, addresses):
    """For each address its frames, outermost first."""
    asked = "\n".join(f"{address:#x}" for address in sorted(addresses))
    said = subprocess.run(
        ["addr2line", "-e", binary, "-a", "-i", "-f", "-C"],
        input=asked, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    frames, lines = {}, iter(said.splitlines())
    address = None
    for line in lines:
        if line.startswith("0x"):
            address = int(line, 16)
            frames[address] = []
        else:
            file = next(lines).rsplit(":", 1)[0]
            file = os.path.normpath(file).removeprefix(f"{ROOT}/")
            frames[address].insert(0, Frame(line, file))
    return frames


class Tree:
    """A flame graph: a cost, and what it is made of."""

    def __init__(self):
        self.cost, self.children = 0.0, {}

    def add(self, frames, cost):
        node = self
        node.cost += cost
        for frame in frames:
            node = node.children.setdefault(frame, Tree())
            node.cost += cost


def tree_of(profile, binary, root):
    """All below `root`. Callgrind knows callers, not stacks: what a function costs is divided among
    its callers as they pay for it."""
    addresses = set()
    for function in {*profile.costs, *profile.calls}:
        if Path(function[0]).resolve() == Path(binary).resolve():
            addresses.update(profile.costs[function])
            addresses.update(address for address, _ in profile.calls[function])
    known = symbols(binary, addresses)

    def frames(function, address):
        found = known.get(address) if Path(function[0]).resolve() == Path(binary).resolve() else None
        return found if found and found[0].name != "??" else [Frame(function[1])]

    tree, least = Tree(), profile.total() * THIN

    def walk(function, share, stack, active):
        for address, cost in profile.costs[function].items():
            tree.add(stack + frames(function, address), cost * share)
        for (address, callee), cost in profile.calls[function].items():
            below = profile.including_calls(callee)
            here = stack + frames(function, address)
            if callee in active or cost * share < least or below <= 0:
                tree.add(here + [Frame(callee[1])], cost * share)
            else:
                walk(callee, cost * share / below, here, active | {callee})

    walk(root, 1.0, [], {root})
    return tree


def by_file(tree):
    """Costs by the innermost file of ours, and by the library functions that they called."""
    files, libraries = defaultdict(float), defaultdict(float)

    def walk(node, ours, library):
        rest = node.cost - sum(child.cost for child in node.children.values())
        files[ours] += rest
        if library:
            libraries[library] += rest
        for frame, child in node.children.items():
            if frame.floor:
                walk(child, frame.file, None)
            else:
                walk(child, ours, library or frame.name)

    for frame, child in tree.children.items():
        walk(child, frame.file if frame.floor else "", None)
    return files, libraries


def find_root(profile, *wanted):
    """The function that does what is measured, and nothing else: the costliest of those with such a
    name, or the next name, if the compiler has left none."""
    for name in wanted:
        found = [fn for fn in profile.calls if re.match(name, fn[1])]
        if found:
            return max(found, key=profile.including_calls)
    raise measure.Broken(f"no function {wanted} in the profile")


# The two ways to run


def in_memory(scenario, folder):
    few, many = folder / "few", folder / "many"
    measure.run_in_memory(scenario, 1000, few, "--dump-instr=yes")
    measure.run_in_memory(scenario, 3000, many, "--dump-instr=yes")
    each = 2000 * measure.per_round(scenario)
    profile = Profile.read(many).less(Profile.read(few), each)
    root = find_root(profile, r"instructions::rig::Rig.*::feed", r"instructions::main")
    return tree_of(profile, measure.INSTRUCTIONS, root)


def served(scenario, folder):
    runs = {}
    for answers in measure.SERVED[scenario][1:]:
        file = folder / str(answers)
        exact = measure.run_served(scenario, answers, file, "--dump-instr=yes")
        runs[exact] = Profile.read(file)
    (few, less), (many, more) = sorted(runs.items())
    profile = more.less(less, many - few)
    root = find_root(profile, "oneport::net::worker", "oneport::net::server", "testbed::main")
    return tree_of(profile, measure.TESTBED, root)


# What is written


def first_line(file):
    """What the file says of itself."""
    path = ROOT / file
    if not path.is_file():
        return ""
    text = path.read_text()
    said = []
    for line in text.splitlines():
        if not line.startswith("//! ") and said:
            break
        said.append(line.removeprefix("//! "))
    sentence = re.split(r"(?<=\.) ", " ".join(said))[0].rstrip(".:")
    return re.sub(r"\[(`[^`]*`)\](\([^)]*\))?", r"\1", sentence)


def flame(scenario, tree):
    """Widths are instructions; colours are floors."""
    width, row = 1000, 17
    depth = 0

    def deepest(node, level):
        nonlocal depth
        depth = max(depth, level)
        for child in node.children.values():
            if child.cost > tree.cost * 0.002:
                deepest(child, level + 1)

    deepest(tree, 0)
    height = 66 + depth * row
    drawing = Drawing(width, height, f"flame graph of {scenario}")
    drawing.text(8, 18, f"{scenario}: {tree.cost:.0f} user instructions each, over sockets; "
                 "width is instructions, colour is the floor", 13)  # fmt: skip
    at = 8
    for name, colour in zip((*FLOORS[:-1], "library"), (*COLOURS, GREY)):
        drawing.box(at, 28, 11, 11, colour)
        drawing.text(at + 15, 38, name)
        at += 38 + 6.6 * len(name)

    def draw(node, frame, x, level):
        here = node.cost / tree.cost * width
        if here < width * 0.002:
            return
        y = height - 8 - level * row
        colour = COLOURS[FLOORS.index(frame.floor)] if frame.floor in FLOORS else GREY
        title = f"{frame.name} {frame.file if frame.floor else ''}: {node.cost:.0f}"
        drawing.box(x, y, here - 0.6, row - 1, colour, title)
        room = int(here / 6.1)
        if room >= 4:
            name = frame.name if len(frame.name) <= room else frame.name[: room - 1] + "…"
            drawing.text(x + 3, y + 12, name, 10.5, colour="#fff")
        for inner, child in sorted(node.children.items(), key=lambda pair: -pair[1].cost):
            draw(child, inner, x, level + 1)
            x += child.cost / tree.cost * width

    x = 0
    for frame, child in sorted(tree.children.items(), key=lambda pair: -pair[1].cost):
        draw(child, frame, x, 1)
        x += child.cost / tree.cost * width
    drawing.save(OUT / f"flame-{scenario}.svg")


def bars(rows):
    """One bar a scenario, divided into floors."""
    scenarios = list(dict.fromkeys(row[1] for row in rows if row[0] == "served"))
    sums = {scenario: defaultdict(float) for scenario in scenarios}
    for way, scenario, floor_here, _, cost in rows:
        if way == "served":
            sums[scenario][floor_here] += cost
    most = max(sum(floors.values()) for floors in sums.values())
    drawing = Drawing(760, 60 + 34 * len(scenarios), "instructions by floor")
    drawing.text(8, 18, "User instructions of the testbed for each request or message, by floor", 13)
    at = 70
    for name, colour in zip(FLOORS, (*COLOURS, GREY)):
        if max(floors[name] for floors in sums.values()) < 0.01 * most:
            continue
        drawing.box(at, 28, 11, 11, colour)
        drawing.text(at + 15, 38, name)
        at += 34 + 6.4 * len(name)
    for row, scenario in enumerate(scenarios):
        y, x = 52 + row * 34, 70
        drawing.text(62, y + 16, scenario, anchor="end")
        for name, colour in zip(FLOORS, (*COLOURS, GREY)):
            cost = sums[scenario][name]
            wide = cost / most * 620
            if cost:
                drawing.box(x, y, wide - 0.6, 22, colour, f"{name}: {cost:.0f}")
            if wide > 30:
                drawing.text(x + 4, y + 15, f"{cost:.0f}", 11, colour="#fff")
            x += wide
        drawing.text(x + 6, y + 16, f"{sum(sums[scenario].values()):.0f}")
    drawing.save(OUT / "floors.svg")


def table(rows, libraries, scenarios):
    """Markdown: by floor over sockets, by file in memory, and what libraries did of it."""

    def line(*cells):
        return "| " + " | ".join(cells) + " |"

    def costs(way, key, column):
        of = {scenario: 0.0 for scenario in scenarios}
        for row in rows:
            if row[0] == way and row[column] == key:
                of[row[1]] += row[4]
        return of

    def figures(of):
        return [f"{of[scenario]:.0f}" if of[scenario] >= 0.5 else "" for scenario in scenarios]

    right = "---:|" * len(scenarios)
    out = ["Over sockets, by floor:", "", line("floor", *scenarios), "|---|" + right]
    for name in FLOORS:
        of = costs("served", name, 2)
        if max(of.values()) >= 0.5:
            meant = f"`{name}`, {MEANING[name]}" if name in MEANING else f"`{name}`"
            out.append(line(meant, *figures(of)))
    sums = {scenario: sum(r[4] for r in rows if r[:2] == ("served", scenario)) for scenario in scenarios}
    out += [line("**all**", *(f"**{sums[s]:.0f}**" for s in scenarios)), ""]
    out += ["Of one connection in memory, by file:", ""]
    out += [line("file", "what", *scenarios), "|---|---|" + right]
    files = {row[3]: FLOORS.index(row[2]) for row in rows if row[0] == "memory"}
    for file in sorted(files, key=lambda file: (files[file], -max(costs("memory", file, 3).values()))):
        of = costs("memory", file, 3)
        if max(of.values()) >= 5:
            out.append(line(f"`{file}`", first_line(file), *figures(of)))
    out += ["", "Of that, done by libraries:", "", line("function", *scenarios), "|---|" + right]
    names = {name for _, name in libraries}
    most = {name: max(libraries.get((s, name), 0) for s in scenarios) for name in names}
    for name in sorted(names, key=lambda name: -most[name]):
        if most[name] >= 20:
            out.append(line(f"`{name}`", *figures({s: libraries.get((s, name), 0) for s in scenarios})))
    return "\n".join(out) + "\n"


def calls():
    """Markdown: the system calls of the worker for each request or message, by name, its CPU time,
    and beside it what the same takes in memory, without the kernel."""
    out = [
        "| | system calls each | CPU time each, µs | in memory, µs |",
        "|---|---|---:|---:|",
    ]
    measured = {
        "GET, one connection": ("get", 1, 1),
        "GET, 64 connections": ("get", 64, 1),
        "GET, 64 connections, 16 pipelined": ("get", 64, 16),
        "echo of 20 B, one connection": ("echo", 1, 1),
        "echo of 20 B, 64 connections": ("echo", 64, 1),
        "echo of 20 B, 64 connections, 16 on the way": ("echo", 64, 16),
    }
    for what, (kind, connections, depth) in measured.items():
        lengths = (100, 1_100) if connections == 1 else (10, 50)
        steps = measure.rounds(kind, connections, depth)
        each = measure.calls_each(steps, *lengths, connections * depth)
        micros = cpu_time([kind, "--connections", connections, "--depth", depth])
        alone = time_in_memory(kind if depth == 1 else f"{kind}{depth}")
        out.append(f"| {what} | {names(each)} | {micros:.2f} | {alone:.2f} |")
    each = measure.calls_each(measure.lives, 100, 400)
    out.append(f"| a connection of one request, from accept to close | {names(each)} | | |")
    return "\n".join(out) + "\n"


def names(each):
    several = sorted(each.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {count:.2f}" for name, count in several if count >= 0.005)


def cpu_time(arguments):
    """Microseconds each of the server's CPU time: the best of three, as other work on the machine
    only adds to it."""
    allowed = os.sched_getaffinity(0)
    server, load = measure.cores()
    os.sched_setaffinity(0, {load})
    taken = []
    for _ in range(3):
        with measure.Testbed(core=server) as testbed:
            report = measure.load(testbed.port, *arguments, "--process", testbed.pid)
            taken.append(report["cpu"] / report["answers"] * 1e6)
    os.sched_setaffinity(0, allowed)
    return min(taken)


def time_in_memory(scenario):
    """Microseconds each of a connection in memory, not under callgrind: the best of three."""

    def run(count):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        measure.output(measure.INSTRUCTIONS, scenario, str(count))
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    count = 2_000_000 // measure.per_round(scenario)
    return min(run(count) for _ in range(3)) / 2_000_000 * 1e6


def main():
    scenarios = sys.argv[1:] or SCENARIOS
    if unknown := set(scenarios) - set(measure.SERVED):
        measure.fail(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(measure.SERVED)}")
    measure.raise_descriptors()
    OUT.mkdir(exist_ok=True)
    rows, libraries = [], {}
    for scenario in scenarios:
        for way, run in (("memory", in_memory), ("served", served)):
            with tempfile.TemporaryDirectory() as folder:
                tree = run(scenario, Path(folder))
            files, called = by_file(tree)
            for file, cost in sorted(files.items()):
                # What the rig does (being the worker and the peer) is no cost of ours.
                if floor(file) != "bench":
                    rows.append((way, scenario, floor(file) or "below", file, round(cost, 1)))
            if way == "memory":
                libraries |= {(scenario, name): cost for name, cost in called.items()}
            else:
                flame(scenario, tree)
            print(f"{way:7} {scenario:8} {tree.cost:8.0f} instructions each")
    if set(scenarios) < set(SCENARIOS):
        print(table(rows, libraries, scenarios))
        return
    with (OUT / "profile.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("way", "scenario", "floor", "file", "instructions"))
        writer.writerows(rows)
    (OUT / "profile.md").write_text(table(rows, libraries, scenarios))
    bars(rows)
    (OUT / "calls.md").write_text(calls())


try:
    main()
except measure.Broken as broken:
    measure.fail(broken)
