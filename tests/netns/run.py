#!/usr/bin/env python3
"""The data path in network namespaces: make check-netns (as root).

Needs ip, nft and Python; Docker for the tests whose names begin with docker.
  run.py --build DIR [NAME...]    NAME: only tests whose name holds it
"""
import argparse
import contextlib
import ctypes
import errno
import hashlib
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
import harness as h  # noqa: E402
import overlap  # noqa: E402
from harness import IP, IP6, connect, here_sh, netns, rst  # noqa: E402

TESTS = []
ECHO, BANNER, SINK, RESET, HALF, CLOSE, REFUSED = 80, 81, 82, 83, 84, 85, 1


def test(f):
    TESTS.append(f)
    return f


# --- the daemon under test -------------------------------------------------

class World:
    def __init__(self, build):
        self.build = build
        self.peer = None
        self.daemon = None

    def start_peer(self):
        self.peer = h.Process(h.THERE, [f"{self.build}/netns-peer",
                                        f"10.201.0.2:{h.PEER_PORT}"])
        h.wait_for(lambda: h.there_sh(
            f"ss -Hltn sport = :{h.PEER_PORT}"), what="peer")

    def start_daemon(self, prefix=()):
        self.daemon = h.Process(
            h.HERE, [f"{self.build}/netns-daemon", "run",
                     f"10.201.0.2:{h.PEER_PORT}", f"{h.CAPTURE},{overlap.CAPTURE}",
                     h.BYPASS, h.DNS],
            ready="ready", prefix=prefix)
        h.wait_for(lambda: self.daemon.stats()["link"], what="link")

    def stop_daemon(self):
        if self.daemon:
            code = self.daemon.kill(signal.SIGTERM)
            self.daemon = None
            assert code == 0, f"daemon ended with {code}"

    def fail_closed(self):
        here_sh(f"{self.build}/netns-daemon fail-closed")

    def stats(self):
        return self.daemon.stats()


def serve_echo(conn):
    while data := conn.recv(65536):
        conn.sendall(data)


def serve_banner(conn):
    conn.sendall(b"hello\n")
    serve_echo(conn)


def serve_sink(conn):
    digest = hashlib.sha256()
    while data := conn.recv(65536):
        digest.update(data)
    conn.sendall(digest.digest())


def serve_half(conn):
    """Ends its direction first, then hashes what comes."""
    conn.sendall(b"x" * 300000)
    conn.shutdown(socket.SHUT_WR)
    digest = hashlib.sha256(h.read_all(conn))
    FINDINGS.append(digest.digest())


FINDINGS = []


def serve_reset(conn):
    conn.recv(1)
    rst(conn)


def serve_close(conn):
    """Says nothing and closes at once."""


def serve_watch_reset(conn):
    try:
        while conn.recv(65536):
            pass
        FINDINGS.append("fin")
    except ConnectionResetError:
        FINDINGS.append("rst")


def udp_echo(address, port, family=socket.AF_INET, ns=None):
    sock = h.udp(address, port, family, ns or h.THERE)
    sock.settimeout(None)

    def run():
        while True:
            data, peer = sock.recvfrom(65536)
            with contextlib.suppress(OSError):
                sock.sendto(data, peer)
    threading.Thread(target=run, daemon=True).start()


def start_servers():
    for family, any_ in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for port, f in ((ECHO, serve_echo), (BANNER, serve_banner),
                        (SINK, serve_sink), (RESET, serve_reset),
                        (HALF, serve_half), (CLOSE, serve_close),
                        (86, serve_watch_reset)):
            if family == socket.AF_INET6:
                any_ = IP6
            h.Server(port, f, any_, family)
    for address in (IP, "10.43.0.11", h.OUTSIDE):
        udp_echo(address, 9000)
        udp_echo(address, 5353)
    udp_echo(IP6, 9000, socket.AF_INET6)


