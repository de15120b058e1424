"""A hostile cluster, a hostile container in the namespace, a hostile daemon."""

import base64
import json
import os
import re
import subprocess
import time

import pytest

from conftest import (
    DAEMON,
    E2E,
    MANAGER_NAMESPACE,
    NAMESPACE,
    Cluster,
    install_chart,
    roll_managers,
    run,
    start_joined,
    wait_until,
)
from links import Link, manager_pods, target_of
from test_links import DENIED, PROHIBITED, ask_tcp, ask_udp, fresh_name

# ---- a hostile container in the shared namespace ----

BYPASS = 0x74700000  # src/daemon/datapath.h

MARKS = """
import select, socket, struct
targets = {targets}
out = []
for mark in [0, {bypass}] + [1 << bit for bit in range(32)]:
    for host, port in targets:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack('I', mark))
        s.setblocking(False)
        s.connect_ex((host, port))
        out.append((mark, host, port, s))
end = 4
answered = []
for mark, host, port, s in out:
    select.select([], [s], [], end)
    try:
        s.send(b'GET /metrics HTTP/1.0\\r\\n\\r\\n')
        select.select([s], [], [], end)
        s.settimeout(1)
        if {want} in s.recv(4096, socket.MSG_WAITALL):
            answered.append((hex(mark), host, port))
    except OSError:
        pass
    end = 0.02
print(answered)
"""


@pytest.fixture
def hostile(session):
    """Root with Docker's default capabilities, NET_RAW among them."""
    yield start_joined(f"{E2E}-hostile")
    run(["docker", "rm", "-f", f"{E2E}-hostile"], check=False)


def test_no_mark_opens_what_the_policy_denies(session, hostile):
    """Marks are routing, not rights: with the daemon's own a packet is not
    captured, and leaves as it would without tp; it reaches nothing of the
    cluster's."""
    pods = [pod["status"]["podIP"] for pod in manager_pods(session)]
    targets = [(pod, 8080) for pod in pods]
    # A replica that has just begun is known to the others within a minute.
    first = MARKS.replace("range(32)", "range(0)")
    asked = first.format(targets=targets, bypass=BYPASS, want=b"tp_links")
    wait_until("they know each other", lambda: hostile.python(asked) == "[]", 75, 1)
    out = hostile.python(MARKS.format(targets=targets, bypass=BYPASS, want=b"tp_links"), timeout=60)
    assert out == "[]"
    # The control: the same question where the policy allows it.
    web = session.kubectl_json("get", "service", "-n", NAMESPACE, "web")["spec"]["clusterIP"]
    out = hostile.python(MARKS.format(targets=[(web, 80)], bypass=BYPASS, want=b"host:"), timeout=60)
    assert f"('0x0', '{web}', 80)" in out and hex(BYPASS) not in out


def test_the_daemons_memory_and_files_are_closed(session):
    """Even in its process namespace, as its uid: not dumpable."""
    name = f"{E2E}-snoop"
    run(["docker", "rm", "-f", name], check=False)
    run(["docker", "run", "-d", "--name", name, "--pid", f"container:{DAEMON}",
         "--network", f"container:{DAEMON}", "tp-test/tools", "sleep", "infinity"])  # fmt: skip
    try:
        pid = run(["docker", "exec", name, "bash", "-c",
                   "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = tp-daemon ] && "
                   "echo ${p#/proc/}; done"], check=False).stdout.split()[0]  # fmt: skip
        for path in ("mem", "environ", "maps", "fd/0", "root/run/tp/control", "auxv"):
            done = run(["docker", "exec", name, "head", "-c1", f"/proc/{pid}/{path}"],
                       check=False)  # fmt: skip
            assert done.returncode != 0 and "Permission denied" in done.stderr, path
    finally:
        run(["docker", "rm", "-f", name], check=False)


