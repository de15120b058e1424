"""connect, status, quit, version, config view as a user meets them."""

import json
import subprocess
import time

import pytest

from conftest import DAEMON, E2E, NAMESPACE, TOP, Cluster, RUN, run, start_joined, wait_until

OTHER = f"{E2E}-other"


@pytest.fixture
def other(session):
    session.tp("quit", "--name", OTHER, check=False)
    yield OTHER
    session.tp("quit", "--name", OTHER, check=False)


def test_connecting_twice_says_so_and_succeeds(session):
    done = session.tp("connect", "--name", DAEMON, "-n", NAMESPACE)
    assert "already connected" in (done.stdout + done.stderr).lower()


def test_another_session_under_the_same_name_is_an_error(session):
    done = session.tp("connect", "--name", DAEMON, "-n", "default", check=False)
    assert done.returncode != 0 and "quit" in done.stderr
    assert session.status()["state"] == "connected"


def test_two_daemons_at_once(session, box, other):
    session.tp("connect", "--name", other, "-n", "kube-system")
    second = start_joined(f"{E2E}-second", daemon=other)
    try:
        assert second.out("getent hosts kube-dns")
        assert "web-" in box.out("curl -sS --max-time 10 http://web/")
    finally:
        run(["docker", "rm", "-f", second.name], check=False)


def test_status_tells_all(session, box):
    status = session.status()
    assert status["state"] == "connected"
    assert status["namespace"] == NAMESPACE
    assert status["link"]["kind"] == "aggregated"
    assert status["manager"]["version"]
    assert status["hold"] in ("nfqueue", "xt-nfqueue")
    assert "10.43.0.0/16" in status["subnets"]["service"]
    text = session.tp("status", "--name", DAEMON).stdout
    assert "connected" in text.lower() and box.name in text


def test_version_of_all_three(session):
    out = json.loads(
        session.tp("version", "--name", DAEMON, "--format", "json").stdout
    )
    assert set(out) >= {"client", "daemon", "manager"}


def test_config_view_names_the_source(session):
    out = session.tp("config", "view", "--name", DAEMON).stdout
    assert "default" in out


def test_publish(session, other):
    session.tp("connect", "--name", other, "-n", NAMESPACE,
               "--publish", "127.0.0.1:0:8000")
    box = start_joined(f"{E2E}-published", daemon=other)
    try:
        run(["docker", "exec", "-d", box.name, "python3", "-m", "http.server", "8000"])
        port = run(["docker", "port", other, "8000"]).stdout.strip().rsplit(":", 1)[1]
        wait_until(
            "the published port answers",
            lambda: run(["curl", "-s", "--max-time", "2",
                         f"http://127.0.0.1:{port}/"], check=False).returncode == 0,
            10,
        )
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_exec_plugin_runs_on_the_workstation(session, other, tmp_path):
    """A token that the plugin makes; the container has no such program. Short
    lived, so that the daemon must ask again."""
    session.kubectl("create", "serviceaccount", "dev", "-n", NAMESPACE, check=False)
    session.kubectl(
        "create", "clusterrolebinding", "tp-e2e-dev", "--clusterrole=tp-user",
        f"--serviceaccount={NAMESPACE}:dev", check=False,
    )  # fmt: skip
    calls = tmp_path / "calls"
    plugin = tmp_path / "plugin"
    plugin.write_text(
        f"""#!/bin/sh
echo call >> {calls}
token=$({RUN}/bin/kubectl --kubeconfig {session.kubeconfig} create token dev -n {NAMESPACE} --duration 10m)
expires=$(date -u -d '+30 seconds' +%Y-%m-%dT%H:%M:%SZ)
printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"%s","expirationTimestamp":"%s"}}}}' "$token" "$expires"
"""
    )
    plugin.chmod(0o755)
    config = json.loads(
        session.kubectl("config", "view", "--raw", "-o", "json").stdout
    )
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "interactiveMode": "Never",
        }
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    user = Cluster(path)
    user.tp("connect", "--name", other, "-n", NAMESPACE)
    status = session.status(other)
    assert status["user"] == f"system:serviceaccount:{NAMESPACE}:dev"
    first = len(calls.read_text().splitlines())
    # A new link after the token's end needs a new one.
    time.sleep(31)
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", other]).stdout.strip()
    run(["bash", "-c", f"pkill -9 -P {pid} tp-daemon"])
    wait_until("connected again",
               lambda: session.status(other)["state"] == "connected", 20)
    assert len(calls.read_text().splitlines()) > first


def test_api_server_by_its_own_address(session, other):
    direct = Cluster(RUN / "kubeconfig.direct")
    direct.tp("connect", "--name", other, "-n", NAMESPACE)
    assert session.status(other)["state"] == "connected"