def expect_errno(number, address, port=ECHO, seconds=3.0):
    start = time.monotonic()
    try:
        connect(address, port).close()
    except OSError as e:
        took = time.monotonic() - start
        assert e.errno == number, f"{address}:{port}: {e}"
        assert took < seconds, f"{address}:{port} after {took:.2f} s"
        return
    raise AssertionError(f"{address}:{port} was accepted")


def exchange(address=IP, port=ECHO, data=b"ping"):
    with connect(address, port) as s:
        s.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
        return got


# --- TCP --------------------------------------------------------------------

@test
def hold_is_on(w):
    assert w.stats()["hold"] in ("nfqueue", "xt-nfqueue"), w.stats()


@test
def connect_and_echo(w):
    for address in (IP, "10.43.0.11", "10.44.0.1", IP6):
        assert exchange(address) == b"ping"


@test
def destination_is_the_one_asked_for(w):
    with connect(IP, ECHO) as s:
        assert s.getpeername()[0] == IP
        assert s.getsockname()[0] == "10.201.0.1"


@test
def refused_is_refused(w):
    for address in (IP, IP6):
        expect_errno(errno.ECONNREFUSED, address, REFUSED)


@test
def unreachable_and_prohibited_are_told(w):
    expect_errno(errno.EHOSTUNREACH, h.UNREACHABLE)
    expect_errno(errno.EHOSTUNREACH, h.PROHIBITED)  # ICMP code 13
    expect_errno(errno.EHOSTUNREACH, h.UNREACHABLE6)
    expect_errno(errno.EACCES, h.PROHIBITED6)


@test
def silent_host_is_the_clients_own_timeout(w):
    with netns(h.HERE):
        s = socket.socket()
    s.settimeout(4)
    try:
        s.connect((h.SILENT, ECHO))
        raise AssertionError("accepted")
    except socket.timeout:
        pass
    assert w.stats()["pending"] >= 1
    s.close()


@test
def server_speaks_first(w):
    with connect(IP, BANNER) as s:
        assert s.recv(100) == b"hello\n"


@test
def server_closes_at_once(w):
    for _ in range(200):
        with connect(IP, CLOSE) as s:
            assert s.recv(10) == b""


@test
def half_close_client_first(w):
    data = os.urandom(3_000_000)
    with connect(IP, SINK) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert h.read_all(s) == hashlib.sha256(data).digest()


@test
def half_close_server_first(w):
    FINDINGS.clear()
    data = os.urandom(1_000_000)
    with connect(IP, HALF) as s:
        assert len(h.read_all(s)) == 300000
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        h.wait_for(lambda: FINDINGS, what="the server's hash")
    assert FINDINGS == [hashlib.sha256(data).digest()]


@test
def reset_of_the_server_is_seen(w):
    with connect(IP, RESET) as s:
        s.sendall(b"x")
        try:
            s.recv(1)
            raise AssertionError("FIN instead of RST")
        except ConnectionResetError:
            pass


@test
def reset_of_the_client_is_seen(w):
    FINDINGS.clear()
    s = connect(IP, 86)
    s.sendall(b"x")
    time.sleep(0.1)
    rst(s)
    h.wait_for(lambda: FINDINGS, what="the reset")
    assert FINDINGS == ["rst"]


