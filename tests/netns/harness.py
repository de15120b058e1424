"""Two namespaces, a link between them, and the far end's services.

    here (client, daemon)  10.201.0.1 --- 10.201.0.2  there (peer, "cluster")
                           fd99::1    --- fd99::2

The "cluster" is addresses on there's lo. `there` counts, before anything else,
packets for the cluster that come in by the wire: none may, ever.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PREFIX = f"tp-datapath-{os.getpid()}"
HERE, THERE = PREFIX + "-a", PREFIX + "-b"
CAPTURE = "10.43.0.0/16,10.44.0.0/24,fd43::/64"
BYPASS = "10.43.200.0/24"
IP, IP6 = "10.43.0.10", "fd43::10"
DNS = "10.43.0.53"
SILENT = "10.43.0.66"
UNREACHABLE, PROHIBITED = "10.43.9.1", "10.43.8.1"
UNREACHABLE6, PROHIBITED6 = "fd43::9:0:0:1", "fd43::8:0:0:1"
OUTSIDE = "192.0.2.1"  # there too, but not captured
PEER_PORT = 7000


def sh(command, check=True):
    r = subprocess.run(command, shell=True, capture_output=True, text=True)
    if check and r.returncode:
        raise RuntimeError(f"{command}: {r.stderr.strip()}")
    return r.stdout


def wait_for(condition, seconds=10, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


@contextlib.contextmanager
def netns(name):
    """This thread's sockets are of that namespace."""
    with open("/proc/thread-self/ns/net", "rb") as old, \
            open(os.path.join("/run/netns", name), "rb") as new:
        if LIBC.setns(new.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(old.fileno(), 0)


def here_sh(command, check=True):
    return sh(f"ip netns exec {HERE} {command}", check)


def there_sh(command, check=True):
    return sh(f"ip netns exec {THERE} {command}", check)


def setup():
    sh(f"""set -e
    ip netns add {HERE}; ip netns add {THERE}
    ip -n {HERE} link set lo up; ip -n {THERE} link set lo up
    ip -n {HERE} link add wire type veth peer name wire netns {THERE}
    ip -n {HERE} link set wire up; ip -n {THERE} link set wire up
    ip -n {HERE} addr add 10.201.0.1/24 dev wire
    ip -n {THERE} addr add 10.201.0.2/24 dev wire
    ip -n {HERE} addr add fd99::1/64 dev wire nodad
    ip -n {THERE} addr add fd99::2/64 dev wire nodad
    ip -n {HERE} route add default via 10.201.0.2
    ip -n {HERE} -6 route add default via fd99::2
    for a in {IP} 10.43.0.11 10.44.0.1 {DNS} {SILENT} {OUTSIDE} 10.43.200.1
    do ip -n {THERE} addr add $a/32 dev lo; done
    ip -n {THERE} addr add {IP6}/128 dev lo nodad
    ip -n {THERE} route add unreachable 10.43.9.0/24
    ip -n {THERE} route add prohibit 10.43.8.0/24
    ip -n {THERE} route add unreachable fd43::9:0:0:0/80
    ip -n {THERE} route add prohibit fd43::8:0:0:0/80
    ip netns exec {THERE} nft '
    table inet watch {{
      counter escaped {{ }}
      chain pre {{ type filter hook prerouting priority -400;
        iifname wire ip daddr 10.43.200.0/24 accept
        iifname wire ip daddr {{ 10.43.0.0/16, 10.44.0.0/24 }} counter name escaped
        iifname wire ip6 daddr fd43::/64 counter name escaped
      }}
      chain out {{ type filter hook output priority 0;
        ip daddr {SILENT} drop
      }}
    }}'""")


def teardown():
    for ns in (HERE, THERE):
        sh(f"ip netns del {ns}", check=False)


def escaped():
    """Packets for the cluster that came by the wire."""
    data = json.loads(there_sh("nft -j list counter inet watch escaped"))
    return data["nftables"][1]["counter"]["packets"]


class Process:
    """netns-daemon or netns-peer in a namespace."""

    def __init__(self, ns, argv, ready=None, prefix=()):
        command = list(prefix) or ["ip", "netns", "exec", ns]
        # Freed memory is given back, so that growth can be seen.
        env = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=1:"
                   "malloc_context_size=0:exitcode=99")
        self.p = subprocess.Popen(command + argv, stdout=subprocess.PIPE,
                                  env=env,
                                  stderr=None if os.environ.get("TP_DEBUG")
                                  else subprocess.DEVNULL, text=True)
        if ready:
            line = self.p.stdout.readline().strip()
            if line != ready:
                raise RuntimeError(f"{argv}: {line!r}")

    def stats(self):
        self.p.send_signal(signal.SIGUSR1)
        return json.loads(self.p.stdout.readline())

    def kill(self, sig=signal.SIGKILL):
        self.p.send_signal(sig)
        return self.p.wait(timeout=10)


