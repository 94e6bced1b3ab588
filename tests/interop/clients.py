"""WebSocket clients of six libraries, and our own, with one face.

Each connects when it is made, and has: `fields` of the 101, `subprotocol`, send(str or bytes),
receive(), ping(payload) which waits for the pong, close(code, reason), closed(), which waits for
the end and gives the code and the reason that the server sent, and end(), which leaves nothing
behind. A refused handshake is a Refused.

Each takes `deflate`: None for what the library does by itself, False to offer nothing, or the
parameters of its offer in the words of RFC 7692, as far as it has them; `{}` has none.
"""

import asyncio
import base64
import json
import os
import subprocess
import threading
from pathlib import Path

import aiohttp
import pytest
import websocket
import websockets.asyncio.client
import websockets.exceptions
import websockets.sync.client
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from support import BINARY_FRAME, CLOSE, PATIENCE, PONG, TEXT


class Refused(Exception):
    def __init__(self, status, fields, body):
        super().__init__(status, fields, body)
        self.status, self.fields, self.body = status, fields, body

    @classmethod
    def by(cls, response):
        """From a response of `websockets`."""
        return cls(response.status_code, response.headers, response.body)


def options(subprotocols, origin, deflate):
    """What both clients of `websockets` are made with."""
    compression = {}
    if deflate is not None:
        compression = {"compression": None}
    if isinstance(deflate, dict):
        # It would offer client_max_window_bits by itself.
        parameters = {"client_max_window_bits": None, **deflate}
        compression["extensions"] = [ClientPerMessageDeflateFactory(**parameters)]
    return {
        **compression,
        "subprotocols": list(subprotocols) or None,
        "origin": origin,
        "max_size": None,
        "open_timeout": PATIENCE,
        "close_timeout": PATIENCE,
        "proxy": None,
    }


class WebsocketsSync:
    def __init__(self, url, subprotocols=(), origin=None, deflate=None):
        connect = websockets.sync.client.connect
        try:
            self.ws = connect(url, legacy=True, **options(subprotocols, origin, deflate))
        except websockets.exceptions.InvalidStatus as error:
            raise Refused.by(error.response) from None
        self.fields, self.subprotocol = self.ws.response.headers, self.ws.subprotocol

    def send(self, message):
        self.ws.send(message)

    def receive(self):
        return self.ws.recv(timeout=PATIENCE)

    def ping(self, payload):
        assert self.ws.ping(payload).wait(PATIENCE)

    def close(self, code=1000, reason=""):
        self.ws.close(code, reason)

    def closed(self):
        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            self.receive()
        return caught.value.rcvd.code, caught.value.rcvd.reason

    def end(self):
        self.ws.close()


class Async:
    """A client of asyncio, whose loop runs while we wait for it."""

    def __init__(self, *arguments, **options):
        self.runner = asyncio.Runner()
        try:
            self.run(self.connect(*arguments, **options))
        except BaseException:
            self.runner.close()
            raise

    def run(self, awaitable):
        async def in_time():
            return await asyncio.wait_for(awaitable, PATIENCE)

        return self.runner.run(in_time())


class WebsocketsAsyncio(Async):
    async def connect(self, url, subprotocols=(), origin=None, deflate=None):
        connect = websockets.asyncio.client.connect
        try:
            self.ws = await connect(url, **options(subprotocols, origin, deflate))
        except websockets.exceptions.InvalidStatus as error:
            raise Refused.by(error.response) from None
        self.fields, self.subprotocol = self.ws.response.headers, self.ws.subprotocol

    def send(self, message):
        self.run(self.ws.send(message))

    def receive(self):
        return self.run(self.ws.recv())

    def ping(self, payload):
        async def ping():
            await (await self.ws.ping(payload))

        self.run(ping())

    def close(self, code=1000, reason=""):
        self.run(self.ws.close(code, reason))

    def closed(self):
        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            self.receive()
        return caught.value.rcvd.code, caught.value.rcvd.reason

    def end(self):
        self.close()
        self.runner.close()


class Aiohttp(Async):
    async def connect(self, url, subprotocols=(), origin=None, deflate=None):
        self.url, self.session = url, aiohttp.ClientSession()
        # By itself it offers nothing; always there: client_max_window_bits without a value.
        compress = 0
        if isinstance(deflate, dict):
            assert set(deflate) <= {"server_max_window_bits"}
            compress = deflate.get("server_max_window_bits", 15)
        try:
            # Its pings are left to us, so that we see the pongs.
            self.ws = await self.session.ws_connect(
                url, protocols=subprotocols, origin=origin, max_msg_size=0, autoping=False,
                compress=compress,
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            await self.session.close()
            raise Refused(error.status, error.headers, None) from None
        self.fields, self.subprotocol = self.ws._response.headers, self.ws.protocol

    def send(self, message):
        is_text = isinstance(message, str)
        self.run(self.ws.send_str(message) if is_text else self.ws.send_bytes(message))

    def receive(self):
        message = self.run(self.ws.receive())
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return message.data

    def ping(self, payload):
        self.run(self.ws.ping(payload))
        message = self.run(self.ws.receive())
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, payload)

    def close(self, code=1000, reason=""):
        self.run(self.ws.close(code=code, message=reason.encode()))

    def closed(self):
        message = self.run(self.ws.receive())
        assert message.type == aiohttp.WSMsgType.CLOSE, message
        return message.data, message.extra

    def end(self):
        self.close()
        self.run(self.session.close())
        self.runner.close()


