"""curl: every HTTP path of the testbed, and the answers to what is wrong."""

import json
import re
import subprocess
import time
from dataclasses import dataclass

import pytest

from support import Testbed

PARTIAL_FILE = 18  # curl's exit code for a body that ends too early

WEBSOCKET_ONLY = [
    "/ws", "/broadcast", "/subprotocol", "/deny", "/deny-custom",
    "/headers", "/close", "/flood", "/origin",
]  # fmt: skip


@dataclass
class Result:
    exit_code: int
    heads: list  # of (status line, [(name, value)])
    body: bytes  # of all transfers
    facts: list  # curl's own, such as num_connects: one a transfer
    errors: list

    @property
    def status(self):
        return int(self.heads[-1][0].split()[1])

    @property
    def statuses(self):
        return [int(line.split()[1]) for line, _ in self.heads]

    def all(self, name):
        return [value for key, value in self.heads[-1][1] if key == name]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def fact(self, name):
        return self.facts[-1][name]


@pytest.fixture
def curl(testbed, tmp_path):
    """Runs curl for a path of the shared testbed, or of another one."""
    heads = tmp_path / "heads"

    def run(path, *options, to=testbed):
        heads.write_bytes(b"")
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60",
             "--dump-header", heads, "--write-out", "%{stderr}%{json}\n", *options, to.url + path],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        lines = done.stderr.decode().splitlines()
        return Result(
            exit_code=done.returncode,
            heads=parse_heads(heads.read_text("latin-1")),
            body=done.stdout,
            facts=[json.loads(line) for line in lines if line.startswith("{")],
            errors=[line for line in lines if not line.startswith("{")],
        )

    return run


def parse_heads(text):
    """Status lines with their fields; trailers, which curl prints behind, count to the last."""
    heads = []
    for line in text.splitlines():
        if line.startswith("HTTP/"):
            heads.append((line, []))
        elif line:
            name, value = re.fullmatch(r"([^:]+):\s*(.*?)\s*", line).groups()
            heads[-1][1].append((name.lower(), value))
    return heads


# ---- the pages ----


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/plaintext", "text/plain", b"Hello, World!"),
        ("/json", "application/json", b'{"message":"Hello, World!"}'),
        ("/slow?ms=20", "text/plain", b"done"),
        ("/hints", "text/plain", b"hinted"),
        ("/stream?chunks=3&size=5", "application/octet-stream", b"x" * 15),
        ("/stream?chunks=0&size=5", "application/octet-stream", b""),
        ("/file?name=hello.txt", "text/plain", b"hello\n"),
        ("/file?name=big.bin", "application/octet-stream", bytes(1 << 20)),
    ],
)
def test_page(curl, path, content_type, body):
    result = curl(path)
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("content-type") == content_type
    assert result.body == body
    # RFC 9110 §6.6.1: an origin server with a clock sends a Date.
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", result.get("date"))


def test_plaintext_states_its_length(curl):
    assert curl("/plaintext").get("content-length") == "13"


def test_index_is_a_page_for_people(curl):
    result = curl("/")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("content-type").startswith("text/html")
    assert b"WebSocket" in result.body


def test_stream_is_chunked(curl):
    result = curl("/stream?chunks=2&size=3")
    assert result.get("transfer-encoding") == "chunked"
    assert result.get("content-length") is None


@pytest.mark.parametrize("te", ["trailers", "gzip;q=0.5, Trailers"])
def test_trailers_for_a_client_that_takes_them(curl, te):
    result = curl("/trailers", "-H", f"TE: {te}", "-H", "Connection: TE")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("trailer") == "x-checksum"
    assert result.get("transfer-encoding") == "chunked"
    assert len(result.all("x-checksum")) == 1
    assert result.body == b"checked body"


def test_no_trailers_for_others(curl):
    result = curl("/trailers")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.all("x-checksum") == []
    assert result.body == b"checked body"


def test_early_hints(curl):
    hint, final = curl("/hints").heads
    assert hint[0].startswith("HTTP/1.1 103 ")
    assert hint[1] == [("link", "</style.css>; rel=preload; as=style")]
    assert final[0].startswith("HTTP/1.1 200 ")


def test_slow_takes_its_time(curl):
    result = curl("/slow?ms=300")
    assert result.body == b"done"
    assert result.fact("time_total") >= 0.3


def test_events(curl):
    result = curl("/events?n=3&ms=50")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("content-type").startswith("text/event-stream")
    events = [event for event in result.body.decode().split("\n\n") if event]
    assert len(events) == 3
    assert all(re.search(r"^data: ", event, re.MULTILINE) for event in events)
    assert result.fact("time_total") >= 0.1


@pytest.mark.parametrize(
    "name",
    ["", "none.txt", ".hidden", "..", "../Cargo.toml", "%2e%2e%2fCargo.toml", "..%5cCargo.toml",
     "/etc/passwd", "%2fetc%2fpasswd", "hello.txt%00", "%00", "hello.txt/"],
)  # fmt: skip
def test_file_outside_the_folder(curl, name):
    assert curl(f"/file?name={name}").status == 404


