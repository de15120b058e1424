"""SFTP servers for the tests: OpenSSH's own, raw on a socket or by sshd -i."""
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


class Listener:
    """Listens on a loopback port and starts a command for each connection."""

    def __init__(self, command):
        self.command = command
        self.children = []
        self.listener = None
        self.port = 0
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(64)
        threading.Thread(target=self.serve, args=(self.listener,),
                         daemon=True).start()

    def serve(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.children.append(subprocess.Popen(
                self.command, stdin=peer, stdout=peer,
                stderr=subprocess.DEVNULL))
            peer.close()

    def hang_up(self):
        for child in list(self.children):
            child.kill()
            child.wait()
            self.children.remove(child)

    def stop_listening(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def signal(self, number):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def close(self):
        self.stop_listening()
        self.thaw()
        self.hang_up()


class Server:
    """A Listener in a process of its own. A test that has files of a mount open
    must not fork: the child closes them, and waits for the server that it is to
    become."""

    user = ""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [sys.executable, __file__, *command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def tell(self, method):
        self.process.stdin.write(method + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def hang_up(self):
        """Ends every connection; new ones are accepted."""
        self.tell("hang_up")

    def listen(self):
        self.tell("listen")

    def stop_listening(self):
        self.tell("stop_listening")

    def connections(self):
        """How many there are now."""
        out = subprocess.run(
            ["ss", "-Htn", "state", "established", f"sport = :{self.port}"],
            capture_output=True, text=True, check=True)
        return len(out.stdout.splitlines())

    def freeze(self):
        """Answers no more, without a word."""
        self.tell("freeze")

    def thaw(self):
        self.tell("thaw")

    def close(self):
        if self.process.poll() is None:
            self.tell("close")
            self.process.stdin.close()
            self.process.wait(10)


class RawServer(Server):
    def __init__(self, uid=None, prefix=()):
        if uid:
            prefix = ["setpriv", f"--reuid={uid}", "--clear-groups"]
        super().__init__([*prefix, SFTP_SERVER])

    def options(self):
        return f"directport={self.port}"


CONFIG = """
HostKey {d}/host_key
AuthorizedKeysFile {d}/authorized_keys
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path],
                   check=True)


class SshServer(Server):
    """sshd -i behind our own listener (forking sshd drops connections here)."""

    user = "root@"

    def __init__(self, directory, config=""):
        self.directory = d = Path(directory)
        os.makedirs("/run/sshd", exist_ok=True)
        keygen(d / "host_key")
        keygen(d / "key")
        keygen(d / "other_key")
        (d / "authorized_keys").write_text((d / "key.pub").read_text())
        (d / "config").write_text(CONFIG.format(d=d) + config)
        super().__init__(["/usr/sbin/sshd", "-i", "-f", str(d / "config"),
                          "-E", str(d / "log")])

    def host_key(self):
        return " ".join((self.directory / "host_key.pub").read_text()
                        .split()[:2])

    def options(self, key="key", host_key=None):
        return (f"port={self.port},identity={self.directory / key},"
                f"hostkey={host_key or self.host_key()}")


def main():
    listener = Listener(sys.argv[1:])
    print(listener.port, flush=True)
    for line in sys.stdin:
        getattr(listener, line.strip())()
        print("done", flush=True)


if __name__ == "__main__":
    main()
