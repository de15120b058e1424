"""A day of use in small: what many short connections and UDP flows leave behind.

TP_SOAK_CONNECTIONS=1000000 TP_SOAK_FLOWS=10000 for the whole day.
"""

import os
import re
import time

import pytest
from conftest import DAEMON, NODE, run, wait_until

CONNECTIONS = int(os.environ.get("TP_SOAK_CONNECTIONS", 20000))
FLOWS = int(os.environ.get("TP_SOAK_FLOWS", 1000))
UDP = 9001
WARM_UP = 2000

# The server ends them, as else each would keep a port of the client's for a minute.
CONNECT = """
import http.client, socket, threading
address = socket.gethostbyname('web')
left, lock, bad = [{count}], threading.Lock(), []
def work():
    while True:
        with lock:
            if left[0] == 0:
                return
            left[0] -= 1
        try:
            s = socket.create_connection((address, 80), 20)
            s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: web\\r\\nConnection: close\\r\\n\\r\\n')
            text = b''
            while True:
                piece = s.recv(4096)
                if not piece:
                    break
                text += piece
            if not text.startswith(b'HTTP/1.1 200'):
                bad.append(text[:40])
            s.close()
        except OSError as e:
            bad.append(str(e))
threads = [threading.Thread(target=work) for _ in range(16)]
for t in threads: t.start()
for t in threads: t.join()
print(len(bad), bad[:3])
"""

FLOW = f"""
import socket
address, bad = (socket.gethostbyname('web'), {UDP}), 0
for i in range({{count}}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(b'%d' % i, address)
        try:
            bad += s.recv(100) != b'%d' % i
        except OSError:
            bad += 1
print(bad)
"""


def pids(container, name):
    out = run(["docker", "top", container, "-eo", "pid,comm"]).stdout
    return [line.split()[0] for line in out.splitlines() if line.split()[-1] == name]


def usage():
    """What each process holds: (descriptors, resident KiB); entries of conntrack
    in the shared network namespace."""
    daemon = pids(DAEMON, "tp-daemon")
    managers = pids(NODE, "tp-manager")
    assert len(daemon) == 1 and managers
    held = {}
    for pid in daemon + managers:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        held[pid] = (len(os.listdir(f"/proc/{pid}/fd")), rss)
    count = run(
        ["nsenter", "-n", "-t", daemon[0], "cat", "/proc/sys/net/netfilter/nf_conntrack_count"],
        check=False,
    ).stdout
    return held, int(count or 0)


def use(box, connections, flows):
    seconds = 60 + (connections + flows) // 100
    assert box.python(CONNECT.format(count=connections), timeout=seconds) == "0 []"
    assert box.python(FLOW.format(count=flows), timeout=seconds) == "0"


@pytest.mark.long
def test_a_day_in_small(session, box):
    use(box, WARM_UP, 100)
    time.sleep(5)
    before, tracked = usage()
    begin = time.monotonic()
    use(box, CONNECTIONS, FLOWS)
    print(f"{CONNECTIONS} connections, {FLOWS} flows in {time.monotonic() - begin:.0f} s")

    def is_over():
        held, entries = usage()
        print(before, tracked, held, entries)
        return entries <= tracked + 100 and all(
            held[p][0] <= before[p][0] + 8 and held[p][1] <= before[p][1] + 4096
            for p in before
        )

    # Flows end after a minute without datagrams, conntrack's entries after two.
    wait_until("as before", is_over, 200)
    assert usage()[0].keys() == before.keys(), "a process was restarted"
