"""What the verbs do beside the traffic: limits of a container, the local shortcut."""

import pytest
from conftest import DAEMON, TOOLS
from engage import NAMED_SERVICE, container, prepare, rollout, service, workload

NAMESPACE = "tp-engage"
LIMITS = """          resources: {limits: {cpu: 250m, memory: 96Mi}}
"""


@pytest.fixture(scope="module")
def verbs(session):
    prepare(session)
    session.apply(workload("limited", containers=container() + LIMITS), NAMESPACE)
    session.apply(service("limited", NAMED_SERVICE), NAMESPACE)
    session.apply(workload("free"), NAMESPACE)
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