def test_no_secret_in_any_process_image_or_log(session):
    config = json.loads(session.kubectl("config", "view", "--raw", "-o", "json").stdout)
    encoded = config["users"][0]["user"]["client-key-data"]
    lines = base64.b64decode(encoded).decode().splitlines()
    marks = [encoded[40:100].encode(), lines[1].encode()]
    seen = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("cmdline", "environ"):
            try:
                seen[f"{pid} {kind}"] = open(f"/proc/{pid}/{kind}", "rb").read()
            except OSError:
                pass  # it has ended
    image = run(["docker", "inspect", "-f", "{{.Image}}", DAEMON]).stdout.strip()
    seen["history"] = run(["docker", "history", "--no-trunc", image]).stdout.encode()
    seen["layers"] = subprocess.run(["docker", "save", image], capture_output=True,
                                    check=True).stdout  # fmt: skip
    logs = run(["docker", "logs", DAEMON])
    seen["logs"] = (logs.stdout + logs.stderr).encode()
    assert [k for k, v in seen.items() if any(m in v for m in marks)] == []
    diff = run(["docker", "diff", DAEMON]).stdout
    assert not re.search(r"^[AC] /(?!etc|run|dev|proc|sys)\S+$", diff, re.M), diff


# ---- a hostile daemon ----

FAKE = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "ctl"))
        for (;;)
            pause();
    for (;;) {
        puts("{\"need\": \"credentials\", \"argv\": [\"touch\", \"/tmp/MARK\"], "
             "\"exec\": {\"command\": \"touch\", \"args\": [\"/tmp/MARK\"]}, "
             "\"command\": \"touch /tmp/MARK\"}");
        fflush(stdout);
        usleep(100000);
    }
}
"""


def test_a_daemon_replaced_makes_the_helper_run_nothing_else(chart, apps, tmp_path):
    """Only the plugin of the kubeconfig, as it was, at most once in 5 s."""
    name = f"{E2E}-replaced"
    mark = f"tp-e2e-mark-{os.getpid()}"
    calls = tmp_path / "calls"
    plugin = tmp_path / "plugin"
    chart.kubectl("create", "serviceaccount", "dev", "-n", NAMESPACE, check=False)
    chart.kubectl("create", "clusterrolebinding", "tp-e2e-dev", "--clusterrole=tp-user",
                  f"--serviceaccount={NAMESPACE}:dev", check=False)  # fmt: skip
    token = chart.kubectl("create", "token", "dev", "-n", NAMESPACE).stdout.strip()
    plugin.write_text(
        f"""#!/bin/sh
echo "$(date +%s.%N) $*" >> {calls}
printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{token}"}}}}'
"""
    )
    plugin.chmod(0o755)
    config = json.loads(chart.kubectl("config", "view", "--raw", "-o", "json").stdout)
    config["users"][0]["user"] = {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin),
        "args": ["one", "two words"], "interactiveMode": "Never"}}  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    source = tmp_path / "fake.c"
    source.write_text(FAKE.replace("MARK", mark))
    run(["gcc", "-static", "-O1", "-o", str(tmp_path / "tp-daemon"), str(source)])
    Cluster(tmp_path / "kubeconfig").tp("connect", "--name", name, "-n", NAMESPACE)
    try:
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", name]).stdout.strip()
        run(["docker", "cp", str(tmp_path / "tp-daemon"), f"{name}:/usr/bin/tp-daemon"])
        had = len(calls.read_text().splitlines())
        run(["pkill", "-9", "-P", pid, "tp-daemon"])
        wait_until("the helper is asked by the new one",
                   lambda: len(calls.read_text().splitlines()) >= had + 3, 60)  # fmt: skip
        lines = calls.read_text().splitlines()[had:]
        times = [float(line.split()[0]) for line in lines]
        # whole seconds of a monotonic clock: a pause of 5 is at least 4
        assert all(b - a > 4 for a, b in zip(times, times[1:])), times
        assert {line.split(" ", 1)[1] for line in lines} == {"one two words"}
        assert not os.path.exists(f"/tmp/{mark}")
    finally:
        chart.tp("quit", "--name", name, check=False)


# ---- a hostile manager ----

WANTED = {
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "224.0.0.0/4": "",
    "fe80::/10": "",
}
# The manager merges its list: the whole in there would hide its parts.
DEFAULT_ROUTES = ["0.0.0.0/0", "::/0"]


def bridge():
    """The Docker network that the daemon's container is in."""
    out = run(["docker", "network", "inspect", "bridge"]).stdout
    return json.loads(out)[0]["IPAM"]["Config"][0]["Subnet"]


def running_managers(cluster):
    """Those that are about to end count, too: they have the former rules."""
    pods = cluster.kubectl_json("get", "pods", "-n", MANAGER_NAMESPACE, "-l",
                                "app.kubernetes.io/name=tp-manager")  # fmt: skip
    return len(pods["items"])


