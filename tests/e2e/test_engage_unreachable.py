"""A control plane that does not reach the webhook (KUBERNETES.md 6): the agent is
written into the pod template, and taken out of it again."""

import json

import pytest
from conftest import (
    DAEMON,
    MANAGER_NAMESPACE,
    install_chart,
    put_chart_back,
    roll_managers,
    wait_until,
)
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NUMERIC_SERVICE,
    SECRET,
    local_program,
    service,
    until_answered_by,
    workload,
)

NS = "tp-unreached"
ALL = {"named": NAMED_SERVICE, "numeric": NUMERIC_SERVICE, "replaced": NAMED_SERVICE}


def webhook_port(cluster, target):
    """What the Service's port of the webhook leads to."""
    ports = cluster.kubectl_json("get", "service", "tp-manager", "-n", MANAGER_NAMESPACE)["spec"]["ports"]
    index = next(i for i, p in enumerate(ports) if p["name"] == "webhook")
    cluster.kubectl(
        "patch", "service", "tp-manager", "-n", MANAGER_NAMESPACE, "--type=json", "-p",
        json.dumps([{"op": "replace", "path": f"/spec/ports/{index}/targetPort", "value": target}]),
    )  # fmt: skip


def block(cluster):
    """New managers: API servers keep the connections that they have."""
    webhook_port(cluster, 9)
    roll_managers(cluster)
    wait_until("no webhook", lambda: not asked(cluster), 30)
    wait_until("the link", lambda: cluster.status()["state"] == "connected", 60)


def asked(cluster):
    """Does a pod that wants an agent get one?"""
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "asked", "annotations": {"tp.internal/inject": "enabled"}},
        "spec": {"containers": [
            {"name": "a", "image": "x", "ports": [{"name": "http", "containerPort": 1}]}
        ]},
    }  # fmt: skip
    done = cluster.kubectl("create", "--dry-run=server", "-n", NS, "-o", "json", "-f", "-",
                           input=json.dumps(pod))  # fmt: skip
    return len(json.loads(done.stdout)["spec"]["containers"]) == 2


def template(cluster, name):
    obj = cluster.kubectl_json("get", "deployment", name, "-n", NS)
    return obj["spec"]["template"], obj["metadata"].get("annotations", {})


def plain(pod_template):
    """Without what a restart leaves, and what means nothing."""
    out = json.loads(json.dumps(pod_template))
    out["metadata"].pop("creationTimestamp", None)
    if not out["metadata"].get("annotations"):
        out["metadata"].pop("annotations", None)
    return out


@pytest.fixture(scope="module")
def unreached(session):
    cluster = session
    install_chart(cluster, "--set", "agent.idleSeconds=2")
    cluster.kubectl("create", "namespace", NS, check=False)
    cluster.apply(SECRET, NS)
    for name, ports in ALL.items():
        cluster.apply(workload(name), NS)
        cluster.apply(service(name, ports), NS)
    for name in ALL:
        cluster.kubectl("rollout", "status", "-n", NS, f"deployment/{name}", "--timeout=90s",
                        timeout=100)  # fmt: skip
    wait_until("the webhook", lambda: asked(cluster), 20)
    block(cluster)
    yield cluster
    cluster.tp("detach", "--all", "--name", DAEMON, check=False)
    webhook_port(cluster, "webhook")
    cluster.kubectl("delete", "namespace", NS, "--wait=false", check=False)
    put_chart_back(cluster)


def message(cluster, name):
    items = cluster.kubectl_json("get", "engagements", "-n", MANAGER_NAMESPACE)["items"]
    return next(e["status"]["message"] for e in items if e["spec"]["workload"]["name"] == name)


@pytest.mark.parametrize("name, verb", [("named", "intercept"), ("numeric", "intercept"),
                                        ("replaced", "replace")])  # fmt: skip
def test_the_agent_is_in_the_template_and_goes_again(unreached, box, name, verb):
    cluster = unreached
    url = f"http://{name}.{NS}/"
    before, _ = template(cluster, name)
    with local_program():
        cluster.tp(verb, name, "--name", DAEMON, "-n", NS, "--yes", "--port",
                   f"{LOCAL_PORT}:http", timeout=180)  # fmt: skip
        assert "does not reach the webhook" in message(cluster, name)
        inside, annotations = template(cluster, name)
        assert [c["name"] for c in inside["spec"]["containers"]] == ["tp-agent", "app"]
        assert "tp.internal/undo" in annotations
        until_answered_by(box, url, "local", 60)
        # what people change meanwhile stays
        cluster.kubectl("set", "env", "-n", NS, f"deployment/{name}", "-c", "app", "MORE=1")
        cluster.kubectl("rollout", "status", "-n", NS, f"deployment/{name}", "--timeout=90s",
                        timeout=100)  # fmt: skip
        until_answered_by(box, url, "local", 60)
        cluster.tp("detach", name, "--name", DAEMON)
        # idle, the agent goes as it came
        def gone():
            now, notes = template(cluster, name)
            return len(now["spec"]["containers"]) == 1 and "tp.internal/undo" not in notes

        wait_until("the template", gone, 120, pause=1)
        until_answered_by(box, url, name, 60)
    after, _ = template(cluster, name)
    app = next(c for c in after["spec"]["containers"] if c["name"] == "app")
    assert {"name": "MORE", "value": "1"} in app["env"]
    app["env"].remove({"name": "MORE", "value": "1"})
    assert plain(after) == plain(before)


def test_what_the_chart_leaves_out_stays_out(unreached):
    cluster = unreached
    cluster.kubectl("label", "namespace", NS, "team=closed", "--overwrite")
    install_chart(
        cluster, "--set", "agent.idleSeconds=2",
        "--set", "webhook.namespaceSelector.matchExpressions[0].key=team",
        "--set", "webhook.namespaceSelector.matchExpressions[0].operator=DoesNotExist",
    )  # fmt: skip
    block(cluster)
    done = cluster.tp("intercept", "named", "--name", DAEMON, "-n", NS, "--port",
                      f"{LOCAL_PORT}:http", check=False)  # fmt: skip
    assert done.returncode != 0
    assert "webhook.namespaceSelector leaves them out" in done.stdout + done.stderr
    assert len(template(cluster, "named")[0]["spec"]["containers"]) == 1
