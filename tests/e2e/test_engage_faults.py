"""What ends badly: programs that are killed, that hang, workloads that vanish.

After each fault the app has its traffic back within 15 s without help, nothing
is left, and whoever connects again goes on.
"""

import concurrent.futures
import pathlib
import time

import pytest
from conftest import DAEMON, E2E, NODE, run, wait_until
from matrix import (
    LocalProgram,
    Matrix,
    Workload,
    app,
    create,
    detach_all,
    engage,
    entry_of,
    listed,
)

NAMESPACE = "tp-faults"
BACK_SECONDS = 15
LOCAL, HANGING = 18400, 18401
DASHES = str.maketrans("", "", "-_")
# The app must outlive its agent: the kubelet takes 1 to 5 s to start one again on a
# busy node, once 9.3 s. Ten failures are 10 s; Kubernetes' default is three in 30 s.
PROBES = (
    "readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, "
    "timeoutSeconds: 1, failureThreshold: 1}\n"
    "      livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, "
    "timeoutSeconds: 1, failureThreshold: 10}"
)

NAMED = Workload(name="f-named", namespace=NAMESPACE, containers=app(probe=PROBES))
NUMERIC = Workload(
    name="f-numeric", namespace=NAMESPACE, containers=app(probe=PROBES),
    service="80:8080 9001:9001", inject_ports="8080",
)  # fmt: skip
LATE = Workload(name="f-late", namespace=NAMESPACE, inject=False)
BOTH = [NAMED, NUMERIC]
IDS = ["named", "redirect"]


@pytest.fixture(scope="module")
def faults(session, box):
    create(session, [*BOTH, LATE])
    cells = Matrix(session, box)
    cells.local = LocalProgram([LOCAL], "faults-local")
    yield cells
    detach_all(session)
    cells.local.stop()
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture
def clean(faults):
    yield faults
    detach_all(faults.cluster)


def until(what, probe, seconds=20):
    return wait_until(what, probe, seconds)


def intercept(cells, w, port=LOCAL):
    until("the app", lambda: cells.all_answered_by(w, "app"), 60)
    engage(cells.cluster, "intercept", w, "--port", f"{port}:http")


def intercepted(cells, w):
    intercept(cells, w)
    until("the local program", lambda: cells.all_answered_by(w, "local"))


def kill_in_node(program, pod=None):
    """kill -9 of all processes of that name in this suite's own node, or only
    in that pod: a second crash in a short time is the kubelet's back-off."""
    rows = run(["docker", "top", NODE, "-eo", "pid,comm"]).stdout.splitlines()
    pids = [row.split()[0] for row in rows[1:] if row.split()[1] == program]
    if pod:
        uid = pod["metadata"]["uid"].replace("-", "")
        pids = [p for p in pids
                if uid in pathlib.Path(f"/proc/{p}/cgroup").read_text().translate(DASHES)]  # fmt: skip
    assert pids, program
    run(["kill", "-9", *pids])
    return len(pids)


def traffic_is_back(cells, w, wanted, since, seconds=BACK_SECONDS):
    """Answers from one of wanted, five times without a failure."""
    names = {"app": w.name, "local": "local"}

    def steady():
        return all(
            cells.ask(w, w.probes[0]).startswith(tuple(names[k] for k in wanted))
            for _ in range(5)
        )

    until(f"answers by {wanted}", steady, seconds)
    took = time.monotonic() - since
    print(f"{w.name}: back after {took:.1f} s")
    return took


def restarts(cells, w):
    (pod,) = cells.pods(w)
    return {
        s["name"]: s["restartCount"] for s in pod["status"].get("containerStatuses", [])
    }


def all_pods(cells, w):
    """Those that are about to go, too."""
    return cells.cluster.kubectl_json(
        "get", "pods", "-n", NAMESPACE, "-l", f"app={w.name}"
    )["items"]


def is_ready(cells, w):
    (pod,) = cells.pods(w)
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"]
    )


@pytest.mark.parametrize("w", BOTH, ids=IDS)
def test_the_agent_is_killed(clean, w):
    intercepted(clean, w)
    before = restarts(clean, w)
    (pod,) = clean.pods(w)
    assert kill_in_node("tp-agent", pod) == 1
    start = time.monotonic()
    traffic_is_back(clean, w, ("app", "local"), start)
    until("the engagement", lambda: clean.all_answered_by(w, "local"), BACK_SECONDS)
    # the new agent serves before the kubelet tells that the old one has ended
    until("the restart", lambda: restarts(clean, w)["tp-agent"] > before["tp-agent"])
    after = restarts(clean, w)
    assert after["tp-agent"] == before["tp-agent"] + 1 and after["app"] == before["app"]
    assert clean.pods(w)[0]["metadata"]["uid"] == pod["metadata"]["uid"]


