"""Fixtures: SFTP servers on loopback and tp-mount on a directory of them."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from servers import RawServer, SshServer

PEAK_BYTES = 40 << 20 # of the process that serves, at most
HERE = Path(__file__).resolve().parent
PROGRAM = os.environ.get("TP_MOUNT", str(HERE.parents[1] / "tp-mount"))
# What is measured is not the build with sanitizers.
RELEASE = os.environ.get("TP_MOUNT_RELEASE", PROGRAM)


def wait_for(condition, seconds=10, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


class Mount:
    """tp-mount in the foreground, its two processes and its log."""

    def __init__(self, point, source, options, log, program):
        self.point, self.log = point, log
        self.command = [program, "-f", "-o", options, source, str(point)]
        self.output = open(log, "ab")
        self.process = subprocess.Popen(self.command, stdout=self.output,
                                        stderr=self.output)
        wait_for(lambda: self.process.poll() is not None
                 or os.path.ismount(point), 20, "mounted")
        assert self.process.poll() is None, self.text()

    def text(self):
        return Path(self.log).read_text(errors="replace")

    def worker(self):
        """The pid of the process that speaks to the server."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}"
                        "/children").read_text().split()
        return int(children[0])

    def rss_peak(self):
        for line in Path(f"/proc/{self.worker()}/status").open():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def unmount(self, how="fusermount"):
        """Ends it and returns the program's status."""
        if self.process.poll() is None:
            if how == "fusermount":
                subprocess.run(["fusermount3", "-u", self.point], check=True)
            else:
                self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.kill(self.worker(), signal.SIGKILL)
                self.process.wait(15)
        if os.path.ismount(self.point):
            subprocess.run(["umount", "-l", self.point], check=False)


@pytest.fixture
def server():
    s = RawServer()
    yield s
    s.close()


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory):
    s = SshServer(tmp_path_factory.mktemp("sshd"))
    yield s
    s.close()


@pytest.fixture
def source(tmp_path):
    """The directory that the server shows."""
    d = tmp_path / "source"
    d.mkdir()
    return d


@pytest.fixture
def mount(request, server, source, tmp_path):
    """Makes mounts: mount(options="...", of=server); the first is at mnt0."""
    made = []
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")

    def make(options="", of=server, path=source, program=PROGRAM):
        point = tmp_path / f"mnt{len(made)}"
        point.mkdir()
        all_options = of.options() + ("," + options if options else "")
        m = Mount(point, f"{of.user}127.0.0.1:{path}", all_options,
                  tmp_path / f"log{len(made)}", program)
        made.append(m)
        return m

    yield make
    for m in made:
        m.kill()
        text = m.text()
        if "Sanitizer" in text or "runtime error" in text:
            pytest.fail(text[-4000:])


@pytest.fixture
def mnt(mount):
    """A mount with the defaults; its directory."""
    return mount().point
