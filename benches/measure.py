"""What the scripts of this directory share: the programs under measurement, and their counts.

A count per request is the difference of two runs, divided by the difference of their lengths, so
that starting, opening connections and ending do not count.
"""

import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Longer than anything here takes on a busy machine (seconds).
PATIENCE = 120

#: Set by the shell scripts, which build them.
TESTBED = os.environ.get("TESTBED", "")
INSTRUCTIONS = os.environ.get("INSTRUCTIONS", "")
LOAD = os.environ.get("LOAD", "")

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GET = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

#: What is counted over sockets: arguments of the load, and the answers of the two runs.
SERVED = {
    "get": (["get"], 4_000, 24_000),
    "get16": (["get", "--depth", "16"], 8_000, 72_000),
    "post": (["post", "--size", "1024"], 4_000, 24_000),
    "echo": (["echo"], 4_000, 24_000),
    "echo16": (["echo", "--depth", "16"], 16_000, 144_000),
    "broadcast16": (
        ["broadcast", "--size", "64", "--connections", "1000", "--depth", "16"],
        64_000,
        320_000,
    ),
}


class Broken(Exception):
    """It could not be measured."""


def raise_descriptors():
    """As many as are allowed; how many that are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cores():
    """The core for the server and that for the load: the same, if there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