def test_quit_names_what_it_cuts_off_and_removes_all(session, other):
    session.tp("connect", "--name", other, "-n", NAMESPACE)
    box = start_joined(f"{E2E}-cut-off", daemon=other)
    try:
        done = session.tp("quit", "--name", other)
        assert box.name in done.stdout + done.stderr
        left = run(["docker", "ps", "-aq", "--filter", f"name=^{other}$"]).stdout
        assert left == ""
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_interrupted_connect_leaves_nothing(session, other):
    process = subprocess.Popen(
        [str(TOP / "tp"), "connect", "--name", other, "-n", NAMESPACE],
        env=session.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.4)
    process.send_signal(2)
    process.wait(20)
    left = run(["docker", "ps", "-aq", "--filter", f"name=^{other}$"]).stdout
    # It was either too early for the signal to matter or it cleaned up.
    assert left == "" or process.returncode == 0


def connect_and_kill(session, other, moment):
    events = subprocess.Popen(
        ["docker", "events", "--filter", f"container={other}", "--filter",
         f"event={moment}", "--format", "{{.Action}}"],
        stdout=subprocess.PIPE, text=True)  # fmt: skip
    time.sleep(0.5)  # until it listens
    killed = subprocess.Popen(
        [str(TOP / "tp"), "connect", "--name", other, "-n", NAMESPACE],
        env=session.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    events.stdout.readline()
    killed.kill()
    killed.wait(20)
    events.terminate()
    events.wait(10)


@pytest.mark.parametrize("moment", ["create", "start"])
def test_a_connect_that_was_killed_is_taken_over(session, other, moment):
    """kill -9 leaves a container that was made, and perhaps started, without a
    session: status says so, the next connect needs no advice, quit removes it."""
    for _ in range(10):
        connect_and_kill(session, other, moment)
        # From its start to its session is some 50 ms: the news may come late.
        if session.status(other)["state"] in ("idle", "stopped"):
            break
        session.tp("quit", "--name", other)
    if moment == "start":
        status = session.status(other)
        assert status["state"] == "idle" and status["code"] == "no-session"
        assert "tp connect" in status["error"]
    done = session.tp("connect", "--name", other, "-n", NAMESPACE)
    assert done.stdout.startswith("Connected"), done.stdout
    assert done.stderr == ""
    box = start_joined(f"{E2E}-taken-over", daemon=other)
    try:
        assert "web-" in box.out("curl -sS --max-time 10 http://web/")
    finally:
        run(["docker", "rm", "-f", box.name], check=False)
    session.tp("quit", "--name", other)
    assert run(["docker", "ps", "-aq", "--filter", f"name=^{other}$"]).stdout == ""


def test_docker_restart_is_told_and_connect_heals(session, other):
    """The session's secrets went with the memory file, the joined container's
    network with the old namespace: status and connect name both."""
    session.tp("connect", "--name", other, "-n", NAMESPACE)
    box = start_joined(f"{E2E}-restarted", daemon=other)
    try:
        run(["docker", "restart", "-t", "5", other])
        done = session.tp("status", "--name", other, check=False)
        assert done.returncode == 3
        assert "was restarted" in done.stdout and "run tp connect" in done.stdout
        assert f"docker restart {box.name}" in done.stderr
        status = session.status(other)
        assert status["state"] == "idle" and status["restarted"] is True
        assert [(c["name"], c["dead"]) for c in status["containers"]] == [(box.name, True)]
        done = session.tp("connect", "--name", other, "-n", NAMESPACE)
        assert done.stdout.startswith("Connected")
        assert f"docker restart {box.name}" in done.stderr
        status = session.status(other)
        assert status["state"] == "connected" and "restarted" not in status
        assert box.sh("curl -sS --max-time 5 http://web/", check=False).returncode != 0
        run(["docker", "restart", "-t", "1", box.name])
        assert "web-" in box.out("curl -sS --max-time 10 http://web/")
        assert session.tp("status", "--name", other).stderr == ""
    finally:
        run(["docker", "rm", "-f", box.name], check=False)


def test_names_outside_the_cluster_are_dockers(session, other):
    """As with compose: a container of the daemon's own Docker network, by the
    name that Docker's resolver knows, beside the cluster's names."""
    network = f"{E2E}-outside"
    run(["docker", "network", "create", network], check=False)
    run(["docker", "run", "-d", "--rm", "--name", f"{E2E}-outsider", "--network",
         network, "tp-test/app"])
    try:
        session.tp("connect", "--name", other, "-n", NAMESPACE, "--network", network)
        box = start_joined(f"{E2E}-outside-box", daemon=other)
        out = box.out(f"curl -sS --max-time 5 http://{E2E}-outsider:8080/")
        assert "host:" in out
        assert "web-" in box.out("curl -sS --max-time 5 http://web/")
    finally:
        run(["docker", "rm", "-f", f"{E2E}-outside-box", f"{E2E}-outsider"], check=False)
        session.tp("quit", "--name", other, check=False)
        run(["docker", "network", "rm", network], check=False)
