"""Programs that others wrote for echo servers of others, against the echo example.

They are run as they stand in programs/, but for the port.
"""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support import PATIENCE, Echo, Process, eventually

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
    source, program = copy("client.go", its_port="8080"), tmp_path / "client"
    built = subprocess.run(
        ["go", "build", "-o", program, source], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr

    with Process(program) as client:

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
