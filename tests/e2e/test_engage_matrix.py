"""Each verb on each kind of workload: listed, routed or copied, and put back.

All workloads are made once, their agents with them (by annotation); a cell
engages, looks and detaches. `replace` costs two rollouts by nature: those of
all workloads run beside each other.
"""

import concurrent.futures
import json

import pytest
from conftest import DAEMON, wait_until
from engage import until_settled
from matrix import (
    NAMESPACE,
    WORKLOADS,
    LocalProgram,
    Matrix,
    create,
    detach_all,
    engage,
    entry_of,
    listed,
    spec_without_agent,
)

VERBS = ["intercept", "mirror", "ingest"]


@pytest.fixture(scope="module")
def cells(session, box):
    create(session, list(WORKLOADS.values()))
    cells = Matrix(session, box)
    cells.local = LocalProgram([p for w in WORKLOADS.values() for p in w.local_ports()])
    cells.replaced = {}
    yield cells
    detach_all(session)
    cells.local.stop()
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


def wait_for(what, probe, seconds=20):
    return wait_until(what, probe, seconds)


def check_before(cells, w):
    """The app answers, and the pod has its agent. Returns what is to come back."""
    wait_for("the app", lambda: cells.all_answered_by(w, "app"), 60)
    entry = wait_for("an agent", lambda: (e := entry_of(cells.cluster, w))
                     and e["agent"] == "idle" and e)  # fmt: skip
    assert entry["engageable"] and not entry["engagements"]
    (pod,) = cells.pods(w)
    return pod


def check_after(cells, w, before, same_pod):
    wait_for("the app again", lambda: cells.all_answered_by(w, "app"), 60)
    wait_for("its sibling", lambda: cells.sibling_is_served(w))
    assert w.name not in [e["name"] for e in listed(cells.cluster)["engagements"]]
    assert entry_of(cells.cluster, w)["engagements"] == []
    after = wait_for("one pod", lambda: len(p := cells.pods(w)) == 1 and p)[0]
    assert spec_without_agent(after) == spec_without_agent(before)
    assert not same_pod or after["metadata"]["uid"] == before["metadata"]["uid"]


def check_listed(cells, w, verb):
    """`tp list` and `kubectl get engagements` say the same."""
    entry = entry_of(cells.cluster, w)
    assert [e["type"] for e in entry["engagements"]] == [verb]
    items = cells.cluster.kubectl_json("get", "engagements.tp.internal", "-A")["items"]
    mine = [i for i in items if i["spec"]["workload"]["name"] == w.name]
    assert len(mine) == 1 and mine[0]["spec"]["type"] == verb


def check_routed(cells, w):
    wait_for("the local program", lambda: cells.all_answered_by(w, "local"))
    for i in range(5):
        assert cells.all_answered_by(w, "local", f"/routed-{i}")
        assert cells.local.count(w, f"/routed-{i}") >= len(w.probes)


def check_copied(cells, w):
    """The app answers each, and a copy of each arrives once."""
    wait_for(
        "copies",
        lambda: cells.all_answered_by(w, "app", "/first")
        and cells.local.count(w, "/first") >= len(w.probes),
    )
    for i in range(5):
        assert cells.all_answered_by(w, "app", f"/copied-{i}")
    for i in range(5):
        wait_for(f"copy {i}", lambda i=i: cells.local.count(w, f"/copied-{i}") > 0, 5)
    for i in range(5):
        assert cells.local.count(w, f"/copied-{i}") == len(w.probes)


def check_left_alone(cells, w, path):
    env = json.loads(path.read_text())
    assert env["POD_NAME"] == cells.pods(w)[0]["metadata"]["name"]
    assert env["WHO"] == w.who
    for i in range(3):
        assert cells.all_answered_by(w, "app", "/ingested")
    assert cells.local.count(w, "/ingested") == 0


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("verb", VERBS)
def test_cell(cells, verb, name, tmp_path):
    w = WORKLOADS[name]
    before = check_before(cells, w)
    path = tmp_path / "env.json"
    if verb == "ingest":
        flags = ["--env-json", str(path)]
        flags += ["--container", w.container] if w.container else []
    else:
        flags = w.flags()
    try:
        assert engage(cells.cluster, verb, w, *flags)["phase"] == "ready"
        before = cells.pods(w)[0]  # two: its second container is new to the agent
        until_settled(cells.cluster, w.name, w.namespace)
        check_listed(cells, w, verb)
        if verb == "intercept":
            check_routed(cells, w)
        elif verb == "mirror":
            check_copied(cells, w)
        else:
            check_left_alone(cells, w, path)
        assert cells.sibling_is_served(w)
    finally:
        cells.cluster.tp("detach", w.name, "--name", DAEMON)
    check_after(cells, w, before, True)


REPLACEABLE = [name for name, w in WORKLOADS.items() if w.kind != "Pod"]


@pytest.fixture(scope="module")
def replaced(cells):
    """All of them at once, as each is a rollout."""
    for w in WORKLOADS.values():
        cells.replaced[w.name] = check_before(cells, w)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        work = {
            name: pool.submit(engage, cells.cluster, "replace", WORKLOADS[name],
                              *WORKLOADS[name].flags())
            for name in REPLACEABLE
        }  # fmt: skip
    return work


@pytest.mark.parametrize("name", REPLACEABLE)
def test_replace(cells, replaced, name):
    w = WORKLOADS[name]
    try:
        assert replaced[name].result()["phase"] == "ready"
        check_listed(cells, w, "replace")
        until_settled(cells.cluster, w.name, w.namespace)
        (pod,) = wait_for("one pod", lambda: len(p := cells.pods(w)) == 1 and p)
        container = [c for c in pod["spec"]["containers"] if c["name"] == w.who][0]
        assert "tp-test/app" not in container["image"]
        check_routed(cells, w)
        assert not w.other or cells.sibling_is_served(w)
    finally:
        cells.cluster.tp("detach", w.name, "--name", DAEMON)
    check_after(cells, w, cells.replaced[w.name], False)


def test_a_bare_pod_is_not_replaced(cells):
    w = WORKLOADS["barepod"]
    before = check_before(cells, w)
    done = cells.cluster.tp(
        "replace", w.target, "--name", DAEMON, "-n", NAMESPACE, "--yes", *w.flags(), check=False
    )
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "a running Pod cannot get an agent" in done.stderr
    check_after(cells, w, before, True)


def test_both_containers_with_a_port_of_one_name(cells):
    """Each of the two is intercepted by its container's name."""
    w = WORKLOADS["two"]
    first, second = (w.local_port(0), w.local_port(0) + 1)
    check_before(cells, w)
    try:
        engage(cells.cluster, "intercept", w, "--container", "second", "--port", f"{first}:http")
        # its agents came with a rollout
        until_settled(cells.cluster, w.name, w.namespace)
        wait_for("the first", lambda: cells.ask(w, "http:service:80").startswith(w.name))
        engage(
            cells.cluster, "mirror", w, "--container", "first", "--port", f"{second}:http",
            "--as-name", "first",
        )  # fmt: skip
        wait_for("the second", lambda: cells.ask(w, "http:service:81") == "local")
        assert cells.ask(w, "http:service:80").startswith(w.name)
    finally:
        detach_all(cells.cluster)
    wait_for("the app again", lambda: cells.all_answered_by(w, "app"))
