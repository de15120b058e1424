#!/usr/bin/env python3
"""The agent's ports in a pod's network namespace: make check-netns (as root).

`here` of harness.py is the pod, `there` a client in the cluster.
  agent.py --build DIR [NAME...]    NAME: only tests whose name holds it
"""
import argparse
import errno
import json
import os
import signal
import socket
import statistics
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
import harness as h  # noqa: E402
from harness import HERE, THERE, here_sh, netns, there_sh  # noqa: E402

POD, POD6, CLIENT, CLIENT6 = "10.201.0.1", "fd99::1", "10.201.0.2", "fd99::2"
PORT, UDP_PORT, LOCAL_PORT, FREE = 8080, 5353, 7070, 88
PORTS = [f"{PORT}:9900:redirect", f"{UDP_PORT}/udp:9901:redirect",
         f"{LOCAL_PORT}:9902:redirect", f"{FREE}:9903:named"]
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class World:
    def __init__(self, build):
        self.build = build
        self.agent = None

    def init(self, command="init", ports=None):
        pod = [POD, POD6, *(ports or PORTS)] if command == "init" else []
        here_sh(" ".join([f"{self.build}/netns-agent", command, *pod]))

    def start(self):
        self.init()
        self.agent = h.Process(HERE, [f"{self.build}/netns-agent", "run", POD,
                                      POD6, *PORTS], ready="ready")

    def stop(self):
        if self.agent:
            assert self.agent.kill(signal.SIGTERM) == 0
            self.agent = None
        self.init("remove")

    def conns(self):
        return self.agent.stats()["conns"]


# --- servers and clients -----------------------------------------------------

def peer_of(conn):
    """Tells whose connection it is: the agent's come from the pod itself."""
    conn.sendall(conn.getpeername()[0].encode())
    conn.recv(1)


def udp_server(address, port, ns, family=socket.AF_INET):
    sock = h.udp(address, port, family, ns)
    sock.settimeout(None)

    def run():
        while True:
            data, peer = sock.recvfrom(65536)
            sock.sendto(data + b" " + peer[0].encode(), peer)
    threading.Thread(target=run, daemon=True).start()


def start_servers():
    h.Server(PORT, peer_of, POD, ns=HERE)
    h.Server(PORT, peer_of, POD6, socket.AF_INET6, ns=HERE)
    h.Server(PORT, peer_of, "127.0.0.1", ns=HERE)
    h.Server(LOCAL_PORT, peer_of, "127.0.0.1", ns=HERE)
    h.Server(PORT, peer_of, CLIENT, ns=THERE)
    h.Server(PORT, peer_of, CLIENT6, socket.AF_INET6, ns=THERE)
    udp_server(POD, UDP_PORT, HERE)
    udp_server("127.0.0.1", UDP_PORT, HERE)
    udp_server(CLIENT, UDP_PORT, THERE)


def connect(ns, address, port=PORT):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns(ns):
        s = socket.socket(family)
    s.settimeout(10)
    s.connect((address, port))
    return s


def ask(ns, address, port=PORT):
    with connect(ns, address, port) as s:
        return s.recv(100).decode()


def ask_udp(ns, address):
    s = h.udp(ns=ns)
    with s:
        s.connect((address, UDP_PORT))  # answers from elsewhere are not taken
        s.send(b"x")
        return s.recv(100).decode()


def expect_reset(ns, address, port):
    """At once, or a moment after the connection."""
    try:
        with connect(ns, address, port) as s:
            s.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError(f"{address}:{port} was served")


# --- tests ---------------------------------------------------------------------

@test
def client_in_the_cluster_is_caught(w):
    before = w.conns()
    assert ask(THERE, POD) == POD
    assert ask(THERE, POD6) == POD6
    assert w.conns() == before + 2, "not caught"
    assert w.agent.stats()["refused"] == 0


@test
def sibling_on_localhost_is_caught(w):
    before = w.conns()
    assert ask(HERE, "127.0.0.1") == "127.0.0.1"
    assert w.conns() == before + 1, "not caught"
    assert ask(HERE, POD) == POD
    assert w.conns() == before + 2, "not caught by the pod's address"


@test
def app_on_localhost_only_is_as_before(w):
    assert ask(HERE, "127.0.0.1", LOCAL_PORT) == "127.0.0.1"
    expect_reset(THERE, POD, LOCAL_PORT)


@test
def agents_own_connections_make_no_loop(w):
    before = w.conns()
    for _ in range(20):
        assert ask(THERE, POD) == POD
    assert w.conns() == before + 20, "the agent caught itself"


@test
def agents_connections_carry_the_tos(w):
    here_sh("""nft '
    table inet watch {
      counter marked { }
      chain out { type filter hook output priority 0;
        oifname lo tcp dport 8080 tcp flags & (syn|ack) == syn ip dscp 3 counter name marked
        oifname lo tcp dport 8080 tcp flags & (syn|ack) == syn ip6 dscp 3 counter name marked
      }
    }'""")
    try:
        ask(THERE, POD)
        ask(THERE, POD6)
        data = json.loads(here_sh("nft -j list counter inet watch marked"))
        assert data["nftables"][1]["counter"]["packets"] == 2, data
    finally:
        here_sh("nft delete table inet watch")