@test
def big_both_ways(w):
    data = os.urandom(20_000_000)
    with connect(IP, ECHO) as s:
        sender = threading.Thread(target=lambda: (
            s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        got = h.read_all(s)
        sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


@test
def five_hundred_at_once(w):
    socks = [connect(IP, ECHO) for _ in range(500)]
    for i, s in enumerate(socks):
        s.sendall(b"%d" % i)
    for i, s in enumerate(socks):
        assert s.recv(100) == b"%d" % i
    assert w.stats()["tcp"] >= 500
    for s in socks:
        s.close()
    h.wait_for(lambda: w.stats()["tcp"] == 0, what="relays ended")


@test
def many_at_the_same_moment(w):
    """500 non-blocking connects before the daemon answers the first."""
    socks = []
    with netns(h.HERE):
        for _ in range(500):
            s = socket.socket()
            s.setblocking(False)
            assert s.connect_ex((IP, ECHO)) == errno.EINPROGRESS
            socks.append(s)
    for s in socks:
        s.settimeout(10)
        s.sendall(b"a")
    for s in socks:
        assert s.recv(1) == b"a"
        s.close()


@test
def twenty_thousand_without_leak(w):
    for _ in range(200):
        exchange()
    h.wait_for(lambda: w.stats()["tcp"] == 0, what="relays ended")
    before = w.stats()
    for i in range(20000):
        with connect(IP if i % 2 else "10.43.0.11", ECHO) as s:
            s.sendall(b"x")
            assert s.recv(1) == b"x"
            rst(s)
    h.wait_for(lambda: w.stats()["tcp"] == 0, what="relays ended")
    after = w.stats()
    assert after["pending"] <= before["pending"], after
    assert after["fds"] <= before["fds"] + 2, (before, after)
    assert after["rss_kib"] < before["rss_kib"] + 4096, (before, after)


@test
def client_that_gives_up_leaves_nothing(w):
    """Closed while the far end is being dialled (silent host)."""
    with netns(h.HERE):
        for _ in range(20):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((h.SILENT, 9))
            s.close()
    h.wait_for(lambda: w.stats()["pending"] == 0, 70, "held entries expire")
    assert w.stats()["streams"] == 0


@test
def syn_retransmits_do_not_dial_twice(w):
    """A dial of seconds, while new rules make the kernel drop the held SYN:
    only then does the client retransmit it."""
    h.there_sh("nft add chain inet watch late '{ type filter hook input "
               "priority 0; }'")
    h.there_sh("nft add rule inet watch late tcp dport 87 "
               "tcp flags == syn drop")
    accepted = []
    h.Server(87, lambda conn: (accepted.append(1), serve_echo(conn)), IP)
    t = threading.Timer(
        1.6, lambda: h.there_sh("nft delete chain inet watch late"))
    t.start()
    before = w.stats()
    start = time.monotonic()
    threading.Timer(0.3, lambda: [w.daemon.p.send_signal(signal.SIGUSR2)
                                  or w.daemon.p.stdout.readline()
                                  for _ in range(2)]).start()
    with connect(IP, 87) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        assert w.stats()["dialled"] == before["dialled"] + 1
    t.join()
    assert time.monotonic() - start > 1.5
    time.sleep(1)
    assert len(accepted) == 1, accepted


@test
def a_reader_that_stops_stops_nobody_else(w):
    stalled = connect(IP, ECHO)
    stalled.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        for _ in range(2000):
            sent += stalled.send(b"x" * 65536)
    assert exchange() == b"ping"
    rst(stalled)


@test
def not_captured_is_untouched(w):
    before = h.escaped()
    assert exchange(h.OUTSIDE) == b"ping"
    assert exchange("10.43.200.1") == b"ping"  # bypass inside a capture
    opened = w.stats()["opened"]
    exchange(h.OUTSIDE)
    assert w.stats()["opened"] == opened
    assert h.escaped() == before == 0


@test
def listener_serves_nobody_who_comes_directly(w):
    before = w.stats()
    for line in here_sh("ss -Hltn").splitlines():
        address, port = line.split()[3].rsplit(":", 1)
        with contextlib.suppress(ConnectionResetError), \
                connect(address.strip("[]"), int(port)) as s:
            s.settimeout(3)
            assert s.recv(10) == b"", "bytes from the listener"
    after = w.stats()
    assert after["dialled"] == before["dialled"], after


@test
def forged_marks_open_nothing(w):
    """SO_MARK CAPTURE to an address that is not captured."""
    with netns(h.HERE):
        s = socket.socket()
    s.bind(("10.201.0.1", 0))
    s.setsockopt(socket.SOL_SOCKET, 36, 0x74700001)
    s.settimeout(3)
    before = w.stats()
    with contextlib.suppress(OSError):
        s.connect((h.OUTSIDE, ECHO))
        s.sendall(b"x")
        assert s.recv(1) != b"x"
    assert w.stats()["dialled"] == before["dialled"]
    s.close()


@test
def ping_is_refused_truthfully(w):
    with netns(h.HERE):
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                          socket.IPPROTO_ICMP)
    s.settimeout(3)
    with contextlib.suppress(PermissionError):  # as ping shows it
        echo_request(s)
    while (answer := s.recv(200)[20:22]) == b"\x08\x00":
        pass
    assert answer == b"\x03\x0d", answer  # communication prohibited
    s.close()
    assert h.escaped() == 0


def echo_request(s):
    body = b"\x08\x00\x00\x00\x00\x01\x00\x01"
    total = sum(struct.unpack("!4H", body))
    s.sendto(body[:2] + struct.pack("!H", 0xffff - total) + body[4:], (IP, 0))


# --- UDP and DNS ------------------------------------------------------------

@test
def udp_sizes(w):
    for family, address in ((socket.AF_INET, IP), (socket.AF_INET6, IP6)):
        for size in (0, 1, 64, 1400, 1473, 8000, 60000):
            with h.udp(family=family) as s:  # not connected
                data = os.urandom(size)
                s.sendto(data, (address, 9000))
                got, peer = s.recvfrom(65536)
                assert got == data, (size, len(got))
                assert peer[:2] == (address, 9000), peer
            with h.udp(family=family) as s:
                s.connect((address, 9000))
                for _ in range(3):
                    s.send(data)
                    assert s.recv(65536) == data


@test
def udp_one_socket_many_destinations(w):
    with h.udp() as s:
        for address in (IP, "10.43.0.11", h.OUTSIDE, IP):
            s.sendto(address.encode(), (address, 9000))
            data, peer = s.recvfrom(100)
            assert (data.decode(), peer) == (address, (address, 9000))


@test
def udp_port_held_by_a_program(w):
    """A program on 0.0.0.0:9000 here, without SO_REUSEADDR."""
    with h.udp("0.0.0.0", 9000) as s:
        for size in (1, 1000, 50000):
            data = os.urandom(size)
            s.sendto(data, (IP, 9000))
            got, peer = s.recvfrom(65536)
            assert (got, peer) == (data, (IP, 9000)), (len(got), peer)


@test
def udp_ports_stay_free_for_programs(w):
    """A flow to port 5353 does not take that port from a program."""
    flows = w.stats()["udp"]
    with h.udp() as s:
        s.sendto(b"x", (IP, 5353))
        assert s.recv(10) == b"x"
        h.udp("0.0.0.0", 5353).close()
    assert w.stats()["udp"] == flows + 1


@test
def udp_port_without_a_listener_is_refused(w):
    """The program sees the far host's ICMP, whatever it sent before, and no
    other program does; nothing of it leaves."""
    flows = w.stats()["udp"]
    for family, address in ((socket.AF_INET, IP), (socket.AF_INET6, IP6)):
        with h.udp(family=family) as s, h.udp(family=family) as other:
            other.connect((address, 9000))
            s.connect((address, 9999))
            for _ in range(3):
                start = time.monotonic()
                s.send(b"anybody?")
                try:
                    s.recv(10)
                except ConnectionRefusedError:
                    assert time.monotonic() - start < 1
                else:
                    raise AssertionError("an answer")
            other.send(b"x")
            assert other.recv(10) == b"x"
    assert w.stats()["udp"] == flows + 2, w.stats()
    assert h.escaped() == 0


@test
def udp_flood_is_bounded(w):
    socks = [h.udp() for _ in range(300)]
    for s in socks:
        s.sendto(b"x", (IP, 9000))
    for s in socks:
        assert s.recv(10) == b"x"
        s.close()


@test
def dns_goes_to_the_module(w):
    with h.udp() as s:
        s.sendto(b"query", (h.DNS, 53))
        data, peer = s.recvfrom(100)
        assert (data, peer) == (b"dns:query", (h.DNS, 53))
    with connect(h.DNS, 53) as s:
        assert h.read_all(s) == b"dns-tcp"
    assert exchange(h.DNS) == b"ping"  # other ports go through the link


@test
def dns_although_a_program_holds_port_53(w):
    with h.udp("0.0.0.0", 53) as holder, h.udp() as s:
        s.sendto(b"again", (h.DNS, 53))
        data, peer = s.recvfrom(100)
        assert (data, peer) == (b"dns:again", (h.DNS, 53))
        holder.close()


# --- the link, death and leftovers ------------------------------------------

@test
def short_loss_of_the_link_is_waited_for(w):
    with connect(IP, ECHO) as old:
        w.daemon.p.send_signal(signal.SIGHUP)
        start = time.monotonic()
        assert exchange() == b"ping"
        assert time.monotonic() - start < 4
        try:
            assert old.recv(1) == b"", "bytes after the link's end"
        except ConnectionResetError:
            pass


@test
def a_drained_link_is_waited_for(w):
    """The SYN is held until the next link is there, not dropped and sent again."""
    with connect(IP, ECHO) as old:
        w.daemon.p.send_signal(signal.SIGWINCH)
        time.sleep(0.05)
        with connect(IP, ECHO) as fresh:
            info = fresh.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            assert struct.unpack_from("I", info, 100)[0] == 0, "SYN sent again"
            fresh.sendall(b"new")
            assert fresh.recv(3) == b"new"
            old.sendall(b"old")  # and what ran before still does
            assert old.recv(3) == b"old"
    h.wait_for(lambda: not w.stats()["former"], what="the former link's end")
    assert w.stats()["link"]


@test
def long_loss_of_the_link_is_unreachable(w):
    w.peer.kill()
    h.wait_for(lambda: not w.stats()["link"], what="link down")
    expect_errno(errno.EHOSTUNREACH, IP, seconds=8)
    expect_errno(errno.EHOSTUNREACH, IP, seconds=2)  # no second grace
    with connect(h.DNS, 53) as s:  # outside names go on
        assert h.read_all(s) == b"dns-tcp"
    w.start_peer()
    h.wait_for(lambda: w.stats()["link"], what="link up")
    assert exchange() == b"ping"
    assert h.escaped() == 0


@test
def subnets_change_while_running(w):
    """What is not captured any more is reset, the rest does not notice."""
    with connect(IP, ECHO) as stays, connect("10.44.0.1", ECHO) as goes:
        w.daemon.p.send_signal(signal.SIGUSR2)
        assert w.daemon.p.stdout.readline() == "routes\n"
        try:
            goes.recv(1)
            raise AssertionError("no reset")
        except ConnectionResetError:
            pass
        assert h.escaped() == 0
        assert exchange("10.44.0.1") == b"ping"  # by the wire now
        assert h.escaped() > 0
        h.there_sh("nft reset counters")
        w.daemon.p.send_signal(signal.SIGUSR2)
        assert w.daemon.p.stdout.readline() == "routes\n"
        assert exchange("10.44.0.1") == b"ping"
        stays.sendall(b"x")
        assert stays.recv(1) == b"x"
    assert h.escaped() == 0


@test
def killed_daemon_lets_nothing_out(w):
    with connect(IP, ECHO) as held:
        w.daemon.kill()
        with netns(h.HERE):
            s = socket.socket()
        s.settimeout(1.5)
        with contextlib.suppress(OSError):
            s.connect((IP, ECHO))
        s.close()
        with h.udp() as u:
            for _ in range(10):
                with contextlib.suppress(OSError):
                    u.sendto(b"x", (IP, 9000))
        with netns(h.HERE), contextlib.suppress(OSError), socket.socket(
                socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            echo_request(raw)
        with contextlib.suppress(OSError):
            held.sendall(b"x")
        assert h.escaped() == 0
        w.fail_closed()
        expect_errno(errno.ECONNREFUSED, IP, seconds=0.5)
        expect_errno(errno.ECONNREFUSED, IP6, seconds=0.5)
        expect_errno(errno.ECONNREFUSED, h.DNS, 53, seconds=0.5)
        assert exchange(h.OUTSIDE) == b"ping"
        assert exchange("10.43.200.1") == b"ping"
        with h.udp() as u:
            with contextlib.suppress(OSError):
                u.sendto(b"x", (IP, 9000))
                u.sendto(b"x", (IP, 9000))
    assert h.escaped() == 0


@test
def leftovers_are_healed_at_the_next_start(w):
    w.start_daemon()
    assert exchange() == b"ping"
    assert exchange(IP6) == b"ping"
    w.daemon.kill()  # and without fail-closed in between
    w.start_daemon()
    assert exchange() == b"ping"
    assert here_sh("ip rule").count("0x74700001") == 1
    assert h.escaped() == 0


@test
def fail_closed_without_rules_does_nothing(w):
    w.stop_daemon()
    w.fail_closed()
    assert here_sh("nft list ruleset") == ""


@test
def orderly_end_leaves_nothing(w):
    w.start_daemon()
    assert exchange() == b"ping"
    w.stop_daemon()
    assert here_sh("nft list ruleset") == ""
    assert "0x74700001" not in here_sh("ip rule") + here_sh("ip -6 rule")
    assert here_sh("ip route show table 29808", check=False) == ""
    w.start_daemon()


@test
def other_tables_survive(w):
    here_sh("nft 'table ip docker-like { chain out { type nat hook output "
            "priority -100; ip daddr 127.0.0.11 udp dport 53 redirect to "
            ":5300; }; }'")
    w.daemon.kill()
    w.fail_closed()
    w.start_daemon()
    assert "docker-like" in here_sh("nft list tables")
    assert exchange() == b"ping"  # with connection tracking on
    with h.udp() as s:
        s.sendto(b"x" * 9000, (IP, 9000))
        assert len(s.recv(10000)) == 9000
    here_sh("nft delete table ip docker-like")


class QueueThief:
    """Binds every queue that the daemon would try."""

    def __init__(self):
        with netns(h.HERE):
            self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        for queue in range(29808, 29808 + 16):
            command = struct.pack("=HH", 8, 1) + struct.pack("!BxH", 1, 2)
            body = struct.pack("!BBH", 0, 0, queue) + command
            self.s.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2,
                                    5, 1, 0) + body)
            self.s.recv(4096)


