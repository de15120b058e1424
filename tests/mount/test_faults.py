"""Links that end, servers that are silent, mounts that are taken away: what was
accepted is written or reported, nothing waits for ever, no byte is wrong."""
import errno
import functools
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import wait_for
from servers import RawServer

SIZE = 8 << 20


@functools.cache
def pattern(size=SIZE):
    return b"".join(b"%015d\n" % i for i in range(size // 16))


def write_files(directory, count):
    for i in range(count):
        with open(directory / f"f{i}", "wb") as f:
            f.write(b"%d " % i * 700)


def check_files(directory, count):
    bad = [i for i in range(count)
           if (directory / f"f{i}").read_bytes() != b"%d " % i * 700]
    assert bad == []


@pytest.mark.parametrize("options", ["", "async_names"])
@pytest.mark.parametrize("how", ["fusermount", "SIGTERM"])
def test_unmount_drains(mount, source, options, how):
    m = mount(options)
    write_files(m.point, 500)
    assert m.unmount(how) == 0, m.text()
    check_files(source, 500)


def test_unmount_drains_what_is_mapped(mount, source):
    import mmap
    m = mount()
    (m.point / "a").write_bytes(b"a" * SIZE)
    with open(m.point / "a", "r+b") as f, mmap.mmap(f.fileno(), SIZE) as area:
        area[:] = pattern()
    assert m.unmount() == 0
    assert (source / "a").read_bytes() == pattern()


def test_unmount_drains_names_to_a_slow_server(mount, server, source):
    """Removed, said async_names; the server does it a second later."""
    write_files(source, 300)
    m = mount("async_names")
    assert len(os.listdir(m.point)) == 300
    server.freeze()
    for i in range(300):
        (m.point / f"f{i}").unlink()
    threading.Timer(1, server.thaw).start()
    assert m.unmount() == 0, m.text()
    assert os.listdir(source) == []


def test_unmount_drains_pages_to_a_slow_server(mount, server, source):
    """Pages that are written by the unmount itself."""
    import mmap
    m = mount()
    (m.point / "a").write_bytes(b"a" * SIZE)
    fd = os.open(m.point / "a", os.O_RDWR)
    area = mmap.mmap(fd, SIZE)
    os.close(fd)
    area[:] = pattern()
    server.freeze()
    threading.Timer(1, server.thaw).start()
    area.close()
    assert m.unmount() == 0, m.text()
    assert (source / "a").read_bytes() == pattern()


def test_a_mount_in_use_is_detached(mount, source):
    m = mount()
    f = open(m.point / "a", "wb", buffering=0)
    f.write(b"before")
    m.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not os.path.ismount(m.point), 5, "detached")
    assert m.process.wait(20) == 0, m.text()
    with pytest.raises(OSError):
        f.write(b"after")
        f.flush()
    try:
        f.close()
    except OSError:
        pass
    assert (source / "a").read_bytes() == b"before"


def test_cut_while_writing(mount, server, source):
    """Every connection is cut again and again under a writer."""
    m = mount()
    done = threading.Event()

    def cut():
        while not done.wait(0.3):
            server.hang_up()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        with open(m.point / "a", "wb", buffering=0) as f:
            for i in range(0, SIZE, 1 << 16):
                f.write(pattern()[i:i + (1 << 16)])
                time.sleep(0.01)
    finally:
        done.set()
        cutter.join()
    assert (source / "a").read_bytes() == pattern()
    assert m.unmount() == 0, m.text()


def test_cut_while_reading(mount, server, source):
    (source / "a").write_bytes(pattern())
    m = mount()
    with open(m.point / "a", "rb", buffering=0) as f:
        got = bytearray()
        for i in range(0, SIZE, 1 << 16):
            if i % (1 << 20) == 0:
                server.hang_up()
            got += f.read(1 << 16)
    assert got == pattern()


def test_cut_while_listing(mount, server, source):
    for i in range(3000):
        (source / f"n{i}").touch()
    m = mount()
    for _ in range(5):
        server.hang_up()
        assert len(os.listdir(m.point)) == 3000


def test_a_pause_of_the_link(mount, server, source):
    """Nobody listens for two seconds: a pause, then all goes on."""
    m = mount("timeout=10")
    f = open(m.point / "a", "wb", buffering=0)
    f.write(b"1" * 100000)
    server.stop_listening()
    server.hang_up()
    f.write(b"2" * 100000)
    threading.Timer(2, server.listen).start()
    start = time.monotonic()
    assert os.listdir(m.point) == ["a"]
    assert 1 < time.monotonic() - start < 6
    f.close()
    assert (source / "a").read_bytes() == b"1" * 100000 + b"2" * 100000


def test_a_link_that_stays_away(mount, server, source):
    """Errors within the time-out, for reads and for what was accepted."""
    (source / "r").write_bytes(pattern())
    m = mount("timeout=2")
    f = open(m.point / "a", "wb", buffering=0)
    f.write(b"x")
    os.fsync(f.fileno())
    server.stop_listening()
    server.hang_up()
    f.write(b"accepted")
    start = time.monotonic()
    with pytest.raises(OSError) as info:
        os.fsync(f.fileno())
    assert info.value.errno == errno.EIO
    assert time.monotonic() - start < 6
    with pytest.raises(OSError) as info:
        open(m.point / "r", "rb")
    assert info.value.errno == errno.EIO
    assert time.monotonic() - start < 10
    server.listen()
    wait_for(lambda: try_read(m.point / "r") == pattern(), 10, "back")
    f.seek(1)
    f.write(b"again")
    f.close()
    assert (source / "a").read_bytes() == b"xagain"


def try_read(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


def test_a_server_that_is_silent(mount, server, source):
    """It takes requests and says nothing: the link is given up in time."""
    (source / "r").write_bytes(pattern())
    m = mount("timeout=2")
    server.freeze()
    start = time.monotonic()
    assert (m.point / "r").read_bytes() == pattern() # by a new connection
    assert 1 < time.monotonic() - start < 8


SLOW_FSYNC = """
#include <unistd.h>
int fsync(int fd) { sleep(5); return fdatasync(fd); }
"""


def test_a_slow_fsync_is_no_silence(mount, source, tmp_path):
    """It takes longer than the time-out: the link is not given up."""
    (tmp_path / "slow.c").write_text(SLOW_FSYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "slow.so",
                    tmp_path / "slow.c"], check=True)
    slow = RawServer(prefix=["env", f"LD_PRELOAD={tmp_path}/slow.so"])
    try:
        m = mount("timeout=2", of=slow)
        start = time.monotonic()
        with open(m.point / "a", "ab", buffering=0) as f:
            f.write(b"a")
            os.fsync(f.fileno())
        assert time.monotonic() - start > 5
        assert m.unmount() == 0
        assert "does not answer" not in m.text()
    finally:
        slow.close()
    assert (source / "a").read_bytes() == b"a"


def test_silence_while_writing(mount, server, source):
    m = mount("timeout=2")
    with open(m.point / "a", "wb", buffering=0) as f:
        f.write(pattern()[:SIZE // 2])
        server.freeze()
        f.write(pattern()[SIZE // 2:])
    assert (source / "a").read_bytes() == pattern()
    server.hang_up()
    assert (source / "a").read_bytes() == pattern()


def test_a_file_that_went_meanwhile(mount, server, source):
    """ESTALE, never another file's bytes."""
    size = 64 << 20 # more than is read ahead
    (source / "a").write_bytes(b"." * size)
    m = mount()
    with open(m.point / "a", "rb", buffering=0) as f:
        assert f.read(4096) == b"." * 4096
        server.stop_listening()
        server.hang_up()
        os.rename(source / "a", source / "old")
        (source / "a").write_bytes(b"#" * size)
        os.utime(source / "a", (1, 1))
        server.listen()
        with pytest.raises(OSError) as info:
            while True:
                piece = f.read(1 << 20)
                assert piece, "no end where there is none"
                assert b"#" not in piece
        assert info.value.errno == errno.ESTALE


def test_what_was_written_and_is_missing_is_told(mount, server, source):
    """The server forgot acknowledged bytes: the writer learns it."""
    m = mount()
    f = open(m.point / "a", "wb", buffering=0)
    f.write(b"x" * 100000)
    os.fsync(f.fileno())
    server.stop_listening()
    server.hang_up()
    os.truncate(source / "a", 10)
    server.listen()
    with pytest.raises(OSError) as info:
        f.write(b"y")
        os.fsync(f.fileno())
    assert info.value.errno == errno.ESTALE
    try:
        f.close()
    except OSError:
        pass


def test_appends_are_never_doubled(mount, server, source):
    m = mount()
    accepted = 0
    with open(m.point / "a", "ab", buffering=0) as f:
        for i in range(40):
            try:
                f.write(b"%09d\n" % i)
                if i % 10 == 5:
                    server.hang_up()
                os.fsync(f.fileno())
                accepted += 1
            except OSError as e:
                assert e.errno == errno.EIO
    lines = (source / "a").read_bytes().split()
    assert len(lines) == len(set(lines)) >= accepted


def test_a_failure_is_not_taken_by_another_process(mount, server, source):
    """A child that closes the inherited file does not swallow the error."""
    m = mount("timeout=1")
    f = open(m.point / "a", "wb", buffering=0)
    f.write(b"x")
    server.stop_listening()
    server.hang_up()
    f.write(b"y")
    subprocess.run(["true"])
    subprocess.run(["true"])
    with pytest.raises(OSError) as info:
        f.close()
    assert info.value.errno == errno.EIO


@pytest.mark.parametrize("who", ["worker", "helper"])
def test_a_killed_process(mount, source, who):
    (source / "a").write_text("a")
    m = mount()
    worker = m.worker()
    if who == "worker":
        os.kill(worker, signal.SIGKILL)
        assert m.process.wait(10) != 0
        assert not os.path.ismount(m.point)
    else: # the mount goes on, and can be unmounted
        m.process.kill()
        m.process.wait(10)
        assert (m.point / "a").read_text() == "a"
        (m.point / "b").write_text("b")
        subprocess.run(["fusermount3", "-u", m.point], check=True)
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"), 10, "end")
        assert (source / "b").read_text() == "b"


def test_nothing_is_mounted_without_a_server(server, source, tmp_path):
    from conftest import PROGRAM
    server.close()
    start = time.monotonic()
    out = subprocess.run([PROGRAM, "-o", server.options(),
                          f"127.0.0.1:{source}", tmp_path],
                         capture_output=True, text=True)
    assert out.returncode == 1 and "Connection refused" in out.stderr
    assert len(out.stderr.splitlines()) == 1
    assert time.monotonic() - start < 5 and not os.path.ismount(tmp_path)


def test_a_silent_server_at_the_start(tmp_path):
    import socket
    from conftest import PROGRAM
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(5)
        start = time.monotonic()
        out = subprocess.run(
            [PROGRAM, "-o", f"timeout=1,directport={s.getsockname()[1]}",
             "127.0.0.1:/", tmp_path], capture_output=True, text=True)
    assert out.returncode == 1 and out.stderr.startswith("tp-mount: ")
    assert time.monotonic() - start < 8 and not os.path.ismount(tmp_path)
