"""Agents are taken away: of one workload by its user, of all with the chart."""

import time

import pytest
from conftest import DAEMON, MANAGER_NAMESPACE, install_chart, put_chart_back, wait_until
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NAMESPACE,
    detach,
    engage,
    local_program,
    prepare,
    rollout,
    service,
    until_answered_by,
    who,
    workload,
)

NAMES = ("gone", "asked", "ondelete", "zero")
ASKED = workload("asked").replace(
    "labels: {app: asked}", "labels: {app: asked}, annotations: {tp.internal/inject: enabled}"
)


@pytest.fixture(scope="module")
def apps_with_agents(session):
    prepare(session)
    session.apply(workload("gone"), NAMESPACE)
    session.apply(service("gone", NAMED_SERVICE), NAMESPACE)
    session.apply(ASKED, NAMESPACE)
    session.apply(
        workload("ondelete", "StatefulSet",
                 "serviceName: ondelete\n  replicas: 2\n  updateStrategy: {type: OnDelete}"),
        NAMESPACE,
    )  # fmt: skip
    session.apply(service("ondelete", NAMED_SERVICE), NAMESPACE)
    session.apply(workload("zero"), NAMESPACE)
    session.apply(service("zero", NAMED_SERVICE), NAMESPACE)
    for name in ("deployment/gone", "deployment/asked", "deployment/zero"):
        rollout(session, name)
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    for name in NAMES:
        session.kubectl("delete", "-n", NAMESPACE, "--wait=false",
                        f"deployment/{name}", f"statefulset/{name}", check=False)  # fmt: skip


def with_agent(cluster, namespace=None):
    """Names of the pods that have one and stay."""
    where = ["-n", namespace] if namespace else ["-A"]
    pods = cluster.kubectl_json("get", "pods", *where)["items"]
    return [
        p["metadata"]["name"] for p in pods
        if not p["metadata"].get("deletionTimestamp")
        and any(c["name"] == "tp-agent" for c in p["spec"]["containers"])
    ]  # fmt: skip


def agents_of(cluster, name):
    return [n for n in with_agent(cluster, NAMESPACE) if n.startswith(f"{name}-")]


def managers(cluster):
    pods = cluster.kubectl_json("get", "pods", "-n", MANAGER_NAMESPACE)["items"]
    return sorted(p["metadata"]["name"] for p in pods)


def uninstall(cluster, *args, check=True):
    return cluster.tp("uninstall", "--name", DAEMON, "-n", NAMESPACE, *args, check=check)


def test_of_one_workload(apps_with_agents, box):
    cluster = apps_with_agents
    with local_program():
        engage(cluster, "intercept", "gone", "--port", f"{LOCAL_PORT}:http")
        assert agents_of(cluster, "gone")
        done = uninstall(cluster, "gone", check=False)
        assert done.returncode == 1
        assert "intercept by" in done.stderr, done.stderr
        detach(cluster, "gone")
    done = uninstall(cluster, "gone")
    assert "without agent" in done.stdout
    wait_until("no agent", lambda: not agents_of(cluster, "gone"), 60)
    until_answered_by(box, "http://gone.tp-engage/", "gone")
    assert "has no agent" in uninstall(cluster, "deploy/gone").stdout
    done = uninstall(cluster, "nothing", check=False)
    assert done.returncode == 1 and "no workload" in done.stderr
    # an interruption is confirmed
    engage(cluster, "ingest", "sts/ondelete", "--yes")
    detach(cluster, "ondelete")
    done = uninstall(cluster, "sts/ondelete", check=False)
    assert "--yes" in done.stderr, done.stderr


def test_all_agents_of_a_namespace(apps_with_agents):
    cluster = apps_with_agents
    engage(cluster, "ingest", "gone")
    detach(cluster, "gone")
    uninstall(cluster, "--all-agents", "--yes", "--format", "json")
    wait_until("no agent", lambda: not agents_of(cluster, "gone"), 60)
    # these ask for it themselves
    assert agents_of(cluster, "asked")


def test_idle_agents_go_by_the_charts_value(apps_with_agents):
    """One value, and no restart of the manager."""
    cluster = apps_with_agents
    engage(cluster, "ingest", "gone")
    detach(cluster, "gone")
    before = managers(cluster)
    assert agents_of(cluster, "gone")
    install_chart(cluster, "--set", "agent.idleSeconds=5")
    try:
        # the kubelet takes up to 90 s to bring the ConfigMap, the janitor 15
        wait_until("no agent", lambda: not agents_of(cluster, "gone"), 150)
        assert managers(cluster) == before
    finally:
        put_chart_back(cluster)


def test_with_the_chart(apps_with_agents, box):
    """An intercept under way, a pre-injected one, pods that only eviction
    restarts, one that is scaled to 0; no request is lost for longer than a
    rollout's moment, and nothing of tp is left on any pod."""
    cluster = apps_with_agents
    with local_program():
        for name in ("gone", "zero"):
            engage(cluster, "intercept", name, "--port", f"{LOCAL_PORT}:http")
        engage(cluster, "ingest", "sts/ondelete", "--yes")
        cluster.kubectl("scale", "-n", NAMESPACE, "deployment/zero", "--replicas=0")
        assert agents_of(cluster, "asked") and agents_of(cluster, "ondelete")
        since = time.monotonic()
        done = cluster.tp("helm", "uninstall", "--wait", timeout=320)
        took = time.monotonic() - since
        try:
            assert "agents leave" in done.stderr
            assert with_agent(cluster) == []
            assert took < 240, took
            for kind, name in (("deployment", "gone"), ("deployment", "zero"),
                               ("statefulset", "ondelete")):  # fmt: skip
                obj = cluster.kubectl_json("get", "-n", NAMESPACE, f"{kind}/{name}")
                notes = obj["spec"]["template"]["metadata"].get("annotations") or {}
                assert "tp.internal/agent" not in notes
            rollout(cluster, "deployment/gone")
            left = cluster.kubectl(
                "get", "jobs,deployments", "-n", MANAGER_NAMESPACE, "-o", "name"
            ).stdout.split()
            assert left == [], left
        finally:
            install_chart(cluster)
    wait_until("a session", lambda: cluster.status()["state"] == "connected", 60)
    until_answered_by(box, "http://gone.tp-engage/", "gone", 60)
    listed = cluster.tp("list", "--name", DAEMON, "-n", NAMESPACE, "--format", "json")
    assert '"engagements":[]' in listed.stdout.replace(" ", "").replace("\n", "")


def test_no_hooks_leaves_them_and_they_let_all_through(apps_with_agents, box):
    cluster = apps_with_agents
    engage(cluster, "ingest", "gone")
    detach(cluster, "gone")
    cluster.tp("helm", "uninstall", "--no-hooks", "--wait", timeout=120)
    try:
        pods = agents_of(cluster, "gone")
        assert pods
        address = cluster.kubectl(
            "get", "-n", NAMESPACE, "service/gone", "-o", "jsonpath={.spec.clusterIP}"
        ).stdout
        done = cluster.kubectl(
            "run", "-n", NAMESPACE, "--rm", "-i", "--restart=Never", "--quiet",
            "--image=tp-test/tools", "--image-pull-policy=Never", "asker", "--",
            "curl", "-sS", "--max-time", "10", f"http://{address}/",
        )  # fmt: skip
        assert f"pod: {pods[0]}" in done.stdout, done.stdout
    finally:
        install_chart(cluster)
    wait_until("a session", lambda: cluster.status()["state"] == "connected", 60)
    assert who(box, "http://gone.tp-engage/").startswith("gone")
