//! CPython and the modules that lean on the kernel.

use crate::{assert_same, need};
use runtime_tests::{Stage, stories};

stories!(
    processes_share_work_and_memory,
    threads_and_their_locks,
    an_event_loop_with_sockets_and_children,
    a_database_on_disk,
    certificates_and_a_handshake,
    children_pipes_and_signals,
    files_maps_and_clocks,
);

fn same(stage: &Stage, story: &str, code: &str) {
    let Some(python) = need(stage, &format!("python::{story}"), "python3") else { return };
    assert_same(stage, "python", &[&python, "-c", code]);
}

fn processes_share_work_and_memory(stage: &Stage) {
    let code = r"
import multiprocessing as mp, os
from multiprocessing import shared_memory
from concurrent.futures import ProcessPoolExecutor

def square(n): return n * n
def put(queue, lock, value):
    with lock:
        value.value += 1
        queue.put(value.value)

for method in ('fork', 'spawn', 'forkserver'):
    # -c has no file that spawn could import again: only what is a module's own works there.
    with mp.get_context(method).Pool(3) as pool:
        print(method, pool.map(abs, range(-5, 5)))
queue, lock, value = mp.Queue(), mp.Lock(), mp.Value('i', 0)
children = [mp.Process(target=put, args=(queue, lock, value)) for _ in range(4)]
[child.start() for child in children]
print(sorted(queue.get() for _ in children))
[child.join() for child in children]
print([child.exitcode for child in children])
with ProcessPoolExecutor(2) as pool: print(sum(pool.map(square, range(100))))
block = shared_memory.SharedMemory(create=True, size=1 << 20)
block.buf[:5] = b'hello'
other = shared_memory.SharedMemory(name=block.name)
print(bytes(other.buf[:5]))
other.close(); block.close(); block.unlink()
with mp.Manager() as manager:
    shared = manager.dict(); shared['x'] = [1, 2]; print(dict(shared))
semaphore = mp.Semaphore(2); print(semaphore.acquire(), semaphore.acquire(), semaphore.acquire(timeout=0.05))
";
    same(stage, "processes_share_work_and_memory", code);
}

fn threads_and_their_locks(stage: &Stage) {
    let code = r"
import queue, threading
from concurrent.futures import ThreadPoolExecutor
barrier, total, lock = threading.Barrier(8), [0], threading.Lock()
def work():
    barrier.wait()
    for _ in range(1000):
        with lock: total[0] += 1
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(total)
with ThreadPoolExecutor(16) as pool: print(sum(pool.map(len, map(str, range(1000)))))
event, seen = threading.Event(), queue.Queue()
threading.Timer(0.05, event.set).start(); print(event.wait(5))
local = threading.local(); local.x = 1; print(local.x, threading.stack_size(256 * 1024) == 0)
condition = threading.Condition()
with condition: print(condition.wait(timeout=0.02))
";
    same(stage, "threads_and_their_locks", code);
}

fn an_event_loop_with_sockets_and_children(stage: &Stage) {
    let code = r"
import asyncio, socket, sys

async def echo(reader, writer):
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()

async def ask(reader, writer, text):
    writer.write(text); line = await reader.readline(); writer.close(); return line

async def main():
    for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET, 'localhost')):
        server = await asyncio.start_server(echo, host, 0, family=family)
        port = server.sockets[0].getsockname()[1]
        print(await ask(*await asyncio.open_connection(host, port, family=family), b'tcp\n'))
        server.close()
    server = await asyncio.start_unix_server(echo, 'a.sock')
    print(await ask(*await asyncio.open_unix_connection('a.sock'), b'unix\n'))
    server.close()
    child = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(6 * 7)', stdout=asyncio.subprocess.PIPE)
    print(await child.communicate(), child.returncode)
    try: await asyncio.wait_for(asyncio.sleep(5), 0.05)
    except asyncio.TimeoutError: print('timeout')
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(10)))
    left, right = socket.socketpair(); right.setblocking(False)
    left.send(b'pair'); print(await loop.sock_recv(right, 10))
    print(await asyncio.gather(*(asyncio.sleep(0.01, n) for n in range(50))) == list(range(50)))
asyncio.run(main())
";
    same(stage, "an_event_loop_with_sockets_and_children", code);
}

