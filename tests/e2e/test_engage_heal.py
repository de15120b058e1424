"""Engagements that meet trouble: no link, another installation, a replace's end."""

import contextlib
import json
import threading
import time

import pytest
from conftest import DAEMON, MANAGER_NAMESPACE, NODE, install_chart, run, wait_until
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NAMESPACE,
    detach,
    engage,
    listed,
    local_program,
    prepare,
    rollout,
    service,
    until_answered_by,
    until_settled,
    who,
    workload,
)
from test_heal import daemon_pid

URL = f"http://heal.{NAMESPACE}/"


@pytest.fixture(scope="module")
def workloads(session):
    prepare(session)
    for name, replicas in (("heal", 2), ("rolled", 2)):
        session.apply(workload(name, extra=f"replicas: {replicas}"), NAMESPACE)
        session.apply(service(name, NAMED_SERVICE), NAMESPACE)
    for name in ("heal", "rolled"):
        rollout(session, f"deployment/{name}")
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False, timeout=200)
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture
def clean(workloads):
    yield workloads
    workloads.tp("detach", "--all", "--name", DAEMON, check=False, timeout=200)


@contextlib.contextmanager
def node_paused():
    """The cluster is there, but nobody answers: no FIN, no RST."""
    run(["docker", "pause", NODE])
    try:
        yield
    finally:
        run(["docker", "unpause", NODE])


def engagements(cluster):
    done = cluster.kubectl_json("get", "engagements", "-n", MANAGER_NAMESPACE)
    return [e["metadata"]["name"] for e in done["items"]]


def engaged_names(cluster):
    return [e["name"] for e in listed(cluster)["engagements"]]


def replaced(cluster, name):
    """Pods of it whose container stands still."""
    pods = cluster.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"app={name}")
    return [
        p["metadata"]["name"] for p in pods["items"]
        if not any("tp-test/app" in c["image"] for c in p["spec"]["containers"])
    ]  # fmt: skip


class Probe:
    """Asks all the time; knows what was not answered, and for how long."""

    SCRIPT = """
import sys, time, urllib.request
end = time.time() + float(sys.argv[2])
failed, total, since, longest = 0, 0, None, 0.0
while time.time() < end:
    total += 1
    try:
        urllib.request.urlopen(sys.argv[1], timeout=2).read()
        since = None
    except OSError:
        failed += 1
        since = since or time.time()
        longest = max(longest, time.time() - since)
    time.sleep(0.02)
print(total, failed, round(longest, 2))
"""

    def __init__(self, box, url, seconds):
        self.box, self.url, self.seconds = box, url, seconds
        self.total = self.failed = self.longest = None

    def run(self):
        done = run(
            ["docker", "exec", self.box.name, "python3", "-c", self.SCRIPT, self.url,
             str(self.seconds)],
            timeout=self.seconds + 30,
        )  # fmt: skip
        total, failed, longest = done.stdout.split()
        self.total, self.failed, self.longest = int(total), int(failed), float(longest)

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.thread.join()


def test_a_replace_ends_without_an_outage(clean, box):
    """Not worse than a restart of the same workload by kubectl."""
    with Probe(box, f"http://rolled.{NAMESPACE}/", 15) as restart:
        clean.kubectl("rollout", "restart", "-n", NAMESPACE, "deployment/rolled")
        rollout(clean, "deployment/rolled")
    with local_program():
        engage(clean, "replace", "rolled", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, f"http://rolled.{NAMESPACE}/", "local")
        with Probe(box, f"http://rolled.{NAMESPACE}/", 25) as end:
            done = clean.tp("detach", "rolled", "--name", DAEMON, timeout=150)
            assert "Detached from rolled\n" == done.stdout
            # it has waited: what was replaced is gone when it says so
            assert replaced(clean, "rolled") == []
    print(f"restart: {restart.failed}/{restart.total}, longest {restart.longest} s; "
          f"detach: {end.failed}/{end.total}, longest {end.longest} s")  # fmt: skip
    assert end.failed <= restart.failed + 2, (restart.__dict__, end.__dict__)
    assert engaged_names(clean) == []
    until_settled(clean, "rolled")
    assert who(box, f"http://rolled.{NAMESPACE}/").startswith("rolled")


