"""What the chart's tests share: helm, kubectl and rendered objects."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
CHART = TOP / "chart/tp"
RUN = TOP / "tests/cluster/run"
IMAGES = TOP / "build/release/build/images"
NAMESPACE = "tp-system"
APISERVICE = "v1.connect.tp.internal"
WEBHOOK = "tp-manager"
CRDS = ("sessions.tp.internal", "engagements.tp.internal")


def environment():
    env = dict(os.environ)
    env["PATH"] = f"{RUN / 'bin'}:{env['PATH']}"
    kubeconfig = env.get("TP_TEST_KUBECONFIG") or str(RUN / "kubeconfig")
    env["KUBECONFIG"] = kubeconfig
    return env


def run(*args, check=True, timeout=180, **kwargs):
    """Runs a command; its output is in the failure's message."""
    done = subprocess.run(
        [str(a) for a in args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(),
        **kwargs,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, args))} ended with {done.returncode}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done


def helm(*args, **kwargs):
    return run(os.environ.get("TP_HELM", "helm"), *args, **kwargs)


def kubectl(*args, **kwargs):
    return run("kubectl", *args, **kwargs)


def kubectl_json(*args):
    return json.loads(kubectl(*args, "-o", "json").stdout)


class StrictLoader(yaml.SafeLoader):
    """YAML as the API server reads it: a key that comes twice is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = {k for k in keys if keys.count(k) > 1}
        assert not twice, f"keys that come twice: {twice}"
        return super().construct_mapping(node, deep)


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text):
        self.text = text
        documents = yaml.load_all(text, StrictLoader)
        self.objects = [d for d in documents if d]

    def all(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind, name=None):
        found = [
            o
            for o in self.all(kind)
            if name is None or o["metadata"]["name"] == name
        ]
        assert len(found) == 1, f"{kind} {name or ''}: {len(found)} of them"
        return found[0]

    def container(self):
        return self.pod_spec()["containers"][0]

    def pod_spec(self):
        return self.one("Deployment")["spec"]["template"]["spec"]


def render(*sets, values=None, check=True, namespace=NAMESPACE, kube="1.34.0"):
    """Renders without a cluster. sets: --set texts; values: a tree."""
    args = ["template", "tp", CHART, "--namespace", namespace]
    args += ["--kube-version", kube]
    for text in sets:
        args += ["--set", text]
    if values is None:
        done = helm(*args, check=check)
    else:
        text = json.dumps(values)
        done = helm(*args, "-f", "-", input=text, check=check)
    return Rendered(done.stdout) if check else done


def has_cluster():
    kubeconfig = pathlib.Path(environment()["KUBECONFIG"])
    return kubeconfig.exists() and kubectl(
        "get", "--raw", "/readyz", "--request-timeout=5s", check=False
    ).returncode == 0


def pytest_configure():
    program = os.environ.get("TP_HELM", "helm")
    if not shutil.which(program, path=environment()["PATH"]):
        raise pytest.UsageError(
            "no helm: run tests/cluster/up, which builds one, or set TP_HELM"
        )


@pytest.fixture(scope="session")
def cluster():
    if not has_cluster():
        pytest.skip("no cluster answers: run tests/cluster/up")