def test_all_managers_are_killed(clean, prober):
    """The app serves at once: the agents have nobody to offer it to."""
    intercepted(clean, NAMED)
    assert kill_in_node("tp-manager") >= 2
    start = time.monotonic()
    traffic_is_back_from_inside(clean, NAMED, start)
    until("the engagement", lambda: clean.all_answered_by(NAMED, "local"), 60)
    print(f"intercepted again after {time.monotonic() - start:.1f} s")
    assert entry_of(clean.cluster, NAMED)["engagements"]


def traffic_is_back_from_inside(cells, w, since):
    """The workstation has no link meanwhile: a pod of the cluster asks."""

    def answered():
        out = cells.cluster.kubectl(
            "exec", "-n", NAMESPACE, "prober", "--", "curl", "-sS", "--max-time", "2",
            f"http://{w.name}.{NAMESPACE}/", check=False,
        ).stdout  # fmt: skip
        return f"pod: {w.name}" in out or "pod: local" in out

    until("answers", lambda: all(answered() for _ in range(3)), BACK_SECONDS)
    print(f"{w.name}: back after {time.monotonic() - since:.1f} s")


@pytest.fixture(scope="module")
def prober(faults):
    faults.cluster.kubectl(
        "run", "prober", "-n", NAMESPACE, "--image=tp-test/tools",
        "--image-pull-policy=IfNotPresent", "--command", "--", "sleep", "infinity",
    )  # fmt: skip
    faults.cluster.kubectl(
        "wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/prober", "--timeout=60s",
        timeout=70,
    )  # fmt: skip
    return faults


def test_the_client_is_killed(clean, prober):
    """With its container: a daemon of its own, so that the box stays joined."""
    name = f"{E2E}-victim"
    cluster = clean.cluster
    cluster.tp("connect", "--name", name, "-n", NAMESPACE)
    program = f"{E2E}-victim-local"

    def start_program():
        run(["docker", "rm", "-f", program], check=False)
        run(["docker", "run", "-d", "--name", program, "--network", f"container:{name}",
             "-e", "POD_NAME=local", "tp-test/app", f"http={LOCAL}"])  # fmt: skip

    def take():
        cluster.tp("intercept", NAMED.target, "--name", name, "--port", f"{LOCAL}:http",
                   timeout=60)  # fmt: skip
        until("the local program", lambda: clean.all_answered_by(NAMED, "local"))

    try:
        start_program()
        take()
        run(["docker", "kill", name])
        traffic_is_back(clean, NAMED, ("app",), time.monotonic())
        # whoever comes back gets what he had, without --force
        cluster.tp("quit", "--name", name, check=False)
        cluster.tp("connect", "--name", name, "-n", NAMESPACE)
        start_program()
        take()
        engagements = entry_of(cluster, NAMED)["engagements"]
        assert len(engagements) == 1, engagements
        cluster.tp("detach", "--all", "--name", name)
        until("the app", lambda: clean.all_answered_by(NAMED, "app"))
        assert entry_of(cluster, NAMED)["engagements"] == []
        leases = cluster.kubectl("get", "leases", "-n", "tp-system", "-o", "name").stdout
        assert "tp-claim-" not in leases
    finally:
        run(["docker", "rm", "-f", program], check=False)
        cluster.tp("quit", "--name", name, check=False)


@pytest.mark.parametrize("w", BOTH, ids=IDS)
def test_a_program_that_hangs_does_not_kill_the_pod(clean, w):
    """As in a debugger: it takes connections and never answers."""
    name = f"{E2E}-hanging"
    run(["docker", "rm", "-f", name], check=False)
    run(["docker", "run", "-d", "--name", name, "--network", f"container:{DAEMON}",
         "tp-test/app", f"hang={HANGING}"])  # fmt: skip
    try:
        before = restarts(clean, w)
        intercept(clean, w, HANGING)
        url = f"http://{w.name}.{NAMESPACE}/"
        until(
            "it hangs",
            lambda: clean.box.sh(f"curl -s --max-time 1 {url}", check=False).returncode == 28,
        )
        end = time.monotonic() + 6  # of six periods
        while time.monotonic() < end:
            assert is_ready(clean, w)
            time.sleep(0.3)
        assert restarts(clean, w) == before
    finally:
        run(["docker", "rm", "-f", name], check=False)


