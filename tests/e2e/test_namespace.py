"""The shared namespace: files, ports and life of the containers that join it."""

import subprocess

import pytest

from conftest import (
    E2E,
    MANAGER_NAMESPACE,
    NAMESPACE,
    run,
    start_joined,
    wait_until,
)
from links import manager_pods
from test_security import user

NAME = f"{E2E}-shared"


@pytest.fixture
def own(chart, apps):
    """A session of the test's own."""
    chart.tp("quit", "--name", NAME, check=False)
    chart.tp("connect", "--name", NAME, "-n", NAMESPACE)
    yield chart
    chart.tp("quit", "--name", NAME, check=False)


def test_an_app_has_all_ports_for_itself(own):
    """Nothing of tp listens where a program could want to, not even on 53."""
    box = start_joined(f"{NAME}-box", daemon=NAME)
    try:
        out = box.python(
            """
import socket
for port in (53, 1080, 15001, 8080, 443):
    tcp = socket.socket()
    tcp.bind(('0.0.0.0', port))
    tcp.listen()
    client = socket.create_connection(('127.0.0.1', port), 5)
    server, _ = tcp.accept()
    client.sendall(b'tcp')
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind(('0.0.0.0', port))
    client2 = socket.socket(type=socket.SOCK_DGRAM)
    client2.sendto(b'udp', ('127.0.0.1', port))
    udp.settimeout(5)
    print(port, server.recv(9), udp.recv(9))
print(len(socket.gethostbyname('web')) > 6)
"""
        )
        assert out.splitlines()[-1] == "True"
        assert out.count("b'tcp' b'udp'") == 5
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_resolv_conf_keeps_its_inode(own):
    box = start_joined(f"{NAME}-box", daemon=NAME)
    try:
        before = box.out("stat -c %i /etc/resolv.conf; cat /etc/resolv.conf")
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", NAME]).stdout.strip()
        run(["pkill", "-9", "-P", pid, "tp-daemon"])
        wait_until("healed", lambda: own.status(NAME)["state"] == "connected", 20)
        own.tp("connect", "--name", NAME, "-n", NAMESPACE)
        assert box.out("stat -c %i /etc/resolv.conf; cat /etc/resolv.conf") == before
        assert "web-" in box.out("curl -sS --max-time 5 http://web/")
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_a_container_that_joined_before_the_link_was_there(chart, apps):
    """The manager comes only after the container has joined: the same file says
    more then."""

    def scale(count):
        chart.kubectl("scale", "deployment/tp-manager", "-n", MANAGER_NAMESPACE,
                      f"--replicas={count}")  # fmt: skip

    chart.tp("connect", "--name", NAME, "-n", NAMESPACE)
    scale(0)
    box = None
    try:
        wait_until("no manager", lambda: not manager_pods(chart), 60)
        wait_until("status says so", lambda: chart.status(NAME)["state"] != "connected")
        # As after a restart of the engine: nothing is known but how to dial.
        run(["docker", "exec", NAME, "/usr/bin/tp-daemon", "--version"], check=False)
        box = start_joined(f"{NAME}-box", daemon=NAME)
        assert box.sh("curl -sS --max-time 3 http://web/", check=False).returncode != 0
        scale(2)
        wait_until("connected", lambda: chart.status(NAME)["state"] == "connected", 60)
        assert f"search {NAMESPACE}.svc.cluster.local" in box.out("cat /etc/resolv.conf")
        assert "web-" in box.out("curl -sS --max-time 5 http://web/")
    finally:
        scale(2)
        chart.kubectl("rollout", "status", "deployment/tp-manager", "-n",
                      MANAGER_NAMESPACE, "--timeout=90s", timeout=100)  # fmt: skip
        run(["docker", "rm", "-f", f"{NAME}-box"], check=False)
        chart.tp("quit", "--name", NAME, check=False)


def test_status_names_what_a_restart_has_cut_off(own):
    """docker restart makes a new network namespace; who joined the old one
    stays there for good."""
    box = start_joined(f"{NAME}-box", daemon=NAME)
    try:
        joined = own.status(NAME)["containers"]
        assert [(j["name"], j["dead"]) for j in joined] == [(box.name, False)]
        run(["docker", "restart", "-t", "2", NAME])
        status = own.tp("status", "--name", NAME, check=False)
        assert box.name in status.stdout + status.stderr
        joined = own.status(NAME)["containers"]
        assert [(j["name"], j["dead"]) for j in joined] == [(box.name, True)]
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_two_users_with_a_daemon_each(chart, apps):
    people = {"dev-anna": f"{E2E}-anna", "dev-bob": f"{E2E}-bob"}
    try:
        for person, name in people.items():
            user(person, "developers").tp("connect", "--name", name, "-n", NAMESPACE)
        fetches = []
        for person, name in people.items():
            assert chart.status(name)["user"] == person
            box = start_joined(f"{name}-box", daemon=name)
            fetches.append(subprocess.Popen(
                ["docker", "exec", box.name, "bash", "-c",
                 "for i in $(seq 20); do curl -sS --max-time 10 "
                 "http://web/bytes/1000000 | sha256sum; done | sort | uniq -c"],
                stdout=subprocess.PIPE, text=True))  # fmt: skip
        outs = [fetch.communicate(timeout=60)[0].split() for fetch in fetches]
        assert outs[0] == outs[1] and outs[0][0] == "20"
    finally:
        for name in people.values():
            run(["docker", "rm", "-f", f"{name}-box"], check=False)
            chart.tp("quit", "--name", name, check=False)
