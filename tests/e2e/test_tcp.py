"""TCP from an unmodified container, as a pod would see it."""

import pytest

from conftest import NAMESPACE

# The test application's ports: tests/images/app/app.c.
HTTP, ECHO, SOURCE, SINK, BANNER, RESET, OBSERVE, HANG = (
    8080, 9001, 9002, 9003, 9004, 9005, 9006, 9007,
)  # fmt: skip

MIB = 1024 * 1024


def pod_ip(cluster, name="db-0"):
    return cluster.kubectl_json("get", "pod", "-n", NAMESPACE, name)["status"]["podIP"]


def test_service_by_cluster_ip(session, box):
    service = session.kubectl_json("get", "service", "-n", NAMESPACE, "web")
    address = service["spec"]["clusterIP"]
    assert "web-" in box.out(f"curl -sS --max-time 10 http://{address}/")


def test_pod_by_ip(session, box):
    address = pod_ip(session)
    out = box.out(f"curl -sS --max-time 10 http://{address}:{HTTP}/")
    assert "db-0" in out


def test_both_replicas_answer(box):
    names = box.out(
        "for i in $(seq 40); do curl -sS --max-time 10 http://web/; done"
    )
    pods = {w for w in names.replace("=", " ").split() if w.startswith("web-")}
    assert len(pods) == 2, names


def test_statically_linked_program(box):
    assert "web-" in box.out("static-get http://web/")


BOTH_WAYS = """
import hashlib, random, socket, threading
size = {size}
s = socket.create_connection(('{host}', {port}), 20)
s.settimeout(60)
rnd = random.Random({seed})
sent, got = hashlib.sha256(), hashlib.sha256()
block = rnd.randbytes(1 << 20)
def send():
    left = size
    while left:
        n = min(left, rnd.randrange(1, len(block)))
        o = rnd.randrange(0, len(block) - n + 1)
        piece = block[o:o + n]
        sent.update(piece)
        s.sendall(piece)
        left -= n
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send)
t.start()
total = 0
while True:
    d = s.recv(rnd.randrange(1, 1 << 18))
    if not d:
        break
    got.update(d)
    total += len(d)
t.join()
print('same' if total == size and sent.digest() == got.digest() else total)
"""


def test_100_mib_each_way_at_once_byte_equal(box):
    code = BOTH_WAYS.format(size=100 * MIB, host="web", port=ECHO, seed=1)
    assert box.python(code, timeout=180) == "same"


def test_half_close_gets_the_answer(box):
    out = box.python(
        f"""
import socket
s = socket.create_connection(('web', {SINK}), 10)
s.settimeout(10)
s.sendall(b'x' * 1000000)
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
"""
    )
    assert out.strip() == "1000000"


def test_server_that_speaks_first(box):
    out = box.python(
        f"""
import socket
s = socket.create_connection(('web', {BANNER}), 10)
s.settimeout(10)
print(s.recv(100).decode())
"""
    )
    assert out.startswith("220 web-")


def test_reset_by_the_server_is_a_reset(box):
    out = box.python(
        f"""
import socket
s = socket.create_connection(('web', {RESET}), 10)
s.settimeout(10)
s.sendall(b'x')
try:
    print('end', s.recv(1))
except ConnectionResetError:
    print('reset')
"""
    )
    assert out == "reset"


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_server_sees_how_the_client_ended(session, box, how):
    address = pod_ip(session)
    box.python(
        f"""
import socket, struct, time
s = socket.create_connection(('{address}', {OBSERVE}), 10)
s.sendall(b'tp-{how}\\nhello')
time.sleep(0.3)
if '{how}' == 'rst':
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.close()
time.sleep(0.5)
"""
    )
    out = box.out(
        f"curl -sS --max-time 10 http://{address}:{HTTP}/observed/tp-{how}"
    )
    assert how in out and "5" in out


def connect_error(box, host, port, timeout=5):
    return box.python(
        f"""
import errno, socket
s = socket.socket(socket.AF_INET)
s.settimeout({timeout})
try:
    s.connect(('{host}', {port}))
    print('connected')
except socket.timeout:
    print('timeout')
except OSError as e:
    print(errno.errorcode[e.errno])
"""
    )


def test_refused_connection_is_refused(session, box):
    assert connect_error(box, pod_ip(session), 4) == "ECONNREFUSED"


def test_service_without_endpoints_is_refused(session, box):
    session.apply(
        """
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"""
    )
    assert connect_error(box, "nobody", 80) == "ECONNREFUSED"


def test_dropped_address_times_out_as_in_a_pod(session, box):
    """A pod address on which nothing answers: no route, no RST, silence or
    EHOSTUNREACH from the node's ARP; never a connection, never a refusal."""
    error = connect_error(box, "10.42.0.253", 80, timeout=6)
    assert error in ("timeout", "EHOSTUNREACH")


PARALLEL = """
import select, socket
addr = (socket.gethostbyname('web'), {port})
conns = []
for i in range(500):
    s = socket.socket()
    s.setblocking(False)
    try:
        s.connect(addr)
    except BlockingIOError:
        pass
    conns.append(s)
for i, s in enumerate(conns):
    select.select([], [s], [], 20)
    s.settimeout(20)
    s.sendall(b'%d\\n' % i)
ok = 0
for i, s in enumerate(conns):
    ok += s.makefile('rb').readline() == b'%d\\n' % i
print(ok)
"""


def test_500_parallel_connections(box):
    assert box.python(PARALLEL.format(port=ECHO), timeout=120) == "500"


STALLED = f"""
import socket, time
stalled = []
for i in range(30):
    s = socket.create_connection(('web', {SOURCE}), 10)
    s.sendall(b'200000000\\n')
    stalled.append(s)
time.sleep(2)
slow = 0
for i in range(50):
    t = time.monotonic()
    s = socket.create_connection(('web', {ECHO}), 10)
    s.settimeout(10)
    s.sendall(b'hello')
    assert s.recv(10) == b'hello'
    s.close()
    slow = max(slow, time.monotonic() - t)
print('ok')
"""


def test_stalled_readers_stall_nobody_else(session, box):
    assert box.python(STALLED, timeout=60) == "ok"


def test_happy_eyeballs_with_a_dead_family(box):
    """curl tries AAAA and A; only one family exists and it answers at once."""
    assert "web-" in box.out("curl -sS --max-time 5 http://web/")


def test_outside_traffic_is_untouched(box):
    """The Docker host's bridge answers without the link: default route and
    source address are the container's own."""
    out = box.out("ip route get 192.0.2.1")
    assert "dev eth0" in out and "mark" not in out


def test_container_can_bind_any_port(session, box):
    out = box.python(
        """
import socket
bad = []
for port in (8080, 15001, 1080, 5353, 9001):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        try:
            s.bind(('0.0.0.0', port))
        except OSError as e:
            bad.append((port, str(e)))
        s.close()
print(bad)
"""
    )
    assert out == "[]"
