"""SFTP servers for the tests: OpenSSH's own, raw on a socket or by sshd -i."""
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


class Server:
    """Listens on a loopback port and starts a command for each connection."""

    user = ""

    def __init__(self, command, preexec=None):
        self.command, self.preexec = command, preexec
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
                stderr=subprocess.DEVNULL, preexec_fn=self.preexec))
            peer.close()

    def hang_up(self):
        """Ends every connection; new ones are accepted."""
        for child in self.children:
            child.kill()
            child.wait()
        self.children = []

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
        """Answers no more, without a word."""
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def close(self):
        self.stop_listening()
        self.thaw()
        self.hang_up()


class RawServer(Server):
    def __init__(self, *arguments, preexec=None):
        super().__init__([SFTP_SERVER, *arguments], preexec)

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

    def __init__(self, directory):
        self.directory = d = Path(directory)
        os.makedirs("/run/sshd", exist_ok=True)
        keygen(d / "host_key")
        keygen(d / "key")
        keygen(d / "other_key")
        (d / "authorized_keys").write_text((d / "key.pub").read_text())
        (d / "config").write_text(CONFIG.format(d=d))
        super().__init__(["/usr/sbin/sshd", "-i", "-f", str(d / "config")])

    def host_key(self):
        return " ".join((self.directory / "host_key.pub").read_text()
                        .split()[:2])

    def options(self, key="key", host_key=None):
        return (f"port={self.port},identity={self.directory / key},"
                f"hostkey={host_key or self.host_key()}")