def test_file_without_a_name(curl):
    assert curl("/file").status == 404


def test_state(curl):
    first, second = (json.loads(curl("/state").body) for _ in range(2))
    assert first["state"] == second["state"] == {"started": True}
    assert second["requests"] == first["requests"] + 1
    assert set(first) == {"state", "requests"}


def test_stats(curl):
    stats = json.loads(curl("/stats").body)
    assert set(stats) == {"connections", "bytes_held", "closed"}
    assert set(stats["connections"]) == {"now", "ever"}
    assert all(isinstance(count, int) for count in stats["closed"].values())


def test_disconnects(curl):
    assert isinstance(json.loads(curl("/disconnects").body), list)


@pytest.mark.parametrize("path", ["/panic", "/error", "/nothing"])
def test_failure_before_the_answer(curl, path):
    assert curl(path).status == 500
    # The worker lives on.
    assert curl("/plaintext").body == b"Hello, World!"


def test_failure_in_the_answer(curl):
    result = curl("/half")
    assert result.status == 200
    assert result.body == b"half"
    assert result.exit_code == PARTIAL_FILE


# ---- methods and paths ----

GETTABLE = [
    "/", "/plaintext", "/json", "/stream?chunks=3&size=5", "/trailers", "/hints", "/slow?ms=1",
    "/file?name=hello.txt", "/file?name=big.bin", "/events?n=2&ms=1", "/scope", "/state",
    "/disconnects", "/stats",
]  # fmt: skip
CHANGING = ["/scope", "/state", "/disconnects", "/stats"]  # with every request


@pytest.mark.parametrize("path", GETTABLE)
def test_head_has_the_fields_of_get_and_no_body(curl, path):
    result, got = curl(path, "--head"), curl(path)
    assert (result.exit_code, result.status) == (0, 200), result.errors
    assert result.get("content-type") == got.get("content-type")
    if path not in CHANGING:
        # RFC 9110 §8.6: the length that GET would have had, or none.
        assert result.get("content-length") in (None, got.get("content-length"))


def test_head_states_the_length_of_get(curl):
    assert curl("/plaintext", "--head").get("content-length") == "13"
    assert curl("/file?name=big.bin", "--head").get("content-length") == str(1 << 20)


