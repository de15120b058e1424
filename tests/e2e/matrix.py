"""Workloads of every kind for test_engage_*.py, and how each is reached."""

import dataclasses
import json
import re

from conftest import DAEMON, E2E, run, wait_until
from engage import THROUGH_THE_CLUSTER, local_program_args

NAMESPACE = "tp-matrix"
BASE_PORT = 18100  # of the workstation; each workload has ten
HTTP_PROBE = "readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}"

CONTAINER = """
    - name: {name}
      image: {image}
      imagePullPolicy: IfNotPresent
      {command}
      env:
        - {{name: WHO, value: {name}}}
        - name: POD_NAME
          valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}
        - name: POD_IP
          valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}
      ports: [{ports}]
      volumeMounts: [{{name: {volume}, mountPath: /data}}]
      {probe}
"""

POD = """
metadata:
  name: {name}
  labels: {{app: {name}}}
  annotations: {{{annotations}}}
spec:
  terminationGracePeriodSeconds: {grace}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65534
    seccompProfile: {{type: RuntimeDefault}}
  volumes: [{{name: a, emptyDir: {{}}}}, {{name: b, emptyDir: {{}}}}]
  containers:{containers}
"""

WORKLOAD = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  {extra}
  selector: {{matchLabels: {{app: {name}}}}}
  template:{pod}
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  {extra}
  selector: {{app: {name}}}
  ports: [{ports}]