@test
def without_a_queue_connections_are_accepted_at_once(w):
    w.stop_daemon()
    thief = QueueThief()
    w.start_daemon()
    assert w.stats()["hold"] == "none", w.stats()
    assert exchange() == b"ping"
    with connect(IP, BANNER) as s:
        assert s.recv(100) == b"hello\n"
    with connect(IP, REFUSED) as s:
        try:
            s.recv(1)
            raise AssertionError("FIN instead of RST")
        except ConnectionResetError:
            pass
    thief.s.close()
    w.stop_daemon()
    w.start_daemon()


# --- Docker -----------------------------------------------------------------

@contextlib.contextmanager
def containers(w):
    """A peer's and a daemon's container in a user-defined network."""
    d = h.Docker(w.build)
    try:
        d.start()
        for port, f in ((ECHO, serve_echo), (BANNER, serve_banner)):
            h.Server(port, f, ns=d.ns("peer"))
        udp_echo(IP, 9000, ns=d.ns("peer"))
        yield d
    finally:
        d.stop()


TCP_PROBE = ("exec 3<>/dev/tcp/{}/{} && echo ping >&3 && head -n1 <&3")


@test
def docker_with_net_admin_only(w):
    with containers(w) as d:
        user = "--user 1000 --cap-drop ALL --read-only"
        assert "xt-nfqueue" in d.log() or "nfqueue" in d.log(), d.log()
        out = d.join(TCP_PROBE.format(IP, ECHO), user)
        assert out == "ping\n", out
        out = d.join(TCP_PROBE.format(IP, BANNER), user)
        assert out == "hello\n", out
        out = d.join(TCP_PROBE.format(IP, REFUSED), user)
        assert "Connection refused" in out, out
        out = d.join(f"exec 3<>/dev/udp/{IP}/9000; echo u >&3; "
                     "timeout 5 head -n1 <&3", user)
        assert out == "u\n", out
        # Docker's own resolver in a user-defined network
        out = d.join(f"getent hosts {d.name('peer')}", user)
        assert d.address("peer") in out, out


