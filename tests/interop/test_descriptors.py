"""A server that runs out of file descriptors: it serves on, does not spin, and says what to do."""

import os
import socket
import subprocess
import time

from support import BINARY, HOST, Testbed, eventually


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def get(client):
    client.sendall(b"GET /plaintext HTTP/1.1\r\nHost: h\r\n\r\n")
    return client.recv(4096)


def test_out_of_descriptors():
    with Testbed(descriptors=40) as testbed:
        first = socket.create_connection((HOST, testbed.port), timeout=20)
        assert get(first).startswith(b"HTTP/1.1 200 ")
        # More than it has descriptors for; the system queues the others.
        crowd = [socket.create_connection((HOST, testbed.port), timeout=20) for _ in range(60)]
        assert get(first).startswith(b"HTTP/1.1 200 "), "who is in is served on"
        before = cpu_seconds(testbed.process.pid)
        time.sleep(1)  # the time over which it is measured
        assert cpu_seconds(testbed.process.pid) - before < 0.6, "it does not spin"
        for client in crowd[:40]:
            client.close()
        # Those who waited are let in without any new event.
        for client in crowd[40:]:
            assert get(client).startswith(b"HTTP/1.1 200 ")
            client.close()
        first.close()
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)


def test_too_few_descriptors_to_start():
    command = ["sh", "-c", 'ulimit -n 4; exec "$0" --port 0', BINARY]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode not in (0, 2)
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert "file descriptors" in lines[0] and "ulimit -n" in lines[0], lines
