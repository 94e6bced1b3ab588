// The client of `ws`, in the hands of ../clients.py, where the language of both is described:
// `node ws.js URL OPTIONS`.
'use strict';

const readline = require('readline');
const { WebSocket } = require('ws');

const bytes = (text) => Buffer.from(text, 'base64');
const answer = (what) => process.stdout.write(JSON.stringify(what) + '\n');

// Messages that nobody has asked for yet, and in the end how it closed.
const arrived = [];
// Those who asked before anything came.
const waiting = [];

function arrive(what) {
  arrived.push(what);
  match();
}

function next() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    match();
  });
}

function match() {
  while (arrived.length && waiting.length) {
    waiting.shift()(arrived.shift());
  }
}

const [url, options] = [process.argv[2], JSON.parse(process.argv[3])];
// It offers permessage-deflate by itself, and client_max_window_bits unless told not to.
let perMessageDeflate = options.deflate ?? true;
if (typeof perMessageDeflate === 'object') {
  perMessageDeflate = {
    serverNoContextTakeover: options.deflate.server_no_context_takeover,
    clientNoContextTakeover: options.deflate.client_no_context_takeover,
    serverMaxWindowBits: options.deflate.server_max_window_bits,
    clientMaxWindowBits: options.deflate.client_max_window_bits ?? false,
    threshold: 0,
  };
}
const ws = new WebSocket(url, options.subprotocols, { origin: options.origin, perMessageDeflate });

let opened = false;
ws.on('upgrade', (response) => {
  ws.once('open', () => {
    opened = true;
    answer({ fields: response.headers, subprotocol: ws.protocol || null });
  });
});
ws.on('unexpected-response', async (request, response) => {
  const pieces = [];
  for await (const piece of response) {
    pieces.push(piece);
  }
  const body = Buffer.concat(pieces).toString('base64');
  answer({ status: response.statusCode, fields: response.headers, bytes: body });
});
ws.on('error', (error) => {
  if (opened) {
    console.error(error); // and the 'close' that follows has the code 1006
  } else {
    answer({ error: String(error) });
  }
});
ws.on('message', (data, isBinary) => {
  arrive(isBinary ? { bytes: data.toString('base64') } : { text: data.toString() });
});
const closed = new Promise((resolve) => {
  ws.on('close', (code, reason) => {
    const how = { code, reason: reason.toString() };
    arrive(how);
    resolve(how);
  });
});

const commands = {
  send: ({ text, bytes: data }) => {
    return new Promise((resolve, reject) => {
      const message = text === undefined ? bytes(data) : text;
      ws.send(message, (error) => (error ? reject(error) : resolve({})));
    });
  },
  receive: next,
  ping: ({ bytes: data }) => {
    return new Promise((resolve) => {
      ws.once('pong', (payload) => resolve({ bytes: payload.toString('base64') }));
      ws.ping(bytes(data));
    });
  },
  close: ({ code, reason }) => {
    ws.close(code, reason);
    return closed;
  },
};

async function obey() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
      answer(await commands[command.do](command));
    } catch (error) {
      answer({ error: String(error) });
    }
  }
  // Nobody has anything to ask any more.
  process.exit(0);
}

obey();
