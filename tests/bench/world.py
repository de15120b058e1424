"""What the benchmarks run in: programs, images, the cluster's side, containers.

Everything made here is named tp-bench* ($TP_BENCH_NAME, for two at once); leave()
removes it, and enter() removes what an interrupted run has left.
"""

import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
NAME = os.environ.get("TP_BENCH_NAME", "tp-bench")  # at the local Docker
NAMESPACE = "tp-bench"
DAEMON = f"{NAME}-daemon"
TOOLS = "tp-test/tools"
APP = "tp-test/app"
PUMP = "tp-bench/pump:1"
PORTS = {"http": 8080, "echo": 9001, "source": 9002, "sink": 9003}
PUMP_GROUP = "v1.pump.tp.test"

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: tp-bench}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: tp-bench}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          image: tp-test/app
          imagePullPolicy: IfNotPresent
          readinessProbe: {httpGet: {path: /healthz, port: 8080}}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: tp-bench}
spec:
  selector: {app: app}
  ports:
    - {name: http, port: 8080}
    - {name: echo, port: 9001}
    - {name: source, port: 9002}
    - {name: sink, port: 9003}
---
apiVersion: v1
kind: Secret
metadata: {name: pump, namespace: tp-bench}
data: {PUMP_CERT: CERT, PUMP_KEY: KEY}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pump, namespace: tp-bench}
spec:
  selector: {matchLabels: {app: pump}}
  template:
    metadata: {labels: {app: pump}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: pump
          image: tp-bench/pump:1
          imagePullPolicy: IfNotPresent
          args: [serve, "6443"]
          envFrom: [{secretRef: {name: pump}}]
          readinessProbe: {tcpSocket: {port: 6443}}
---
apiVersion: v1
kind: Service
metadata: {name: pump, namespace: tp-bench}
spec:
  type: NodePort
  selector: {app: pump}
  ports: [{port: 443, targetPort: 6443}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.pump.tp.test}
spec:
  group: pump.tp.test
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: pump, namespace: tp-bench, port: 443}
"""


class Failure(Exception):
    """One line for a person."""


def run(*args, check=True, timeout=120, **kwargs):
    """A command's finished process; a failure says what it printed."""
    args = [str(a) for a in args]
    try:
        done = subprocess.run(
            args, capture_output=True, text=True, timeout=timeout, **kwargs
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Failure(f"{' '.join(args[:4])}: {error}") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).split("\n")[-1]
        raise Failure(f"{' '.join(args[:4])}: status {done.returncode}: {said}")
    return done


def wait_until(what, probe, seconds=60):
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def remove_containers():
    found = run("docker", "ps", "-aq", "--filter", f"name=^/{NAME}-").stdout
    if found.split():
        run("docker", "rm", "-f", *found.split(), check=False)


