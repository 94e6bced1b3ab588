"""Fails if anything that benches/budgets.txt has a budget for costs more: budgets.py [MEASURE...].

Without a measure, all of them: instructions, served, calls, memory. Run by budgets.sh.
"""

import sys
from pathlib import Path

import measure
from measure import calls_each, lives, rounds

MEASURES = ("instructions", "served", "calls", "memory")
#: Idle connections, if so many descriptors may be had.
IDLE = 10_000


def read_budgets():
    """Lines of measure, scenario, budget; what else a line says is for people."""
    text = Path(__file__).with_name("budgets.txt").read_text()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 5 or words[0] not in (*MEASURES, "allocations"):
            raise measure.Broken(f"budgets.txt:{number} is no budget: {line}")
        if words[0] != "allocations":
            yield words[0], words[1], float(words[2])


def count_calls(scenario):
    """System calls: of a request or message, of one kind of them, or of a connection's life."""
    what, _, name = scenario.partition(":")
    if what == "life":
        each = calls_each(lives, 100, 400)
        # Besides reading, writing and waiting.
        return sum(each.values()) - sum(each.get(name, 0) for name in WORK)
    kind, _, connections = what.partition("-")
    depth = measure.per_round(kind)
    connections = int(connections)
    few, many = (100, 1_100) if connections == 1 else (10, 50)
    steps = rounds(kind.removesuffix("16"), connections, depth)
    each = calls_each(steps, few, many, connections * depth)
    return each.get(name, 0) if name else sum(each.values())


WORK = ("recvfrom", "recvmsg", "read", "readv", "sendto", "sendmsg", "write", "writev", "epoll_wait")


def count_memory(kind, descriptors):
    return measure.idle_bytes(kind, min(IDLE, descriptors - 300))


def count(measured, scenarios, descriptors):
    """What each of the scenarios costs."""
    match measured:
        case "instructions":
            # The other parser is counted too: ours has to need fewer.
            return measure.side_by_side(measure.in_memory, scenarios)
        case "served":
            return measure.side_by_side(measure.served, scenarios)
        case "calls":
            return [count_calls(scenario) for scenario in scenarios]
        case "memory":
            return [count_memory(scenario, descriptors) for scenario in scenarios]


def main():
    wanted = sys.argv[1:] or MEASURES
    if unknown := set(wanted) - set(MEASURES):
        measure.fail(f"no such measure: {', '.join(unknown)}; there are: {', '.join(MEASURES)}")
    descriptors = measure.raise_descriptors()
    over = False
    budgets = list(read_budgets())
    for measured in wanted:
        here = {scenario: budget for kind, scenario, budget in budgets if kind == measured}
        heads = [name.replace("head-", "httparse-") for name in here if name.startswith("head-")]
        counts = dict(zip([*here, *heads], count(measured, [*here, *heads], descriptors)))
        for scenario, budget in here.items():
            got, verdict = counts[scenario], "ok"
            if got > budget:
                over, verdict = True, "TOO MANY"
            elif got < budget * 0.9:
                verdict = "ok, and the budget can be lowered"
            if (other := counts.get(scenario.replace("head-", "httparse-"), got)) < got:
                over, verdict = True, f"MORE THAN HTTPARSE, which needs {other:.0f}"
            digits = 3 if measured == "calls" else 0
            print(f"{measured:12} {scenario:18} {got:9.{digits}f} of {budget:9.{digits}f}  {verdict}")
    if over:
        measure.fail("over budget; whoever raises a budget says why, in budgets.txt")


try:
    main()
except measure.Broken as broken:
    measure.fail(broken)