fn a_database_on_disk(stage: &Stage) {
    let code = r"
import os, sqlite3, threading
for mode in ('delete', 'wal', 'truncate'):
    path = mode + '.db'
    base = sqlite3.connect(path)
    print(base.execute('pragma journal_mode=' + mode).fetchone())
    with base:
        base.execute('create table numbers (n integer primary key, text)')
        base.executemany('insert into numbers values (?, ?)', ((n, str(n) * 20) for n in range(5000)))
    def write():
        own = sqlite3.connect(path, timeout=20)
        with own: own.execute('update numbers set n = n + 10000 where n >= 4000')
        own.close()
    thread = threading.Thread(target=write); thread.start(); thread.join()
    print(base.execute('select count(*), sum(n), max(length(text)) from numbers').fetchone())
    base.execute('vacuum'); print(base.execute('pragma integrity_check').fetchone()); base.close()
print(sorted(name for name in os.listdir('.') if name.endswith('.db')))
";
    same(stage, "a_database_on_disk", code);
}

fn certificates_and_a_handshake(stage: &Stage) {
    let code = r"
import hashlib, hmac, secrets, ssl
context = ssl.create_default_context()
print(ssl.OPENSSL_VERSION, context.cert_store_stats(), context.verify_mode, ssl.get_default_verify_paths().openssl_cafile)
print(sorted(c['name'] for c in context.get_ciphers())[:5])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
try: context.wrap_bio(incoming, outgoing, server_hostname='localhost').do_handshake()
except ssl.SSLWantReadError: print('hello', outgoing.pending > 100)
print(hashlib.sha256(b'x').hexdigest(), hmac.new(b'k', b'm', 'sha512').hexdigest()[:16], len(secrets.token_bytes(32)))
";
    same(stage, "certificates_and_a_handshake", code);
}

fn children_pipes_and_signals(stage: &Stage) {
    let code = r"
import os, pty, signal, subprocess, sys
print(subprocess.run(['sh', '-c', 'cat; exit 3'], input=b'in', capture_output=True))
print(subprocess.run('echo $X | tr a-z A-Z', shell=True, env={'X': 'text', 'PATH': os.environ['PATH']}, capture_output=True).stdout)
child = subprocess.Popen(['sleep', '100']); child.terminate(); print(child.wait())
try: subprocess.run(['sleep', '100'], timeout=0.05)
except subprocess.TimeoutExpired as error: print(error.cmd, error.output)
big = os.urandom(1 << 20)
print(subprocess.run(['cat'], input=big, capture_output=True).stdout == big)
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause(); print(seen)
print(subprocess.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']).returncode)
pid, fd = pty.fork()
if pid == 0: os.execvp('tty', ['tty'])
print(os.read(fd, 100).startswith(b'/dev/pts/'), os.waitpid(pid, 0)[1])
print(os.popen('exit 7').close(), os.system('exit 5') >> 8)
";
    same(stage, "children_pipes_and_signals", code);
}

fn files_maps_and_clocks(stage: &Stage) {
    let code = r"
import datetime, fcntl, glob, json, locale, mmap, os, pathlib, select, shutil, tempfile, time, zipfile, zlib
with tempfile.TemporaryDirectory() as place:
    path = pathlib.Path(place)
    (path / 'a').write_bytes(b'x' * 100000)
    os.link(path / 'a', path / 'b'); os.symlink('a', path / 'c'); os.rename(path / 'b', path / 'd')
    print(sorted(p.name for p in path.iterdir()), os.stat(path / 'a').st_nlink, os.readlink(path / 'c'))
    with open(path / 'a', 'r+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0) as memory: memory[:3] = b'map'; memory.flush()
        os.posix_fallocate(file.fileno(), 0, 200000); os.fsync(file.fileno())
        print(os.fstat(file.fileno()).st_size, os.pread(file.fileno(), 4, 0))
    shutil.copytree(path, path / 'copy', symlinks=True); shutil.make_archive(str(path / 'archive'), 'zip', path / 'copy')
    print(sorted(zipfile.ZipFile(path / 'archive.zip').namelist()))
    os.utime(path / 'a', (1, 2)); os.chmod(path / 'a', 0o640); print(oct(os.stat(path / 'a').st_mode), os.stat(path / 'a').st_mtime)
    os.truncate(path / 'a', 10); print(len((path / 'a').read_bytes()))
poll = select.epoll(); r, w = os.pipe(); poll.register(r, select.EPOLLIN); os.write(w, b'x'); print(len(poll.poll(1)))
print(datetime.datetime.fromtimestamp(0).astimezone().isoformat(), time.tzname, locale.setlocale(locale.LC_ALL, ''))
print(time.clock_gettime(time.CLOCK_MONOTONIC) > 0, time.process_time() > 0, zlib.crc32(json.dumps({'ä': [1.5]}).encode()))
print(os.cpu_count() is not None, len(os.sched_getaffinity(0)) >= 1, os.getpriority(os.PRIO_PROCESS, 0))
";
    same(stage, "files_maps_and_clocks", code);
}
