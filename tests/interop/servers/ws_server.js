// A server made from Node's `ws`, for our client: see ../test_client.py.
// `node ws_server.js OPTIONS`
'use strict';

const http = require('http');
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2]);
const say = (line) => process.stderr.write(line + '\n');

const { deflate } = options;
const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: 0,
  perMessageDeflate: deflate && {
    serverNoContextTakeover: deflate.server_no_context_takeover,
    clientNoContextTakeover: deflate.client_no_context_takeover,
    serverMaxWindowBits: deflate.server_max_window_bits,
    clientMaxWindowBits: deflate.client_max_window_bits,
    threshold: 0,
  },
  handleProtocols: (offered) => (offered.has('chat.v2') ? 'chat.v2' : false),
});

function serve(ws, path) {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.on('close', (code, reason) => say(`closed ${code} ${reason}`));
  ws.on('error', (error) => say(`error ${error}`));
  switch (path) {
    case '/close':
      ws.close(4001, 'moved');
      break;
    case '/drop':
      ws.terminate();
      break;
    case '/fragments':
      ws.send('frag', { fin: false });
      ws.send('', { fin: false });
      ws.send('m'.repeat(1000), { fin: false });
      ws.send('ents', { fin: true });
      break;
    case '/ping':
      ws.once('pong', (data) => data.equals(Buffer.alloc(125, 'p')) && ws.send('pong came'));
      ws.ping('p'.repeat(125));
      break;
  }
}

const server = http.createServer();
server.on('upgrade', (request, socket, head) => {
  if (request.url === '/refuse') {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nnot you\n');
  } else if (request.url === '/elsewhere') {
    socket.end('HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n');
  } else {
    sockets.handleUpgrade(request, socket, head, (ws) => serve(ws, request.url));
  }
});
server.listen(0, '127.0.0.1', () => say(`listening on ws://127.0.0.1:${server.address().port}`));
