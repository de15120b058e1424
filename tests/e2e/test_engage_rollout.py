"""The rollouts that tp makes cost the app's clients nothing.

The load comes from a pod, to the Service's address. Where the workload says
goodbye properly (a preStop sleep) no request fails; where it does not, not more
fail than in a `kubectl rollout restart` of the same workload in the same run
(KUBERNETES.md 29).
"""

import json
import subprocess

import pytest
from conftest import wait_until
from matrix import LocalProgram, Matrix, Workload, app, create, detach_all, engage

NAMESPACE = "tp-rollout"
LOCAL = 18500

# New connections, as each is balanced anew; ends with its input.
LOAD = """
import http.client, json, sys, threading, time
address, port = sys.argv[1], int(sys.argv[2])
total, last, failed, done = [0] * 4, [None] * 4, [], threading.Event()
def ask(i):
    while not done.is_set():
        start = time.time()
        try:
            c = http.client.HTTPConnection(address, port, timeout=10)
            c.request('GET', '/')
            r = c.getresponse()
            body = r.read()
            last[i] = body[:60]
            if r.status != 200 or b'pod: ' not in body:
                failed.append('status %d' % r.status)
            c.close()
        except Exception as e:
            now = time.time()
            failed.append('%s after %.2f at %.1f, answer of %s' % (
                type(e).__name__, now - start, now, last[i]))
        total[i] += 1
        time.sleep(0.005)
threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
for t in threads: t.start()
print('running', flush=True)
sys.stdin.read()
done.set()
for t in threads: t.join()
print(json.dumps([sum(total), failed]))
"""

# Says "open", and asks when it is told to; prints the answer.
HELD = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as s:
    time.sleep(1)
    print('open', flush=True)
    sys.stdin.read()
    s.sendall(b'ping\\n')
    print(s.makefile('rb').readline().decode())
"""

SLEEP = (
    "readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}\n"
    "      lifecycle: {preStop: {sleep: {seconds: 3}}}"
)


def graceful(name, **more):
    return Workload(
        name=name, namespace=NAMESPACE, inject=False, grace=15, containers=app(probe=SLEEP), **more
    )


NAMED = graceful("r-named")
NUMERIC = graceful("r-numeric", service="80:8080 9001:9001")
GRACEFUL = [NAMED, NUMERIC]
PLAIN = [
    Workload(name=f"r-plain-{i}", namespace=NAMESPACE, inject=False, grace=15) for i in range(2)
]


def start_in_prober(cluster, w, program, first_line):
    """A program with the Service's address and port, until its input ends."""
    service = cluster.kubectl_json("get", "service", "-n", NAMESPACE, w.name)
    process = subprocess.Popen(
        ["kubectl", "exec", "-i", "-n", NAMESPACE, "prober", "--", "python3", "-c", program,
         service["spec"]["clusterIP"], "80"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=cluster.env,
    )  # fmt: skip
    assert process.stdout.readline().strip() == first_line
    return process


class Load:
    """Requests from the pod `prober`; failed after the with block."""

    def __init__(self, cluster, w):
        self.cluster, self.w = cluster, w
        self.total, self.failed = 0, []

    def __enter__(self):
        self.process = start_in_prober(self.cluster, self.w, LOAD, "running")
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate(timeout=30)
        self.total, self.failed = json.loads(out)
        print(f"{self.w.name}: {len(self.failed)} of {self.total} failed {self.failed[:3]}")


@pytest.fixture(scope="module")
def rollouts(session, box):
    create(session, GRACEFUL + PLAIN)
    session.kubectl(
        "run", "prober", "-n", NAMESPACE, "--image=tp-test/tools",
        "--image-pull-policy=IfNotPresent", "--command", "--", "sleep", "infinity",
    )  # fmt: skip
    session.kubectl(
        "wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/prober", "--timeout=60s",
        timeout=70,
    )  # fmt: skip
    cells = Matrix(session, box)
    cells.local = LocalProgram([LOCAL], "rollout-local")
    yield cells
    detach_all(session)
    cells.local.stop()
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


def settled(cells, w):
    """The rollout is complete, and the old pods are gone."""
    cells.cluster.kubectl(
        "rollout", "status", "-n", NAMESPACE, w.target, "--timeout=90s", timeout=100
    )

    def one():
        items = cells.cluster.kubectl_json(
            "get", "pods", "-n", NAMESPACE, "-l", f"app={w.name}"
        )["items"]
        return len(items) == 1

    wait_until(f"the old pods of {w.name} are gone", one, 60)


def restart(cells, w):
    cells.cluster.kubectl("rollout", "restart", "-n", NAMESPACE, w.target)
    settled(cells, w)


@pytest.mark.parametrize("w", GRACEFUL, ids=["named", "redirect"])
def test_no_request_fails(rollouts, w):
    """While agents come, while the engagement ends, and in a later restart."""
    cluster = rollouts.cluster
    try:
        with Load(cluster, w) as injection:
            assert engage(cluster, "intercept", w, "--port", f"{LOCAL}:http")["phase"] == "ready"
            settled(rollouts, w)
            wait_until("the local program", lambda: rollouts.all_answered_by(w, "local"), 20)
        with Load(cluster, w) as intercepted:
            restart(rollouts, w)
    finally:
        with Load(cluster, w) as detached:
            detach_all(cluster)
            restart(rollouts, w)
    loads = [injection, intercepted, detached]
    assert min(load.total for load in loads) > 100
    assert [load.failed for load in loads] == [[], [], []]


def test_a_connection_outlives_its_engagement(rollouts):
    """The last one's end, and the next one's beginning, take no new ones only."""
    cluster, w = rollouts.cluster, GRACEFUL[1]
    held = []
    try:
        for _ in range(2):
            engage(cluster, "intercept", w, "--port", f"{LOCAL}:http")
            settled(rollouts, w)
            wait_until("the local program", lambda: rollouts.all_answered_by(w, "local"), 20)
            held.append(start_in_prober(cluster, w, HELD, "open"))
            detach_all(cluster)
            wait_until("the app", lambda: rollouts.all_answered_by(w, "app"), 20)
    finally:
        detach_all(cluster)
        answers = [process.communicate(timeout=30)[0].strip() for process in held]
    assert answers == ["local:ping", "local:ping"]


def test_not_more_fail_than_in_a_restart(rollouts):
    restarts, injections = [], []
    for w in PLAIN:
        with Load(rollouts.cluster, w) as load:
            restart(rollouts, w)
        restarts.append(len(load.failed))
        with Load(rollouts.cluster, w) as load:
            engage(rollouts.cluster, "mirror", w, "--port", f"{LOCAL}:http")
            settled(rollouts, w)
        injections.append(len(load.failed))
        detach_all(rollouts.cluster)
    print(f"failed: {restarts} in restarts, {injections} in injections")
    assert sum(injections) <= sum(restarts)