def test_detach_without_waiting(clean, box):
    with local_program():
        engage(clean, "replace", "rolled", "--port", f"{LOCAL_PORT}:http")
        done = clean.tp("detach", "rolled", "--name", DAEMON, "--no-wait")
        assert "rolled back" in done.stdout, done.stdout
        again = engage(clean, "replace", "rolled", "--port", f"{LOCAL_PORT}:http", check=False)
        assert "just ending" in again.stdout, again.stdout
        wait_until("its end", lambda: "rolled" not in engaged_names(clean), 60)
        assert replaced(clean, "rolled") == []


def test_detach_without_a_link(clean, box):
    """It ends in the cluster when the link is back, and locks nobody out."""
    engage(clean, "intercept", "heal", "--port", f"{LOCAL_PORT}:http")
    (former,) = engagements(clean)
    with node_paused():
        done = clean.tp("detach", "heal", "--name", DAEMON, timeout=60)
        assert "when the link is back" in done.stdout, done.stdout
        before = daemon_pid("tp-daemon")
        run(["kill", "-9", str(before)])  # the next tp-daemon does not forget it
        wait_until("the next one", lambda: daemon_pid("tp-daemon") not in (None, before), 10)
    wait_until("its end", lambda: former not in engagements(clean), 90)
    engage(clean, "replace", "heal", "--port", f"{LOCAL_PORT}:http")
    clean.tp("detach", "heal", "--name", DAEMON, timeout=150)


def test_a_dead_link_is_told(clean):
    with node_paused():
        done = clean.tp("status", "--name", DAEMON, check=False)
        assert "no answer for" in done.stdout, done.stdout
        assert " ms\n" not in done.stdout, done.stdout
        begin = time.monotonic()
        done = clean.tp("list", "--name", DAEMON, check=False)
        assert time.monotonic() - begin < 12
        assert done.returncode != 0
        assert "the manager does not answer" in done.stderr, done.stderr
    wait_until("the link", lambda: clean.status()["state"] == "connected", 60)
    wait_until("an answer", lambda: "rttUs" in clean.status()["link"], 60)


def uninstall(cluster):
    """By helm itself, as who does not know better: agents stay."""
    run(["helm", "uninstall", "tp", "-n", MANAGER_NAMESPACE, "--wait", "--no-hooks"],
        env=cluster.env, timeout=180)  # fmt: skip


def renew_authority(cluster):
    cluster.kubectl("delete", "secret", "-n", MANAGER_NAMESPACE, "tp-manager-ca")


def patched(cluster, name):
    """The replaced template of a workload that nobody engages any more."""
    config = {"version": 1, "containers": ["app"], "replace": "app", "ports": [
        {"container": "app", "port": 8080, "protocol": "tcp", "name": "http",
         "mode": "direct", "listen": 8080}]}  # fmt: skip
    patch = {"spec": {"template": {"metadata": {"annotations": {
        "tp.internal/agent": json.dumps(config)}}}}}  # fmt: skip
    cluster.kubectl(
        "patch", "-n", NAMESPACE, f"deployment/{name}", "-p", json.dumps(patch)
    )


@pytest.mark.parametrize("how", ["another installation", "another authority"])
def test_agents_of_a_former_installation(clean, box, how):
    """They cannot connect: they are told so, renewed, and taken away."""
    engage(clean, "intercept", "heal", "--port", f"{LOCAL_PORT}:http")
    detach(clean, "heal")
    patched(clean, "rolled")  # as one that was replaced when tp went
    wait_until("replaced pods", lambda: len(replaced(clean, "rolled")) >= 2, 60)
    rollout(clean, "deployment/rolled")
    clean.tp("quit", "--name", DAEMON)
    if how == "another installation":
        uninstall(clean)
    else:
        renew_authority(clean)
    install_chart(clean)
    clean.tp("connect", "--name", DAEMON, "-n", "tp-e2e", timeout=120)
    # the reason is in the list
    entry = [w for w in listed(clean)["workloads"] if w["name"] == "heal"][0]
    assert entry["agent"] == "stale", entry
    assert "former installation" in entry["agentReason"], entry
    # what is replaced by nobody comes back, though its agents never connect
    wait_until("the container", lambda: replaced(clean, "rolled") == [], 150)
    # and who engages it gets new agents
    with local_program():
        engage(clean, "intercept", "heal", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box_again(clean), URL, "local", 60)


def box_again(cluster):
    """The box has lost its network with the former daemon."""
    from conftest import E2E, start_joined

    return start_joined(f"{E2E}-box", "--user", "1000", "--cap-drop", "ALL", "--read-only",
                        "--tmpfs", "/tmp")  # fmt: skip
