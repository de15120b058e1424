"""Fixtures: the user with its engine and tp, and the cluster it works in.

The cluster runs in the machine's own engine, as it needs a privileged container;
everything that a developer runs is the ordinary user's.
"""

import json
import os

import pytest

from conftest import RUN, TOP, Cluster, chart, cluster, run  # noqa: F401
from user import User

NAMESPACE = "tp-rootless"
DAEMON = "tp-daemon"
COLLEAGUE = """
apiVersion: v1
kind: Pod
metadata: {name: colleague}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: tools
      image: tp-test/tools
      imagePullPolicy: IfNotPresent
      command: [sleep, infinity]
"""


@pytest.fixture(scope="session")
def user():
    one = User()
    try:
        one.install()
        one.start_engine()
        one.load("tp-test/app", "tp-test/tools")
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="session")
def apps(chart):  # noqa: F811
    """The sample applications and somebody in the cluster who asks them."""
    kubectl = chart.kubectl
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "-n", NAMESPACE, "-f", str(TOP / "tests/images/app/manifest.yaml"))
    chart.apply(COLLEAGUE, NAMESPACE)
    for what in ("deployment/web", "statefulset/db"):
        kubectl("rollout", "status", "-n", NAMESPACE, what, "--timeout=90s", timeout=100)
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/colleague",
            "--timeout=60s", timeout=70)  # fmt: skip
    yield chart
    kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


def kubeconfig_of_a_developer():
    """Of a user with the role tp-user only; the server's address is the node's,
    which its certificate names: the machine's loopback is not the container's."""
    foreign = os.environ.get("TP_TEST_KUBECONFIG")
    if foreign:
        return open(foreign, encoding="utf-8").read()
    made = run([str(TOP / "tests/cluster/user"), "dev-rootless", "developers"])
    own = Cluster(made.stdout.split()[-1])
    direct = Cluster(RUN / "kubeconfig.direct")
    config = own.kubectl_json("config", "view", "--raw")
    there = direct.kubectl_json("config", "view", "--raw")
    config["clusters"][0]["cluster"]["server"] = there["clusters"][0]["cluster"]["server"]
    return json.dumps(config)


class Developer:
    """tp and docker as the ordinary user."""

    def __init__(self, user, cluster):  # noqa: F811
        self.user, self.cluster, self.docker = user, cluster, user.docker
        config = user.give(user.home / ".kube/config", kubeconfig_of_a_developer())
        assert config == str(user.home / ".kube/config")  # as kubectl has it

    def tp(self, *args, **kwargs):
        """Without DOCKER_HOST: tp finds the rootless engine by itself."""
        return self.user.run(["tp", *args], **{"timeout": 180, **kwargs})

    def tp_json(self, *args, **kwargs):
        return json.loads(self.tp(*args, "--format", "json", **kwargs).stdout)

    def joined(self, *args, **kwargs):
        """An unmodified image in the session's network, without any right."""
        return self.docker("run", "--rm", "--cap-drop", "ALL", "--user", "1000",
                           "--network", f"container:{DAEMON}", "tp-test/tools",
                           *args, **kwargs)  # fmt: skip

    def colleague(self, *args, **kwargs):
        """Somebody in the cluster, who knows nothing of tp."""
        return self.cluster.kubectl("exec", "-n", NAMESPACE, "colleague", "--", *args,
                                    **kwargs)  # fmt: skip


@pytest.fixture(scope="session")
def developer(user, apps):
    return Developer(user, apps)


@pytest.fixture(scope="session")
def connected(developer):
    developer.tp("connect", "-n", NAMESPACE)
    yield developer
    developer.tp("quit", check=False)
