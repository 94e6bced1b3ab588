"""A server that runs out of file descriptors: it serves on, does not spin, and says what to do."""

import os
import socket
import subprocess
import time

import support
from support import HOST, Testbed, eventually


def limited(tmp_path, monkeypatch, descriptors):
    """Makes testbeds start with so few descriptors."""
    wrapper = tmp_path / "testbed"
    wrapper.write_text(f'#!/bin/sh\nulimit -n {descriptors}\nexec "{support.BINARY}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(support, "BINARY", str(wrapper))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def get(client):
    client.sendall(b"GET /plaintext HTTP/1.1\r\nHost: h\r\n\r\n")
    return client.recv(4096)


def test_out_of_descriptors(tmp_path, monkeypatch):
    limited(tmp_path, monkeypatch, 40)
    with Testbed() as testbed:
        first = socket.create_connection((HOST, testbed.port), timeout=20)
        assert get(first).startswith(b"HTTP/1.1 200 ")
        # More than it has descriptors for; the system queues the others.
        crowd = [socket.create_connection((HOST, testbed.port), timeout=20) for _ in range(60)]
        assert get(first).startswith(b"HTTP/1.1 200 "), "who is in is served on"
        before = cpu_seconds(testbed.process.pid)
        time.sleep(1)  # the time over which it is measured
        assert cpu_seconds(testbed.process.pid) - before < 0.3, "it does not spin"
        for client in crowd[:40]:
            client.close()
        # Those who waited are let in without any new event.
        for client in crowd[40:]:
            assert get(client).startswith(b"HTTP/1.1 200 ")
            client.close()
        first.close()
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)


def test_too_few_descriptors_to_start(tmp_path, monkeypatch):
    limited(tmp_path, monkeypatch, 4)
    ended = subprocess.run(
        [support.BINARY, "--port", "0"], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode not in (0, 2)
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert "file descriptors" in lines[0] and "ulimit -n" in lines[0], lines
