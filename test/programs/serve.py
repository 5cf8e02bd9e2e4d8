"""Threads, asyncio, sqlite3, mapped memory, signals, sub-interpreters of the
standard library; then http.server on 8000 and a Flask application on 5000."""

import asyncio
import concurrent.futures
import ctypes
import hashlib
import http.server
import mmap
import multiprocessing
import os
import queue
import select
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

import flask


def threads():
    todo, total, lock = queue.Queue(), [0], threading.Lock()

    def work():
        while (n := todo.get()) is not None:
            with lock:
                total[0] += n

    workers = [threading.Thread(target=work) for _ in range(50)]
    for w in workers:
        w.start()
    for n in range(2000):
        todo.put(n)
    for _ in workers:
        todo.put(None)
    for w in workers:
        w.join()
    assert total[0] == sum(range(2000))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda n: hashlib.sha256(b"x" * n).digest(), range(0, 100000, 5000)))
    assert len(set(digests)) == 20
    assert not threading.Event().wait(0.02)


def loops():
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def ask(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in range(5):
            writer.write(b"hello %d %d\n" % (n, i))
            assert await reader.readline() == b"HELLO %d %d\n" % (n, i)
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(ask(port, n) for n in range(40)))
        got = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(got.wait(), 5)
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.02)
        except asyncio.TimeoutError:
            pass
        assert await asyncio.to_thread(lambda: 7) == 7
        server.close()

    asyncio.run(main())


def databases():
    with tempfile.TemporaryDirectory() as d:
        name = os.path.join(d, "db")
        db = sqlite3.connect(name)
        db.execute("pragma journal_mode=wal")
        db.execute("create table t(id integer primary key, thread int, text text)")
        db.commit()

        def insert(n):
            c = sqlite3.connect(name, timeout=30)
            for i in range(20):
                with c:
                    c.execute("insert into t(thread, text) values (?, ?)", (n, "x" * i))
            c.close()

        writers = [threading.Thread(target=insert, args=(n,)) for n in range(5)]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
        assert db.execute("select count(*), sum(length(text)) from t").fetchone() == (100, 5 * sum(range(20)))
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        db.close()


def system():
    m = mmap.mmap(-1, 1 << 20)
    m[4096:4100] = b"Kiln"
    assert m.find(b"Kiln") == 4096
    m.close()
    a, b = socket.socketpair()
    a.send(b"x")
    assert select.select([b], [], [], 1)[0] == [b]
    p = select.epoll()
    p.register(b, select.EPOLLIN | select.EPOLLET)
    assert p.poll(1) == [(b.fileno(), select.EPOLLIN)]
    caught = []
    signal.signal(signal.SIGALRM, lambda *_: caught.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    time.sleep(0.2)
    assert caught
    assert ctypes.CDLL(None).getpid() == os.getpid()
    shared = multiprocessing.Value("i", 5)  # a semaphore and shared memory
    with shared.get_lock():
        shared.value += 1
    try:
        subprocess.run(["ls"])
        raise AssertionError("there is a second process")
    except OSError as e:
        assert e.errno == 38, e


app = flask.Flask(__name__)


@app.route("/add/<int:a>/<int:b>", methods=["GET", "POST"])
def add(a, b):
    return flask.jsonify(sum=a + b, sent=len(flask.request.get_data()))


def serve():
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    files = http.server.ThreadingHTTPServer(("", 8000), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=files.shutdown).start())
    threading.Thread(target=app.run, kwargs={"host": "0.0.0.0", "port": 5000, "threaded": True}, daemon=True).start()
    os.chdir("/etc")
    print("serving", flush=True)
    files.serve_forever()
    print("shut down")


if __name__ == "__main__":
    for f in threads, loops, databases, system:
        f()
        print(f.__name__, flush=True)
    serve()