"""

ECHO = (
    "import socketserver as s\\n"
    "class H(s.StreamRequestHandler):\\n"
    "  def handle(self): self.wfile.write(self.rfile.readline())\\n"
    "s.ThreadingTCPServer.allow_reuse_address = True\\n"
    "s.ThreadingTCPServer(('', 9001), H).serve_forever()"
)


def app(name="app", args="http=8080 echo=9001", ports="http:8080 echo:9001", **more):
    """A container with the sample program; ports as NAME:NUMBER[/UDP]."""
    quoted = ", ".join(f'"{a}"' for a in args.split())
    probe = more.get("probe", HTTP_PROBE)
    return CONTAINER.format(
        name=name, image="tp-test/app", command=f"args: [{quoted}]", probe=probe,
        ports=port_list(ports), volume=more.get("volume", "a"),
    )  # fmt: skip


def side():
    """A second container with a shell, which serves the sibling port."""
    return CONTAINER.format(
        name="side", image="tp-test/tools", volume="b",
        command=f'command: ["python3", "-c", "{ECHO}"]', ports=port_list("echo:9001"),
        probe="readinessProbe: {tcpSocket: {port: echo}, periodSeconds: 1}",
    )  # fmt: skip


def port_list(text):
    out = []
    for item in text.split():
        name, number = item.split(":")
        number, _, protocol = number.partition("/")
        out.append(f"{{name: {name}, containerPort: {number}, protocol: {protocol or 'TCP'}}}")
    return ", ".join(out)


def service_ports(text):
    """PORT:TARGET[/UDP]..."""
    out = []
    for item in text.split():
        number, target = item.split(":")
        target, _, protocol = target.partition("/")
        name = f"p{number}{protocol.lower()}"
        out.append(
            f"{{name: {name}, port: {number}, targetPort: {target}, "
            f"protocol: {protocol or 'TCP'}}}"
        )
    return ", ".join(out)


@dataclasses.dataclass
class Workload:
    """One column of the matrix.

    ports: what is engaged, as REMOTE or REMOTE/udp. probes: how each of them is
    reached: PROTOCOL:HOST:PORT, where HOST is "service", "pod" (its address) or
    "localhost" (from the container side). sibling: a TCP echo that nobody
    engages, or None; it is in the same container unless other says so.
    """

    kind: str = "Deployment"
    containers: str = ""
    service: str = "80:http 9001:echo"
    service_extra: str = ""
    inject_ports: str = ""
    container: str = ""
    ports: tuple = ("http",)
    probes: tuple = ("http:service:80",)
    sibling: str = "service:9001"
    other: bool = False
    who: str = "app"
    name: str = ""
    index: int = 0
    namespace: str = NAMESPACE
    inject: bool = True
    grace: int = 1

    def manifest(self):
        annotations = "tp.internal/inject: enabled" if self.inject else ""
        if self.inject_ports:
            annotations += f', tp.internal/inject-ports: "{self.inject_ports}"'
        pod = POD.format(
            name=self.name, annotations=annotations, containers=self.containers or app(),
            grace=self.grace,
        )  # fmt: skip
        extra = {"Deployment": "replicas: 1", "StatefulSet": f"serviceName: {self.name}"}
        if self.kind == "Pod":
            body = "apiVersion: v1\nkind: Pod" + pod
        else:
            body = WORKLOAD.format(
                kind=self.kind, name=self.name, extra=extra.get(self.kind, ""),
                pod=pod.replace("\n", "\n    "),
            )  # fmt: skip
        if self.service:
            body += "\n---\n" + SERVICE.format(
                name=self.name, extra=self.service_extra, ports=service_ports(self.service)
            )
        return body

    def local_port(self, i):
        return BASE_PORT + self.index * 10 + i

    def flags(self):
        """As tp takes them."""
        out = ["--container", self.container] if self.container else []
        for i, remote in enumerate(self.ports):
            out += ["--port", f"{self.local_port(i)}:{remote}"]
        return out

    def local_ports(self):
        return [
            f"{self.local_port(i)}{'/udp' if remote.endswith('/udp') else ''}"
            for i, remote in enumerate(self.ports)
        ]

    @property
    def target(self):
        return f"{self.kind.lower()}/{self.name}"


WORKLOADS = {
    "named": Workload(),
    "numeric": Workload(service="80:8080 9001:9001", inject_ports="8080"),
    "headless": Workload(
        kind="StatefulSet", service="8080:8080 9001:9001", inject_ports="8080",
        service_extra="clusterIP: None", probes=("http:service:8080",),
    ),
    "noservice": Workload(
        service="", inject_ports="8080", ports=("8080",), probes=("http:pod:8080",),
        sibling="pod:9001",
    ),
    "multi": Workload(
        containers=app(args="http=8080 echo=9001 banner=9004",
                       ports="http:8080 echo:9001 banner:9004"),
        service="80:http 9001:echo 9004:banner", ports=("http", "echo"),
        probes=("http:service:80", "tcp:service:9001"), sibling="service:9004",
    ),
    "two": Workload(
        containers=app("first", "http=8080 echo=9001") +
        app("second", "http=8081 " + " ".join(
            f"{s}=0" for s in "echo source sink banner reset observe hang udp".split()),
            "http:8081", volume="b"),
        service="80:http 81:8081 9001:echo", container="second",
        probes=("http:service:81",), other=True, who="second",
    ),
    "udp": Workload(
        containers=app(ports="http:8080 echo:9001 talk:9001/UDP"),
        service="80:http 9001:echo 9001:talk/UDP", ports=("talk/udp",),
        probes=("udp:service:9001",),
    ),
    "udpnumeric": Workload(
        containers=app(ports="http:8080 echo:9001"), inject_ports="9001/udp",
        service="80:http 9001:echo 9001:9001/UDP", ports=("9001/udp",),
        probes=("udp:service:9001",),
    ),
    "localhost": Workload(
        containers=app(args="bind=127.0.0.1 http=8080 echo=0", ports="http:8080",
                       probe="") + side(),
        service="80:8080 9001:echo", inject_ports="8080", container="app",
        probes=("http:localhost:8080",), other=True,
    ),
    "podip": Workload(
        containers=app(args="bind=$(POD_IP) http=8080 echo=9001"),
    ),
    "everywhere": Workload(kind="DaemonSet"),
    "barepod": Workload(kind="Pod"),
}  # fmt: skip
for number, (key, item) in enumerate(WORKLOADS.items()):
    item.name, item.index = f"m-{key}", number


def create(cluster, workloads):
    """All of them in their namespace, made anew; their pods are ready."""
    namespace = workloads[0].namespace
    cluster.kubectl("delete", "namespace", namespace, check=False, timeout=120)
    cluster.kubectl("create", "namespace", namespace)
    cluster.apply("\n---\n".join(w.manifest() for w in workloads), namespace)
    for w in workloads:
        if w.kind != "Pod":
            cluster.kubectl("rollout", "status", "-n", namespace, w.target, "--timeout=90s",
                            timeout=100)  # fmt: skip
    cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=90s",
        timeout=100,
    )  # fmt: skip


def listed(cluster, namespace=NAMESPACE):
    done = cluster.tp("list", "--name", DAEMON, "-n", namespace, "--format", "json")
    return json.loads(done.stdout)


def entry_of(cluster, w):
    entries = [
        e
        for e in listed(cluster, w.namespace)["workloads"]
        if e["name"] == w.name and e["kind"] == w.kind
    ]
    return entries[0] if len(entries) == 1 else None


def engage(cluster, verb, w, *flags, check=True):
    done = cluster.tp(
        verb, w.target, "--name", DAEMON, "-n", w.namespace, "--format", "json", "--yes",
        *THROUGH_THE_CLUSTER.get(verb, []), *flags, check=check, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout) if check else done


def detach_all(cluster):
    cluster.tp("detach", "--all", "--name", DAEMON, check=False)


class Matrix:
    """The workloads in the cluster, reached from the workstation."""

    def __init__(self, cluster, box):
        self.cluster, self.box = cluster, box

    def pods(self, w):
        """Those that are not about to go."""
        items = self.cluster.kubectl_json(
            "get", "pods", "-n", w.namespace, "-l", f"app={w.name}"
        )["items"]
        return [p for p in items if not p["metadata"].get("deletionTimestamp")]

    def host(self, w, kind):
        if kind == "service":
            return f"{w.name}.{w.namespace}"
        if kind == "pod":
            return self.pods(w)[0]["status"].get("podIP", "0.0.0.0")
        return kind

    def ask(self, w, probe, path="/"):
        """Who answers: a pod's name, "local", "app" (an echo as it was), or ""."""
        protocol, kind, port = probe.split(":")
        host = self.host(w, kind)
        if protocol == "http":
            script = f"curl -sS --max-time 5 http://{host}:{port}{path}"
        else:
            # a datagram's answer is all that ends a conversation
            flags = "-N -w 3" if protocol == "tcp" else "-u -w 1 -W 1"
            script = f"echo {path} | nc {flags} {host} {port}"
        if kind == "localhost":
            out = self.inside(w, script)
        else:
            out = self.box.sh(script, check=False).stdout
        match = re.search(r"^pod: *(.*)$", out, re.MULTILINE)
        if match:
            return match[1].strip()
        if out.startswith("local:"):
            return "local"
        return "app" if out.strip() == path else ""

    def inside(self, w, script):
        pod = self.pods(w)[0]["metadata"]["name"]
        return self.cluster.kubectl(
            "exec", "-n", w.namespace, pod, "-c", "side", "--", "bash", "-c", script,
            check=False,
        ).stdout  # fmt: skip

    def all_answered_by(self, w, wanted, path="/"):
        for probe in w.probes:
            who = self.ask(w, probe, path)
            expected = {"app": (w.name, "app"), "local": ("local",)}[wanted]
            if not who.startswith(expected):
                return False
        return True

    def sibling_is_served(self, w):
        kind, port = w.sibling.split(":")
        out = self.box.out(
            f"echo ping | nc -N -w 3 {self.host(w, kind)} {port}", check=False
        )
        return out.splitlines()[-1:] == ["ping"]


