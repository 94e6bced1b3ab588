"""Programs that others wrote: their clients against the echo example, and their servers against
the clients among the examples.

They are run as they stand in programs/, but for the port.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import PATIENCE, Echo, Process, eventually, free_port, listens

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def echo():
    with Echo() as echo:
        yield echo


@pytest.fixture
def copy(echo, tmp_path):
    """Copies a program and puts our port in the place of its own."""

    def copy(name, its_port):
        program = (PROGRAMS / name).read_text()
        assert program.count(its_port) == 1
        copied = tmp_path / name
        copied.write_text(program.replace(its_port, str(echo.port)))
        return copied

    return copy


@pytest.fixture
def serve(tmp_path):
    """Starts a server of theirs and gives its port, when it listens."""
    running = []

    def serve(name, its_port):
        program, port = (PROGRAMS / name).read_text(), free_port()
        assert its_port in program
        copied = tmp_path / name
        copied.write_text(program.replace(its_port, str(port)))
        if name.endswith(".py"):
            command = [os.environ["PYTHON_WEBSOCKETS_13"], copied]
        else:
            command = [go_build(copied, tmp_path)]
        running.append(Process(*command))
        eventually(lambda: listens(port) or running[-1].process.poll() is not None)
        return running[-1], port

    yield serve
    for process in running:
        process.signal(signal.SIGKILL)
        process.exit_code()


def go_build(source, directory):
    program = directory / source.stem
    built = subprocess.run(
        ["go", "build", "-o", program, source], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return program


def run_python(program):
    """Runs it with the `websockets` of its time: standard output and standard error."""
    done = subprocess.run(
        [os.environ["PYTHON_WEBSOCKETS_13"], program], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def ends(echo):
    """How the echo server saw its clients end."""
    matches = [re.search(r"(closed|vanished|ended with).*", line) for line in echo.lines]
    return [match[0] for match in matches if match]


def assert_end(echo, end):
    eventually(lambda: ends(echo))
    assert ends(echo) == [end]


def test_hello_of_websockets_13(echo, copy):
    said, _ = run_python(copy("hello.py", its_port="8765"))
    assert said == "Received from server: Hello, WebSocket!\n"
    assert_end(echo, 'closed (1000 ""); clients: 0')


def test_client_of_websockets_13(echo, copy):
    said, logged = run_python(copy("websocket_client.py", its_port="8765"))
    assert said == ""
    expected = [f"INFO - Connected to WebSocket server at ws://localhost:{echo.port}"]
    # Its own server says "Server echoes: " before them, which it does not look at.
    for message in [
        "Hello WebSocket Server!", "This is a test message.", "How are you today?", "QUIT",
    ]:  # fmt: skip
        expected.append(f"INFO - Sending message: '{message}'")
        expected.append(f"INFO - Received response: '{message}'")
    expected.append("INFO - Closing WebSocket connection.")
    assert [line.partition(" - CLIENT - ")[2] for line in logged.splitlines()] == expected
    assert_end(echo, 'closed (1000 "Client finished"); clients: 0')


def test_client_of_gorilla(echo, copy, tmp_path):
    with Process(go_build(copy("client.go", its_port="8080"), tmp_path)) as client:

        def received():
            matches = [re.search(r"Received from server: (.*)", line) for line in client.lines]
            return [match[1] for match in matches if match]

        # It says what time it is, once a second, until it is interrupted.
        eventually(lambda: len(received()) >= 2)
        client.signal(signal.SIGINT)
        assert client.exit_code() == 0

    without_time = [re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "", line) for line in client.lines]
    assert without_time == [
        f"Connecting to ws://localhost:{echo.port}/echo",
        *[f"Received from server: {message}" for message in received()],
        "Interrupt received, closing connection.",
        "Read error: websocket: close 1000 (normal)",
    ]
    # Each came as it was sent.
    assert_end(echo, 'closed (1000 ""); clients: 0')
    heard = [re.search(r' 127\.0\.0\.1:\d+: "(.*)"$', line) for line in echo.lines]
    assert [match[1] for match in heard if match] == received()


# ---- the other way round ----


def echo_client(url):
    """What it said to the server, and what it heard."""
    done = subprocess.run(
        [os.environ["ECHO_CLIENT"], url], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines.pop().startswith("round trip: ")
    said = [line[2:] for line in lines if line.startswith("> ")]
    heard = [line[2:] for line in lines if line.startswith("< ")]
    assert len(said) == len(heard) == len(lines) / 2 == 3
    return said, heard


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_server_of_websockets_13(serve, host):
    server, port = serve("websocket_server.py", its_port="8765")
    said, heard = echo_client(f"ws://{host}:{port}")
    assert heard == [f"Server echoes: {text}" for text in said]
    eventually(lambda: any("removed. Total connections: 0" in line for line in server.lines))
    # It says so when a client did not close as it should.
    assert not [line for line in server.lines if "error" in line]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_short_server_of_websockets_13(serve, host):
    server, port = serve("echo_server.py", its_port="8765")
    said, heard = echo_client(f"ws://{host}:{port}/any/path?and=query")
    assert heard == said
    assert not [line for line in server.lines if "rror" in line]


def test_server_of_gorilla(serve):
    server, port = serve("server.go", its_port="8080")
    said, heard = echo_client(f"ws://localhost:{port}/echo")
    assert heard == said
    eventually(lambda: any("Client disconnected" in line for line in server.lines))
    seen = [line.partition(" ")[2].partition(" ")[2] for line in server.lines]
    assert seen[1:] == [
        "Client connected",
        *[f"Received message: {text}" for text in said],
        "Read error: websocket: close 1000 (normal): that was all",
        "Client disconnected",
    ]


@pytest.mark.parametrize(
    ("name", "its_port", "path"),
    [("websocket_server.py", "8765", ""), ("echo_server.py", "8765", ""), ("server.go", "8080", "/echo")],
)
def test_ticker_until_it_is_interrupted(serve, name, its_port, path):
    server, port = serve(name, its_port=its_port)
    with subprocess.Popen(
        [os.environ["TICKER_CLIENT"], f"ws://localhost:{port}{path}"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        try:
            heard = [client.stdout.readline() for _ in range(2)]
            began = time.monotonic()
            client.send_signal(signal.SIGINT)
            rest, complaints = client.communicate(timeout=PATIENCE)
        finally:
            client.kill()
    assert (client.returncode, complaints) == (0, "")
    assert all(re.search(r"^< .*tick \d+$", line) for line in heard), heard
    # The answer came: it did not have to wait for its limit of 10 s.
    assert time.monotonic() - began < 9
    if name == "server.go":
        eventually(lambda: any("close 1000 (normal): interrupted" in line for line in server.lines))
