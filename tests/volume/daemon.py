"""tp-daemon's side of volumes, played without a cluster: control.sock and ID.sock
in a control volume (doc/control.md), with the keys that tp volume install made,
and the real file server (tp-agent-sftp) on directories of this machine."""
import fcntl
import json
import os
import secrets
import socket
import ssl
import subprocess
import threading

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_id():
    return "".join(secrets.choice(LETTERS) for _ in range(26))


def make_key(path):
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", path],
                   check=True)


class Engagement:
    def __init__(self, directory, exports):
        self.id = new_id()
        self.exports = exports  # [{"path", "source", "readOnly"}]
        self.key = f"{directory}/{self.id}"
        make_key(self.key)


class FakeDaemon:
    """Sockets are bound by stop() and start(), as by a daemon that restarts."""

    def __init__(self, control, keys, sftpd, directory):
        self.control, self.sftpd = str(control), str(sftpd)
        self.directory = str(directory)
        self.engagements = {}
        self.servers, self.listeners, self.conns = [], [], []
        self.host_key = f"{self.directory}/host-{secrets.token_hex(4)}"
        make_key(self.host_key)
        self.tls = self.make_tls(keys)
        self.asked = 0
        self.silent = False
        self.start()

    def make_tls(self, keys):
        for name in ("cert", "key", "peer"):
            with open(f"{self.directory}/{name}", "w") as f:
                f.write(keys[name])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(f"{self.directory}/cert", f"{self.directory}/key")
        tls.load_verify_locations(f"{self.directory}/peer")
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.set_alpn_protocols(["http/1.1"])
        return tls

    def engage(self, name, *exports):
        e = Engagement(self.directory, list(exports))
        self.engagements[name] = e
        self.listen(f"{e.id}.sock", lambda c: self.serve_files(e, c))
        return e

    def end(self, name):
        e = self.engagements.pop(name)
        os.unlink(f"{self.control}/{e.id}.sock")
        self.cut()

    def start(self):
        self.listen("control.sock", self.serve_control)
        for e in self.engagements.values():
            self.listen(f"{e.id}.sock",
                        lambda c, e=e: self.serve_files(e, c))

    def cut(self):
        """All connections to files are lost."""
        for p in self.servers:
            p.kill()
            p.wait()
        self.servers = []

    def stop(self):
        for s in self.listeners:
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.listeners = []
        self.cut()

    def listen(self, name, serve):
        # the path is too long for a socket's address
        fd = os.open(self.control, os.O_PATH | os.O_DIRECTORY)
        path = f"/proc/self/fd/{fd}/{name}"
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        os.close(fd)
        s.listen(16)
        self.listeners.append(s)
        threading.Thread(target=self.accept, args=(s, serve),
                         daemon=True).start()

    def accept(self, listener, serve):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(c,), daemon=True).start()

    def answer(self, name):
        e = self.engagements.get(name)
        if not e:
            return {"error": "there is no such engagement",
                    "code": "no-engagement"}
        with open(f"{self.host_key}.pub") as f:
            host = " ".join(f.read().split()[:2])
        with open(e.key) as f:
            key = f.read()
        return {"hostKey": host, "port": 22, "id": e.id, "key": key,
                "left_out": [],
                "mounts": [{"path": x["path"], "volume": "data",
                            "readOnly": x.get("readOnly", False)}
                           for x in e.exports]}

    def serve_control(self, conn):
        try:
            with self.tls.wrap_socket(conn, server_side=True) as t:
                request = json.loads(t.makefile().readline())
                self.asked += 1
                if self.silent:
                    threading.Event().wait(30)
                answer = json.dumps(self.answer(request["name"]))
                t.sendall(answer.encode() + b"\n")
                t.unwrap()
        except (OSError, ValueError):
            pass

    def serve_files(self, e, conn):
        with open(self.host_key) as f:
            host = f.read()
        with open(f"{e.key}.pub") as f:
            key = " ".join(f.read().split()[:2])
        settings = os.memfd_create("settings")
        os.write(settings, json.dumps({
            "key": key, "hostKey": host, "readOnly": False,
            "exports": e.exports}).encode())
        os.lseek(settings, 0, os.SEEK_SET)

        with conn:
            self.servers.append(self.spawn(conn.fileno(), settings))
        os.close(settings)

    def spawn(self, connection, settings):
        """As tp-agent starts it: descriptors 3 and 4. Both are moved out of the
        way first, as they may be 3 or 4 themselves."""
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20)
                for fd in (connection, settings)]
        process = subprocess.Popen(
            ["/bin/bash", "-c",
             f'exec "$0" 3<&{high[0]} 4<&{high[1]} {high[0]}<&- {high[1]}<&-',
             self.sftpd],
            pass_fds=high, stdin=subprocess.DEVNULL)
        for fd in high:
            os.close(fd)
        return process