def test_scaled_to_0_and_back(clean):
    def scale(n):
        clean.cluster.kubectl("scale", "-n", NAMESPACE, NAMED.target, f"--replicas={n}")

    def message():
        mine = [e for e in listed(clean.cluster, NAMESPACE)["engagements"]
                if e["name"] == NAMED.name]  # fmt: skip
        return mine[0]["message"] if mine else None

    intercepted(clean, NAMED)
    try:
        scale(0)
        until("no pods", lambda: not all_pods(clean, NAMED), 30)
        until("no pods", lambda: message() == "no pods: it is scaled to 0", 30)
        assert entry_of(clean.cluster, NAMED)["replicas"] == 0
    finally:
        scale(1)
    until("the local program", lambda: clean.all_answered_by(NAMED, "local"), 60)
    until("no message", lambda: message() == "")
    detach_all(clean.cluster)
    until("the app", lambda: clean.all_answered_by(NAMED, "app"))


def test_engaged_while_there_are_no_pods(clean):
    scale = ["scale", "-n", NAMESPACE, NUMERIC.target]
    until("the app", lambda: clean.all_answered_by(NUMERIC, "app"), 60)
    clean.cluster.kubectl(*scale, "--replicas=0")
    try:
        until("no pods", lambda: not all_pods(clean, NUMERIC), 30)
        engage(clean.cluster, "intercept", NUMERIC, "--port", f"{LOCAL}:http")
    finally:
        clean.cluster.kubectl(*scale, "--replicas=1")
    until("the local program", lambda: clean.all_answered_by(NUMERIC, "local"), 60)


def test_an_injection_that_is_stuck_is_taken_back(clean):
    """A quota does not let the new pod in: said at once, and undone at the end."""
    cluster = clean.cluster

    def annotation():
        template = cluster.kubectl_json("get", "-n", NAMESPACE, LATE.target)["spec"]["template"]
        return template["metadata"].get("annotations", {}).get("tp.internal/agent")

    (before,) = clean.pods(LATE)
    cluster.kubectl("create", "quota", "full", "-n", NAMESPACE, "--hard=pods=1")
    try:
        done = cluster.tp(
            "intercept", LATE.target, "--name", DAEMON, "-n", NAMESPACE, "--port",
            f"{LOCAL}:http", "--timeout", "5s", check=False,
        )  # fmt: skip
        assert done.returncode != 0 and "exceeded quota" in done.stderr, done.stderr
        assert LATE.name not in [e["name"] for e in listed(cluster, NAMESPACE)["engagements"]]
        until("the template as it was", lambda: not annotation(), 30)
    finally:
        cluster.kubectl("delete", "quota", "full", "-n", NAMESPACE)
    assert clean.all_answered_by(LATE, "app")
    (after,) = clean.pods(LATE)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_of_50_racing_claims_one_wins(clean):
    """Two clients, 25 claims of one port each; replicas as their links fell."""
    other = f"{E2E}-rival"
    cluster = clean.cluster
    cluster.tp("connect", "--name", other, "-n", NAMESPACE)

    def claim(i):
        return cluster.tp(
            "intercept", NAMED.target, "--name", [DAEMON, other][i % 2], "-n", NAMESPACE,
            "--as-name", f"claim-{i}", "--port", f"{LOCAL}:http", check=False, timeout=120,
        )  # fmt: skip

    try:
        with concurrent.futures.ThreadPoolExecutor(25) as pool:
            done = list(pool.map(claim, range(50)))
        winners = [d for d in done if d.returncode == 0]
        losers = [d for d in done if d.returncode != 0]
        assert len(winners) == 1, [d.stderr for d in losers][:3]
        wrong = [d.stderr for d in losers if "held by" not in d.stderr]
        assert not wrong, wrong[:3]
        items = cluster.kubectl_json("get", "engagements.tp.internal", "-A")["items"]
        assert len(items) == 1, items
        leases = cluster.kubectl("get", "leases", "-n", "tp-system", "-o", "name").stdout
        assert leases.count("tp-claim-") == 1
    finally:
        cluster.tp("quit", "--name", other, check=False)
