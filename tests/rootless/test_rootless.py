"""The README's jobs in rootless Docker, by a user who is nobody on the machine.

The tests run in their order: one session, as a developer has it.
"""

import contextlib
import pathlib

from conftest import RUN, wait_until
from fixtures import DAEMON, NAMESPACE
from user import is_loopback, listeners, uids

PORT = 18080
PROGRAM = "mine"


def test_the_user_has_no_right(user):
    """Not by UID, not by capability, not by what it may write."""
    status = dict(line.split(":\t", 1) for line in user.sh(
        "cat /proc/self/status").stdout.splitlines() if ":\t" in line)  # fmt: skip
    assert set(status["Uid"].split()) == {str(user.uid)} != {"0"}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert "Read-only file system" in user.sh("touch /var/tmp/tp-rootless", check=False).stderr
    assert user.sh("test -r /var/run/docker.sock", check=False).returncode != 0
    assert "rootless" in user.docker("info", "-f", "{{.SecurityOptions}}").stdout


def test_a_server_on_loopback_is_told(developer):
    """The cluster's container belongs to another engine."""
    text = (RUN / "kubeconfig").read_text()
    config = developer.user.give(developer.user.home / "loopback", text)
    done = developer.tp("connect", "--kubeconfig", config, check=False)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0 and "loopback" in lines[-1], done.stderr
    assert developer.docker("ps", "-aq").stdout == ""


def test_names_services_and_pods(connected):
    for url in ("http://web/", f"http://web.{NAMESPACE}.svc.cluster.local/"):
        assert "pod: web-" in connected.joined("curl", "-sS", "--max-time", "10", url).stdout
    pod = connected.cluster.kubectl(
        "get", "pod", "-n", NAMESPACE, "db-0", "-o", "jsonpath={.status.podIP}").stdout
    for url in (f"http://{pod}:8080/", "http://db-0.db:8080/"):
        assert "pod: db-0" in connected.joined("curl", "-sS", "--max-time", "10", url).stdout


def test_udp_and_a_static_program(connected):
    assert "over UDP" in connected.joined("static-get", "udp://web:9001", "over UDP").stdout
    assert "pod: web-" in connected.joined("static-get", "http://web/").stdout


def test_connect_tells_the_truth(connected):
    """The first SYN is held until the far end has answered."""
    done = connected.joined("curl", "-sS", "--max-time", "10", "http://db-0.db:9/", check=False)
    assert done.returncode == 7 and "refused" in done.stderr, done.stderr


def test_what_is_not_the_clusters_goes_where_it_went(connected):
    """By slirp4netns, which knows no address of the machine's loopback."""
    done = connected.joined("ip", "-o", "route", "get", "192.0.2.1")
    assert "eth0" in done.stdout


@contextlib.contextmanager
def program(developer, *args):
    developer.docker("rm", "-f", PROGRAM, check=False)
    developer.docker("run", "-d", "--name", PROGRAM, "--network", f"container:{DAEMON}",
                     "-e", "POD_NAME=on-my-workstation", "tp-test/app", *args)
    try:
        yield
    finally:
        developer.docker("rm", "-f", PROGRAM, check=False)


def answers(developer, name):
    """Who answers the cluster, and who the session."""
    curl = ("curl", "-sS", "--max-time", "5", "http://web/")
    there = developer.colleague(*curl, check=False).stdout
    here = developer.joined(*curl, check=False).stdout
    return f"pod: {name}" in there and f"pod: {name}" in here


def test_intercept(connected):
    with program(connected, f"http={PORT}"):
        connected.tp("intercept", "web", "-p", f"{PORT}:http")
        wait_until("the local program", lambda: answers(connected, "on-my-workstation"))
        assert [e["name"] for e in connected.tp_json("list")["engagements"]] == ["web"]
        connected.tp("detach", "web")
        wait_until("the cluster's", lambda: answers(connected, "web-"))


def test_a_program_behind_the_engagement(connected):
    """Its environment, through docker of the rootless engine."""
    url = f"unix://{connected.user.runtime}/docker.sock"
    done = connected.tp("ingest", "web", "--", "docker", "run", "--rm", "tp-test/tools",
                        "printenv", "GREETING", env={"DOCKER_HOST": url})  # fmt: skip
    assert "hello" in done.stdout.splitlines()


def listening(developer):
    """The daemon's ports that are not bound to loopback."""
    text = developer.joined("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    return {port for address, port, _ in listeners(text) if not is_loopback(address)}


ASK = """
import socket, sys
for port in map(int, sys.argv[2:]):
    try:
        with socket.create_connection((sys.argv[1], port), 3) as peer:
            peer.settimeout(2)
            peer.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print(port, len(peer.recv(100)))
    except OSError:
        print(port, 0)
"""


def test_a_neighbour_gets_no_byte(connected):
    """A container beside the daemon on the engine's bridge. That it does reach
    what a developer's program opens shows that it asks in the right place."""
    address = connected.docker(
        "inspect", "-f", "{{.NetworkSettings.IPAddress}}", DAEMON).stdout.strip()
    daemons = listening(connected)
    with program(connected, f"http={PORT}"):
        done = connected.docker("run", "--rm", "tp-test/tools", "python3", "-c", ASK, address,
                                *map(str, sorted(daemons)), str(PORT), timeout=300)
    got = {int(port): int(count) for port, count in map(str.split, done.stdout.splitlines())}
    assert got.pop(PORT) > 0
    assert got == {port: 0 for port in daemons}


def open_to_others(user):
    """Ports of the user's processes at which other machines could ask."""
    text = "".join(pathlib.Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return [(str(address), port) for address, port, uid in listeners(text)
            if user.owns(uid) and not is_loopback(address)]


def test_no_process_is_roots_and_no_port_is_open(connected):
    user = connected.user
    processes = user.processes()
    assert len(processes) > 8
    assert {uid for pid in processes for uid in uids(pid) if not user.owns(uid)} == set()
    assert open_to_others(user) == []


def test_status_and_quit(connected):
    status = connected.tp_json("status")
    assert status["state"] == "connected" and status["namespace"] == NAMESPACE
    connected.tp("quit")
    assert connected.docker("ps", "-aq").stdout == ""
    assert connected.docker("volume", "ls", "-q").stdout == ""
    names = connected.docker("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert sorted(names) == ["bridge", "host", "none"]


def test_nothing_is_left(connected):
    """When the engine has ended, of the user there is only its home."""
    user = connected.user
    user.stop_engine()
    wait_until("the end of all its processes", lambda: not user.processes(), 20)
    assert user.sh("findmnt -rno TARGET | grep ^$HOME/", check=False).stdout == ""
