"""A server made from Python's `websockets`, for our client: see ../test_client.py.

websockets_server.py OPTIONS
"""

import asyncio
import http
import json
import sys

import websockets.asyncio.server
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


def say(line):
    print(line, file=sys.stderr, flush=True)


async def serve(ws):
    try:
        match ws.request.path:
            case "/close":
                await ws.close(4001, "moved")
            case "/drop":
                ws.transport.abort()
            case "/fragments":
                await ws.send(["frag", "", "m" * 1000, "ents"])
            case "/bomb":
                await ws.send(bytes(256 * 1024 * 1024))
            case "/ping":
                await (await ws.ping(b"p" * 125))
                await ws.send("pong came")
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass
    finally:
        await ws.wait_closed()
        say(f"closed {ws.close_code} {ws.close_reason}")


def check(ws, request):
    if request.path == "/refuse":
        return ws.respond(http.HTTPStatus.FORBIDDEN, "not you\n")
    if request.path == "/elsewhere":
        response = ws.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = "/echo"
        return response
    return None


async def main():
    options = json.loads(sys.argv[1])
    extensions = None
    if options["deflate"] is not None:
        extensions = [ServerPerMessageDeflateFactory(**options["deflate"])]
    server = await websockets.asyncio.server.serve(
        serve, "127.0.0.1", 0, process_request=check, compression=None, extensions=extensions,
        subprotocols=["chat.v2", "chat.v1"], select_subprotocol=choose, max_size=None,
    )  # fmt: skip
    say(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


def choose(_, offered):
    return "chat.v2" if "chat.v2" in offered else None


asyncio.run(main())