@pytest.mark.parametrize("path", [*GETTABLE, "/panic", "/error", "/half", "/nothing"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_wrong_method(curl, method, path):
    result = curl(path, "--request", method)
    assert result.status == 405
    assert result.get("allow") == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_wrong_method_for_echo(curl, method):
    result = curl("/echo", "--request", method)
    assert result.status == 405
    assert result.get("allow") == "POST, PUT"


@pytest.mark.parametrize("path", ["/none", "/plaintext/", "/Plaintext", "/scopes", "//", "/ws/"])
def test_unknown_path(curl, path):
    assert curl(path, "--path-as-is").status == 404


@pytest.mark.parametrize("path", WEBSOCKET_ONLY)
def test_get_on_a_path_for_websockets(curl, path):
    result = curl(path)
    assert result.status == 426
    # RFC 9110 §15.5.22.
    assert result.get("upgrade") == "websocket"
    # RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
    assert "upgrade" in connection_options(result)


def connection_options(result):
    return [o.strip().lower() for value in result.all("connection") for o in value.split(",")]


def test_post_on_a_path_for_websockets(curl):
    assert curl("/ws", "--data", "x").status == 405


def test_absolute_request_target(curl, testbed):
    # RFC 9112 §3.2.2: a server must accept it.
    target = f"http://127.0.0.1:{testbed.port}/plaintext"
    assert curl("/", "--request-target", target).body == b"Hello, World!"


# ---- bodies ----


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 10_000_000])
def test_upload_with_a_length(curl, tmp_path, size):
    file = tmp_path / "upload"
    file.write_bytes(b"\x00\xffab" * (size // 4) + b"z" * (size % 4))
    result = curl("/echo", "--data-binary", f"@{file}", "-H", "Content-Type: a/b", "-H", "Expect:")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("content-type") == "a/b"
    assert result.body == file.read_bytes()


# Not 0: some versions of curl never send the last chunk of an empty file.
@pytest.mark.parametrize("size", [1, 65536, 10_000_000])
def test_upload_in_chunks(curl, tmp_path, size):
    file = tmp_path / "upload"
    file.write_bytes(b"\r\n0\r" * (size // 4) + b"z" * (size % 4))
    result = curl(
        "/echo", "--upload-file", file, "-H", "Transfer-Encoding: chunked", "-H", "Expect:"
    )
    assert (result.exit_code, result.status) == (0, 200)
    assert result.body == file.read_bytes()


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "X-Framing: length"])
def test_expect_100_continue(curl, tmp_path, framing):
    file = tmp_path / "upload"
    file.write_bytes(b"pieces" * 500_000)
    result = curl(
        "/echo", "--upload-file", file, "-H", framing, "-H", "Expect: 100-continue",
        "--expect100-timeout", "60",
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.statuses == [100, 200]
    # RFC 9110 §15.2: an interim response has no body; ours has no fields either.
    assert result.heads[0][1] == []
    assert result.body == file.read_bytes()
    assert result.fact("time_total") < 40, "curl gave up waiting for the 100"


def test_expectation_that_nobody_knows(curl):
    # RFC 9110 §10.1.1.
    assert curl("/echo", "--data", "x", "-H", "Expect: 200-ok").status == 417


# ---- connections and versions ----


def test_keep_alive(curl, testbed):
    result = curl("/json", testbed.url + "/plaintext", testbed.url + "/plaintext")
    assert result.exit_code == 0
    assert result.body == b"Hello, World!" * 2 + b'{"message":"Hello, World!"}'
    assert [fact["num_connects"] for fact in result.facts] == [1, 0, 0]


def test_connection_close_is_granted(curl):
    result = curl("/plaintext", "-H", "Connection: close")
    # RFC 9112 §9.6: the server should say so too.
    assert result.get("connection") == "close"
    assert result.body == b"Hello, World!"


def test_http_1_0(curl):
    result = curl("/plaintext", "--http1.0")
    assert (result.exit_code, result.status, result.body) == (0, 200, b"Hello, World!")


def test_http_1_0_gets_no_chunks(curl):
    # RFC 9112 §6.1: no Transfer-Encoding to a client of HTTP/1.0.
    result = curl("/stream?chunks=100&size=1000", "--http1.0")
    assert (result.exit_code, result.status) == (0, 200)
    assert result.get("transfer-encoding") is None
    assert result.body == b"x" * 100_000


def test_http_1_0_gets_no_interim_response(curl):
    # [9110-15.2-1]
    # RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
    result = curl("/hints", "--http1.0")
    assert len(result.heads) == 1
    assert result.body == b"hinted"


def test_http_1_0_upload(curl, tmp_path):
    file = tmp_path / "upload"
    file.write_bytes(b"old" * 10_000)
    result = curl("/echo", "--http1.0", "--data-binary", f"@{file}")
    assert (result.exit_code, result.body) == (0, file.read_bytes())


# ---- limits ----


def test_head_too_large(curl):
    result = curl("/plaintext", *[x for n in range(9) for x in ("-H", f"X-{n}: {'v' * 8000}")])
    assert result.status == 431
    assert result.get("connection") == "close"


def test_too_many_fields(curl):
    result = curl("/plaintext", *[x for n in range(200) for x in ("-H", f"X-{n}: v")])
    assert result.status == 431


def test_head_just_small_enough(curl):
    # [9110-2.2-4]
    result = curl("/plaintext", *[x for n in range(7) for x in ("-H", f"X-{n}: {'v' * 8000}")])
    assert result.status == 200


def test_target_too_long(curl):
    result = curl("/" + "a" * 70_000)
    assert result.status == 414
    assert result.get("connection") == "close"


def test_body_too_large_is_refused_at_the_head(curl, tmp_path):
    file = tmp_path / "upload"
    with file.open("wb") as out:
        out.truncate(16 * 1024 * 1024 + 1)
    start = time.monotonic()
    result = curl(
        "/echo", "--upload-file", file, "-H", "Expect: 100-continue",
        "--expect100-timeout", "60",
    )  # fmt: skip
    # No 100, and not a byte of the body.
    assert result.statuses == [413]
    assert result.fact("size_upload") == 0
    assert result.get("connection") == "close"
    assert time.monotonic() - start < 40


def test_body_of_just_the_limit(curl, tmp_path):
    file = tmp_path / "upload"
    with file.open("wb") as out:
        out.truncate(16 * 1024 * 1024)
    result = curl("/echo", "--upload-file", file, "-H", "Expect:")
    assert (result.exit_code, result.status) == (0, 200)
    assert len(result.body) == 16 * 1024 * 1024


def test_small_limits(curl):
    with Testbed("--max-head", "500", "--max-body", "10") as small:
        assert curl("/echo", "--data", "0123456789", to=small).body == b"0123456789"
        assert curl("/echo", "--data", "0123456789a", to=small).status == 413
        assert curl("/plaintext", "-H", f"X: {'v' * 500}", to=small).status == 431
        assert curl("/" + "a" * 500, to=small).status == 414
        # The response has begun when the limit is passed: it is cut, so that the client sees it.
        chunked = ("-H", "Transfer-Encoding: chunked", "--data", "0123456789a")
        assert curl("/echo", *chunked, to=small).status in (200, 413)
        # This page answers when the body is complete, so its 413 is seen.
        assert curl("/slow", "--request", "GET", *chunked, to=small).status == 413
