"""What the suites share: a testbed process, polling, and clients that speak bytes."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field

BINARY = os.environ["TESTBED"]
HOST = "127.0.0.1"
#: Longer than anything here takes on a busy machine (seconds).
PATIENCE = 45

# Proxies of the environment are for other hosts.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def eventually(condition, within=PATIENCE):
    """Asks until the answer is true, and gives it."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {condition}"
        time.sleep(0.01)
    return answer


class Process:
    """A program whose lines of standard error are at hand."""

    def __init__(self, *command, log=None):
        """`log` is what RUST_LOG asks for; without it nothing is."""
        self.name = os.path.basename(command[0])
        self.lines = []  # of standard error
        self._silent = False  # there will be no more lines
        self._said = threading.Condition()
        environment = {name: value for name, value in os.environ.items() if name != "RUST_LOG"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | ({"RUST_LOG": log} if log else {}),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._silent = True
            self._said.notify_all()

    def first_line(self, pattern):
        """The match of the line that it must say first, soon."""
        try:
            with self._said:
                self._said.wait_for(lambda: self.lines or self._silent, PATIENCE)
            assert self.lines, f"{self.name} said nothing"
            match = re.fullmatch(pattern, self.lines[0])
            assert match, f"{self.name} said {self.lines!r}"
        except BaseException:
            self._kill()
            raise
        return match

    def _kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stderr.close()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def exit_code(self, within=5):
        """Waits for the end; a program that does not end in time is killed, and the test fails."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {within} s") from None
        finally:
            self._kill()

    def stop(self):
        """SIGTERM, and the code 0 that must follow soon."""
        self.signal()
        assert self.exit_code() == 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.returncode is not None:
            return
        if kind is None:
            self.stop()
        else:
            self._kill()


def listens(port):
    """Does a program of this machine listen on this port? Nobody is connected to for it."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:
            for line in file:
                _, local, _, state = line.split()[:4]
                if state == "0A" and local.endswith(f":{port:04X}"):
                    return True
    return False


def memory(pid, what):
    """VmRSS of a process, or VmHWM, the highest it ever was: bytes."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"{what}:\s+(\d+) kB", status.read())[1]) * 1024


def free_port():
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]


class Echo(Process):
    """The echo example on a free port."""

    def __init__(self):
        super().__init__(os.environ["ECHO"], "--port", "0")
        match = self.first_line(r"echo: listening on ws://127\.0\.0\.1:(\d+)")
        self.port = int(match[1])


class Testbed(Process):
    """A testbed process on a free port of the loopback interface."""

    __test__ = False  # not a class of tests, whatever its name

    def __init__(self, *flags, descriptors=None, log=None):
        command = [BINARY, "--port", "0", *flags]
        if descriptors:
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"', *command]
        super().__init__(*command, log=log)
        match = self.first_line(r"listening on http://127\.0\.0\.1:(\d+)")
        self.port = int(match[1])
        self.url = f"http://{HOST}:{self.port}"
        self.ws_url = f"ws://{HOST}:{self.port}"

    def get_json(self, path):
        with _direct.open(self.url + path, timeout=PATIENCE) as response:
            return json.load(response)

    def stats(self):
        return self.get_json("/stats")

    def memory(self, what):
        return memory(self.process.pid, what)

    def disconnects(self, query):
        """What handlers of requests with this query were told."""
        return [d for d in self.get_json("/disconnects") if d["query"] == query]

    def disconnect(self, query):
        """The only disconnect of the only request with this query, as soon as it is told."""
        found = eventually(lambda: self.disconnects(query))
        assert len(found) == 1
        return found[0]


@dataclass
class Response:
    version: str
    status: int
    fields: list  # of (name in lower case, value)
    body: bytes = b""
    chunks: list = None  # sizes, if it was chunked
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)  # 1xx responses before it

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def get(self, name):
        """The value of a field that stands there at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None


class Wire:
    """A TCP connection, and strict readers of what HTTP and WebSocket put on it."""

    def __init__(self, testbed, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((HOST, testbed.port))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def reset(self):
        """Ends with an RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    @property
    def name(self):
        return list(self.socket.getsockname())

    def send(self, data):
        self.socket.sendall(data)

    def send_and_end(self, data):
        """The FIN travels with the last bytes, so that the server finds both at once."""
        self.socket.sendall(data, socket.MSG_MORE)
        self.end()

    def end(self):
        """Shuts the writing side: the server sees a FIN, and we still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def exactly(self, n):
        data = self.file.read(n)
        assert len(data) == n, f"the connection ended {n - len(data)} bytes early"
        return data

    def rest(self):
        """Everything up to the end of the connection, which must be an orderly one."""
        return self.file.read()

    def at_end(self):
        return self.file.read(1) == b""

    # ---- HTTP ----

    def request(self, *request, **options):
        """Sends an `http_request`."""
        self.send(http_request(*request, **options))

    def _line(self):
        line = self.file.readline(65536)
        assert line.endswith(b"\r\n"), f"no whole line: {line!r}"
        return line[:-2].decode("latin-1")

    def _fields(self):
        fields = []
        while line := self._line():
            match = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", line)
            assert match, f"no field line: {line!r}"
            fields.append((match[1].lower(), match[2]))
        return fields

    def head(self):
        line = self._line()
        match = re.fullmatch(r"HTTP/(1\.1) (\d{3}) [^\r\n]*", line)
        assert match, f"no status line: {line!r}"
        return Response(match[1], int(match[2]), self._fields())

    def response(self, method="GET"):
        """Reads one final response (RFC 9112 §6.3)."""
        interim = []
        while (response := self.head()).status < 200 and response.status != 101:
            interim.append(response)
        response.interim = interim
        coding, length = response.get("transfer-encoding"), response.get("content-length")
        assert coding is None or length is None, "both framing fields (RFC 9112 §6.2)"
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if coding is not None:
            assert coding == "chunked"
            self._chunked(response)
        elif length is not None:
            response.body = self.exactly(int(length))
        else:
            response.body = self.rest()
        return response

    def _chunked(self, response):
        response.chunks, pieces = [], []
        while size := int(self._line(), 16):
            response.chunks.append(size)
            pieces.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        response.body = b"".join(pieces)
        response.trailers = self._fields()

    # ---- WebSocket ----

    def handshake(self, path, *lines, then=b""):
        """An opening handshake, with `then` behind it in the same segment."""
        self.request("GET", path, *HANDSHAKE, *lines, body=then)
        return self.response()

    def open(self, path, *lines, then=b""):
        response = self.handshake(path, *lines, then=then)
        assert response.status == 101
        # RFC 6455 §1.3: the example's key and its answer.
        assert response.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert response.get("upgrade").lower() == "websocket"
        assert response.get("connection").lower() == "upgrade"
        return response

    def frame(self):
        """Reads one frame, which must be unmasked, in the shortest form, and not compressed."""
        fin, reserved, opcode, payload = self.any_frame()
        assert reserved == 0, "reserved bits"
        return fin, opcode, payload

    def any_frame(self):
        """As `frame`, whatever the reserved bits are: they come behind `fin`."""
        first, second = self.exactly(2)
        assert second & 0x80 == 0, "RFC 6455 §5.1: a server must not mask"
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
            assert length > 125
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
            assert length > 65535
        return bool(first & 0x80), first >> 4 & 7, first & 0x0F, self.exactly(length)

    def close_frame(self):
        """Reads the Close frame that must come next: code (None if there is none) and reason."""
        fin, opcode, payload = self.frame()
        assert (fin, opcode) == (True, CLOSE), f"opcode {opcode} with {payload[:80]!r}"
        if not payload:
            return None, ""
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def finish(self, code=None, reason=""):
        """The closing handshake from our side, to its end."""
        payload = b"" if code is None else struct.pack("!H", code) + reason.encode()
        self.send(frame(CLOSE, payload))
        assert self.close_frame()[0] == code
        # RFC 6455 §7.1.1: the server ends the TCP connection first.
        assert self.at_end()


HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
CONTINUATION, TEXT, BINARY_FRAME, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: As `reserved` of a frame.
RSV1, RSV2, RSV3 = 4, 2, 1


def http_request(method, path, *lines, body=b"", version="1.1"):
    """A request; `lines` are field lines."""
    head = [f"{method} {path} HTTP/{version}", "Host: test", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def frame(opcode, payload=b"", fin=True, masked=True, reserved=0):
    """A frame as a client sends it."""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + number.to_bytes(len(payload), "big")


def pattern(size):
    """Bytes in which every wrong offset shows."""
    unit = bytes(range(251))
    return (unit * (size // 251 + 1))[:size]
