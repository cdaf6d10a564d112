//! Node.js: its own threads, watches and servers.

use crate::{assert_same, need};
use runtime_tests::{Stage, stories};

stories!(
    workers_share_memory,
    a_directory_is_watched,
    a_server_answers_on_localhost,
    children_streams_and_compression,
);

fn same(stage: &Stage, story: &str, code: &str) {
    let Some(node) = need(stage, &format!("node::{story}"), "node") else { return };
    assert_same(stage, "node", &[&node, "-e", code]);
}

fn workers_share_memory(stage: &Stage) {
    let code = r"
const { Worker } = require('worker_threads');
const shared = new SharedArrayBuffer(4);
const work = `const { workerData, parentPort } = require('worker_threads');
  const view = new Int32Array(workerData); for (let i = 0; i < 1000; i++) Atomics.add(view, 0, 1); parentPort.postMessage('done')`;
const one = () => new Promise((resolve, reject) => {
  const worker = new Worker(work, { eval: true, workerData: shared }); worker.on('error', reject);
  let said; worker.on('message', text => said = text); worker.on('exit', code => resolve([said, code])) });
Promise.all([one(), one(), one(), one()]).then(ends => console.log(ends, new Int32Array(shared)[0]));
";
    same(stage, "workers_share_memory", code);
}

fn a_directory_is_watched(stage: &Stage) {
    let code = r"
const fs = require('fs'); fs.mkdirSync('watched');
const watcher = fs.watch('watched', (kind, name) => {
  console.log(name); watcher.close();
  fs.watchFile('watched/x', { interval: 20 }, now => { console.log(now.size); fs.unwatchFile('watched/x') });
  setTimeout(() => fs.appendFileSync('watched/x', 'more'), 60) });
setTimeout(() => fs.writeFileSync('watched/x', 'text'), 50);
";
    same(stage, "a_directory_is_watched", code);
}

fn a_server_answers_on_localhost(stage: &Stage) {
    let code = r"
const http = require('http'), net = require('net');
const server = http.createServer((request, response) => { let body = ''; request.on('data', piece => body += piece);
  request.on('end', () => response.end(request.method + ' ' + request.url + ' ' + body.length)) });
server.listen(0, '127.0.0.1', async () => {
  const base = 'http://localhost:' + server.address().port;
  console.log(await (await fetch(base + '/path')).text());
  console.log(await (await fetch(base + '/post', { method: 'POST', body: 'x'.repeat(200000) })).text());
  server.close(); server.closeAllConnections();
  const echo = net.createServer(socket => socket.pipe(socket)).listen('a.sock', () => {
    const client = net.connect('a.sock', () => client.write('unix'));
    client.on('data', data => { console.log(String(data)); client.end(); echo.close() }) });
});
";
    same(stage, "a_server_answers_on_localhost", code);
}

fn children_streams_and_compression(stage: &Stage) {
    let code = r"
const { execFileSync, spawnSync, fork } = require('child_process'), fs = require('fs'), zlib = require('zlib'), crypto = require('crypto');
console.log(execFileSync('sh', ['-c', 'echo $0; cat'], { input: 'text' }).toString(), spawnSync('sh', ['-c', 'kill -9 $$']).signal);
const bytes = Buffer.alloc(1 << 20, 'abc'); console.log(zlib.gunzipSync(zlib.gzipSync(bytes)).equals(bytes), zlib.brotliCompressSync(bytes).length);
console.log(crypto.createHash('sha256').update(bytes).digest('hex'), crypto.scryptSync('p', 's', 16).toString('hex'));
fs.writeFileSync('child.js', 'process.on(\'message\', n => { process.send(n * 2); process.disconnect() })');
const child = fork('./child.js'); child.send(21); child.on('message', n => console.log(n)); child.on('exit', code => console.log(code));
fs.promises.readdir('.').then(names => console.log(names));
console.log(process.version, new Intl.DateTimeFormat('de').format(0), eval('1+1'), WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])));
";
    same(stage, "children_streams_and_compression", code);
}