@test
def docker_hostile_root_in_the_namespace(w):
    """Default capabilities, uid 0, joined: rules and listeners are safe."""
    with containers(w) as d:
        for command in ("list ruleset", "delete table inet tp",
                        "flush ruleset", "delete table inet tp-hold"):
            out = d.join(f"nft {command}", image=d.image, shell=False)
            assert "Operation not permitted" in out, (command, out)
        for kind in ("STREAM", "DGRAM"):
            for port in d.ports(kind):
                for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
                    out = d.join(PERL_BIND % (kind, option, port))
                    assert "in use" in out, (kind, option, out)
        out = d.join(TCP_PROBE.format(IP, ECHO))
        assert out == "ping\n", out


PERL_BIND = """perl -MSocket -e '
socket(my $s, PF_INET, SOCK_%s, 0) or die $!;
setsockopt($s, SOL_SOCKET, %s, 1) or die $!;
bind($s, sockaddr_in(%d, inet_aton("127.0.0.1"))) or die $!;
listen($s, 5); print "taken"' 2>&1"""


# --- figures ----------------------------------------------------------------

def load(w, *argv):
    out = here_sh(" ".join([f"{w.build}/netns-load", *argv]))
    return json.loads(out)


@test
def figures(w):
    """Direct over the wire against captured, interleaved in one run."""
    server = h.Process(h.THERE, [f"{w.build}/netns-load", "serve", "88"])
    h.wait_for(lambda: h.there_sh("ss -Hltn sport = :88"), what="server")
    rows = {"direct": (h.OUTSIDE, []), "captured": (IP, [])}
    for _ in range(5):
        for address, results in rows.values():
            to = f"{address}:88"
            results.append({**load(w, "connect", to, "3000"),
                            **load(w, "trip", to, "10000")})
    server.kill()
    for name, (_, results) in rows.items():
        rate, p50, p99 = (statistics.median(r[key] for r in results)
                          for key in ("rate", "p50", "p99"))
        print(f"    {name}: {rate:.0f} connections/s one at a time, "
              f"64 B round trip p50 {p50:.0f} us, p99 {p99:.0f} us")


# --- main -------------------------------------------------------------------

def run_all(w, only):
    failed = 0
    for f in TESTS:
        if only and not any(o in f.__name__ for o in only):
            continue
        start = time.monotonic()
        try:
            if w.daemon is None:
                w.start_daemon()
            f(w)
            result = "ok"
        except h.Skip as e:
            result = f"skipped: {e}"
        except Exception:
            result = "FAILED"
            failed += 1
            traceback.print_exc()
            if w.daemon is None or w.daemon.p.poll() is not None:
                w.daemon = None
        print(f"{f.__name__}: {result} ({time.monotonic() - start:.1f} s)",
              flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=".")
    parser.add_argument("only", nargs="*")
    args = parser.parse_args()
    if os.geteuid():
        sys.exit("check-netns needs root (it makes network namespaces)")
    w = World(os.path.abspath(args.build))
    h.setup()
    try:
        overlap.setup()
        TESTS.extend(overlap.TESTS)
        start_servers()
        w.start_peer()
        failed = run_all(w, args.only)
    finally:
        for p in (w.daemon, w.peer):
            if p and p.p.poll() is None:
                p.kill()
        overlap.teardown()
        h.teardown()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
