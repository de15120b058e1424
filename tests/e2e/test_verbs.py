"""What the verbs do beside the traffic: limits of a container, the local shortcut."""

import hashlib
import json
import time

import pytest
from conftest import DAEMON, MANAGER_NAMESPACE, TOOLS, run, wait_until
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NAMESPACE,
    container,
    detach,
    engage,
    local_program,
    prepare,
    rollout,
    service,
    until_answered_by,
    until_settled,
    who,
    workload,
)

# by numbers, and UDP: redirected in the pod
PORTS = "{name: http, containerPort: 8080}, {name: echo, containerPort: 9001, protocol: UDP}"
FREE_SERVICE = (
    "{name: http, port: 80, targetPort: 8080}, "
    "{name: dgram, port: 9001, targetPort: 9001, protocol: UDP}"
)
LIMITS = """          resources: {limits: {cpu: 250m, memory: 96Mi}}
"""


@pytest.fixture(scope="module")
def verbs(session):
    prepare(session)
    session.apply(workload("limited", containers=container() + LIMITS), NAMESPACE)
    session.apply(service("limited", NAMED_SERVICE), NAMESPACE)
    session.apply(workload("free", containers=container("http=8080,udp=9001", PORTS)), NAMESPACE)
    session.apply(service("free", FREE_SERVICE), NAMESPACE)
    for name in ("limited", "free"):
        rollout(session, f"deployment/{name}")
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    for name in ("limited", "free"):
        session.kubectl(
            "delete", "-n", NAMESPACE, f"deployment/{name}", "--wait=false", check=False
        )


CGROUP = (
    'for f in cpu.max memory.max; do cat /sys/fs/cgroup/$f; done 2>/dev/null || '
    'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes'
)


def run_limited(cluster, name, *docker):
    return cluster.tp(
        "ingest", name, "--name", DAEMON, "-n", NAMESPACE, "--limits", "--",
        "docker", "run", "--rm", *docker, TOOLS, "bash", "-c", CGROUP, timeout=120,
    )  # fmt: skip


def test_limits_are_the_containers(verbs):
    """As the kernel sees them, in the container that tp started."""
    out = run_limited(verbs, "limited").stdout.split()
    assert out[0] == "25000", out
    assert out[-1] == str(96 * 1024 * 1024), out


def test_own_flags_win_over_limits(verbs):
    out = run_limited(verbs, "limited", "--memory", "64m").stdout.split()
    assert out[0] == "25000", out
    assert out[-1] == str(64 * 1024 * 1024), out


def test_no_limits_are_said(verbs):
    done = run_limited(verbs, "free")
    assert "has no limit" in done.stderr, done.stderr


def test_limits_without_a_container(verbs):
    done = verbs.tp("ingest", "free", "--name", DAEMON, "--limits", check=False)
    assert done.returncode == 2, done.stderr
    assert "docker run IMAGE" in done.stderr


# ---- the local shortcut

LOCAL = f"http://limited.{NAMESPACE}/"
FREE = f"http://free.{NAMESPACE}/"


def streams(cluster):
    return cluster.status()["streams"]


@pytest.fixture
def clean(verbs):
    yield verbs
    verbs.tp("detach", "--all", "--name", DAEMON, check=False)


def pod_url(cluster, name):
    pods = cluster.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"app={name}")
    ips = [
        p["status"]["podIP"] for p in pods["items"]
        if not p["metadata"].get("deletionTimestamp") and p["status"].get("podIP")
    ]  # fmt: skip
    return f"http://{ips[0]}:8080/" if ips else "http://127.0.0.1:1/"


def goes(cluster, box, url):
    """Which way a request went that the local program answered; "": another did."""
    before = streams(cluster)
    if who(box, url) != "local":
        return ""
    after = streams(cluster)
    return "local" if after["local"] > before["local"] else "cluster"


def until_local(cluster, box, url, seconds=10):
    url = url if callable(url) else lambda url=url: url
    wait_until(
        "the shortcut", lambda: goes(cluster, box, url()) == "local", seconds
    )


def test_shortcut(clean, box):
    """The program is reached, and the link sees nothing of it."""
    with local_program():
        engage(clean, "intercept", "limited", "--port", f"{LOCAL_PORT}:http", shortcut=True)
        until_local(clean, box, LOCAL)
        before = streams(clean)
        for _ in range(20):
            assert who(box, LOCAL) == "local"
        after = streams(clean)
        assert after["local"] == before["local"] + 20
        assert after["opened"] == before["opened"]
        until_settled(clean, "limited")
        # the sibling port is the cluster's, and so is the pod itself: its port is
        # taken by its name
        assert box.out("echo ping | nc -N -w 3 limited.tp-engage 9001") == "ping"
        assert who(box, pod_url(clean, "limited")).startswith("limited-")
        detach(clean, "limited")
        until_answered_by(box, LOCAL, "limited")
        assert streams(clean)["opened"] > after["opened"]


