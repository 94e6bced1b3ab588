"""The testbed as a process: flags, limits, deadlines, signals, exit codes."""

import signal
import socket
import subprocess
import time

import pytest

from support import (
    BINARY, BINARY_FRAME, CLOSE, CONTINUATION, HOST, PATIENCE, PING, PONG, TEXT, Testbed, Wire,
    eventually, frame, http_request,
)  # fmt: skip


def run(*flags):
    """A testbed that is expected to end by itself: exit code and lines of standard error."""
    done = subprocess.run(
        [BINARY, *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
        check=False,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def begin_slow(testbed, ms):
    """A connection whose request is being worked on, for sure: when the first of two requests
    that were read at once is answered, the second has begun."""
    wire = Wire(testbed)
    wire.send(http_request("GET", "/plaintext") + http_request("GET", f"/slow?ms={ms}"))
    wire.response()
    return wire


def is_refused(testbed):
    try:
        with socket.create_connection((HOST, testbed.port), timeout=1):
            return False
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False


# ---- flags ----


@pytest.mark.parametrize(
    "flags",
    [
        ["--none"], ["--none=1"], ["none"], ["-p", "1"],
        ["--port"], ["--port", "x"], ["--port", "-1"], ["--port", "65536"], ["--port="],
        ["--workers", "0"], ["--workers", "two"],
        ["--max-connections", "1.5"], ["--max-head", ""], ["--max-body", "1k"],
        ["--head-timeout", "soon"], ["--idle-timeout", "-1"], ["--ping-interval", "nan"],
        ["--drain-timeout", "inf"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_bad_flags(flags):
    code, lines = run(*flags)
    assert code == 2
    assert len(lines) == 1
    assert flags[0].partition("=")[0] in lines[0]


@pytest.mark.parametrize(
    "flags",
    [["--tls", "cert", "key"], ["--uds", "socket"], ["--redis", "url"],
     ["--access-log"]],
    ids=" ".join,
)  # fmt: skip
def test_flags_of_features_that_are_not_built(flags):
    code, lines = run("--port", "0", *flags)
    assert code == 2
    assert len(lines) == 1
    assert flags[0] in lines[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use(testbed, workers):
    code, lines = run("--port", str(testbed.port), "--workers", workers)
    assert code not in (0, 2)
    assert len(lines) == 1
    # What happened, and what to do.
    assert f"{HOST}:{testbed.port}" in lines[0]
    assert "in use" in lines[0]
    assert "port" in lines[0].partition("in use")[2]


def test_only_one_line_is_logged():
    """The testbed says where it listens, and nothing else unless RUST_LOG asks for it."""
    with Testbed() as testbed:
        for path in ("/panic", "/error", "/nothing", "/half", "/none"):
            with Wire(testbed) as wire:
                wire.request("GET", path)
                assert wire.head().status in (200, 404, 500)
        with Wire(testbed) as wire:
            wire.send(b"\0\r\n\r\n")
            assert wire.response().status == 400
        for path in ("/error", "/panic"):
            with Wire(testbed) as wire:
                wire.open(path, then=frame(TEXT, b"x"))
                assert wire.close_frame()[0] == 1011
        testbed.stop()
        assert testbed.lines == [f"listening on http://{HOST}:{testbed.port}"]


# ---- limits ----


def test_max_connections():
    with Testbed("--max-connections", "2") as testbed:
        with Wire(testbed) as first, Wire(testbed) as second:
            for wire in (first, second):
                wire.request("GET", "/plaintext")
                assert wire.response().status == 200
            # At once: the newcomer has not said anything yet.
            with Wire(testbed) as third:
                response = third.response()
                assert response.status == 503
                assert response.get("connection") == "close"
                assert third.at_end()
            # For the newcomer only.
            for wire in (first, second):
                wire.request("GET", "/plaintext")
                assert wire.response().status == 200
        # There is room again.
        eventually(lambda: accepts(testbed))


def accepts(testbed):
    with Wire(testbed) as wire:
        wire.request("GET", "/plaintext")
        return wire.response().status == 200


def test_max_message(tag):
    with Testbed("--max-message", "1000") as testbed:
        with Wire(testbed) as wire:
            wire.open("/ws", then=frame(BINARY_FRAME, b"x" * 1000))
            assert wire.frame() == (True, BINARY_FRAME, b"x" * 1000)
            # RFC 6455 §7.4.1: 1009.
            wire.send(frame(BINARY_FRAME, b"x" * 1001))
            assert wire.close_frame()[0] == 1009
        with Wire(testbed) as wire:
            # In fragments, too, as soon as it is too much.
            wire.open(f"/ws?{tag}", then=frame(TEXT, b"x" * 600, fin=False))
            wire.send(frame(CONTINUATION, b"x" * 600, fin=False))
            assert wire.close_frame()[0] == 1009
            assert testbed.disconnect(tag)["code"] == 1009


# ---- deadlines ----


@pytest.fixture(scope="module")
def impatient():
    flags = "--head-timeout 1.5 --idle-timeout 1.5 --body-timeout 1.5 --write-timeout 1.5"
    pings = "--ping-interval 0.2 --ping-timeout 1.5 --close-timeout 0.3"
    with Testbed(*flags.split(), *pings.split()) as testbed:
        yield testbed


def test_head_timeout_of_a_silent_client(impatient):
    with Wire(impatient) as wire:
        assert wire.rest() == b""


def test_head_timeout_of_a_slow_client(impatient):
    with Wire(impatient) as wire:
        wire.send(b"GET /plaintext HTTP/1.1\r\nHo")
        # RFC 9110 §15.5.9.
        response = wire.response()
        assert response.status == 408
        assert response.get("connection") == "close"
        assert wire.at_end()


def test_head_timeout_is_for_the_whole_head(impatient):
    """A client that drips bytes gains no time."""
    with Wire(impatient) as wire:
        wire.send(b"GET /plaintext HTTP/1.1\r\nX: ")
        wire.socket.settimeout(0.05)
        deadline = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline
            try:
                assert wire.socket.recv(12) == b"HTTP/1.1 408"
                break
            except TimeoutError:
                wire.send(b"x")


def test_idle_timeout(impatient):
    with Wire(impatient) as wire:
        wire.request("GET", "/plaintext")
        assert wire.response().status == 200
        assert wire.at_end()


def test_body_timeout(impatient, tag):
    with Wire(impatient) as wire:
        wire.request("GET", f"/slow?{tag}", "Content-Length: 10", body=b"x")
        assert wire.response().status == 408
        assert wire.at_end()
    assert impatient.disconnect(tag)["type"] == "http.disconnect"


def test_min_body_rate(tag):
    with Testbed("--min-body-rate", "1000", "--body-timeout", "60") as testbed:
        with Wire(testbed) as wire:
            start = time.monotonic()
            wire.request("GET", f"/slow?{tag}", "Content-Length: 100000", body=b"x" * 100)
            assert wire.response().status == 408
            # The first 5 s are free.
            assert 5 <= time.monotonic() - start < 50
        assert testbed.disconnect(tag)["type"] == "http.disconnect"


def test_write_timeout(impatient, tag):
    query = f"chunks=100000&size=10000&{tag}"
    with Wire(impatient, receive_buffer=4096) as wire:
        wire.request("GET", f"/stream?{query}")
        # It does not read; it is told nothing, the handler is.
        assert impatient.disconnect(query)["type"] == "http.disconnect"
    assert impatient.stats()["closed"]["write-timeout"] >= 1


def test_server_pings_and_a_client_that_answers_stays(impatient, tag):
    with Wire(impatient) as wire:
        wire.open(f"/ws?{tag}")
        for _ in range(5):
            fin, opcode, payload = wire.frame()
            assert (fin, opcode) == (True, PING)
            wire.send(frame(PONG, payload))
        wire.send(frame(TEXT, b"still here"))
        assert next_data_frame(wire) == (True, TEXT, b"still here")


def next_data_frame(wire):
    while (got := wire.frame())[1] == PING:
        wire.send(frame(PONG, got[2]))
    return got


def test_ping_timeout(impatient, tag):
    with Wire(impatient) as wire:
        wire.open(f"/ws?{tag}")
        assert wire.frame()[1] == PING
        # No pong: one ping at a time, then the end.
        assert wire.close_frame()[0] == 1011
    assert impatient.disconnect(tag)["code"] == 1011


def test_no_pings():
    flags = "--ping-interval 0 --ping-timeout 0.2 --idle-timeout 1 --head-timeout 1"
    with Testbed(*flags.split()) as testbed, Wire(testbed) as wire:
        wire.open("/ws")
        wire.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)


def test_close_timeout(impatient, tag):
    query = f"code=4000&{tag}"
    with Wire(impatient) as wire:
        wire.open(f"/close?{query}")
        assert wire.close_frame() == (4000, "")
        # The client does not answer the Close.
        assert wire.at_end()
    assert impatient.disconnect(query)["code"] == 4000


# ---- the end ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_signal_ends_it(number, workers):
    with Testbed("--workers", workers) as testbed:
        testbed.signal(number)
        assert testbed.exit_code() == 0


def test_signal_lets_a_slow_request_finish():
    with Testbed("--workers", "2") as testbed:
        with begin_slow(testbed, ms=1000) as slow, Wire(testbed) as idle, Wire(testbed) as half:
            idle.request("GET", "/plaintext")
            idle.response()
            half.send(b"GET /plaintext HTTP/1.1\r\nHo")
            eventually(lambda: testbed.stats()["connections"]["now"] >= 4)
            testbed.signal()
            # Nobody new, and nobody who has nothing in flight, keeps it.
            assert idle.at_end()
            assert half.at_end()
            eventually(lambda: is_refused(testbed))
            response = slow.response()
            assert response.body == b"done"
            assert response.get("connection") == "close"
            assert slow.at_end()
            assert testbed.exit_code() == 0


def test_signal_lets_a_stream_finish():
    with Testbed() as testbed, Wire(testbed) as wire:
        wire.request("GET", "/stream?chunks=2000&size=10000")
        head = wire.head()
        assert (head.status, head.get("transfer-encoding")) == (200, "chunked")
        testbed.signal()
        rest = wire.rest()
        assert rest.count(b"x") == 20_000_000
        assert rest.endswith(b"\r\n0\r\n\r\n")
        assert testbed.exit_code() == 0


def test_signal_ends_server_sent_events():
    with Testbed() as testbed, Wire(testbed) as wire:
        wire.request("GET", "/events?n=2&ms=300000")
        assert wire.head().status == 200
        begin = time.monotonic()
        testbed.signal()
        assert wire.rest().endswith(b"\r\n0\r\n\r\n")
        assert testbed.exit_code() == 0
        assert time.monotonic() - begin < 5


def test_clients_that_leave_a_stream_make_room():
    with Testbed("--max-connections", "20") as testbed:
        wires = [Wire(testbed) for _ in range(20)]
        for wire in wires:
            wire.request("GET", "/events?n=2&ms=300000")
            assert wire.head().status == 200
        for wire in wires:
            wire.close()
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)


def test_signal_closes_websockets(tag):
    with Testbed("--workers", "2") as testbed:
        wires = [Wire(testbed) for _ in range(4)]
        for wire in wires:
            wire.open("/ws")
        testbed.signal()
        for wire in wires:
            # RFC 6455 §7.4.1: 1001, going away.
            assert wire.close_frame()[0] == 1001
            wire.send(frame(CLOSE, b"\x03\xe9"))
            assert wire.at_end()
            wire.close()
        assert testbed.exit_code() == 0


def test_drain_timeout():
    """Whatever peers do: a slow handler, a WebSocket that does not answer, one that does not
    read."""
    with Testbed("--drain-timeout", "1", "--close-timeout", "60") as testbed:
        with begin_slow(testbed, ms=60_000), Wire(testbed) as mute, Wire(testbed, 4096) as deaf:
            mute.open("/ws")
            deaf.open("/flood?n=1000&size=10000")
            start = time.monotonic()
            testbed.signal()
            assert testbed.exit_code() == 0
            assert 0.9 <= time.monotonic() - start < 40


def test_second_signal_ends_it_at_once():
    with Testbed("--drain-timeout", "60") as testbed, begin_slow(testbed, ms=60_000):
        testbed.signal()
        eventually(lambda: is_refused(testbed))
        testbed.signal()
        assert testbed.exit_code() == 128 + signal.SIGTERM


def test_the_port_is_free_again_at_once():
    with Testbed() as testbed:
        with Wire(testbed) as wire:
            wire.request("GET", "/plaintext")
            wire.response()
            # Whoever ends a connection first is the one that remembers it for a while.
            testbed.signal()
            assert wire.at_end()
        assert testbed.exit_code() == 0
        again = subprocess.Popen(
            [BINARY, "--port", str(testbed.port)], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert again.stderr.readline() == f"listening on {testbed.url}\n"
            again.terminate()
            assert again.wait(5) == 0
        finally:
            again.kill()
            again.wait()
            again.stderr.close()
