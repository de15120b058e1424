"""Links that do not pass the API server: the chart's Service tp-manager-direct,
here by the node's port."""

import json
import re
import socket
import ssl
import time

import pytest

from conftest import DAEMON, MANAGER_NAMESPACE, NAMESPACE, install_chart, run, wait_until
from engage import LOCAL_PORT, detach, local_program, until_answered_by, who
from links import Link, target_of

DIRECT = ("--set", "link.direct.enabled=true", "--set", "link.direct.type=NodePort")


@pytest.fixture(scope="module")
def direct(cluster, apps, chart):
    install_chart(cluster, *DIRECT)
    yield cluster
    install_chart(cluster)


@pytest.fixture(scope="module")
def ticket(direct):
    """What a client is told, and the name of its session."""
    name = "t" * 26

    def ask():
        with Link(target_of(direct), "--name", name) as link:
            status, body = link.ask("request POST /tp/v1/ticket").split(" ", 1)
        return json.loads(body) if status == "200" else None

    return name, wait_until("a ticket", ask, 30)


def say(ticket, *headers, path=None, name=None, method="POST"):
    """The status of one request on the direct port."""
    context = ssl.create_default_context(cadata=ticket["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    host, port = ticket["endpoints"][0].rsplit(":", 1)
    path = path or (
        f"/apis/connect.tp.internal/v1/namespaces/{NAMESPACE}/connections/"
        f"{name}/portforward"
    )
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname=ticket["serverName"]) as tls:
            lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
            tls.sendall("\r\n".join(lines).encode())
            return int(tls.recv(4096).split()[1])


UPGRADE = ("Connection: Upgrade", "Upgrade: tp-direct/1")


def test_who_has_no_ticket_is_refused(ticket):
    name, told = ticket
    bearer = f"Authorization: Tp-Ticket {told['ticket']}"
    body, code = told["ticket"].split(".")
    assert say(told, *UPGRADE, name=name) == 401
    assert say(told, *UPGRADE, f"Authorization: Bearer {body}", name=name) == 401
    forged = f"Authorization: Tp-Ticket {body}.{code[::-1]}"
    assert say(told, *UPGRADE, forged, name=name) == 401
    # of another session
    assert say(told, *UPGRADE, bearer, name="u" * 26) == 401
    # identity comes by the ticket alone
    assert say(told, *UPGRADE, bearer, "X-Remote-User: root", name=name) == 400
    assert say(told, bearer, path="/metrics", method="GET") == 404
    # and leads to what is beside a session only
    other = ("Connection: Upgrade", "Upgrade: tp/1")
    assert say(told, *other, bearer, name=name) == 400
    assert say(told, *UPGRADE, bearer, name=name) == 101


def received(pid, peer):
    """Bytes that came on the connections to peer, in the daemon's network."""
    out = run(["nsenter", "-n", "-t", pid, "ss", "-tinHO", "dst", peer]).stdout
    return sum(map(int, re.findall(r"bytes_received:(\d+)", out)))


@pytest.fixture(scope="module")
def linked(direct, session, box):
    wait_until("the link", lambda: session.status().get("direct", {}).get("state") == "up")
    return session


def test_streams_take_the_direct_link(linked, box):
    told = linked.status()
    endpoint = told["direct"]["endpoint"]
    server = re.search(r"//([^/]+)", told["server"])[1]
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", DAEMON]).stdout.strip()
    assert told["link"]["kind"] == "aggregated"
    text = linked.tp("status", "--name", DAEMON).stdout
    assert re.search(rf"direct +{re.escape(endpoint)}, [0-9.]+ ms", text)
    before = received(pid, endpoint), received(pid, server)
    assert box.out("curl -s http://web/bytes/5000000 | wc -c") == "5000000"
    assert received(pid, endpoint) - before[0] > 5_000_000
    assert received(pid, server) - before[1] < 100_000


def test_a_direct_link_holds_no_session(linked, box):
    """It may lie on another replica than the one that serves the engagement."""

    def holder():
        sessions = linked.kubectl_json("get", "sessions.tp.internal", "-n", MANAGER_NAMESPACE)
        states = [s.get("status") or {} for s in sessions["items"]]
        return [s.get("replica") for s in states if s.get("phase") != "lost"]

    with local_program():
        linked.tp(
            "intercept", "web", "--name", DAEMON, "--no-local-shortcut", "--port",
            f"{LOCAL_PORT}:http", timeout=180,
        )  # fmt: skip
        try:
            until_answered_by(box, "http://web/", "local")
            held = holder()
            assert len(held) == 1
            time.sleep(3)  # two turns of the replicas' look at sessions
            assert holder() == held
            assert who(box, "http://web/") == "local"
        finally:
            detach(linked, "web")


def test_without_it_streams_take_the_other_at_once(linked, box):
    """Nobody serves it any more."""
    install_chart(linked)
    wait_until("no link", lambda: "direct" not in linked.status(), 60)
    assert linked.status()["state"] == "connected"
    assert box.out("curl -s -m 10 http://web/bytes/10 | wc -c") == "10"
