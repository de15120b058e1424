"""SSH, unix sockets, inherited sockets: the same mount on each."""
import hashlib
import os
import random
import socket
import subprocess
import threading

from servers import SFTP_SERVER
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
