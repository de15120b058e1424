"""A dual-stack Service over IPv6.

The test cluster has both families where Docker can do IPv6, and so has the
daemon's container, which tp puts into the cluster's Docker network."""

import pytest

from conftest import DAEMON, NAMESPACE, wait_until

DUAL = """
apiVersion: v1
kind: Service
metadata: {name: dual}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: udp, port: 9001, targetPort: 9001, protocol: UDP}
"""

# What connect() says of an address, as errno's name.
CONNECT = """
import errno, socket
s = socket.socket(socket.AF_INET6)
s.settimeout(10)
try:
    s.connect(('{address}', {port}))
    print('connected')
except TimeoutError:
    print('timeout')
except OSError as e:
    print(errno.errorcode[e.errno])
"""


@pytest.fixture(scope="module")
def dual(session, box):
    """The addresses of a dual-stack Service: IPv4, IPv6."""
    nets = session.kubectl_json("get", "nodes")["items"][0]["spec"]["podCIDRs"]
    if len(nets) < 2:
        pytest.skip("the cluster has no IPv6: Docker made its network without")
    session.apply(DUAL)
    service = session.kubectl_json("get", "service", "-n", NAMESPACE, "dual")
    four, six = service["spec"]["clusterIPs"]
    wait_until("the Service answers",
               lambda: "web-" in box.out(f"curl -sS -m 2 http://{four}/", check=False))
    yield four, six
    session.kubectl("delete", "service", "-n", NAMESPACE, "dual", "--wait=false")


def pod_ip6(session):
    pod = session.kubectl_json("get", "pod", "-n", NAMESPACE, "db-0")
    return next(a["ip"] for a in pod["status"]["podIPs"] if ":" in a["ip"])


@pytest.mark.parametrize("family", ["", "-4", "-6"])
def test_by_name(box, dual, family):
    assert "web-" in box.out(f"curl -sS -m 10 {family} http://dual/")


def test_by_literal_addresses(session, box, dual):
    assert "web-" in box.out(f"curl -sS -m 10 'http://[{dual[1]}]/'")
    assert "db-0" in box.out(f"curl -sS -m 10 'http://[{pod_ip6(session)}]:8080/'")


def test_udp(box, dual):
    out = box.python(f"""
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b'x' * 1400, ('dual', 9001))
got, peer = s.recvfrom(65536)
print(len(got), peer[0] == '{dual[1]}')
""")
    assert out == "1400 True"


def test_a_port_without_a_listener_is_refused(session, box, dual):
    code = CONNECT.format(address=pod_ip6(session), port=9)
    assert box.python(code) == "ECONNREFUSED"
