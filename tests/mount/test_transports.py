"""SSH, unix sockets, inherited sockets: the same mount on each."""
import hashlib
import os
import random
import socket
import subprocess
import threading

from conftest import HERE, wait_for
from servers import SFTP_SERVER, SshServer
from test_trees import describe, make_tree, run


class On:
    user = ""

    def __init__(self, text):
        self.text = text

    def options(self):
        return self.text


def test_ssh_keeps_everything(mount, ssh_server, source, tmp_path):
    m = mount(of=ssh_server)
    there = tmp_path / "there"
    there.mkdir()
    make_tree(there, random.Random(8))
    run("cp", "-a", f"{there}/.", m.point)
    assert describe(source) == describe(there)
    m2 = mount(of=ssh_server)
    assert describe(m2.point) == describe(there)
    assert m.unmount() == 0 and m2.unmount() == 0


def test_ssh_both_ways_at_once(mount, ssh_server, source):
    """40 MiB each way beside each other, more than a window, by hash."""
    size = 40 << 20
    data = random.Random(1).randbytes(1 << 20) * 40
    (source / "in").write_bytes(data)
    m = mount(of=ssh_server)
    got = []

    def read():
        h = hashlib.sha256()
        with open(m.point / "in", "rb") as f:
            while piece := f.read(1 << 20):
                h.update(piece)
        got.append(h.hexdigest())

    def write():
        with open(m.point / "out", "wb") as f:
            for i in range(0, size, 77777):
                f.write(data[i:i + 77777])

    threads = [threading.Thread(target=t) for t in (read, write, read)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    want = hashlib.sha256(data).hexdigest()
    assert got == [want, want]
    assert hashlib.sha256((source / "out").read_bytes()).hexdigest() == want


def test_ssh_is_cut(mount, ssh_server, source):
    data = random.Random(2).randbytes(8 << 20)
    m = mount(of=ssh_server)
    with open(m.point / "a", "wb", buffering=0) as f:
        for i in range(0, len(data), 1 << 18):
            if i % (1 << 21) == 0:
                ssh_server.hang_up()
            f.write(data[i:i + (1 << 18)])
    assert (source / "a").read_bytes() == data
    assert m.unmount() == 0, m.text()


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


def test_ssh_keys_are_exchanged_again(mount, source, tmp_path):
    """RekeyLimit 16M under 60 MiB each way at once."""
    (tmp_path / "sshd").mkdir()
    server = SshServer(tmp_path / "sshd", "RekeyLimit 16M\nLogLevel DEBUG1\n")
    data = random.Random(3).randbytes(1 << 20) * 60
    (tmp_path / "data").write_bytes(data)
    (source / "in").write_bytes(data)
    try:
        m = mount(of=server)
        run("cp", tmp_path / "data", m.point / "alone")
        writer = subprocess.Popen(["cp", tmp_path / "data", m.point / "out"])
        assert digest(m.point / "in") == digest(tmp_path / "data")
        assert writer.wait(60) == 0
        assert m.unmount() == 0, m.text()
        assert "lost" not in m.text(), m.text() # not by dialling again
        log = (tmp_path / "sshd" / "log").read_text()
        assert log.count("SSH2_MSG_KEXINIT received") > 8
    finally:
        server.close()
    assert digest(source / "alone") == digest(tmp_path / "data")
    assert digest(source / "out") == digest(tmp_path / "data")


class Delayed:
    """A server behind tests/bench/mount_relay.c: 100 ms there and back."""

    def __init__(self, server, directory):
        self.server, self.user = server, server.user
        relay = directory / "relay"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        run("cc", "-pthread", "-o", relay,
            HERE.parent / "bench" / "mount_relay.c")
        self.relay = subprocess.Popen([relay, str(self.port), str(server.port),
                                       "50"], stdout=subprocess.PIPE)
        self.relay.stdout.readline()

    def options(self):
        return self.server.options().replace(str(self.server.port),
                                             str(self.port), 1)

    def close(self):
        self.relay.kill()
        self.relay.wait()


def test_more_lanes_where_the_window_is_small(mount, ssh_server, source,
                                              tmp_path):
    """A long path and OpenSSH's 2 MiB: several connections write, all of them
    are cut, and what is there is right."""
    far = Delayed(ssh_server, tmp_path)
    piece = random.Random(4).randbytes(1 << 20)
    program = ("import sys\n"
               "piece = sys.stdin.buffer.read()\n"
               "with open(sys.argv[1], 'wb') as f:\n"
               "    for _ in range(120): f.write(piece)\n")
    try:
        m = mount(of=far)
        writer = subprocess.Popen(["/usr/bin/python3", "-c", program,
                                   m.point / "a"], stdin=subprocess.PIPE)
        writer.stdin.write(piece)
        writer.stdin.close()
        wait_for(lambda: ssh_server.connections() > 2, 30, "more connections")
        assert writer.poll() is None
        ssh_server.hang_up()
        assert writer.wait(60) == 0
        assert m.unmount() == 0, m.text()
    finally:
        far.close()
    assert digest(source / "a") == hashlib.sha256(piece * 120).hexdigest()


def test_a_unix_socket(mount, source, tmp_path):
    path = str(tmp_path / "s")
    bridge = subprocess.Popen([
        "/usr/bin/python3", "-c",
        "import socket,subprocess,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9)\n"
        "while True:\n"
        "    c,_=s.accept()\n"
        "    subprocess.Popen([sys.argv[2]],stdin=c,stdout=c); c.close()\n",
        path, SFTP_SERVER])
    try:
        while not os.path.exists(path):
            pass
        m = mount(of=On(f"socket={path},raw"))
        (m.point / "a").write_bytes(b"a" * 300000)
        assert (source / "a").read_bytes() == b"a" * 300000
        assert m.unmount() == 0
    finally:
        bridge.kill()
        bridge.wait()


def test_inherited_sockets(source, tmp_path):
    """One connection, and two; a lost one does not come back: EIO."""
    from conftest import PROGRAM
    for count in (1, 2):
        ours, servers = [], []
        for _ in range(count):
            a, b = socket.socketpair()
            servers.append(subprocess.Popen([SFTP_SERVER], stdin=b, stdout=b))
            b.close()
            ours.append(a)
        point = tmp_path / f"p{count}"
        point.mkdir()
        fds = [s.fileno() for s in ours]
        subprocess.run([PROGRAM, "-o", "raw,timeout=2,fd=" +
                        ":".join(map(str, fds)), f"x:{source}", point],
                       pass_fds=fds, check=True)
        for s in ours:
            s.close()
        (point / "a").write_bytes(b"a" * 3000000)
        assert (point / "a").read_bytes() == b"a" * 3000000
        for s in servers:
            s.kill()
            s.wait()
        try:
            (point / "b").read_bytes()
            raise AssertionError("no error")
        except OSError:
            pass
        subprocess.run(["fusermount3", "-u", point], check=True)
