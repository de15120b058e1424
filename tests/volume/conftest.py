"""Fixtures: the plugin, installed by tp under a name of its own, and a played
tp-daemon in a control volume of it."""
import contextlib
import glob
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from daemon import FakeDaemon

BUILD = Path(os.environ["TP_BUILD"])
DRIVER = os.environ.get("TP_VOLUME_TEST", "tp-test-volume")
IMAGE = "debian:bookworm-slim"
DAEMON = "vt"


def run(*args, check=True, timeout=120, **kwargs):
    done = subprocess.run([str(a) for a in args], capture_output=True,
                          text=True, timeout=timeout, **kwargs)
    if check and done.returncode:
        raise AssertionError(f"{args} ended with {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def docker(*args, **kwargs):
    return run("docker", *args, **kwargs)


def wait_until(what, probe, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Plugin:
    def __init__(self, home):
        self.env = dict(os.environ, HOME=str(home), TP_VOLUME_DRIVER=DRIVER)
        self.env.pop("XDG_STATE_HOME", None)
        self.keys_file = (Path(home) / ".local/state/tp"
                          / f"volume-{DRIVER}.json")

    def tp(self, *args, **kwargs):
        return run(BUILD / "tp", *args, env=self.env, **kwargs)

    def status(self):
        return json.loads(
            self.tp("volume", "status", "--format", "json").stdout)

    def keys(self):
        return json.loads(self.keys_file.read_text())

    def id(self):
        return docker("plugin", "inspect", "-f", "{{.Id}}",
                      DRIVER).stdout.strip()

    def directory(self):
        return glob.glob(f"/var/lib/docker/plugins/{self.id()}"
                         "/propagated-mount")[0]

    def disable(self):
        docker("plugin", "disable", "-f", DRIVER)

    def enable(self):
        docker("plugin", "enable", DRIVER)

    def pids(self):
        """All processes in the plugin's sandbox."""
        mine = self.id()
        return [p for p in processes() if mine in read(f"/proc/{p}/cgroup")]

    def purge(self):
        names = docker("volume", "ls", "-q", "-f",
                       f"driver={DRIVER}:latest").stdout.split()
        for name in names:
            ids = docker("ps", "-aq", "-f", f"volume={name}").stdout.split()
            if ids:
                docker("rm", "-f", *ids)
        self.tp("volume", "uninstall")


def processes():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def read(path):
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


def make_plugin(home):
    p = Plugin(home)
    if docker("plugin", "inspect", DRIVER, check=False).returncode == 0:
        docker("plugin", "enable", DRIVER, check=False)
        p.purge()
    p.tp("volume", "install")
    return p


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    p = make_plugin(tmp_path_factory.mktemp("home"))
    yield p
    p.purge()


@pytest.fixture
def daemon(plugin, tmp_path):
    """Connected: its control volume is in use by a container, as tp connect
    does it."""
    name = f"tp-ctl-{DAEMON}"
    docker("plugin", "enable", DRIVER, check=False)
    docker("run", "-d", "--name", f"{DRIVER}-daemon", "--mount",
           f"type=volume,source={name},target=/x,volume-driver={DRIVER},"
           "volume-opt=control=true,volume-nocopy", IMAGE, "sleep", "infinity")
    work = tmp_path / "daemon"
    work.mkdir()
    d = FakeDaemon(f"{plugin.directory()}/ctl/{name}", plugin.keys(),
                   BUILD / "tp-agent-sftp", work)
    yield d
    d.stop()
    docker("rm", "-f", "-v", f"{DRIVER}-daemon")
    docker("volume", "rm", name)


@pytest.fixture
def data(daemon, tmp_path):
    """The served directory of the engagement "web"."""
    path = tmp_path / "data"
    path.mkdir()
    daemon.engage("web", {"path": "/data", "source": str(path),
                          "readOnly": False})
    return path


class Volume:
    def __init__(self, name, *options):
        self.name = name
        flags = [x for o in options for x in ("-o", o)]
        docker("volume", "create", "-d", DRIVER, *flags, name)

    def sh(self, script, *flags, **kwargs):
        return docker("run", "--rm", "-i", "-v", f"{self.name}:/v", *flags,
                      IMAGE, "bash", "-c", script, **kwargs)

    def start(self, container, script="sleep infinity", *flags):
        docker("run", "-d", "--name", container, "-v", f"{self.name}:/v",
               *flags, IMAGE, "bash", "-c", script)


@pytest.fixture
def volume(plugin, data):
    """Makes volumes; removes them, and containers that have them."""
    made = []

    def make(*options, name=None):
        v = Volume(name or f"{DRIVER}-v{len(made)}",
                   *(options or ("engagement=web",)))
        made.append(v.name)
        return v

    yield make
    docker("plugin", "enable", DRIVER, check=False)
    for name in made:
        ids = docker("ps", "-aq", "-f", f"volume={name}").stdout.split()
        if ids:
            docker("rm", "-f", *ids)
        docker("volume", "rm", name, check=False)