@pytest.fixture(scope="module")
def hostile_manager(chart, apps):
    """Announces and dials all there is, and serves keys that are not central."""
    also = [*WANTED, bridge()]
    arguments = ["helm", "upgrade", "--install", "--wait", "--timeout", "120s"]
    chart.tp(*arguments, "--reuse-values", "--set", "subnets.also={%s}" % ",".join(also),
             "--set", "dial.allow={0.0.0.0/0,::/0}", timeout=180)  # fmt: skip
    config = {"routing": {"alsoProxy": ["10.99.0.0/16", *DEFAULT_ROUTES]}, "connect": {"publish": ["22:22"]},
              "docker": {"socket": "/evil"}, "exec": {"command": "/bin/evil"}}  # fmt: skip
    chart.kubectl("patch", "configmap", "tp-client-config", "-n", MANAGER_NAMESPACE,
                  "--type=merge", "-p",
                  json.dumps({"data": {"client.json": json.dumps(config)}}))  # fmt: skip
    roll_managers(chart)
    yield chart
    # Not by --reuse-values and null: Helm keeps what such a key had.
    install_chart(chart)
    wait_until("only the new managers", lambda: running_managers(chart) == 2, 60)


@pytest.fixture(scope="module")
def captive(hostile_manager):
    """A session with it."""
    name = f"{E2E}-captive"
    hostile_manager.tp("quit", "--name", name, check=False)
    hostile_manager.tp("connect", "--name", name, "-n", NAMESPACE)
    yield hostile_manager.status(name), name
    hostile_manager.tp("quit", "--name", name, check=False)


def test_a_hostile_managers_subnets_are_rejected_with_reasons(captive):
    status, _ = captive
    rejected = {r["subnet"]: r["reason"] for r in status["subnets"]["rejected"]}
    routes = {route: "default route" for route in DEFAULT_ROUTES}
    for subnet, reason in (WANTED | routes).items():
        assert subnet in rejected and reason in rejected[subnet], rejected
        assert subnet not in status["subnets"]["also"]
    # The container's own network stays: the cluster gets virtual addresses.
    assert bridge() in [v["subnet"] for v in status["subnets"]["virtual"]]


def test_and_not_captured(captive):
    """A route of the container's own for each, without a word from the daemon."""
    _, name = captive
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", name]).stdout.strip()
    rules = run(["nsenter", "-n", "-t", pid, "nft", "list", "ruleset"]).stdout
    for subnet in (*WANTED, *DEFAULT_ROUTES, bridge()):
        assert subnet not in rules
    gateway = bridge().rsplit(".", 1)[0] + ".1"
    box = start_joined(f"{name}-box", daemon=name)
    try:
        out = box.python(f"""
import socket
s = socket.socket()
s.bind(('127.0.0.1', 2222))
s.listen()
c = socket.create_connection(('127.0.0.1', 2222), 3)
print('own loopback')
""")  # fmt: skip
        assert out == "own loopback"
        assert "web-" in box.out("curl -sS --max-time 5 http://web/")
        box.sh(f"ping -c1 -W2 {gateway}", check=False)
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_a_hostile_managers_configuration_sets_only_central_keys(captive):
    status, _ = captive
    text = json.dumps(status["clientConfig"])
    for word in ("evil", "publish", "exec", "docker"):
        assert word not in text, text
    assert "10.99.0.0/16" in json.dumps(status["subnets"]["also"])


def test_the_chart_refuses_keys_that_are_not_central(chart):
    for key in ("connect.publish={22:22}", "exec.command=evil", "docker.socket=/evil"):
        done = chart.tp("helm", "lint", "--set", f"client.{key}", check=False)
        assert done.returncode != 0, key


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
def test_a_wider_allowed_subnet_does_not_open_denied_addresses(hostile_manager, ask):
    """dial.allow is 0.0.0.0/0 and ::/0 here."""
    with Link(target_of(hostile_manager), "--name", fresh_name()) as link:
        got = {a: ask(link, a, 80) for a in DENIED}
        assert got == {a: PROHIBITED for a in DENIED}
        node = hostile_manager.kubectl_json("get", "nodes")["items"][0]
        address = node["status"]["addresses"][0]["address"]
        assert ask(link, address, 10250) == PROHIBITED
        # The control: what only the wide one allows is tried.
        assert ask(link, "192.0.2.1", 80) != PROHIBITED
