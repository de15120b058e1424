"""A link of one's own: tests/e2e/linkprobe.c, and what the manager says of it."""

import base64
import json
import subprocess
import tempfile

from conftest import MANAGER_NAMESPACE, NAMESPACE, TOP, run

PROBE = next(
    (str(p) for p in (TOP / "linkprobe", TOP / "build/release/linkprobe") if p.exists()),
    str(TOP / "linkprobe"),
)


def target_of(cluster):
    """What linkprobe needs, from the kubeconfig."""
    config = json.loads(
        cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout
    )
    server = config["clusters"][0]["cluster"]
    who = config["users"][0]["user"]
    host, port = server["server"].removeprefix("https://").split(":")

    def pem(data):
        return base64.b64decode(data).decode() if data else None

    target = {
        "host": host,
        "port": int(port),
        "ca": pem(server["certificate-authority-data"]),
        "cert": pem(who.get("client-certificate-data")),
        "key": pem(who.get("client-key-data")),
        "token": who.get("token"),
    }
    return {key: value for key, value in target.items() if value}


class Link:
    """`with Link(target) as link: link.ask("tcp 10.43.0.1:443")`."""

    def __init__(self, target, *options, namespace=NAMESPACE, prefix=()):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(target, self.file)
        self.file.flush()
        self.process = subprocess.Popen(
            [*prefix, PROBE, "--namespace", namespace, *options, self.file.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.opening = self.line()
        self.hello = None
        if self.opening == "open" and "none" not in options:
            self.hello = self.line().split(" ", 2)[1:]

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def send(self, text):
        self.process.stdin.write(text + "\n")

    def ask(self, text):
        self.send(text)
        return self.line()

    def info(self):
        assert self.hello[0] == "200", self.hello
        return json.loads(self.hello[1])["info"]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def manager_pods(cluster):
    pods = cluster.kubectl_json("get", "pods", "-n", MANAGER_NAMESPACE, "-l",
                                "app.kubernetes.io/name=tp-manager")["items"]  # fmt: skip
    return [p for p in pods if not p["metadata"].get("deletionTimestamp")
            and p["status"].get("podIP") and p["status"]["phase"] == "Running"]  # fmt: skip


def metrics(cluster):
    """Of all replicas: {pod: {name with labels: value}}."""
    out = {}
    for pod in manager_pods(cluster):
        name = pod["metadata"]["name"]
        text = cluster.kubectl(
            "get", "--raw",
            f"/api/v1/namespaces/{MANAGER_NAMESPACE}/pods/{name}:8080/proxy/metrics",
        ).stdout  # fmt: skip
        out[name] = {
            line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line and not line.startswith("#")
        }
    return out


def metric(cluster, name):
    return sum(m.get(name, 0) for m in metrics(cluster).values())


def manager_logs(cluster):
    out = ""
    for pod in manager_pods(cluster):
        out += cluster.kubectl("logs", "-n", MANAGER_NAMESPACE, pod["metadata"]["name"],
                               "--tail=-1").stdout  # fmt: skip
    return out


def audit(cluster, **members):
    """The audit lines that have these members."""
    lines = []
    for text in manager_logs(cluster).splitlines():
        if text.startswith("{"):
            line = json.loads(text)
            if "audit" in line and all(line.get(k) == v for k, v in members.items()):
                lines.append(line)
    return lines


def in_node(*args, **kwargs):
    """In the network namespace of the node, from where pods are reached."""
    from conftest import NODE

    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", NODE]).stdout.strip()
    return run(["nsenter", "-n", "-t", pid, *args], **kwargs)


def node_pid():
    from conftest import NODE

    return run(["docker", "inspect", "-f", "{{.State.Pid}}", NODE]).stdout.strip()
