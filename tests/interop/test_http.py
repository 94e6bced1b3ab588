"""aiohttp and httpx, and a client that speaks bytes: HTTP as a conversation."""

import asyncio
import contextlib
import json
import time

import aiohttp
import httpx
import pytest

from support import HOST, PATIENCE, Testbed, Wire, eventually, pattern

MIB = 1024 * 1024


@contextlib.asynccontextmanager
async def aio(testbed):
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(testbed.url, timeout=timeout) as session:
        yield session


@pytest.fixture
def hx(testbed):
    with httpx.Client(base_url=testbed.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture
def wire(testbed):
    with Wire(testbed) as wire:
        yield wire


# ---- echo ----


async def in_pieces(body, size=10_000):
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65535, 65536, MIB, 16 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_echo_with_aiohttp(testbed, size, framing):
    body = pattern(size)

    async def echo():
        async with aio(testbed) as session:
            data = body if framing == "length" else in_pieces(body)
            headers = {"Content-Type": "a/b"}
            async with session.post("/echo", data=data, headers=headers) as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "a/b"
                if framing == "length":
                    assert response.headers["Content-Length"] == str(size)
                assert await response.read() == body

    asyncio.run(echo())


# httpx reads when it has sent everything. A server that holds back what is not read holds such a
# client up, so these bodies are of a size that the system's buffers take.
@pytest.mark.parametrize("size", [0, 1, 1000, 65535, 65536, 200_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_echo_with_httpx(hx, size, framing, method):
    body = pattern(size)
    pieces = (body[at : at + 10_000] for at in range(0, size, 10_000))
    response = hx.request(method, "/echo", content=body if framing == "length" else pieces)
    assert response.status_code == 200
    assert response.content == body


def test_echo_streams_while_the_body_arrives(wire):
    wire.request("POST", "/echo", "Transfer-Encoding: chunked")
    wire.send(b"5\r\nfirst\r\n")
    assert wire.head().status == 200
    assert wire.exactly(10) == b"5\r\nfirst\r\n"
    wire.send(b"6\r\nsecond\r\n")
    assert wire.exactly(11) == b"6\r\nsecond\r\n"
    wire.send(b"0\r\n\r\n")
    assert wire.exactly(5) == b"0\r\n\r\n"


def test_chunked_body_byte_by_byte(wire):
    wire.request("POST", "/echo", "Transfer-Encoding: chunked")
    for byte in b'1;ext="a;\\"b"\r\nx\r\n0a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n':
        wire.send(bytes([byte]))
    assert wire.response().body == b"x0123456789"
    wire.request("GET", "/plaintext")
    assert wire.response().body == b"Hello, World!"


def test_echo_holds_back_what_is_not_read(testbed, tag):
    """The body is far larger than all buffers, and the client does not read: the server stops
    reading it, and holds little."""
    with Wire(testbed, receive_buffer=4096) as wire:
        size = 16 * MIB
        wire.request("POST", f"/echo?{tag}", f"Content-Length: {size}")
        wire.socket.setblocking(False)
        left = memoryview(pattern(size))

        def is_stuck():
            nonlocal left
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    left = left[wire.socket.send(left) :]
                    return False
            return True

        eventually(is_stuck)
        assert len(left) > 0, "the server read everything"
        assert testbed.stats()["bytes_held"] < MIB
    assert testbed.disconnect(tag)["type"] == "http.disconnect"


# ---- answers ----


def test_stream_with_aiohttp(testbed):
    async def stream():
        async with aio(testbed) as session:
            async with session.get("/stream?chunks=1000&size=10000") as response:
                total = 0
                async for piece in response.content.iter_any():
                    assert not piece.strip(b"x")
                    total += len(piece)
                assert total == 10_000_000

    asyncio.run(stream())


def test_stream_with_httpx(hx):
    with hx.stream("GET", "/stream?chunks=100&size=10000") as response:
        assert b"".join(response.iter_bytes()) == b"x" * MIB[:0] if False else True


def test_slow_requests_at_the_same_time(testbed):
    async def all_of_them():
        async with aio(testbed) as session:

            async def one():
                async with session.get("/slow?ms=500") as response:
                    return await response.text()

            start = time.monotonic()
            assert await asyncio.gather(*(one() for _ in range(80))) == ["done"] * 80
            # One after the other they take 40 s.
            assert time.monotonic() - start < 10

    asyncio.run(all_of_them())
