"""A link in WebSocket frames, because something on the way wants that: the API
server stands behind an nginx that passes WebSockets and refuses tp/1."""

import base64
import json

import pytest

from conftest import (
    E2E,
    NAMESPACE,
    NODE,
    RUN,
    Cluster,
    run,
    start_joined,
    wait_until,
)
from test_tcp import BOTH_WAYS, ECHO as TCP_ECHO, MIB, RESET, pod_ip
from test_udp import ECHO as UDP_ECHO, PORT as UDP_PORT

NAME = f"{E2E}-ws"
PROXY = f"{E2E}-ws-proxy"
PORT = 8443

# $uri is the request's, so that POST and GET of the link can be told apart.
NGINX = """
daemon off;
error_log stderr warn;
events {{ }}
http {{
  log_format link "$request_method $uri $http_upgrade $status";
  access_log /dev/stdout link;
  map $http_upgrade $refused {{ default 0; "tp/1" 1; }}
  map $http_upgrade $hop {{ default upgrade; "" ""; }}
  server {{
    listen {port} ssl;
    ssl_certificate /proxy.pem;
    ssl_certificate_key /proxy.pem;
    location / {{
      if ($refused) {{ return 405; }}
      proxy_pass {server};
      proxy_ssl_verify off;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $hop;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


def start_proxy(directory, server):
    """Returns its address and its certificate."""
    run(["docker", "network", "create", PROXY])
    subnet = run(["docker", "network", "inspect", "-f",
                  "{{(index .IPAM.Config 0).Subnet}}", PROXY]).stdout.strip()
    address = subnet.rsplit(".", 1)[0] + ".2"
    key, cert = directory / "key", directory / "cert"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=front", "-addext", f"subjectAltName=IP:{address}",
         "-keyout", str(key), "-out", str(cert)])  # fmt: skip
    (directory / "proxy.pem").write_text(key.read_text() + cert.read_text())
    (directory / "nginx.conf").write_text(NGINX.format(port=PORT, server=server))
    run(["docker", "create", "--name", PROXY, "--network", PROXY, "tp-test/proxy",
         "nginx", "-c", "/nginx.conf"])  # fmt: skip
    for name in ("proxy.pem", "nginx.conf"):
        run(["docker", "cp", str(directory / name), f"{PROXY}:/{name}"])
    run(["docker", "start", PROXY])
    run(["docker", "network", "connect", NODE.removesuffix("-node1"), PROXY])
    wait_until("the proxy listens", lambda: run(
        ["bash", "-c", f"exec 3<>/dev/tcp/{address}/{PORT}"],
        check=False).returncode == 0, 10)  # fmt: skip
    return address, cert.read_text()


def remove_proxy():
    run(["docker", "rm", "-f", PROXY], check=False)
    run(["docker", "network", "rm", PROXY], check=False)


@pytest.fixture(scope="module")
def front(chart, apps, tmp_path_factory):
    """Makes the kubeconfig of an account: behind nginx only a token gets to the
    API server, a client certificate ends there."""
    directory = tmp_path_factory.mktemp("ws")
    remove_proxy()
    config = json.loads(Cluster(RUN / "kubeconfig.direct").kubectl(
        "config", "view", "--raw", "-o", "json").stdout)  # fmt: skip
    server = config["clusters"][0]["cluster"]["server"]
    try:
        address, cert = start_proxy(directory, server)
        config["clusters"][0]["cluster"] = {
            "server": f"https://{address}:{PORT}",
            "certificate-authority-data": base64.b64encode(cert.encode()).decode(),
        }

        def make(account):
            token = chart.kubectl("create", "token", account, "-n", NAMESPACE).stdout
            config["users"][0]["user"] = {"token": token.strip()}
            path = directory / account
            path.write_text(json.dumps(config))
            return Cluster(path)

        yield make
    finally:
        remove_proxy()


def make_account(cluster, account, *role):
    cluster.kubectl("create", "serviceaccount", account, "-n", NAMESPACE, check=False)
    cluster.kubectl("create", "rolebinding", f"tp-e2e-{account}", "-n", NAMESPACE, *role,
                    f"--serviceaccount={NAMESPACE}:{account}", check=False)  # fmt: skip


@pytest.fixture(scope="module")
def ws(chart, front):
    """Connected through it, with a joined container."""
    make_account(chart, "ws", "--clusterrole=tp-user")
    user = front("ws")
    user.tp("quit", "--name", NAME, check=False)
    user.tp("connect", "--name", NAME, "-n", NAMESPACE)
    box = start_joined(f"{NAME}-box", "--user", "1000", "--cap-drop", "ALL", daemon=NAME)
    yield user, box
    run(["docker", "rm", "-f", box.name], check=False)
    user.tp("quit", "--name", NAME, check=False)


def asked():
    """The requests for a link that nginx has seen: ["POST 405", "GET 101"]."""
    lines = run(["docker", "logs", PROXY]).stdout.splitlines()
    return [f"{line.split()[0]} {line.split()[-1]}" for line in lines
            if "/portforward " in line]  # fmt: skip


def kill_workers():
    """Cuts what goes through nginx, whose master lives on. An upgraded request is
    in the log only now, when it has ended."""
    run(["docker", "exec", PROXY, "bash", "-c",
         "kill -9 $(cat /proc/1/task/1/children)"])  # fmt: skip


def test_status_tells_the_framing(ws):
    user, _ = ws
    status = user.status(NAME)
    assert status["state"] == "connected"
    assert status["link"]["framing"] == "websocket"
    assert status["user"] == f"system:serviceaccount:{NAMESPACE}:ws"
    assert asked()[0] == "POST 405"
    assert "websocket" in user.tp("status", "--name", NAME).stdout


def test_20_mib_each_way_at_once_byte_equal(ws):
    _, box = ws
    code = BOTH_WAYS.format(size=20 * MIB, host="web", port=TCP_ECHO, seed=7)
    assert box.python(code, timeout=120) == "same"


@pytest.mark.parametrize("size", [1, 1400, 8192])
def test_udp(ws, size):
    _, box = ws
    code = UDP_ECHO.format(port=UDP_PORT, size=size, send="s.sendto(data, addr)")
    assert box.python(code) == "same"


def test_names_refusals_and_resets(chart, ws):
    _, box = ws
    assert "web-" in box.out("curl -sS --max-time 10 http://web/")
    done = box.sh(f"curl -sS --max-time 10 http://{pod_ip(chart)}:1/", check=False)
    assert done.returncode == 7, done.stderr  # refused
    out = box.python(
        f"""
