"""UDP from an unmodified container."""

import time

import pytest

from conftest import NAMESPACE
from test_tcp import pod_ip

PORT = 9001

ECHO = """
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
addr = (socket.gethostbyname('web'), {port})
data = os.urandom({size})
{send}
got, peer = s.recvfrom(65536)
assert peer == addr, peer
print('same' if got == data else len(got))
"""


@pytest.mark.parametrize("size", [1, 512, 1400, 1500, 4096, 8192])
@pytest.mark.parametrize("how", ["connected", "unconnected"])
def test_echo(box, size, how):
    send = (
        "s.connect(addr); s.send(data)"
        if how == "connected"
        else "s.sendto(data, addr)"
    )
    assert box.python(ECHO.format(port=PORT, size=size, send=send)) == "same"


def test_many_flows_each_gets_its_own_answers(box):
    out = box.python(
        f"""
import socket
addr = (socket.gethostbyname('web'), {PORT})
flows = []
for i in range(200):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.sendto(b'%d' % i, addr)
    flows.append(s)
print(sum(s.recvfrom(100)[0] == b'%d' % i for i, s in enumerate(flows)))
"""
    )
    assert out == "200"


def test_while_the_program_binds_the_same_port(box):
    """The answer's transparent socket and the program's own share a port."""
    out = box.python(
        f"""
import socket
addr = (socket.gethostbyname('web'), {PORT})
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', {PORT}))
s.settimeout(10)
s.sendto(b'hello', addr)
print(s.recvfrom(100)[0].decode())
"""
    )
    assert out == "hello"


def test_statically_linked_program(box):
    assert "hello" in box.out(f"static-get udp://web:{PORT} hello")


@pytest.mark.parametrize("to", ["pod", "service"])
def test_a_port_without_a_listener_is_refused(session, box, to):
    """By the pod's own kernel, or by kube-proxy where nothing is behind."""
    if to == "pod":
        address = pod_ip(session)
    else:
        session.apply(NO_ENDPOINTS)
        service = session.kubectl_json("get", "service", "-n", NAMESPACE, "udp-nobody")
        address = service["spec"]["clusterIP"]
        time.sleep(2)  # kube-proxy's turn
    out = box.python(
        f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('{address}', 9999))
s.settimeout(5)
s.send(b'anybody?')
try:
    print('answer', s.recv(100))
except ConnectionRefusedError:
    print('refused')
"""
    )
    assert out == "refused"


NO_ENDPOINTS = """
apiVersion: v1
kind: Service
metadata: {name: udp-nobody}
spec: {selector: {app: nobody}, ports: [{port: 9999, protocol: UDP}]}
"""