class World:
    """The cluster with the server side in it, and the containers beside it."""

    def __init__(self, say, daemon=None, install=True, rtt=None):
        self.rtt = rtt
        self.say = say
        self.foreign_daemon = daemon
        self.daemon = daemon or DAEMON
        self.install = install
        own = os.environ.get("TP_TEST_KUBECONFIG")
        self.run_dir = pathlib.Path(
            os.environ.get("TP_CLUSTER_RUN", TOP / "tests/cluster/run")
        )
        self.kubeconfig = own or str(self.run_dir / "kubeconfig")
        cluster = os.environ.get("TP_CLUSTER_NAME", "tp-cluster")
        self.node = None if own else f"{cluster}-node1"
        self.env = dict(os.environ, KUBECONFIG=self.kubeconfig)
        self.env["PATH"] = f"{self.run_dir / 'bin'}:{self.env['PATH']}"
        ready = (TOP / "config.status").exists()
        self.build = TOP if ready else TOP / "build/release"
        self.tp_program = self.build / "tp"

    def kubectl(self, *args, **kwargs):
        return run("kubectl", *args, env=self.env, **kwargs)

    def tp(self, *args, **kwargs):
        return run(self.tp_program, *args, env=self.env, **kwargs)

    # ---- making it ----

    def enter(self):
        remove_containers()
        self._make_programs()
        if self.install:
            self.say("the chart")
            self.tp(
                "helm", "upgrade", "--install", "--wait", "--timeout", "120s",
                "--set", "link.rate=0", "--set", "link.direct.enabled=true",
                "--set", "link.direct.type=NodePort", timeout=180,
            )  # fmt: skip
        self.say("the server side")
        self._apply()
        self.service_ip = self._service_ip("app")
        if self.rtt:
            self._go_far()

    def _go_far(self):
        """From here on the API server is behind a relay that delays, in a container
        beside it."""
        config = json.loads(
            self.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout
        )
        network, host, port, name, _ = self.api_access()
        relay = pathlib.Path(tempfile.gettempdir()) / f"{NAME}-relay"
        source = TOP / "tests/bench/mount_relay.c"
        run("cc", "-O2", "-static", "-pthread", "-o", relay, source)
        container = f"{NAME}-far"
        run(
            "docker", "run", "-d", "--name", container, "--network", network, "-v",
            f"{relay}:/relay:ro", TOOLS, "/relay", 6443, f"{host}:{port}",
            self.rtt // 2,
        )  # fmt: skip
        address = run(
            "docker", "inspect", "-f",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container,
        ).stdout.strip()  # fmt: skip
        cluster = config["clusters"][0]["cluster"]
        cluster.update(
            {"server": f"https://{address}:6443", "tls-server-name": name}
        )
        self.far = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(config, self.far)
        self.far.flush()
        self.near_env, self.env = self.env, dict(self.env, KUBECONFIG=self.far.name)

    def _make_programs(self):
        self.say("programs and images")
        run(
            "make", "-s", "-C", self.build, "-f", "Makefile", "bench-client",
            "bench-pump", "all", timeout=600,
        )  # fmt: skip
        run(TOP / "tests/images/build", timeout=600)
        with tempfile.TemporaryDirectory() as work:
            tar = f"{work}/pump.tar"
            run(
                TOP / "docker/mkimage", self.build / "bench-pump", PUMP,
                "/usr/bin/bench-pump", tar,
            )  # fmt: skip
            run("docker", "load", "-q", "-i", tar)
        if self.node:
            images = [f"{APP}:latest", f"{TOOLS}:latest", PUMP]
            if self.install:
                images += self._cluster_images()
            run(TOP / "tests/cluster/load", *images, timeout=300)

    def _cluster_images(self):
        run("make", "-s", "-C", self.build, "-f", "Makefile", "images", timeout=600)
        tars = [self.build / f"build/images/tp-{n}.tar" for n in ("manager", "agent")]
        return [run("docker", "load", "-q", "-i", t).stdout.split()[-1] for t in tars]

    def _apply(self):
        with tempfile.TemporaryDirectory() as work:
            run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-subj", "/CN=pump.tp-bench.svc", "-addext",
                "subjectAltName=DNS:pump.tp-bench.svc", "-keyout", f"{work}/key",
                "-out", f"{work}/cert",
            )  # fmt: skip
            cert, key = (
                base64.b64encode(pathlib.Path(work, name).read_bytes()).decode()
                for name in ("cert", "key")
            )
        text = MANIFEST.replace("CERT, PUMP_KEY: KEY", f"{cert}, PUMP_KEY: {key}")
        self.kubectl("apply", "-f", "-", input=text)
        self.kubectl("rollout", "restart", "-n", NAMESPACE, "deployment")
        for name in ("app", "pump"):
            self.kubectl(
                "rollout", "status", "-n", NAMESPACE, f"deployment/{name}",
                "--timeout=60s",
            )  # fmt: skip
        self.kubectl(
            "wait", "--for=condition=Available", "--timeout=60s",
            f"apiservice/{PUMP_GROUP}",
        )  # fmt: skip

    def _service_ip(self, name):
        return self.kubectl(
            "get", "service", "-n", NAMESPACE, name, "-o",
            "jsonpath={.spec.clusterIP}",
        ).stdout  # fmt: skip

    def start_client(self, name, network):
        """A container with the measuring client; returns its name."""
        name = f"{NAME}-{name}"
        run(
            "docker", "run", "-d", "--name", name, "--network", network, TOOLS,
            "sleep", "infinity",
        )  # fmt: skip
        run("docker", "cp", self.build / "bench-client", f"{name}:/bench-client")
        return name

    def start_relay(self, access, name="relay"):
        """A container whose 127.0.0.1 leads to the app by pumps."""
        network, host, port, server_name, env = access
        names = [arg for key in env for arg in ("-e", key)]
        run(
            "docker", "run", "-d", "--name", f"{NAME}-{name}-pumps", "--network",
            network, *names, PUMP, "relay", host, port, server_name,
            self.service_ip, *PORTS.values(), env={**os.environ, **env},
        )  # fmt: skip
        return self.start_client(name, f"container:{NAME}-{name}-pumps")

    def connect(self):
        if not self.foreign_daemon:
            self.tp(
                "connect", "--name", self.daemon, "-n", NAMESPACE, "--link",
                "aggregated",
            )  # fmt: skip

    def connect_direct(self):
        """A second session, whose streams do not pass the API server."""
        name = f"{DAEMON}-direct"

        def is_up():
            status = self.tp("status", "--name", name, "--format", "json").stdout
            return json.loads(status).get("direct", {}).get("state") == "up"

        self.tp("connect", "--name", name, "-n", NAMESPACE)
        wait_until("a direct link", is_up)
        return name

    def direct_access(self):
        """As api_access(), of the pump's own node port."""
        port = self.kubectl(
            "get", "service", "-n", NAMESPACE, "pump", "-o",
            "jsonpath={.spec.ports[0].nodePort}",
        ).stdout  # fmt: skip
        host = self.kubectl(
            "get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"
        ).stdout
        cert = self.kubectl(
            "get", "secret", "-n", NAMESPACE, "pump", "-o",
            "jsonpath={.data.PUMP_CERT}",
        ).stdout  # fmt: skip
        env = {"PUMP_CA": base64.b64decode(cert).decode()}
        return self.api_access()[0], host, port, "pump.tp-bench.svc", env

    def quit(self):
        self.tp("quit", "--name", f"{DAEMON}-direct", check=False)
        if not self.foreign_daemon:
            self.tp("quit", "--name", self.daemon, check=False)

    # ---- facts ----

    def daemon_image(self):
        return run(
            "docker", "inspect", "-f", "{{.Image}}", self.daemon
        ).stdout.strip()  # fmt: skip

    def versions(self):
        def out(*args):
            try:
                return run(*args, env=self.env).stdout.strip()
            except Failure:
                return None

        kubernetes = out("kubectl", "version", "-o", "json")
        server = json.loads(kubernetes or "{}").get("serverVersion", {})
        return {
            "tp": out(self.tp_program, "version"),
            "commit": out("git", "-C", TOP, "describe", "--always", "--dirty"),
            "docker": out("docker", "version", "-f", "{{.Server.Version}}"),
            "kubernetes": server.get("gitVersion"),
            "wrk": out("docker", "run", "--rm", TOOLS, "sh", "-c",
                       "dpkg-query -W -f '${Version}' wrk"),
        }  # fmt: skip

    def api_access(self):
        """The API server as a container reaches it: Docker network, host,
        port, name in its certificate, and the pump's environment."""
        config = json.loads(
            self.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout
        )
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        where = re.match(r"https://\[?([^/\]]+?)\]?(?::(\d+))?(?:/|$)", cluster["server"])
        network, host, port = "bridge", where[1], where[2] or "443"
        if host in ("127.0.0.1", "localhost", "::1") and self.node:
            nets = json.loads(
                run("docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}",
                    self.node).stdout
            )  # fmt: skip
            network, facts = next(iter(nets.items()))
            host, port = facts["IPAddress"], "6443"
        env = {
            "PUMP_CA": cluster.get("certificate-authority-data"),
            "PUMP_CERT": user.get("client-certificate-data"),
            "PUMP_KEY": user.get("client-key-data"),
        }
        env = {k: base64.b64decode(v).decode() for k, v in env.items() if v}
        if user.get("token"):
            env["PUMP_TOKEN"] = user["token"]
        name = cluster.get("tls-server-name", where[1])
        return network, host, port, name, env

    # ---- leaving ----

    def leave(self):
        """All of it, even after a failure; the API group goes first, because
        a group that does not answer holds up the end of namespaces."""
        try:
            self.quit()
        except Failure as failure:
            self.say(str(failure))
        remove_containers()
        self.env = getattr(self, "near_env", self.env)  # the way is gone
        for what in (["apiservice", PUMP_GROUP], ["namespace", NAMESPACE]):
            self.kubectl(
                "delete", *what, "--ignore-not-found", "--timeout=60s", check=False
            )  # fmt: skip
        run("docker", "rmi", "-f", PUMP, check=False)