import socket
s = socket.create_connection(('web', {RESET}), 10)
s.settimeout(10)
s.sendall(b'x')
try:
    print('end', s.recv(1))
except ConnectionResetError:
    print('reset')
"""
    )
    assert out == "reset"


def test_a_new_link_does_not_try_again_what_was_refused(ws):
    user, box = ws
    before = user.status(NAME)["link"]["reconnects"]
    posts = asked().count("POST 405")
    kill_workers()
    wait_until("connected again", lambda: user.status(NAME).get("link", {}).get(
        "reconnects", 0) > before, 30)  # fmt: skip
    assert user.status(NAME)["link"]["framing"] == "websocket"
    assert "web-" in box.out("curl -sS --max-time 10 http://web/")
    kill_workers()
    wait_until("connected a third time", lambda: user.status(NAME).get("link", {}).get(
        "reconnects", 0) > before + 1, 30)  # fmt: skip
    assert asked().count("POST 405") == posts


def test_a_refusal_names_the_right_that_is_missing(chart, front):
    """tp/1 would need `create`, which this account has, a WebSocket `get`."""
    chart.kubectl("create", "role", "tp-e2e-ws-post", "-n", NAMESPACE, "--verb=create",
                  "--resource=connections.connect.tp.internal,"
                  "connections.connect.tp.internal/portforward", check=False)  # fmt: skip
    make_account(chart, "ws-post", "--role=tp-e2e-ws-post")
    done = front("ws-post").tp("connect", "--name", f"{NAME}-2", "-n", NAMESPACE,
                               check=False)  # fmt: skip
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert "forbidden" in lines[0] and "cannot get" in lines[0]
    assert "connections/portforward" in lines[0] and "tp-user" in lines[0]
    left = run(["docker", "ps", "-aq", "--filter", f"name=^{NAME}-2$"]).stdout
    assert left == ""