@test
def other_hosts_port_is_not_caught(w):
    before = w.conns()
    assert ask(HERE, CLIENT) == POD
    assert ask(HERE, CLIENT6) == POD6
    assert ask_udp(HERE, CLIENT) == f"x {POD}"
    assert w.conns() == before


@test
def listener_itself_is_refused(w):
    """It would lead to the listener again."""
    for ns, address in ((THERE, POD), (HERE, "127.0.0.1"), (HERE, POD)):
        expect_reset(ns, address, 9900)


@test
def udp_is_caught_and_keeps_its_address(w):
    before = w.conns()
    assert ask_udp(THERE, POD) == f"x {POD}"
    assert ask_udp(HERE, POD) == f"x {POD}"
    assert ask_udp(HERE, "127.0.0.1") == "x 127.0.0.1"
    assert w.conns() == before + 3, "not caught"


@test
def init_again_changes_nothing(w):
    before = here_sh("nft list ruleset")
    w.init()
    assert here_sh("nft list ruleset") == before
    assert ask(THERE, POD) == POD


@test
def other_tables_are_left_alone(w):
    here_sh("nft add table inet other")
    here_sh("nft add chain inet other c")
    try:
        w.init()
        w.init("remove")
        tables = here_sh("nft list tables")
        assert "other" in tables and "tp_agent" not in tables, tables
        w.init("remove")
        w.init(ports=[f"{FREE}:9903:named"])
        assert "tp_agent" not in here_sh("nft list tables"), "nothing to do"
        w.init()
    finally:
        here_sh("nft delete table inet other")


@test
def without_rules_it_is_direct_again(w):
    w.init("remove")
    before = w.conns()
    assert ask(THERE, POD) == CLIENT
    assert ask(HERE, "127.0.0.1") == "127.0.0.1"
    assert ask_udp(THERE, POD) == f"x {CLIENT}"
    assert w.conns() == before
    w.init()


@test
def connections_of_before_live_through_init(w):
    w.init("remove")
    with connect(THERE, POD) as s:
        assert s.recv(100).decode() == CLIENT
        w.init()
        s.sendall(b"x")
        assert s.recv(1) == b""


@test
def no_app_is_a_reset(w):
    expect_reset(THERE, POD, 9903)
    try:
        connect(THERE, POD, FREE)
    except OSError as e:
        assert e.errno == errno.ECONNREFUSED


# --- figures -------------------------------------------------------------------

@test
def figures(w):
    """Direct against the idle path, interleaved in one run."""
    load = f"{w.build}/netns-load"
    serve = h.Process(HERE, [load, "serve", str(FREE)])
    sink = h.Process(HERE, [load, "sink", "89"])
    agent = h.Process(HERE, [f"{w.build}/netns-agent", "run", POD, "-",
                             f"{FREE}:9910:named", "89:9911:named"],
                      ready="ready")
    h.wait_for(lambda: here_sh("ss -Hltn sport = :89"), what="servers")
    rows = {"direct": (FREE, 89, []), "idle path": (9910, 9911, [])}
    time.sleep(0.2)
    idle_rss = agent.stats()["rss_kib"]

    def measure(trip, bulk):
        return {
            **json.loads(there_sh(f"{load} connect {POD}:{trip} 2000")),
            **json.loads(there_sh(f"{load} trip {POD}:{trip} 10000")),
            **json.loads(there_sh(f"{load} bulk {POD}:{bulk} 2000"))}

    for _ in range(5):
        for trip, bulk, results in rows.values():
            results.append(measure(trip, bulk))
    medians = {}
    for name, (_, _, results) in rows.items():
        m = {key: statistics.median(r[key] for r in results)
             for key in ("rate", "p50", "p99", "mib_s")}
        medians[name] = m
        print(f"    {name}: 64 B round trip p50 {m['p50']:.0f} us, "
              f"p99 {m['p99']:.0f} us; {m['rate']:.0f} connections/s; "
              f"bulk {m['mib_s']:.0f} MiB/s")
    direct, path = medians["direct"], medians["idle path"]
    print(f"    added p50 {path['p50'] - direct['p50']:.0f} us, bulk "
          f"{100 * path['mib_s'] / direct['mib_s']:.0f} %, RSS "
          f"{idle_rss} KiB, after it {agent.stats()['rss_kib']} KiB")
    for p in (serve, sink, agent):
        p.kill()


# --- main ----------------------------------------------------------------------

def run_all(w, only):
    failed = 0
    for f in TESTS:
        if only and not any(o in f.__name__ for o in only):
            continue
        start = time.monotonic()
        try:
            f(w)
            result = "ok"
        except Exception:
            result = "FAILED"
            failed += 1
            traceback.print_exc()
            w.init()
        print(f"agent: {f.__name__}: {result} "
              f"({time.monotonic() - start:.1f} s)", flush=True)
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
        start_servers()
        w.start()
        failed = run_all(w, args.only)
        w.stop()
    finally:
        if w.agent and w.agent.p.poll() is None:
            w.agent.kill()
        h.teardown()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
