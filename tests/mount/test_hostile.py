"""A server that lies (hostile.py): each lie is an error or is not shown, and the
mount goes on."""
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PEAK_BYTES, PROGRAM, RELEASE, wait_for
from servers import Server

HOSTILE = str(Path(__file__).with_name("hostile.py"))


class HostileServer(Server):
    def __init__(self, kind):
        super().__init__([sys.executable, HOSTILE, kind])

    def options(self):
        return f"directport={self.port},timeout=2"


@pytest.fixture
def lie(mount):
    servers = []

    def make(kind, options="", program=PROGRAM):
        servers.append(HostileServer(kind))
        return mount(options, of=servers[-1], path="/root", program=program)

    yield make
    for s in servers:
        s.close()


def fails(codes, function, *arguments):
    with pytest.raises(OSError) as info:
        function(*arguments)
    assert info.value.errno in codes, os.strerror(info.value.errno)


def still_serves(m):
    assert os.path.isdir(m.point)
    assert Path(f"/proc/{m.worker()}").exists()
    assert m.unmount("SIGTERM") == 0, m.text()


def test_an_honest_one(lie):
    m = lie("none")
    assert os.listdir(m.point) == ["good"]
    assert (m.point / "good").read_bytes() == b"good\n"
    still_serves(m)


@pytest.mark.parametrize("kind", ["name-empty", "name-dotdot", "name-slash",
                                  "name-absolute", "name-nul", "name-long"])
def test_names_that_are_none(lie, kind):
    m = lie(kind)

    def names():
        return set(os.listdir(m.point))

    fails([errno.EIO], names)
    assert (m.point / "good").read_bytes() == b"good\n"
    still_serves(m)


@pytest.mark.parametrize("kind", ["type-device", "type-block", "type-fifo",
                                  "type-socket", "type-none"])
def test_types_that_are_not_shown(lie, kind):
    m = lie(kind)
    fails([errno.EIO, errno.ENOENT], os.lstat, m.point / "odd")
    assert os.listdir(m.point) == ["good"]
    fails([errno.EIO, errno.ENOENT], os.lstat, m.point / "odd")
    still_serves(m)


def test_setuid_has_no_effect(lie):
    m = lie("setuid")
    assert os.listdir(m.point) == ["good", "odd"]
    with open("/proc/self/mounts") as f:
        line = next(x for x in f if str(m.point) in x)
    assert "nosuid" in line and "nodev" in line
    still_serves(m)


@pytest.mark.parametrize("kind,codes", [
    ("link-absolute", [errno.EPERM]), ("link-up", [errno.EPERM]),
    ("link-hidden", [errno.EPERM]), ("link-empty", [errno.EIO]),
    ("link-nul", [errno.EIO])])
def test_links_that_lead_out(lie, kind, codes):
    m = lie(kind)
    fails(codes, os.readlink, m.point / "link")
    fails(codes, open, m.point / "link")
    still_serves(m)


def test_links_that_stay(lie):
    assert (lie("link-good").point / "link").read_bytes() == b"good\n"


def test_links_that_may_lead_out(lie):
    m = lie("link-absolute", "follow_outside")
    assert os.readlink(m.point / "link") == "/etc/passwd"


@pytest.mark.parametrize("kind", ["wrong-type", "ok-for-handle",
                                  "data-too-long", "unknown-id", "length"])
def test_answers_that_make_no_sense(lie, kind):
    m = lie(kind)
    fails([errno.EIO], (m.point / "good").read_bytes)
    still_serves(m)


@pytest.mark.parametrize("kind", ["handle", "count", "unknown-id", "length"])
def test_listings_that_make_no_sense(lie, kind):
    m = lie(kind)
    fails([errno.EIO], os.listdir, m.point)
    still_serves(m)


def test_a_listing_without_end(lie):
    """It is not kept in memory without end either."""
    m = lie("endless", program=RELEASE)
    reader = subprocess.Popen(["ls", "-f", m.point], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        reader.wait(5)
    except subprocess.TimeoutExpired:
        reader.kill()
    wait_for(lambda: reader.poll() is not None, 10, "ls ends")
    assert m.rss_peak() < PEAK_BYTES
    still_serves(m)


@pytest.mark.parametrize("kind", ["greet-length", "greet-old", "greet-other"])
def test_greetings_that_are_none(tmp_path, kind):
    server = HostileServer(kind)
    try:
        out = subprocess.run([PROGRAM, "-o", server.options(),
                              "127.0.0.1:/root", tmp_path],
                             capture_output=True, text=True, timeout=20)
    finally:
        server.close()
    assert out.returncode == 1 and out.stderr.startswith("tp-mount: ")
    assert not os.path.ismount(tmp_path)
