"""Many connections at once, and many that end badly."""

import re

from conftest import DAEMON, run
from links import metrics

ECHO, SOURCE = 9001, 9002

# Aims: daemon 25 MiB; the limit leaves room for another allocator.
DAEMON_MAX = 40 << 20
MANAGER_MAX = 64 << 20

RESETS = f"""
import os, socket, struct, threading
address = socket.gethostbyname('web')
kept = socket.create_connection((address, {ECHO}), 10)
kept.settimeout(20)
bad, done = [], threading.Event()
def talk():
    i = 0
    while not done.is_set():
        text = b'%08d' % i
        kept.sendall(text)
        got = b''
        while len(got) < 8:
            piece = kept.recv(8 - len(got))
            if not piece:
                bad.append('closed')
                return
            got += piece
        if got != text:
            bad.append('other bytes')
            return
        i += 1
def guarded():
    try:
        talk()
    except OSError as e:
        bad.append(str(e))
t = threading.Thread(target=guarded)
t.start()
failed = 0
for i in range(20000):
    s = socket.socket()
    s.settimeout(10)
    try:
        s.connect((address, {ECHO}))
        if i % 4 == 0:
            s.sendall(b'x' * 100)
    except OSError:
        failed += 1
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()
done.set()
t.join()
print(failed, bad)
"""

STALLED = f"""
import select, socket, sys
address = socket.gethostbyname('web')
stalled = []
for i in range(500):
    s = socket.create_connection((address, {SOURCE}), 20)
    s.sendall(b'16777216\\n')
    stalled.append(s)
filled = sum(bool(select.select([s], [], [], 20)[0]) for s in stalled)
s = socket.create_connection((address, {ECHO}), 20)
s.settimeout(20)
s.sendall(b'hello')
print(filled, s.recv(10).decode(), flush=True)
sys.stdin.readline()
"""


def daemon_rss():
    out = run(["docker", "top", DAEMON, "-eo", "pid,comm"]).stdout
    pid = next(line.split()[0] for line in out.splitlines() if line.endswith("tp-daemon"))
    status = open(f"/proc/{pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def manager_rss(cluster):
    return max(m["process_resident_memory_bytes"] for m in metrics(cluster).values())


def test_20000_reset_connections_leave_the_link_alone(session, box):
    before = session.status()["link"]
    assert box.python(RESETS, timeout=180) == "0 []"
    after = session.status()["link"]
    assert (after["since"], after["reconnects"]) == (before["since"], before["reconnects"])


def test_500_stalled_readers_take_little_memory(session, box):
    """Each is offered 16 MiB and reads none; a 501st connection works."""
    import subprocess

    process = subprocess.Popen(
        ["docker", "exec", "-i", box.name, "python3", "-c", STALLED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout.readline().split() == ["500", "hello"]
        daemon, manager = daemon_rss(), manager_rss(session)
    finally:
        process.stdin.close()
        process.wait(30)
    print(f"daemon {daemon >> 10} KiB, manager {manager / 1024:.0f} KiB")
    assert daemon <= DAEMON_MAX and manager <= MANAGER_MAX
    assert session.status()["state"] == "connected"