def spec_without_agent(pod):
    """The parts of a pod's spec that do not come from tp."""
    spec = json.loads(json.dumps(pod["spec"]))
    kept = {}
    for container in spec["containers"]:
        # of a redirected port a probe is led to the agent
        for action in container.get("readinessProbe", {}).values():
            if isinstance(action, dict):
                action.pop("port", None)
    for key in ("containers", "initContainers", "volumes"):
        kept[key] = [
            {k: v for k, v in item.items() if k != "volumeMounts"}
            for item in spec.get(key, [])
            if not item["name"].startswith(("tp-", "kube-api-access"))
        ]
    for key in ("securityContext", "terminationGracePeriodSeconds", "restartPolicy"):
        kept[key] = spec.get(key)
    return kept


class LocalProgram:
    """The developer's, listening on PORT or PORT/udp each."""

    def __init__(self, ports, name="matrix-local"):
        self.name = f"{E2E}-{name}"
        run(["docker", "rm", "-f", self.name], check=False)
        run(local_program_args(self.name, ports))
        wait_until("the local program", lambda: len(self.lines()) == len(ports), 20)

    def lines(self):
        return run(["docker", "logs", self.name]).stdout.splitlines()

    def count(self, w, text):
        wanted = [f"{p.split('/')[0]} {text}" for p in w.local_ports()]
        return sum(line in wanted for line in self.lines())

    def stop(self):
        run(["docker", "rm", "-f", self.name], check=False)
