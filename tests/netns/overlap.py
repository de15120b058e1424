"""Overlapping subnets: the cluster and a VPN have the same addresses.

The VPN is a namespace to which `here` has a route for 10.50.0.0/16 and
fd50::/64; the cluster's own 10.50.0.0/16 and fd50::/64 are captured as
246.0.0.0/16 and fd74:7076:6e74::/64. Both have 10.50.0.10 and fd50::10, whose
servers say who they are.
"""
import contextlib
import errno
import socket
import threading

import harness as h

VPN = h.PREFIX + "-v"
CAPTURE = "10.50.0.0/16=246.0.0.0/16,fd50::/64=fd74:7076:6e74::/64"
REAL, VIRTUAL, REFUSED = "10.50.0.10", "246.0.0.10", 2
REAL6, VIRTUAL6 = "fd50::10", "fd74:7076:6e74::10"
PORT = 7100


def setup():
    h.sh(f"""set -e
    ip netns add {VPN}
    ip -n {VPN} link set lo up
    ip -n {h.HERE} link add vpn type veth peer name vpn netns {VPN}
    ip -n {h.HERE} link set vpn up; ip -n {VPN} link set vpn up
    ip -n {h.HERE} addr add 10.202.0.1/30 dev vpn
    ip -n {VPN} addr add 10.202.0.2/30 dev vpn
    ip -n {h.HERE} addr add fd98::1/64 dev vpn nodad
    ip -n {VPN} addr add fd98::2/64 dev vpn nodad
    ip -n {h.HERE} route add 10.50.0.0/16 via 10.202.0.2
    ip -n {h.HERE} route add fd50::/64 via fd98::2
    ip -n {h.HERE} route add blackhole 10.60.0.0/16
    for ns in {VPN} {h.THERE}; do
      ip -n $ns addr add {REAL}/32 dev lo
      ip -n $ns addr add {REAL6}/128 dev lo nodad
    done
    ip netns exec {h.THERE} nft '
    table inet watch {{
      chain pre {{
        iifname wire ip daddr 246.0.0.0/8 counter name escaped
        iifname wire ip daddr 10.50.0.0/16 counter name escaped
        iifname wire ip6 daddr {{ fd50::/64, fd74:7076:6e74::/48 }} counter name escaped
      }}
    }}'""")
    for ns, name in ((VPN, b"vpn"), (h.THERE, b"cluster")):
        for address in (REAL, REAL6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            h.Server(PORT, lambda c, n=name: c.sendall(n), address, family, ns)
            say_by_udp(ns, address, family, name)


def teardown():
    h.sh(f"ip netns del {VPN}", check=False)


def say_by_udp(ns, address, family, name):
    sock = h.udp(address, PORT, family, ns)
    sock.settimeout(None)

    def run():
        while True:
            _, peer = sock.recvfrom(100)
            with contextlib.suppress(OSError):
                sock.sendto(name, peer)
    threading.Thread(target=run, daemon=True).start()


def who(address):
    """By TCP and UDP, which agree; answers come from whom was asked."""
    with h.connect(address, PORT, 5) as s:
        assert s.getpeername()[0] == address
        name = h.read_all(s)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with h.udp(family=family) as s:
        s.sendto(b"?", (address, PORT))
        got, peer = s.recvfrom(100)
        assert peer[:2] == (address, PORT), peer
        assert got == name, (got, name)
    return bytes(name)


def overlap_virtual_addresses_are_the_clusters(w):
    assert who(VIRTUAL) == who(VIRTUAL6) == b"cluster"
    assert h.escaped() == 0


def overlap_real_addresses_are_the_vpns(w):
    assert who(REAL) == who(REAL6) == b"vpn"


def overlap_refused_and_unreachable_are_told(w):
    for address in (VIRTUAL, VIRTUAL6):
        try:
            h.connect(address, REFUSED, 5).close()
        except ConnectionRefusedError:
            continue
        raise AssertionError(f"{address} was accepted")
    h.there_sh("ip route add unreachable 10.50.9.0/24")
    try:
        h.connect("246.0.9.1", PORT, 5).close()
        raise AssertionError("reached")
    except OSError as e:
        assert e.errno == errno.EHOSTUNREACH, e
    assert h.escaped() == 0


def overlap_routes_are_seen(w):
    """Of this namespace, but what leads nowhere or everywhere."""
    seen = h.here_sh(f"{w.build}/netns-daemon routes").split()
    assert {"10.50.0.0/16", "10.201.0.0/24", "10.202.0.0/30", "fd50::/64"} <= set(seen)
    for other in ("0.0.0.0/0", "::/0", "10.60.0.0/16", "127.0.0.0/8", "fe80::/64"):
        assert other not in seen, seen


TESTS = [overlap_virtual_addresses_are_the_clusters,
         overlap_real_addresses_are_the_vpns,
         overlap_refused_and_unreachable_are_told,
         overlap_routes_are_seen]
