"""An ordinary user of this machine with a rootless Docker engine."""

import contextlib
import ipaddress
import os
import pathlib
import pwd
import shutil
import subprocess

from conftest import E2E, TOP, run, wait_until

HERE = pathlib.Path(__file__).resolve().parent
NAME = f"{E2E}-user"
# Where Debian's docker.io has dockerd-rootless.sh.
CONTRIB = "/usr/share/docker.io/contrib"


def subordinates(name):
    """(first, count) of the user's line of /etc/subuid."""
    for line in open("/etc/subuid", encoding="ascii"):
        owner, first, count = line.strip().split(":")
        if owner == name:
            return int(first), int(count)
    raise AssertionError(f"useradd gave {name} no subordinate UIDs")


def children(pid):
    """Whichever of its threads has started them."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in task.read_text().split()]
    return found


def below(pid):
    """All processes below that one."""
    found = []
    for child in children(pid):
        found += [child, *below(child)]
    return found


def uids(pid):
    """The process's UIDs as the machine counts them: in no user namespace."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    line = next(l for l in text.splitlines() if l.startswith("Uid:"))
    return {int(uid) for uid in line.split()[1:]}


LISTEN = "0A"


def listeners(text):
    """(address, port, UID) of each one in the text of /proc/net/tcp or tcp6."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 8 or fields[3] != LISTEN:
            continue
        words, port = fields[1].split(":")
        packed = b"".join(
            bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8)
        )
        yield ipaddress.ip_address(packed), int(port, 16), int(fields[7])


def is_loopback(address):
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class User:
    """Made anew; remove() leaves nothing of it."""

    def __init__(self):
        self.remove_leftover()
        run(["useradd", "--create-home", "--shell", "/bin/bash", NAME])
        entry = pwd.getpwnam(NAME)
        self.uid, self.gid, self.home = entry.pw_uid, entry.pw_gid, pathlib.Path(entry.pw_dir)
        self.first, self.count = subordinates(NAME)
        self.runtime = self.home / "run"
        self.prefix = self.home / ".local"
        self.env = {
            "HOME": str(self.home), "USER": NAME, "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.runtime), "LANG": "C.UTF-8",
            "PATH": f"{self.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:{CONTRIB}",
        }  # fmt: skip
        self.engine = None
        self.session = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             str(HERE / "session"), str(self.home)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.session.stdout.readline() == "ready\n"
        self.first_process = children(self.session.pid)[0]
        self.sh(f"mkdir -m 0700 {self.runtime}")

    def command(self, args, env=None):
        """A command line that root starts and that is the user's from its first
        instruction."""
        variables = [f"{k}={v}" for k, v in {**self.env, **(env or {})}.items()]
        return [
            "nsenter", "--target", str(self.first_process), "--mount", "--pid",
            f"--wd={self.home}", "setpriv", "--reuid", str(self.uid), "--regid", str(self.gid),
            "--init-groups", "--inh-caps=-all", "env", "-i", *variables, *map(str, args),
        ]  # fmt: skip

    def run(self, args, env=None, **kwargs):
        return run(self.command(args, env), **kwargs)

    def sh(self, script, **kwargs):
        return self.run(["bash", "-c", script], **kwargs)

    def docker(self, *args, **kwargs):
        url = f"unix://{self.runtime}/docker.sock"
        return self.run(["docker", *args], env={"DOCKER_HOST": url}, **kwargs)

    def give(self, path, text):
        """A file of the user's, below its home."""
        self.sh(f"umask 077; mkdir -p $(dirname {path}); cat >{path}", input=text)
        return str(path)

    def install(self):
        """What is built, as ./configure --prefix=$HOME/.local puts it."""
        run(["make", "--no-print-directory", "-s", "-C", str(TOP), "install",
             f"prefix={self.prefix}"], timeout=300)  # fmt: skip
        run(["chown", "-R", f"{self.uid}:{self.gid}", str(self.prefix)])

    def log(self):
        path = self.home / "dockerd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def answers(self):
        assert self.engine.poll() is None, self.log()[-4000:]
        return self.docker("info", check=False).returncode == 0

    def start_engine(self):
        self.engine = subprocess.Popen(
            self.command(["bash", "-c", "exec dockerd-rootless.sh >dockerd.log 2>&1"]),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until("the rootless engine", self.answers, 60)

    def load(self, *images):
        """From the machine's engine, without a registry."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            self.docker("load", "-q", stdin=save.stdout, timeout=180)
        assert save.returncode == 0

    def stop_engine(self):
        if self.engine and self.engine.poll() is None:
            self.sh(f"kill $(cat {self.runtime}/docker.pid)", check=False)
            self.engine.wait(60)

    def processes(self):
        """All but the session's own: its first one and what that waits for."""
        own = {self.first_process, *children(self.first_process)[:1]}
        tops = [self.session.pid] + ([self.engine.pid] if self.engine else [])
        return [pid for top in tops for pid in below(top) if pid not in own]

    def owns(self, uid):
        return uid == self.uid or self.first <= uid < self.first + self.count

    def remove(self):
        try:
            self.stop_engine()
        finally:
            self.session.kill()
            self.session.wait(10)
            self.remove_leftover()

    @staticmethod
    def remove_leftover():
        try:
            home = pwd.getpwnam(NAME).pw_dir
        except KeyError:
            return
        wait_until("the end of the user's processes", lambda: run(
            ["userdel", NAME], check=False).returncode == 0, 20)
        shutil.rmtree(home)
        assert not os.path.exists(home)
