"""The ways to the server: each can measure some of the metrics.

A path's measure(metric, seconds) returns the raw numbers of one sample, which
hold the metric's own figure under the key that METRICS names.
"""

import json
import os
import re
import selectors
import subprocess
import time

from world import NAME, NAMESPACE, PORTS, PUMP, Failure, run

# name: (key of the figure, unit, more is better, title)
METRICS = {
    "down1": ("gbit_s", "Gbit/s", True, "bulk to the client, 1 stream"),
    "up1": ("gbit_s", "Gbit/s", True, "bulk from the client, 1 stream"),
    "down8": ("gbit_s", "Gbit/s", True, "bulk to the client, 8 streams"),
    "up8": ("gbit_s", "Gbit/s", True, "bulk from the client, 8 streams"),
    "rr": ("p50_us", "us", False, "request on a kept connection, p50"),
    "conn1": ("per_s", "1/s", True, "new connections, 1 at a time"),
    "conn16": ("per_s", "1/s", True, "new connections, 16 in parallel"),
    "wrk": ("per_s", "1/s", True, "HTTP requests, wrk -c 32"),
}

# Each leaves a port in TIME-WAIT for a minute; 28 000 are all there are.
CONNECTIONS_MAX = 3000


def parse_wrk(text):
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not rate:
        raise Failure("wrk printed no rate: " + text.strip().split("\n")[-1])
    raw = {"per_s": float(rate[1])}
    for part, key in (("50", "p50"), ("99", "p99")):
        found = re.search(rf"{part}%\s+([\d.]+)(us|ms|s)\b", text)
        if found:
            factor = {"us": 1, "ms": 1e3, "s": 1e6}[found[2]]
            raw[f"{key}_us"] = float(found[1]) * factor
    errors = re.search(r"Socket errors: (.*)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if errors:
        raw["errors"] = errors[1]
    if refused:
        raw["non_2xx"] = int(refused[1])
    return raw


class Client:
    """A path that ordinary clients in a container use."""

    def __init__(self, name, container):
        self.name = name
        self.container = container

    def address(self, service):
        raise NotImplementedError

    def open(self):
        pass

    def close(self):
        pass

    def measure(self, metric, seconds):
        self.open()
        try:
            return self._measure(metric, seconds)
        finally:
            self.close()

    def _measure(self, metric, seconds):
        if metric == "wrk":
            host, port = self.address("http")
            return parse_wrk(
                self._exec(
                    "wrk", "-t", 2, "-c", 32, "-d", f"{seconds}s", "--latency",
                    f"http://{host}:{port}/healthz",
                )
            )  # fmt: skip
        word = metric.rstrip("0123456789")
        number = metric[len(word) :]
        service = {"down": "source", "up": "sink"}.get(word, "echo")
        args = [word, *self.address(service)]
        args += [number] if number else []
        args += [seconds]
        args += [CONNECTIONS_MAX] if word == "conn" else []
        return json.loads(self._exec("/bench-client", *args))

    def _exec(self, *args):
        return run("docker", "exec", self.container, *args).stdout


class Direct(Client):
    """From the node itself, or a joined container: the Service's address."""

    def __init__(self, name, container, service_ip):
        super().__init__(name, container)
        self.service_ip = service_ip

    def address(self, service):
        return self.service_ip, PORTS[service]


class PortForward(Client):
    """kubectl port-forward; a new one each time, because it may break."""

    def __init__(self, container, env):
        super().__init__("port-forward", container)
        self.env = env
        self.process = None
        self.ports = {}

    def address(self, service):
        return "127.0.0.1", self.ports[PORTS[service]]

    def open(self):
        self.ports = {}
        self.process = subprocess.Popen(
            ["kubectl", "port-forward", "-n", NAMESPACE, "service/app"]
            + [f":{port}" for port in PORTS.values()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.env,
        )
        end = time.monotonic() + 20
        text = b""
        with selectors.DefaultSelector() as wait:
            wait.register(self.process.stdout, selectors.EVENT_READ)
            while len(self.ports) < len(PORTS):
                if not wait.select(end - time.monotonic()):
                    raise Failure("kubectl port-forward does not begin")
                more = os.read(self.process.stdout.fileno(), 4096)
                if not more:
                    raise Failure("kubectl port-forward ended")
                text += more
                for here, there in re.findall(rb"127.0.0.1:(\d+) -> (\d+)", text):
                    self.ports[int(there)] = int(here)

    def close(self):
        if self.process:
            self.process.kill()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


class Relay(Client):
    """bench-pump with a TCP connection at either end: what a link is without
    tp. Each connection is an upgraded one of its own, so new ones are not
    measured."""

    def __init__(self, container, name="relay"):
        super().__init__(name, container)

    def address(self, service):
        return "127.0.0.1", PORTS[service]

    def measure(self, metric, seconds):
        if metric.startswith("conn"):
            return None
        return super().measure(metric, seconds)


class Pump:
    """bench-pump at both ends of an upgraded connection: see pump.h."""

    MODES = {
        "down1": ("source", 1),
        "up1": ("sink", 1),
        "down8": ("source", 8),
        "up8": ("sink", 8),
        "rr": ("echo", 1),
    }

    def __init__(self, access, name="pump"):
        self.name = name
        self.network, self.host, self.port, self.server_name, self.env = access

    def measure(self, metric, seconds):
        if metric not in self.MODES:
            return None
        names = [arg for key in self.env for arg in ("-e", key)]
        done = run(
            "docker", "run", "--rm", "--name", f"{NAME}-pump", "--network",
            self.network, *names, PUMP, "measure", self.host, self.port,
            self.server_name, *self.MODES[metric], seconds,
            env={**os.environ, **self.env},
        )  # fmt: skip
        return json.loads(done.stdout)
