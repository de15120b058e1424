"""Mirrors: each request is copied once, and no copy stands in the app's way."""

import json
import statistics

import pytest
from conftest import DAEMON, E2E, run, wait_until
from matrix import LocalProgram, Matrix, Workload, create, detach_all, engage

NAMESPACE = "tp-mirror"
LOCAL, OTHER, HANGING, DEAD = 18600, 18601, 18602, 18603
REQUESTS, ROUNDS = 300, 5

APP = Workload(name="c-app", namespace=NAMESPACE)

# COUNT requests to HOST with a body of SIZE bytes each; prints their times in
# microseconds, sorted, or what is wrong.
ASK = """
import http.client, json, sys, time
host, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times, body = [], b'x' * size
for i in range(count):
    start = time.perf_counter()
    c = http.client.HTTPConnection(host, 80, timeout=10)
    c.request('POST' if size else 'GET', '/hash' if size else '/', body or None)
    r = c.getresponse()
    text = r.read()
    c.close()
    assert r.status == 200 and (size or b'pod: c-app' in text), (r.status, text[:200])
    times.append((time.perf_counter() - start) * 1e6)
print(json.dumps(sorted(times)))
"""


@pytest.fixture(scope="module")
def mirrors(session, box):
    create(session, [APP])
    session.kubectl(
        "run", "prober", "-n", NAMESPACE, "--image=tp-test/tools",
        "--image-pull-policy=IfNotPresent", "--command", "--", "sleep", "infinity",
    )  # fmt: skip
    session.kubectl(
        "wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/prober", "--timeout=60s",
        timeout=70,
    )  # fmt: skip
    cells = Matrix(session, box)
    cells.local = LocalProgram([LOCAL, OTHER], "mirror-local")
    yield cells
    detach_all(session)
    cells.local.stop()
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture
def clean(mirrors):
    yield mirrors
    detach_all(mirrors.cluster)


def lines_of(cells, port, text):
    return [x for x in cells.local.lines() if x.startswith(f"{port} /{text}")]


def mirror(cells, port, *flags):
    engage(cells.cluster, "mirror", APP, "--port", f"{port}:http", *flags)


def until_copied(cells, port):
    """The first copy; each poll has a path of its own."""
    polls = iter(range(100))

    def copied():
        assert cells.ask(APP, "http:service:80", f"/until-{port}-{next(polls)}")
        return lines_of(cells, port, f"until-{port}-")

    wait_until("a copy", copied, 20)


def test_each_request_is_copied_once(clean):
    mirror(clean, LOCAL)
    until_copied(clean, LOCAL)
    script = (
        f"seq {REQUESTS} | xargs -P 16 -I N curl -sS --max-time 10 "
        f"http://{APP.name}.{NAMESPACE}/exact-N"
    )
    out = clean.box.out(script, timeout=120)
    assert out.count(f"pod: {APP.name}") == REQUESTS
    wanted = sorted(f"{LOCAL} /exact-{i + 1}" for i in range(REQUESTS))
    wait_until("all copies", lambda: len(lines_of(clean, LOCAL, "exact-")) >= REQUESTS, 20)
    assert sorted(lines_of(clean, LOCAL, "exact-")) == wanted


def test_beside_an_intercept(clean):
    """The intercept answers, the mirror sees what came; two mirrors each."""
    engage(clean.cluster, "intercept", APP, "--port", f"{LOCAL}:http")
    mirror(clean, OTHER, "--as-name", "copy")
    wait_until("the intercept", lambda: clean.all_answered_by(APP, "local"), 20)
    until_copied(clean, OTHER)
    for i in range(20):
        assert clean.ask(APP, "http:service:80", f"/beside-{i}") == "local"
    wait_until("20 copies", lambda: len(lines_of(clean, OTHER, "beside-")) >= 20, 10)
    for port in (LOCAL, OTHER):
        assert sorted(lines_of(clean, port, "beside-")) == sorted(
            f"{port} /beside-{i}" for i in range(20)
        )
    clean.cluster.tp("detach", APP.name, "--name", DAEMON)
    wait_until("the app", lambda: clean.all_answered_by(APP, "app"), 20)
    assert clean.ask(APP, "http:service:80", "/after").startswith(APP.name)
    wait_until("the mirror goes on", lambda: lines_of(clean, OTHER, "after"), 10)


def ask(cells, count, size=0):
    out = cells.cluster.kubectl(
        "exec", "-n", NAMESPACE, "prober", "--", "python3", "-c", ASK,
        f"{APP.name}.{NAMESPACE}", str(count), str(size), timeout=120,
    ).stdout  # fmt: skip
    times = json.loads(out)
    assert len(times) == count
    return times


@pytest.fixture
def hanging(mirrors):
    name = f"{E2E}-mirror-hanging"
    run(["docker", "rm", "-f", name], check=False)
    run(["docker", "run", "-d", "--name", name, "--network", f"container:{DAEMON}",
         "tp-test/app", f"hang={HANGING}"])  # fmt: skip
    yield
    run(["docker", "rm", "-f", name], check=False)


def test_a_receiver_that_is_dead_or_hangs_costs_nothing(clean, hanging):
    """All answers come; the times are for the reader (KUBERNETES.md 29)."""
    kinds = {"none": None, "alive": LOCAL, "dead": DEAD, "hanging": HANGING}
    times = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, port in kinds.items():
            if port:
                mirror(clean, port)
            ask(clean, 20)
            got = ask(clean, 200)
            times[kind].append((got[100], got[198]))
            detach_all(clean.cluster)
    for kind, rounds in times.items():
        p50, p99 = (statistics.median(r[i] for r in rounds) for i in (0, 1))
        print(f"mirror {kind}: p50 {p50:.0f} us, p99 {p99:.0f} us")


def test_large_bodies_past_a_receiver_that_hangs(clean, hanging):
    """More than any queue holds: copies are given up, no answer is late."""
    mirror(clean, HANGING)
    slowest = ask(clean, 40, 4 << 20)[-1]
    print(f"4 MiB past a receiver that hangs: {slowest / 1000:.0f} ms at most")
