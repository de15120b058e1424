"""Rules of doc/security.md against the real cluster."""

import base64
import json
import ssl
import socket

import pytest

from conftest import (
    DAEMON,
    E2E,
    MANAGER_NAMESPACE,
    NAMESPACE,
    RUN,
    TOP,
    Cluster,
    run,
    start_joined,
    wait_until,
)
from links import manager_pods

GROUP = "connect.tp.internal"
NAME = "test-" + "a" * 30


def user(name, *groups):
    """A cluster user with a client certificate."""
    path = run([str(TOP / "tests/cluster/user"), name, *groups]).stdout.strip()
    return Cluster(path.splitlines()[-1])


@pytest.fixture(scope="module")
def developer(chart):
    return user("dev-anna", "developers")


def upgrade(
    kubeconfig, namespace=NAMESPACE, name=NAME, method="POST", extra="", protocol="tp/1"
):
    """Sends the upgrade as a user of the kubeconfig; returns status line and
    the open socket."""
    config = json.loads(
        run(["kubectl", "config", "view", "--raw", "-o", "json"],
            env={"KUBECONFIG": kubeconfig, "PATH": f"{RUN / 'bin'}:/usr/bin:/bin"}).stdout
    )
    cluster = config["clusters"][0]["cluster"]
    who = config["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    if "client-certificate-data" in who:
        pair = RUN / f"users/pair-{hash(kubeconfig) & 0xffffffff}.pem"
        pair.parent.mkdir(exist_ok=True)
        pair.write_bytes(
            base64.b64decode(who["client-certificate-data"])
            + base64.b64decode(who["client-key-data"])
        )
        context.load_cert_chain(pair)
    host, port = cluster["server"].removeprefix("https://").split(":")
    sock = context.wrap_socket(
        socket.create_connection((host, int(port)), 10), server_hostname=host
    )
    websocket = (
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: v1.link.tp.internal\r\n"
    )
    sock.sendall(
        (
            f"{method} /apis/{GROUP}/v1/namespaces/{namespace}/connections/"
            f"{name}/portforward HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Connection: Upgrade\r\n"
            + (f"Upgrade: {protocol}\r\nContent-Length: 0\r\n" if method == "POST" else websocket)
            + (f"Authorization: Bearer {who['token']}\r\n" if "token" in who else "")
            + extra
            + "\r\n"
        ).encode()
    )
    sock.settimeout(15)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    if b" 101 " not in data.split(b"\r\n")[0]:
        try:
            sock.settimeout(1)
            data += sock.recv(65536)
        except (OSError, ssl.SSLError):
            pass
    return data.decode(errors="replace"), sock


def test_a_user_with_the_role_only(developer, session, chart):
    text, sock = upgrade(developer.kubeconfig)
    sock.close()
    assert " 101 " in text.splitlines()[0]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_read_only_wildcard_role_opens_nothing(chart, session, method):
    chart.kubectl("create", "clusterrole", "tp-e2e-viewer",
                  "--verb=get,list,watch", "--resource=*.*", check=False)
    chart.kubectl("create", "clusterrolebinding", "tp-e2e-viewer",
                  "--clusterrole=tp-e2e-viewer", "--user=viewer", check=False)
    text, sock = upgrade(user("viewer").kubeconfig, method=method)
    sock.close()
    assert " 403 " in text.splitlines()[0], text
    assert "connections" in text and "create" in text


def test_the_refusal_names_the_missing_right(chart, session):
    text, sock = upgrade(user("nobody-at-all").kubeconfig)
    sock.close()
    assert " 403 " in text.splitlines()[0]
    assert "connections" in text and "nobody-at-all" in text


def test_connect_without_the_role_says_so_and_leaves_nothing(chart, session):
    stranger = user("stranger")
    done = stranger.tp("connect", "--name", f"{E2E}-stranger", "-n", NAMESPACE,
                       check=False)
    assert done.returncode != 0
    message = done.stderr.strip()
    assert "stranger" in message and "connections" in message
    assert len(message.splitlines()) == 1
    left = run(["docker", "ps", "-aq", "--filter", f"name={E2E}-stranger"]).stdout
    assert left == ""


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "100.100.100.200", "168.63.129.16",
     "224.0.0.1", "0.0.0.0"],
)  # fmt: skip
def test_also_proxy_cannot_widen_the_managers_policy(session, chart, address):
    """Asked over a session of its own, so that the shared one keeps its routes;
    the manager's refusal, not the daemon's, is what counts: see also the unit
    tests of policy.c and the raw link test."""
    chart.tp("quit", "--name", f"{E2E}-also", check=False)
    done = chart.tp("connect", "--name", f"{E2E}-also", "-n", NAMESPACE,
                    "--also-proxy", f"{address}/32", check=False)
    try:
        if done.returncode != 0:
            assert len(done.stderr.strip().splitlines()) == 1
            return
        status = chart.status(f"{E2E}-also")
        rejected = [r["subnet"] for r in status["subnets"].get("rejected", [])]
        if f"{address}/32" in rejected:
            return
        box = start_joined(f"{E2E}-also-box", daemon=f"{E2E}-also")
        done = box.sh(f"curl -sS --max-time 5 http://{address}/", check=False)
        assert done.returncode != 0
    finally:
        run(["docker", "rm", "-f", f"{E2E}-also-box"], check=False)
        chart.tp("quit", "--name", f"{E2E}-also", check=False)


