"""Our client with servers made from the libraries of others: the programs in servers/, each of
which echoes, and does something else first at some paths.

The handles of the client are those of drivers/oneport.rs. What was compressed is read from the wire.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clients import Oneport, Refused
from payloads import FAR, NOISE, SMALL, THRESHOLD
from support import HOST, PATIENCE, Process, eventually, free_port, memory, pattern
from tap import Tap

MIB = 1024 * 1024
SERVERS = Path(__file__).parent / "servers"


class Server(Process):
    """A server of somebody, and the tap before it."""

    def __init__(self, program, deflate):
        interpreter = "node" if program.endswith(".js") else sys.executable
        super().__init__(interpreter, SERVERS / program, json.dumps({"deflate": deflate}))
        self.ws_url = self.first_line(r"listening on (ws://127\.0\.0\.1:\d+)")[1]
        self.tap = Tap(self.ws_url)

    def ends(self):
        """How it saw its clients end."""
        return [line for line in self.lines if line.startswith("closed ")]

    def stop(self):
        self.signal(signal.SIGKILL)
        self.exit_code()


WEBSOCKETS, AIOHTTP, WS = "websockets_server.py", "aiohttp_server.py", "ws_server.js"
#: None: it does not compress.
NONE = {"server_no_context_takeover": True, "client_no_context_takeover": True}
KINDS = [
    (WEBSOCKETS, None),
    (WEBSOCKETS, {}),
    (WEBSOCKETS, NONE),
    (WEBSOCKETS, {"server_max_window_bits": 9, "client_max_window_bits": 9}),
    (WEBSOCKETS, {"server_max_window_bits": 12, "client_max_window_bits": 11, **NONE}),
    (AIOHTTP, None),
    (AIOHTTP, {}),
    (WS, None),
    (WS, {}),
    (WS, NONE),
    (WS, {"server_max_window_bits": 9, "client_max_window_bits": 9}),
    # Node compresses with 9 then; we do not compress at all.
    (WS, {"server_max_window_bits": 8, "client_max_window_bits": 8}),
]
OFFERS = [None, {}, {"takeover": True}, {"window_bits": 9}, {"takeover": True, "window_bits": 11}]


def names(of):
    return "off" if of is None else "-".join(f"{k}={v}" for k, v in of.items()) or "default"


@pytest.fixture(scope="module")
def servers():
    started = {}
    with contextlib.ExitStack() as stack:

        def server(program, deflate):
            key = program, names(deflate)
            if key not in started:
                started[key] = stack.enter_context(Server(program, deflate))
                stack.enter_context(started[key].tap)
            return started[key]

        yield server


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{names(kind[1])}")
def server(request, servers):
    return servers(*request.param)


@pytest.fixture(params=[WEBSOCKETS, AIOHTTP, WS])
def plain(request, servers):
    return servers(request.param, None)


@contextlib.contextmanager
def client_of(server, path="/echo", **options):
    client = Oneport(server.tap.ws_url + path, **options)
    try:
        yield client
    finally:
        client.end()


def end_of(server, before):
    """How the server saw the one client end that ended since."""
    eventually(lambda: len(server.ends()) > before)
    (end,) = server.ends()[before:]
    return end


@pytest.mark.parametrize("offer", OFFERS, ids=names)
def test_echo(server, offer):
    before = len(server.ends())
    sent = [SMALL, SMALL.decode(), FAR, NOISE, "", b""]
    for size in [1, 125, 126, THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, 65535, 65536, 65537, MIB]:
        unit = "a\u00e9\u20ac\U0001f40c"
        sent += [unit * (size // 10) + "z" * (size % 10), pattern(size), NOISE[:size]]
    chance = random.Random(7)
    for n in range(100):
        size = chance.choice([100, 200, 1000, 5000])
        at = chance.randrange(len(FAR) - size)
        sent.append(NOISE[n * 300 :][:size] if n % 5 == 0 else FAR[at : at + size])
    with client_of(server, deflate=offer) as client:
        for message in sent:
            client.send(message)
            assert client.receive() == message
        client.ping(b"")
        client.close(1000, "that was all")
        agreed = client.said["compressed"]
    assert end_of(server, before).split()[1] == "1000"

    offered, answer = server.tap.extension("sent"), server.tap.extension("received")
    assert (offered is None) == (offer is None)
    assert agreed == (answer is not None)
    by_us, by_them = (
        [compressed for compressed, _ in server.tap.messages(which)] for which in ("sent", "received")
    )
    assert len(by_us) == len(by_them) == len(sent)
    assert any(by_them) == agreed
    for message, compressed in zip(sent, by_us):
        size = len(message.encode() if isinstance(message, str) else message)
        if not agreed or answer.get("client_max_window_bits") == 8:
            assert not compressed
        elif size < THRESHOLD or message == NOISE[:size]:
            assert not compressed
        elif message == SMALL or isinstance(message, str):
            assert compressed


def test_who_agrees_to_what(servers):
    """That the cases above are about compression at all."""
    told = {}
    for program, deflate in KINDS:
        server = servers(program, deflate)
        for offer in OFFERS:
            with client_of(server, deflate=offer) as client:
                told[program, names(deflate), names(offer)] = client.said["compressed"]
                client.close()
    for (program, theirs, ours), agreed in told.items():
        # A server that insists on a window smaller than the offer allows nothing to be agreed.
        wanted = "off" not in (theirs, ours)
        assert agreed == wanted, (program, theirs, ours)


def test_small_messages_refer_to_those_before(servers):
    """With takeover on both ends, the same again is a few bytes."""
    for program in (WEBSOCKETS, AIOHTTP, WS):
        server = servers(program, {})
        for takeover in (False, True):
            with client_of(server, deflate={"takeover": takeover}) as client:
                for _ in range(3):
                    client.send(SMALL)
                    assert client.receive() == SMALL
                client.close()
            for which in ("sent", "received"):
                (_, first), (_, again), _ = server.tap.messages(which)
                assert again < first / 2 if takeover else again == first, (program, which)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB])
def test_sizes(plain, size):
    with client_of(plain) as client:
        client.send(pattern(size))
        assert client.receive() == pattern(size)
        client.close()


@pytest.mark.parametrize("program", [WEBSOCKETS, WS])
@pytest.mark.parametrize("deflate", [None, {}], ids=names)
def test_fragments(servers, program, deflate):
    server = servers(program, deflate)
    with client_of(server, "/fragments", deflate=deflate) as client:
        assert client.receive() == "frag" + "m" * 1000 + "ents"
        client.close()
    data = [frame for frame in server.tap.frames("received") if frame.opcode < 8]
    # `websockets` ends with an empty one.
    assert [frame.fin for frame in data] == [False] * (len(data) - 1) + [True]
    assert len(data) >= 4
    assert data[0].compressed == (deflate is not None)


def test_ping_is_answered(plain):
    with client_of(plain, "/ping") as client:
        assert client.receive() == "pong came"
        client.close()


def test_closed_by_the_server(plain):
    with client_of(plain, "/close") as client:
        assert client.closed() == (4001, "moved")
        # And stays so.
        assert client.closed() == (4001, "moved")


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (3001, "r\u00e9ason"), (4999, "x" * 123)]
)
def test_closed_by_us(plain, code, reason):
    before = len(plain.ends())
    with client_of(plain) as client:
        client.close(code, reason)
    end = end_of(plain, before)
    # aiohttp does not tell the reason.
    assert end in (f"closed {code} {reason}", f"closed {code}")


def test_broken_off(plain):
    with client_of(plain, "/drop") as client:
        code, _ = client.closed()
        assert code == 1006


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["chat.v1", "chat.v2"], "chat.v2"), (["chat.v2"], "chat.v2"), ([], None)]
)
def test_subprotocol(plain, offered, chosen):
    with client_of(plain, subprotocols=offered) as client:
        assert client.subprotocol == chosen
        client.close()


def test_refused(plain):
    with pytest.raises(Refused) as caught, client_of(plain, "/refuse"):
        pass
    assert (caught.value.status, caught.value.body) == (403, b"not you\n")


def test_redirects_are_told(plain):
    with pytest.raises(Refused) as caught, client_of(plain, "/elsewhere"):
        pass
    assert (caught.value.status, caught.value.fields["location"]) == (302, "/echo")


def test_nobody_listens():
    with pytest.raises(AssertionError, match="refused the connection"):
        Oneport(f"ws://{HOST}:{free_port()}/")


def test_bomb(servers):
    """A message that is larger than it looks: refused while it is inflated, with 1009."""
    server = servers(WEBSOCKETS, {})
    before = len(server.ends())
    with client_of(server, "/bomb", deflate={}, max_message=MIB) as client:
        assert client.closed()[0] == 1009
        highest = memory(client.process.pid, "VmHWM")
    assert end_of(server, before) == "closed 1009 message too big"
    _, length = server.tap.messages("received")[0]
    print(f"{length >> 10} KiB on the wire, VmHWM {highest >> 10} KiB")
    assert 100_000 < length < MIB
    # The program itself, the message up to its limit, and what came over the wire.
    assert highest < 16 * MIB


def test_the_echo_client(plain):
    before = len(plain.ends())
    done = subprocess.run(
        [os.environ["ECHO_CLIENT"], plain.ws_url + "/echo"], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    said = [line[2:] for line in lines if line.startswith("> ")]
    assert len(said) == 3
    assert lines == [line for text in said for line in (f"> {text}", f"< {text}")]
    assert re.fullmatch(r"round trip: .+s", last)
    assert end_of(plain, before) in ("closed 1000 that was all", "closed 1000")
