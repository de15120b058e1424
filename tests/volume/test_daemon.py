"""The real tp-daemon at its end of the control volume. It has no cluster here
(what is served is tests/e2e's): who may ask, and what it answers."""
import json
import subprocess

import pytest

from conftest import BUILD, DAEMON, DRIVER, Volume, docker, wait_until

SESSION = {"name": "d", "context": "c", "namespace": "n", "token": "t",
           "server": {"host": "127.0.0.1", "port": 1,
                      "url": "https://127.0.0.1:1"}}


class Daemon:
    name = f"{DRIVER}-real"

    def connect(self, keys):
        """As tp connect does it: by an exec's standard input."""
        request = {"op": "connect", "session": dict(SESSION)}
        if keys:
            request["session"]["volumes"] = keys
        out = docker("exec", "-i", self.name, "tp-daemon", "ctl",
                     input=json.dumps(request) + "\n").stdout
        assert json.loads(out.splitlines()[0])["ok"] is True, out


@pytest.fixture
def real(plugin):
    docker("plugin", "enable", DRIVER, check=False)
    version = plugin.status()["version"]
    docker("load", "-q", "-i", BUILD / "build/images/tp-daemon.tar")
    d = Daemon()
    docker("run", "-d", "--name", d.name, "--network", "none", "--cap-drop",
           "ALL", "--cap-add", "NET_ADMIN", "--tmpfs", "/run", "--mount",
           f"type=volume,source=tp-ctl-{DAEMON},target=/run/tp-volume,"
           f"volume-driver={DRIVER},volume-opt=control=true,volume-nocopy",
           f"tp-daemon:{version}")
    yield d
    docker("rm", "-f", "-v", d.name)
    docker("volume", "rm", f"tp-ctl-{DAEMON}")


@pytest.fixture
def ask(plugin, real):
    v = Volume(f"{DRIVER}-d", "engagement=web")
    yield lambda: v.sh("ls", check=False).stderr
    docker("volume", "rm", v.name)


def test_without_a_session(ask):
    assert "run tp connect" in ask()


def test_a_session_without_keys(real, ask):
    real.connect(None)
    assert "no session with volumes: run tp connect" in ask()


def test_with_the_keys_it_answers(plugin, real, ask):
    real.connect(plugin.keys())
    assert "engagement web is not active: run tp intercept web" in ask()


def test_other_keys_are_refused_by_both(plugin, real, ask, tmp_path):
    keys = plugin.keys()
    for name in ("a", "b"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes",
             "-keyout", tmp_path / f"{name}.key", "-out",
             tmp_path / f"{name}.crt", "-subj", "/CN=tp-daemon", "-addext",
             "subjectAltName=DNS:tp-daemon"], check=True, capture_output=True)
    other = {"cert": (tmp_path / "a.crt").read_text(),
             "key": (tmp_path / "a.key").read_text()}
    real.connect({**keys, **other})  # a daemon that is not ours
    assert "has other keys" in ask()
    # a plugin that is not ours, in the daemon's eyes; told by an alert
    real.connect({**keys, "peer": (tmp_path / "b.crt").read_text()})
    assert "is not active" not in ask()
    real.connect(keys)
    assert "is not active" in ask()


def test_a_daemon_that_was_killed(plugin, real, ask):
    """The keys are in the memory file, the socket is bound anew."""
    real.connect(plugin.keys())
    assert "is not active" in ask()
    pid = docker("top", real.name, "-o", "pid,comm").stdout
    (daemon,) = [line.split()[0] for line in pid.splitlines()
                 if line.split()[-1] == "tp-daemon"]
    subprocess.run(["kill", "-9", daemon], check=True)
    wait_until("it answers", lambda: "is not active" in ask(), 20)


def test_no_key_in_the_daemons_container(plugin, real, ask):
    real.connect(plugin.keys())
    ask()
    secret = plugin.keys()["key"].splitlines()[1][-40:]
    for text in (docker("inspect", real.name).stdout,
                 docker("logs", real.name).stdout,
                 docker("exec", "-i", real.name, "tp-daemon", "ctl",
                        input='{"op":"status"}\n').stdout):
        assert secret not in text