class Testbed:
    """The testbed on a free port, perhaps run by another program (`under`)."""

    def __init__(self, *flags, under=(), core=None):
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        self.process = subprocess.Popen(
            [*under, TESTBED, "--port", "0", "--ping-interval", "0", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin,
        )
        said = []
        for line in self.process.stderr:
            if match := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(match[1])
                break
            said.append(line)
        else:
            raise Broken(f"the testbed did not start: {''.join(said)}")
        self.pid = self.process.pid
        if under and Path(under[0]).name == "strace":
            with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
                self.pid = int(children.read().split()[0])

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # It ends with a reset, and keeps no port.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return stream

    def resident(self):
        """Bytes of memory that it holds."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def cpu_time(self):
        """Seconds that its threads were on a CPU."""
        nanoseconds = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat") as times:
                nanoseconds += int(times.read().split()[0])
        return nanoseconds / 1e9

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
            self.process.communicate(timeout=PATIENCE)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            self.process.kill()
            self.process.communicate()


def output(*command):
    """What a program prints, if it ends well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise Broken(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def load(port, *arguments):
    """Puts load on a port; the report."""
    return json.loads(output(LOAD, f"127.0.0.1:{port}", *map(str, arguments)))


# Instructions, by callgrind


def callgrind(file, *more):
    """What runs a program under callgrind, its counts going to a file."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file}", *more]


def total(file):
    """All user instructions of a run."""
    found = re.search(r"^(?:totals|summary): (\d+)", Path(file).read_text(), re.MULTILINE)
    if not found:
        raise Broken("callgrind counted nothing")
    return int(found[1])


def run_in_memory(scenario, count, file, *more):
    """So many requests or messages through a connection in memory, under callgrind."""
    output(*callgrind(file, *more), INSTRUCTIONS, scenario, str(count))


def run_served(scenario, answers, file, *more):
    """At least so many answers of the testbed under callgrind; how many exactly."""
    with Testbed(under=callgrind(file, *more)) as testbed:
        report = load(testbed.port, *SERVED[scenario][0], "--answers", answers)
    return report["answers"]


def in_memory(scenario):
    """Instructions per request or message, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        run_in_memory(scenario, 1000, few)
        run_in_memory(scenario, 3000, many)
        return (total(many) - total(few)) / 2000 / per_round(scenario)


def per_round(scenario):
    """Requests or messages of one round of a run in memory."""
    return 16 if scenario.endswith("16") else 1


def served(scenario):
    """Instructions per request, message or delivery of the testbed, over sockets."""
    _, few, many = SERVED[scenario]
    with tempfile.TemporaryDirectory() as folder:
        counts = {}
        for answers in (few, many):
            file = Path(folder, str(answers))
            exact = run_served(scenario, answers, file)
            counts[exact] = total(file)
    (few, less), (many, more) = sorted(counts.items())
    return (more - less) / (many - few)


# System calls, by strace


def traced(steps, length):
    """The system calls of the testbed's worker while `steps(testbed, length)` runs, by name. (Its
    other thread waits for signals, and begins that anew whenever the testbed was held still.)"""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "calls")
        with Testbed(under=["strace", "-f", "-qq", "-o", str(file)]) as testbed:
            steps(testbed, length)
        # Who, then the call; a call that another thread interrupts is resumed in a line of its own.
        named = re.findall(rf"^{testbed.pid} +(\w+)\(", file.read_text(), re.MULTILINE)
        if not named:
            raise Broken("strace saw nothing (may it trace here?)")
        return Counter(named)


def calls_each(steps, few, many, each=1):
    """System calls by name: those of the longer run alone, for each of what it does more."""
    less, more = traced(steps, few), traced(steps, many)
    return {name: (more[name] - less[name]) / (many - few) / each for name in more}


def receive(stream, length):
    left = length
    while left:
        got = stream.recv(min(left, 1 << 20))
        if not got:
            raise Broken("the testbed closed a connection")
        left -= len(got)


class Held:
    """While the testbed is held still, everything sent waits for it: how many connections are
    ready at once does not depend on who is faster."""

    def __init__(self, testbed):
        self.pid = testbed.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE
        while self.state() not in "tT":
            if time.monotonic() > deadline:
                raise Broken("the testbed does not stop")

    def state(self):
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def response_length(stream, request=GET):
    """Asks once; the bytes of a response, which are the same each time."""
    stream.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        got += stream.recv(65536)
    head, rest = got.split(b"\r\n\r\n", 1)
    body = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    receive(stream, body - len(rest))
    return len(head) + 4 + body


def upgraded(testbed, path=b"/ws"):
    """A WebSocket that is open."""
    stream = testbed.connect()
    stream.sendall(UPGRADE % path)
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += stream.recv(1)
    if not got.startswith(b"HTTP/1.1 101 "):
        raise Broken(f"the handshake was refused: {got!r}")
    return stream


def frame(payload):
    """A masked text frame of at most 125 bytes, with a key of zeros."""
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def rounds(kind, connections, depth):
    """Steps: in each round every connection sends so many, then every answer is awaited."""

    def steps(testbed, length):
        if kind == "get":
            streams = [testbed.connect() for _ in range(connections)]
            sizes = {response_length(stream) for stream in streams}
            answer, out = sizes.pop(), GET
        else:
            streams = [upgraded(testbed) for _ in range(connections)]
            answer, out = 22, frame(b"twenty bytes of text")
        for _ in range(length):
            if connections == 1:
                streams[0].sendall(out * depth)
            else:
                with Held(testbed):
                    for stream in streams:
                        stream.sendall(out * depth)
            for stream in streams:
                receive(stream, answer * depth)

    return steps


def lives(testbed, length):
    """Steps: connections of one request each, 50 at a time."""
    for _ in range(length // 50):
        with Held(testbed):
            streams = [testbed.connect() for _ in range(50)]
        for stream in streams:
            response_length(stream)
        with Held(testbed):
            for stream in streams:
                stream.shutdown(socket.SHUT_WR)
        for stream in streams:
            if stream.recv(1):
                raise Broken("bytes behind the response")
            stream.close()


# Memory


def idle_bytes(kind, connections):
    """Bytes of memory for each of so many idle connections, beyond those of the first hundred."""
    with Testbed() as testbed:

        def opened(count):
            if kind == "websocket":
                return [upgraded(testbed) for _ in range(count)]
            streams = [testbed.connect() for _ in range(count)]
            for stream in streams:
                response_length(stream)
            return streams

        streams = opened(100)
        before = testbed.resident()
        streams += opened(connections)
        # What a turn holds is given back at its end.
        time.sleep(0.2)
        held = testbed.resident() - before
        for stream in streams:
            stream.close()
        return held / connections


def side_by_side(function, arguments):
    """Counts do not depend on what else runs: as many at once as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(function, arguments))


def fail(what):
    print(f"{Path(sys.argv[0]).name}: {what}", file=sys.stderr)
    sys.exit(1)