class WebsocketClient:
    def __init__(self, url, subprotocols=(), origin=None, deflate=None):
        assert not deflate, "it has no extensions"
        about_origin = {"origin": origin} if origin else {"suppress_origin": True}
        try:
            self.ws = websocket.create_connection(
                url, timeout=PATIENCE, subprotocols=list(subprotocols), **about_origin
            )
        except websocket.WebSocketBadStatusException as error:
            raise Refused(error.status_code, error.resp_headers, error.resp_body) from None
        self.fields, self.subprotocol = self.ws.headers, self.ws.subprotocol

    def send(self, message):
        is_text = isinstance(message, str)
        self.ws.send(message) if is_text else self.ws.send_binary(message)

    def receive(self):
        opcode, data = self.ws.recv_data()
        assert opcode in (TEXT, BINARY_FRAME), (opcode, data)
        return data.decode() if opcode == TEXT else data

    def ping(self, payload):
        self.ws.ping(payload)
        assert self.ws.recv_data(control_frame=True) == (PONG, payload)

    def close(self, code=1000, reason=""):
        self.ws.close(code, reason.encode(), timeout=PATIENCE)

    def closed(self):
        opcode, data = self.ws.recv_data()
        assert opcode == CLOSE, (opcode, data)
        return int.from_bytes(data[:2], "big"), data[2:].decode()

    def end(self):
        self.ws.shutdown()


DRIVERS = Path(__file__).parent / "drivers"


class Driven:
    """A client of another language: a program below drivers/ that connects to the URL of its
    first argument, with the options of its second, and then does what it is told, a JSON object
    a line. It gives one answer to each, and one to begin with; bytes are in base64.

        (connected)                              {"fields": ..., "subprotocol": ...}
        (refused)                                {"status": ..., "fields": ..., "bytes": ...}
        {"do": "send", "text" or "bytes": ...}   {}
        {"do": "receive"}                        {"text" or "bytes": ...}, or as for close
        {"do": "ping", "bytes": ...}             {"bytes": ...}, those of the pong
        {"do": "close", "code", "reason": ...}   {"code": ..., "reason": ...}, the server's

    A failure is {"error": ...}. The program ends when nothing more is to come.
    """

    def __init__(self, url, subprotocols=(), origin=None, deflate=None, **more):
        options = {"subprotocols": list(subprotocols), "origin": origin or "", **more}
        if deflate is not None:
            options["deflate"] = deflate
        self.process = subprocess.Popen(
            [*self.program, url, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        try:
            said = self._answer()
            if "status" in said:
                body = base64.b64decode(said["bytes"])
                raise Refused(said["status"], said["fields"], body)
        except BaseException:
            self.end()
            raise
        self.fields, self.subprotocol = said["fields"], said["subprotocol"]
        self.said = said

    def _tell(self, **command):
        # A text of many characters is long enough without \u.
        self.process.stdin.write(json.dumps(command, ensure_ascii=False) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        too_late = threading.Timer(PATIENCE, self.process.kill)
        too_late.start()
        try:
            line = self.process.stdout.readline()
        finally:
            too_late.cancel()
        assert line, f"{self.program[-1]} died, or gave no answer within {PATIENCE} s"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def send(self, message):
        if isinstance(message, str):
            self._tell(do="send", text=message)
        else:
            self._tell(do="send", bytes=base64.b64encode(message).decode())

    def receive(self):
        answer = self._tell(do="receive")
        assert "code" not in answer, answer
        return answer["text"] if "text" in answer else base64.b64decode(answer["bytes"])

    def ping(self, payload):
        answer = self._tell(do="ping", bytes=base64.b64encode(payload).decode())
        assert base64.b64decode(answer["bytes"]) == payload

    def close(self, code=1000, reason=""):
        answer = self._tell(do="close", code=code, reason=reason)
        # RFC 6455 §5.5.1: the endpoint echoes the code.
        assert answer["code"] == code, answer

    def closed(self):
        answer = self._tell(do="receive")
        assert "code" in answer, str(answer)[:200]
        return answer["code"], answer["reason"]

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


class NodeWs(Driven):
    program = ["node", str(DRIVERS / "ws.js")]


class GoGorilla(Driven):
    program = [os.environ["GORILLA"]]


class Oneport(Driven):
    """Our own. It offers nothing by itself; `deflate` has `takeover` and `window_bits`."""

    program = [os.environ["INTEROP_CLIENT"]]


CLIENTS = [WebsocketsSync, WebsocketsAsyncio, Aiohttp, WebsocketClient, NodeWs, GoGorilla]