class Server(threading.Thread):
    """A TCP server of one behaviour on each of the cluster's addresses."""

    def __init__(self, port, serve, address="", family=socket.AF_INET,
                 ns=None):
        super().__init__(daemon=True)
        self.serve = serve
        with netns(ns or THERE):
            self.sock = socket.socket(family)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((address, port))
            self.sock.listen(4096)
        self.start()

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.guard, args=(conn,),
                             daemon=True).start()

    def guard(self, conn):
        with contextlib.suppress(OSError), conn:
            self.serve(conn)


def rst(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def connect(address, port, timeout=20):
    """A connection from here; raises what connect() says."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns(HERE):
        s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(timeout)
    try:
        s.connect((address, port))
    except BaseException:
        s.close()
        raise
    return s


def udp(address="", port=0, family=socket.AF_INET, ns=None):
    with netns(ns or HERE):
        s = socket.socket(family, socket.SOCK_DGRAM)
        if address or port:
            s.bind((address, port))
    s.settimeout(5)
    return s


def read_all(sock):
    data = bytearray()
    while True:
        piece = sock.recv(65536)
        if not piece:
            return bytes(data)
        data += piece


class Skip(Exception):
    pass


class Docker:
    """The same two ends as containers: an image of the built programs and
    their libraries, a network with Docker's resolver, nothing privileged."""

    BASE = "debian:bookworm-slim"

    def __init__(self, build):
        if not sh("docker version -f x", check=False):
            raise Skip("no Docker")
        if not sh(f"docker images -q {self.BASE}"):
            raise Skip(f"no image {self.BASE}")
        self.build = build
        self.image = PREFIX + "-image"
        self.net = PREFIX + "-net"

    def name(self, role):
        return f"{PREFIX}-{role}"

    def inspect(self, role, template):
        return sh(f"docker inspect -f '{template}' {self.name(role)}").strip()

    def address(self, role):
        return self.inspect(
            role, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def ns(self, role):
        return f"/proc/{self.inspect(role, '{{.State.Pid}}')}/ns/net"

    def make_image(self):
        programs = [f"{self.build}/netns-daemon", f"{self.build}/netns-peer",
                    sh("which nft").strip()]
        libraries = set()
        for p in programs:
            for word in sh(f"ldd {p}").split():
                if word.startswith("/"):
                    libraries.add(word)
        names = " ".join(sorted(libraries))
        built = " ".join(programs)
        sh(f"tar -c -h --absolute-names --transform 's,^{self.build},/bin,' "
           f"{names} {built} | docker import - {self.image}")

    def start(self):
        self.make_image()
        sh(f"docker network create {self.net}")
        sh(f"docker run -d --name {self.name('peer')} --network {self.net} "
           f"--cap-drop ALL {self.image} /bin/netns-peer 0.0.0.0:{PEER_PORT}")
        for address in (IP, DNS):
            sh(f"nsenter --net={self.ns('peer')} ip addr add {address}/32 "
               "dev lo")
        sh(f"docker run -d --name {self.name('daemon')} --network {self.net} "
           "--cap-drop ALL --cap-add NET_ADMIN --read-only "
           f"{self.image} /bin/netns-daemon run "
           f"{self.address('peer')}:{PEER_PORT} 10.43.0.0/16 - {DNS}")
        wait_for(lambda: "link up" in self.log(), what="daemon's container")

    def log(self):
        return sh(f"docker logs {self.name('daemon')} 2>&1")

    def ports(self, kind):
        flag = "-t" if kind == "STREAM" else "-u"
        lines = sh(f"nsenter --net={self.ns('daemon')} ss -Hln {flag}")
        return [int(line.split()[3].rsplit(":", 1)[1])
                for line in lines.splitlines()
                if line.split()[3].startswith("127.0.0.1:")]

    def join(self, command, options="", image=None, shell=True):
        """Output of a command in a container of the daemon's namespace."""
        argv = ["docker", "run", "--rm", "--network",
                f"container:{self.name('daemon')}", *options.split(),
                image or self.BASE]
        argv += ["bash", "-c", command] if shell else command.split()
        r = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        return r.stdout + r.stderr

    def stop(self):
        sh(f"docker rm -f {self.name('daemon')} {self.name('peer')}", False)
        sh(f"docker network rm {self.net}", False)
        sh(f"docker rmi {self.image}", False)
