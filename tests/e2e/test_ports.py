"""The managers' local ports towards one Service are not without end."""

from conftest import NODE, run, wait_until

LEFT = 10
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"


def manager_pids():
    """As the machine sees them."""
    out = run(["docker", "top", NODE, "-eo", "pid,comm"]).stdout
    return [line.split()[0] for line in out.splitlines()[1:]
            if line.split()[1] == "tp-manager"]  # fmt: skip


def in_managers(script):
    """In the network namespace of each manager."""
    return [run(["nsenter", "-n", "-t", pid, "sh", "-c", script]).stdout.strip()
            for pid in manager_pids()]  # fmt: skip


CONNECT = f"""
import socket, struct, threading, time
def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
held = [socket.create_connection(("web", 80), 5) for _ in range({LEFT})]
print("held", len(held))
s = socket.socket()
s.settimeout(20)
done = []
def connect():
    s.connect(("web", 80))
    done.append(time.monotonic())
thread = threading.Thread(target=connect)
thread.start()
thread.join(2)
print("waits", not done)
reset(held.pop())
thread.join()
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print("works", s.recv(5).decode())
for h in held:
    reset(h)
"""


def test_a_connect_waits_for_a_port(session, box):
    """As if all ports were in use but ten: the eleventh connect gets no error, it
    is tried again and goes on when there is one."""
    before = in_managers(f"cat {RANGE}")
    in_managers(f"echo 50000 {50000 + LEFT - 1} > {RANGE}")
    try:
        out = box.python(CONNECT)
    finally:
        in_managers(f"echo {before[0]} > {RANGE}")
    assert out.splitlines() == [f"held {LEFT}", "waits True", "works HTTP/"]


ORDERLY = """
import socket, time
start = time.monotonic()
for _ in range({count}):
    s = socket.create_connection(("web", 80), 5)
    s.close()
print(time.monotonic() - start)
"""


def test_orderly_closes_leave_their_ports_to_the_clients_side(session, box):
    """Who closes first waits (RFC 9293 3.6.1): the manager stands for the client.
    It waits, that is, in the kernel; none of it stays open."""
    box.python(ORDERLY.format(count=200))

    def in_state(state):
        counts = in_managers(f"ss -Htan state {state} dport = :80 | wc -l")
        return sum(int(n) for n in counts)

    wait_until("no connection is left half closed",
               lambda: not any(in_state(s) for s in ("fin-wait-2", "established",
                                                     "close-wait")), 10)  # fmt: skip
    assert 150 <= in_state("time-wait")