def test_the_managers_own_ports_are_not_dialled(session, box, chart):
    """A replica that has just begun is known to the others within a minute."""
    wait_until("two managers", lambda: len(manager_pods(chart)) == 2, 60)
    service = chart.kubectl_json("get", "service", "-n", MANAGER_NAMESPACE,
                                 "tp-manager")["spec"]["clusterIP"]
    targets = [f"{service}:443"]
    for pod in manager_pods(chart):
        targets += [f"{pod['status']['podIP']}:{p}" for p in (8443, 8080)]

    def answers():
        done = [box.sh(f"curl -ksS --max-time 5 https://{t}/", check=False) for t in targets]
        return {d.returncode for d in done}

    wait_until("all refused", lambda: answers() == {7}, 75, 1)


def test_request_headers_prove_nothing_without_the_front_proxy(chart, apps):
    """From a pod, straight to the manager's port."""
    script = (
        "curl -ksS --max-time 10 -o /dev/null -w '%{http_code}' "
        "-H 'X-Remote-User: admin' -H 'X-Remote-Group: system:masters' "
        f"https://tp-manager.{MANAGER_NAMESPACE}.svc/apis/{GROUP}/v1"
    )
    # By its log: what `kubectl run -i` prints is lost if the pod ends first.
    try:
        chart.kubectl(
            "run", "tp-e2e-forger", "-n", NAMESPACE, "--restart=Never",
            "--image=tp-test/tools:latest", "--image-pull-policy=Never",
            "--", "bash", "-c", script,
        )  # fmt: skip
        chart.kubectl(
            "wait", "pod/tp-e2e-forger", "-n", NAMESPACE, "--timeout=60s",
            "--for=jsonpath={.status.phase}=Succeeded", timeout=90,
        )  # fmt: skip
        out = chart.kubectl("logs", "tp-e2e-forger", "-n", NAMESPACE).stdout
    finally:
        chart.kubectl("delete", "pod", "tp-e2e-forger", "-n", NAMESPACE, "--wait=false", check=False)
    assert out.strip().startswith("401"), out


def test_a_hostile_joined_container_gets_nowhere(session):
    """Root with Docker's default capabilities in the shared namespace."""
    box = start_joined(f"{E2E}-hostile")
    try:
        assert box.sh("nft list ruleset", check=False).returncode != 0
        assert box.sh("ip rule add from all lookup main", check=False).returncode != 0
        assert box.sh("test -e /run/tp/control", check=False).returncode != 0
        assert "@" not in box.out("cut -d' ' -f8- /proc/net/unix | grep tp || true")
        listeners = box.out("ss -ltnH | awk '{print $4}'").split()
        for listener in listeners:
            host, port = listener.rsplit(":", 1)
            host = host.strip("[]").replace("*", "127.0.0.1").split("%")[0]
            out = box.python(
                f"""
import socket
s = socket.socket(socket.AF_INET6 if ':' in '{host}' else socket.AF_INET)
s.settimeout(3)
try:
    s.connect(('{host}', {port}))
    s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')
    print(len(s.recv(100)))
except OSError:
    print(0)
"""
            )
            assert out == "0", listener
            taken = box.python(
                f"""
import socket
s = socket.socket(socket.AF_INET6 if ':' in '{host}' else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try:
    s.bind(('{host}', {port}))
    s.listen()
    print('taken')
except OSError:
    print('kept')
"""
            )
            assert taken == "kept", listener
    finally:
        run(["docker", "rm", "-f", f"{E2E}-hostile"], check=False)


def test_no_secret_in_what_docker_shows(session):
    config = session.kubectl("config", "view", "--raw", "-o", "json").stdout
    key = json.loads(config)["users"][0]["user"]["client-key-data"]
    pem_line = base64.b64decode(key).decode().splitlines()[2]
    shown = run(["docker", "inspect", DAEMON]).stdout
    shown += run(["docker", "logs", DAEMON]).stderr
    shown += run(["docker", "logs", DAEMON]).stdout
    exported = run(
        ["bash", "-c", f"docker export {DAEMON} | grep -ac -e '{pem_line}' || true"]
    ).stdout
    assert key[:64] not in shown and pem_line not in shown
    assert exported.strip() == "0"


def test_the_manager_cannot_write_what_would_make_it_admin(chart):
    who = f"--as=system:serviceaccount:{MANAGER_NAMESPACE}:tp-manager"
    for verb, resource in [
        ("update", "apiservices.apiregistration.k8s.io"),
        ("patch", "apiservices.apiregistration.k8s.io"),
        ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("update", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("update", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods --subresource=exec"),  # pods/exec would be a pod's name
        ("get", "pods --subresource=exec"),
    ]:
        done = chart.kubectl("auth", "can-i", verb, *resource.split(), who, "-n",
                             MANAGER_NAMESPACE, check=False)
        assert done.stdout.strip() == "no", (verb, resource)
