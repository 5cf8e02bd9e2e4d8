// Promises of fs, streams, worker threads, timers, a child that cannot be, and
// then an HTTP server until SIGTERM.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const dns = require('dns');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const zlib = require('zlib');
const { pipeline } = require('stream/promises');
const { Readable, Transform } = require('stream');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (!isMainThread) {
  const cells = new Int32Array(workerData.shared);
  for (let i = 0; i < 10000; i++) Atomics.add(cells, 0, 1);
  Atomics.notify(cells, 0);
  parentPort.postMessage(crypto.createHash('sha256').update(String(workerData.id)).digest('hex'));
  return;
}

async function files() {
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'node-'));
  const name = path.join(dir, 'a');
  await Promise.all(Array.from({ length: 50 }, (_, i) => fs.promises.writeFile(name + i, 'x'.repeat(i * 100))));
  const sizes = await Promise.all((await fs.promises.readdir(dir)).map(async (f) => (await fs.promises.stat(path.join(dir, f))).size));
  assert.strictEqual(sizes.reduce((a, b) => a + b), 50 * 49 / 2 * 100);
  const seen = new Promise((resolve) => {
    const w = fs.watch(dir, (_, f) => { if (f === 'moved') { w.close(); resolve(); } });
  });
  await fs.promises.rename(name + 1, path.join(dir, 'moved'));
  await seen;
  await assert.rejects(fs.promises.readFile(name + 'none'), { code: 'ENOENT' });
  await fs.promises.rm(dir, { recursive: true });
}

async function streams() {
  const name = path.join(os.tmpdir(), 'stream.gz');
  const upper = new Transform({ transform(chunk, _, done) { done(null, chunk.toString().toUpperCase()); } });
  await pipeline(Readable.from(function* () { for (let i = 0; i < 5000; i++) yield `line ${i}\n`; }()), upper, zlib.createGzip(), fs.createWriteStream(name));
  let n = 0;
  await pipeline(fs.createReadStream(name), zlib.createGunzip(), async (chunks) => { for await (const c of chunks) n += c.toString().split('LINE').length - 1; });
  assert(n >= 4990 && n <= 5000, `${n} lines`);
}

async function workers() {
  const shared = new SharedArrayBuffer(4);
  const all = await Promise.all(Array.from({ length: 4 }, (_, id) => new Promise((resolve, reject) => {
    const w = new Worker(__filename, { workerData: { id, shared } });
    w.on('message', resolve).on('error', reject);
  })));
  assert.deepStrictEqual(all, [0, 1, 2, 3].map((id) => crypto.createHash('sha256').update(String(id)).digest('hex')));
  assert.strictEqual(new Int32Array(shared)[0], 40000);
}

async function system() {
  assert.strictEqual((await dns.promises.lookup('localhost', 4)).address, '127.0.0.1');
  assert(os.cpus().length > 0 && os.totalmem() > 0 && os.networkInterfaces().lo);
  const sock = path.join(os.tmpdir(), 's');
  const server = net.createServer((c) => c.end('by path')).listen(sock);
  let got = '';
  for await (const chunk of net.connect(sock)) got += chunk;
  server.close();
  assert.strictEqual(got, 'by path');
  const failed = await new Promise((resolve) => {
    try { require('child_process').spawn('ls').on('error', resolve).on('exit', () => resolve({})); } catch (e) { resolve(e); }
  });
  assert.strictEqual(failed.code, 'ENOSYS'); // there is one process
}

(async () => {
  for (const f of [files, streams, workers, system]) {
    await f();
    console.log(f.name);
  }
  const server = http.createServer(async (req, res) => {
    let n = 0;
    for await (const chunk of req) n += chunk.length;
    res.end(`hello ${req.url} ${n}`);
  }).listen(8080, () => console.log('serving'));
  process.on('SIGTERM', () => { server.closeAllConnections(); server.close(() => console.log('shut down')); });
})().catch((e) => { console.error(e); process.exit(1); });
