"""Clients that behave, in a process of their own so that nothing but the server slows them.

As a program: others.py PORT REQUESTS asks on eight connections in turn, at most a thousand times a
second, until it has asked so often or its standard input ends, and prints what it measured.
"""

import json
import select
import socket
import subprocess
import sys
import time

from figures import quantile

CLIENTS = 8
REQUEST = b"GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n"
#: More than any measurement takes.
ENDLESS = 10_000_000


class Others:
    """Runs them; `figures` ends them."""

    def __init__(self, testbed, requests=ENDLESS):
        command = [sys.executable, __file__, str(testbed.port), str(requests)]
        self.requests = requests
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def figures(self):
        if self.requests == ENDLESS:
            self.process.stdin.close()
        line = self.process.stdout.readline()
        self.process.wait(20)
        self.process.stdout.close()
        assert self.process.returncode == 0, "clients that behave were not served"
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def report(table, fault, when, figures):
    """Their latency. The bounds leave room for a slow machine that does other things at once; a
    server that waits for one peer while it serves another is past them by far."""
    table.add(fault, f"others, {when}: requests answered", figures["count"], least=100)
    table.add(fault, f"others, {when}: median", figures["p50"], "ms", most=100)
    table.add(fault, f"others, {when}: 99th percentile", figures["p99"], "ms", most=1000)


def ask(client):
    """The time until the whole answer is there (ms)."""
    begin = time.perf_counter()
    client.sendall(REQUEST)
    answer = client.recv(4096)
    while not answer.endswith(b"Hello, World!"):
        more = client.recv(4096)
        assert more, answer
        answer += more
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return (time.perf_counter() - begin) * 1000


def main(port, requests):
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(CLIENTS)]
    times = []
    while len(times) < requests and not select.select([sys.stdin], [], [], 0)[0]:
        times.append(ask(clients[len(times) % CLIENTS]))
        time.sleep(0.001)
    print(json.dumps({
        "count": len(times), "p50": quantile(times, 0.5), "p99": quantile(times, 0.99),
    }))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
