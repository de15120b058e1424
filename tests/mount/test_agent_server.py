"""tp-agent-sftp as tp-agent runs it: many uploads at once, and what they take of
the memory that the chart gives the agent."""
import ctypes
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import RELEASE, wait_for
from servers import keygen

SERVER = Path(RELEASE).with_name("tp-agent-sftp")
SERVERS = 16  # FILES_SERVERS of src/agent/files.h
# 128 MiB of the chart, without what the agent itself takes and some to spare.
MOST = 104 << 20

# ssh's proxy command: a socket pair, the server on one end, ssh on the other.
PROXY = """
import os, socket, sys
ours, its = socket.socketpair()
settings = os.open(sys.argv[2], os.O_RDONLY)
if os.fork() == 0:
    high = os.dup(its.fileno()), os.dup(settings)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd, to in zip((its.fileno(), settings), (50, 51)):
        os.dup2(fd, to)
    os.dup2(50, 3)
    os.dup2(51, 4)
    os.closerange(5, 60)
    os.execv(sys.argv[1], [sys.argv[1]])
socket.send_fds(socket.socket(fileno=1), [b"x"], [ours.fileno()])
"""


class Agent:
    def __init__(self, d):
        self.d = d
        for name in ("host", "key"):
            keygen(d / name)
        (d / "data").mkdir()
        host = " ".join((d / "host.pub").read_text().split()[:2])
        key = " ".join((d / "key.pub").read_text().split()[:2])
        (d / "known").write_text(f"pod {host}\n")
        (d / "settings").write_text(json.dumps({
            "key": key, "hostKey": (d / "host").read_text(), "readOnly": False,
            "exports": [{"path": "/data", "source": str(d / "data"),
                         "readOnly": False}]}))
        (d / "proxy.py").write_text(PROXY)

    def start(self):
        """A server; the socket to it."""
        ours, its = socket.socketpair()
        with its, open(self.d / "settings", "rb") as settings:
            high = [fcntl.fcntl(f, fcntl.F_DUPFD, 20) for f in (its, settings)]
        subprocess.Popen(["/bin/bash", "-c", f'exec "$0" 3<&{high[0]} '
                          f'4<&{high[1]} {high[0]}<&- {high[1]}<&-', SERVER],
                         pass_fds=high, stdin=subprocess.DEVNULL)
        for fd in high:
            os.close(fd)
        return ours

    def sftp(self):
        """A client that has logged in, and takes commands."""
        proxy = f"{sys.executable} {self.d}/proxy.py {SERVER} {self.d}/settings"
        p = subprocess.Popen(
            ["sftp", "-q", "-R", "512", "-b", "-", "-F", "none", "-i",
             self.d / "key", "-o", f"UserKnownHostsFile={self.d}/known", "-o",
             "StrictHostKeyChecking=yes", "-o", "ProxyUseFdpass=yes", "-o",
             f"ProxyCommand={proxy}", "tp@pod"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        p.stdin.write("pwd\n")
        p.stdin.flush()
        while line := p.stdout.readline():
            if "Remote working" in line:
                return p
        raise AssertionError("no log-in")


def servers():
    found = {}
    for p in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(p / "exe") == str(SERVER.resolve()):
                text = (p / "status").read_text()
                found[p.name] = int(re.search(r"RssAnon:\s+(\d+)", text)[1]) << 10
        except (OSError, TypeError):
            pass
    return found


@pytest.fixture
def agent(tmp_path):
    return Agent(tmp_path)


def test_uploads_stay_within_the_agents_memory(agent):
    """All have logged in before the first byte goes, so that none has ended when
    the last begins."""
    clients = [agent.sftp() for _ in range(SERVERS)]
    idle = sum(servers().values())
    blob = agent.d / "blob"
    blob.write_bytes(os.urandom(16 << 20))
    for i, c in enumerate(clients):
        c.stdin.write(f"put {blob} /data/b{i}\n")
        c.stdin.flush()
    peak, most, most_of_one = 0, 0, 0
    def is_done():
        return all((agent.d / f"data/b{i}").exists() and
                   (agent.d / f"data/b{i}").stat().st_size == blob.stat().st_size
                   for i in range(SERVERS))
    end = time.monotonic() + 120
    while not is_done() and time.monotonic() < end:
        now = servers()
        peak, most = max(peak, sum(now.values())), max(most, len(now))
        most_of_one = max([most_of_one, *now.values()])
        time.sleep(0.01)
    for c in clients:
        c.stdin.close()
        assert c.wait(30) == 0
    print(f"idle {idle >> 20} MiB, peak {peak >> 20} MiB in {most} servers, "
          f"{most_of_one >> 10} KiB in one")
    assert most == SERVERS
    assert all((agent.d / f"data/b{i}").read_bytes() == blob.read_bytes()
               for i in range(SERVERS))
    assert peak < MOST
    wait_for(lambda: not servers(), 10, "all servers have ended")


class Greedy:
    """A client by libssh that sends requests as long as it is let, and reads of
    the answers only what it is told to."""

    def __init__(self, agent):
        self.lib = ctypes.CDLL("libssh.so.4")
        for name in ("ssh_new", "ssh_channel_new"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.socket = agent.start()
        ssh = ctypes.c_void_p(self.lib.ssh_new())
        key, no = ctypes.c_void_p(), ctypes.c_int(0)
        fd = ctypes.c_int(self.socket.fileno())
        for option, value in ((0, b"pod"), (4, b"tp"), (3, ctypes.byref(fd)),
                              (38, ctypes.byref(no))): # host, user, fd, no files
            self.lib.ssh_options_set(ssh, option, value)
        assert self.lib.ssh_connect(ssh) == 0
        assert self.lib.ssh_pki_import_privkey_file(
            bytes(agent.d / "key"), None, None, None, ctypes.byref(key)) == 0
        assert self.lib.ssh_userauth_publickey(ssh, None, key) == 0
        self.channel = ctypes.c_void_p(self.lib.ssh_channel_new(ssh))
        assert self.lib.ssh_channel_open_session(self.channel) == 0
        assert self.lib.ssh_channel_request_sftp(self.channel) == 0
        self.send(struct.pack(">IBI", 5, 1, 3))

    def send(self, data):
        """How much of it, until nothing has moved for half a second."""
        at, end = 0, time.monotonic() + 0.5
        while at < len(data) and time.monotonic() < end:
            n = min(len(data) - at, 30000,
                    self.lib.ssh_channel_window_size(self.channel))
            if n <= 0:
                self.lib.ssh_channel_poll_timeout(self.channel, 20, 0)
                continue
            n = self.lib.ssh_channel_write(self.channel, data[at:at + n], n)
            if n < 0:
                break
            at, end = at + n, time.monotonic() + 0.5
        return at

    def read(self, count):
        room = ctypes.create_string_buffer(65536)
        while count > 0:
            n = self.lib.ssh_channel_read_nonblocking(self.channel, room, 65536, 0)
            if n <= 0:
                return
            count -= n


def test_a_client_that_never_reads_is_bounded(agent):
    """What sixteen such take is below the limit, too: or else one user ends the
    agent, and the app's traffic with it."""
    client = Greedy(agent)
    requests = (struct.pack(">IBII", 14, 7, 7, 5) + b"/data") * 2000 # LSTAT
    most, sent = 0, 0
    for _ in range(6):
        while n := client.send(requests):
            sent += n
            if n < len(requests):
                break
        most = max([most, *servers().values()])
        client.read(400000)
    print(f"{sent} bytes of requests, {most >> 10} KiB")
    assert sent > 2 << 20
    assert SERVERS * most < MOST
