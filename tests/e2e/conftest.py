"""Fixtures of the end-to-end tests: a real cluster, the chart, one session.

Nothing here is a mock. The cluster is tests/cluster's (TP_CLUSTER_NAME and
TP_CLUSTER_RUN name another one of its kind), or that of TP_TEST_KUBECONFIG.
Everything that a test makes at the local Docker carries a name beginning with
$TP_E2E_NAME (tp-e2e), so that two suites run beside each other, and is removed
at the end.
"""

import json
import os
import pathlib
import subprocess
import time

import pytest

from shard import pytest_collection_modifyitems, pytest_runtest_protocol  # noqa: F401

TOP = pathlib.Path(__file__).resolve().parents[2]
TP = str(TOP / "tp")
RUN = pathlib.Path(os.environ.get("TP_CLUSTER_RUN", TOP / "tests/cluster/run"))
NODE = os.environ.get("TP_CLUSTER_NAME", "tp-cluster") + "-node1"
E2E = os.environ.get("TP_E2E_NAME", "tp-e2e")
NAMESPACE = "tp-e2e"
MANAGER_NAMESPACE = "tp-system"
DAEMON = f"{E2E}-daemon"
TOOLS = "tp-test/tools"


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; only with TP_LONG=1")


def run(args, check=True, timeout=60, **kwargs):
    """Runs a command; its output is in the failure's message."""
    done = subprocess.run(
        args, capture_output=True, text=True, timeout=timeout, **kwargs
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, args))} ended with {done.returncode}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done


def wait_until(what, probe, seconds=30, pause=0.2):
    """Calls probe() until it is true; a time-out is a failure that names it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds} s")


class Cluster:
    """kubectl, tp and helm with the right kubeconfig."""

    def __init__(self, kubeconfig):
        self.kubeconfig = str(kubeconfig)
        self.env = dict(os.environ, KUBECONFIG=self.kubeconfig)
        self.env["PATH"] = f"{RUN / 'bin'}:{self.env['PATH']}"

    def kubectl(self, *args, check=True, timeout=60, **kwargs):
        return run(
            ["kubectl", *args],
            check=check,
            timeout=timeout,
            env=self.env,
            **kwargs,
        )

    def kubectl_json(self, *args):
        return json.loads(self.kubectl(*args, "-o", "json").stdout)

    def apply(self, text, namespace=NAMESPACE):
        return self.kubectl("apply", "-n", namespace, "-f", "-", input=text)

    def tp(self, *args, check=True, timeout=90, env=None, **kwargs):
        return run(
            [TP, *args],
            check=check,
            timeout=timeout,
            env={**self.env, **(env or {})},
            **kwargs,
        )

    def status(self, name=DAEMON):
        done = self.tp("status", "--name", name, "--format", "json", check=False)
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def cluster():
    if os.environ.get("TP_TEST_KUBECONFIG"):
        return Cluster(os.environ["TP_TEST_KUBECONFIG"])
    return Cluster(RUN / "kubeconfig")


def image_id():
    """Another build under the same tag is to replace the pods, too."""
    version = json.loads(run([TP, "version", "--format", "json"], check=False).stdout)
    image = f"tp-manager:{version['client']}"
    inspect = ["docker", "image", "inspect", "-f", "{{.Id}}", image]
    return run(inspect, check=False).stdout.strip().removeprefix("sha256:")[:12] or "none"


def install_chart(cluster, *flags):
    """As a user would, by tp itself; puts back whatever a test has changed."""
    cluster.tp(
        "helm", "upgrade", "--install", "--wait", "--timeout", "120s",
        "--set", "link.rate=0", "--set", "link.maxPerUser=0",
        "--set", "clientRbac.subjects[0].kind=Group",
        "--set", "clientRbac.subjects[0].name=developers",
        "--set-string", f"podAnnotations.image={image_id()}", *flags,
        timeout=180,
    )  # fmt: skip


def roll_managers(cluster, seconds=90):
    managers = ["-n", MANAGER_NAMESPACE, "deployment/tp-manager"]
    cluster.kubectl("rollout", "restart", *managers)
    cluster.kubectl("rollout", "status", *managers, f"--timeout={seconds}s",
                    timeout=seconds + 10)  # fmt: skip


def put_chart_back(cluster):
    """Also what managers read while they run (agent.idleSeconds): the kubelet would
    bring that up to 90 s later, in the middle of whatever test comes next."""
    install_chart(cluster)
    roll_managers(cluster)


@pytest.fixture(scope="session")
def chart(cluster):
    install_chart(cluster)
    return cluster


@pytest.fixture(scope="session")
def apps(cluster):
    """The sample applications, ready."""
    cluster.kubectl("create", "namespace", NAMESPACE, check=False)
    manifest = TOP / "tests/images/app/manifest.yaml"
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", str(manifest))
    cluster.kubectl(
        "rollout", "status", "-n", NAMESPACE, "deployment/web",
        "--timeout=90s", timeout=100,
    )  # fmt: skip
    cluster.kubectl(
        "rollout", "status", "-n", NAMESPACE, "statefulset/db",
        "--timeout=90s", timeout=100,
    )  # fmt: skip
    return cluster


class Joined:
    """A long-lived container in the shared namespace, with no rights at all."""

    def __init__(self, name):
        self.name = name

    def sh(self, script, check=True, timeout=60, **kwargs):
        return run(
            ["docker", "exec", "-i", self.name, "bash", "-c", script],
            check=check,
            timeout=timeout,
            **kwargs,
        )

    def out(self, script, **kwargs):
        return self.sh(script, **kwargs).stdout.strip()

    def python(self, code, check=True, timeout=60):
        return run(
            ["docker", "exec", "-i", self.name, "python3", "-c", code],
            check=check,
            timeout=timeout,
        ).stdout.strip()


def start_joined(name, *flags, daemon=DAEMON):
    run(["docker", "rm", "-f", name], check=False)
    run(
        ["docker", "run", "-d", "--name", name, "--network",
         f"container:{daemon}", *flags, TOOLS, "sleep", "infinity"]
    )  # fmt: skip
    return Joined(name)


@pytest.fixture(scope="session")
def session(chart, apps):
    """A connected daemon; every test that shares it leaves it connected."""
    cluster = chart
    cluster.tp("quit", "--name", DAEMON, check=False)
    cluster.tp("connect", "--name", DAEMON, "-n", NAMESPACE)
    yield cluster
    cluster.tp("quit", "--name", DAEMON, check=False)


@pytest.fixture(scope="session")
def box(session):
    """Where most tests run their commands: --user 1000, no capability."""
    joined = start_joined(
        f"{E2E}-box", "--user", "1000", "--cap-drop", "ALL", "--read-only",
        "--tmpfs", "/tmp",
    )  # fmt: skip
    yield joined
    run(["docker", "rm", "-f", joined.name], check=False)
