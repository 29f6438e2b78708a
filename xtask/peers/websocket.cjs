// WebSocket peers by the package `ws` of Node: `client ADDRESS` checks a server that returns messages, `server` is one.
"use strict";

const assert = require("node:assert");
const { WebSocket, WebSocketServer } = require("ws");

const LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 4 << 20];

function open(address) {
  // It offers compression.
  const socket = new WebSocket(`ws://${address}/`, ["other", "echo"], { perMessageDeflate: true });
  const messages = [];
  const waiting = [];
  const pongs = [];
  const push = (list, value) => (waiting.length && list === messages ? waiting.shift()(value) : list.push(value));
  socket.on("message", (data, isBinary) => push(messages, isBinary ? data : data.toString()));
  socket.on("pong", (data) => pongs.push(data.toString()));
  socket.next = () =>
    new Promise((resolve) => (messages.length ? resolve(messages.shift()) : waiting.push(resolve)));
  socket.pongs = pongs;
  return new Promise((resolve, reject) => {
    socket.on("open", () => resolve(socket));
    socket.on("error", reject);
  });
}

function close(socket, code, reason) {
  return new Promise((resolve) => {
    socket.on("close", (gotCode, gotReason) => {
      assert.strictEqual(gotCode, code);
      assert.strictEqual(gotReason.toString(), reason);
      resolve();
    });
    socket.close(code, reason);
  });
}

async function client(address) {
  const socket = await open(address);
  assert.strictEqual(socket.protocol, "echo");
  assert.strictEqual(socket.extensions, "");
  for (const length of LENGTHS) {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => index % 251));
    socket.send(bytes);
    assert(bytes.equals(await socket.next()), `${length} bytes`);
    const text = "\u20ac".repeat(length / 3);
    socket.send(text);
    assert((await socket.next()) === text, `${length} bytes of text`);
  }
  socket.send("one \u20ac ", { fin: false });
  socket.ping("between");
  socket.send("two ", { fin: false });
  socket.send("three", { fin: true });
  assert.strictEqual(await socket.next(), "one \u20ac two three");
  assert.deepStrictEqual(socket.pongs, ["between"]);
  for (let number = 0; number < 1000; number++) socket.send(`${number}`);
  for (let number = 0; number < 1000; number++) assert.strictEqual(await socket.next(), `${number}`);
  await close(socket, 1000, "done");
  for (const [code, reason] of [[1001, ""], [3000, "own code"], [4999, "\u20ac"]]) {
    await close(await open(address), code, reason);
  }
}

function server() {
  const options = { host: "127.0.0.1", port: 0, perMessageDeflate: true, maxPayload: 64 << 20 };
  const listener = new WebSocketServer({ ...options, handleProtocols: () => "echo" });
  listener.on("listening", () => console.log(`listening on 127.0.0.1:${listener.address().port}`));
  listener.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
}

if (process.argv[2] === "client") client(process.argv[3]);
else server();