def test_shortcut_to_pods_that_come_and_go(clean, box):
    with local_program():
        engage(clean, "intercept", "free", "--port", f"{LOCAL_PORT}:http", shortcut=True)
        until_local(clean, box, FREE)
        until_local(clean, box, lambda: pod_url(clean, "free"))
        clean.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "app=free", "--wait=true")
        rollout(clean, "deployment/free")
        until_local(clean, box, lambda: pod_url(clean, "free"), 30)
        # a Service that comes
        clean.apply(service("late", "{port: 8088, targetPort: 8080}").replace(
            "app: late", "app: free"), NAMESPACE)  # fmt: skip
        until_local(clean, box, "http://late.tp-engage:8088/", 40)
        # and one that is turned to another workload
        clean.apply(service("late", "{port: 8088, targetPort: 8080}").replace(
            "app: late", "app: limited"), NAMESPACE)  # fmt: skip
        until_answered_by(box, "http://late.tp-engage:8088/", "limited", 40)
        clean.kubectl("delete", "-n", NAMESPACE, "service/late")


DATAGRAMS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 19001))
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(b"local " + data, peer)
"""


def link_bytes(cluster, box):
    """How much of a datagram of 1000 bytes the link has seen; and the answer."""
    send = "python3 -c \"print('x' * 1000)\" | nc -u -w 1 free.tp-engage 9001"
    before = cluster.status()["bytes"]["out"]
    answer = box.out(send, check=False)
    return cluster.status()["bytes"]["out"] - before, answer


def test_shortcut_of_datagrams(clean, box):
    name = f"{DAEMON}-datagrams"
    run(["docker", "rm", "-f", name], check=False)
    run(
        ["docker", "run", "-d", "--name", name, "--network", f"container:{DAEMON}",
         TOOLS, "python3", "-c", DATAGRAMS]
    )  # fmt: skip
    try:
        engage(clean, "intercept", "free", "--port", "19001:9001/udp", shortcut=True)

        def is_local():
            sent, answer = link_bytes(clean, box)
            return answer == "local " + "x" * 1000 and sent < 1000

        wait_until("the shortcut", is_local, 20)
    finally:
        run(["docker", "rm", "-f", name], check=False)
    # nobody listens any more: to the cluster
    assert link_bytes(clean, box)[0] >= 1000


def test_no_local_shortcut(clean, box):
    with local_program():
        engage(
            clean, "intercept", "limited", "--port", f"{LOCAL_PORT}:http",
            "--no-local-shortcut", shortcut=True,
        )  # fmt: skip
        until_answered_by(box, LOCAL, "local")
        before = streams(clean)
        for _ in range(3):
            assert goes(clean, box, LOCAL) == "cluster"
        assert streams(clean)["local"] == before["local"]


def test_shortcut_fails_open(clean, box):
    """Nobody listens here any more: the cluster answers, at once."""
    with local_program():
        engage(clean, "intercept", "limited", "--port", f"{LOCAL_PORT}:http", shortcut=True)
        until_local(clean, box, LOCAL)
    until_answered_by(box, LOCAL, "limited", 5)


def test_a_mirror_has_no_shortcut(clean, box):
    with local_program():
        engage(clean, "mirror", "limited", "--port", f"{LOCAL_PORT}:http")
        before = streams(clean)["local"]
        for _ in range(5):
            assert who(box, LOCAL).startswith("limited")
        assert streams(clean)["local"] == before


# ---- what a failure in the middle leaves

MANAGER = f"system:serviceaccount:{MANAGER_NAMESPACE}:tp-manager"


def half_made(cluster, like):
    """What a manager has written when the API server fails before the status."""
    path = f"engagement.tp.internal/{like}"
    who = cluster.kubectl_json("get", "-n", MANAGER_NAMESPACE, path)["spec"]
    claim = f"{NAMESPACE}/Deployment/free/tcp/8080"
    engagement = {
        "apiVersion": "tp.internal/v1", "kind": "Engagement",
        "metadata": {"name": "a" * 26, "namespace": MANAGER_NAMESPACE},
        "spec": {
            **{k: who[k] for k in ("session", "user", "uid", "groups", "extra") if k in who},
            "type": "intercept", "namespace": NAMESPACE, "name": "free",
            "workload": {"kind": "Deployment", "name": "free"}, "container": "app",
            "ports": [{"port": 8080, "protocol": "tcp", "mode": "redirect",
                       "requested": "8080"}],
        },
    }  # fmt: skip
    lease = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": "tp-claim-" + hashlib.sha256(claim.encode()).hexdigest()[:32],
            "namespace": MANAGER_NAMESPACE,
        },
        "spec": {"holderIdentity": "a" * 26},
    }  # fmt: skip
    return [engagement, lease]


def test_what_was_never_begun_is_in_nobodys_way(clean):
    like = engage(clean, "ingest", "limited")["id"]
    objects = [json.dumps(obj) for obj in half_made(clean, like)]
    for obj in objects:
        clean.kubectl("delete", "--ignore-not-found", "-f", "-", input=obj)
        clean.kubectl("create", "-f", "-", "--as", MANAGER, input=obj)
    began = time.monotonic()
    try:
        done = engage(clean, "intercept", "free", "--port", f"{LOCAL_PORT}:http", check=False)
        told = json.loads(done.stdout)  # it may be under way
        assert "is held by" in told["error"] and told["code"] == "conflict", told

        def engaged():
            done = engage(
                clean, "intercept", "free", "--port", f"{LOCAL_PORT}:http", check=False
            )
            return done.returncode == 0

        wait_until("the claim", engaged, 80, pause=5)
        assert time.monotonic() - began > 50
    finally:
        clean.tp("detach", "--all", "--name", DAEMON, check=False)
        for obj in objects:
            clean.kubectl("delete", "--ignore-not-found", "-f", "-", input=obj)
