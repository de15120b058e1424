"""Who may say who the user is: only the API server's front proxy.

From the node, straight to a manager's port, with certificates of the cluster's
own authorities.
"""

import base64
import json

import pytest

from conftest import NAMESPACE, NODE, run
from links import Link, in_node, manager_pods, node_pid
from test_links import fresh_name
from test_security import GROUP, upgrade

PKI = "/etc/kubernetes/pki"


def from_node(name):
    return run(["docker", "exec", NODE, "cat", f"{PKI}/{name}"]).stdout


@pytest.fixture(scope="module")
def pki(tmp_path_factory, chart):
    """Authorities, the API server's own front-proxy certificate, and others."""
    directory = tmp_path_factory.mktemp("pki")
    for name in ("front-proxy-ca", "ca", "front-proxy"):
        for kind in ("crt", "key"):
            (directory / f"{name}.{kind}").write_text(from_node(f"{name}.{kind}"))
    issue(directory, "other-name", "front-proxy-ca", "/CN=somebody-else")
    issue(directory, "admin", "ca", "/O=system:masters/CN=kubernetes-admin")
    issue(directory, "same-name", "ca", subject(directory / "front-proxy.crt"))
    return directory


def subject(path):
    line = run(["openssl", "x509", "-in", str(path), "-noout", "-subject",
                "-nameopt", "compat"]).stdout  # fmt: skip
    return line.strip().removeprefix("subject=").strip()


def issue(directory, name, authority, subject):
    run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
         "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.csr"])  # fmt: skip
    (directory / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    run(["openssl", "x509", "-req", "-days", "1", "-in", f"{directory}/{name}.csr",
         "-CA", f"{directory}/{authority}.crt", "-CAkey", f"{directory}/{authority}.key",
         "-CAcreateserial", "-extfile", f"{directory}/client.ext",
         "-out", f"{directory}/{name}.crt"])  # fmt: skip


USER = ("-H", "X-Remote-User: forged", "-H", "X-Remote-Group: system:masters")


@pytest.fixture(scope="module")
def ask(chart, pki):
    """HTTP status, or "tls" if there was none."""
    address = manager_pods(chart)[0]["status"]["podIP"]

    def call(certificate, *flags, path=f"/apis/{GROUP}/v1"):
        if certificate:
            flags += ("--cert", f"{pki}/{certificate}.crt", "--key", f"{pki}/{certificate}.key")
        done = in_node(
            "curl", "-ksS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}",
            *flags, f"https://{address}:8443{path}", check=False)  # fmt: skip
        return done.stdout if done.stdout != "000" else "tls"

    return call


def test_the_front_proxy_itself(ask):
    """The positive control."""
    assert ask("front-proxy", *USER) == "200"


@pytest.mark.parametrize("certificate", [None, "admin", "same-name", "other-name"])
def test_everybody_else_is_nobody(ask, certificate):
    """No certificate; the cluster's authority instead of the front proxy's, even
    with its name; its authority with another name."""
    assert ask(certificate, *USER) in ("401", "tls")
    assert ask(certificate) in ("401", "tls")


def test_the_front_proxy_must_name_a_user(ask):
    assert ask("front-proxy") == "401"


@pytest.mark.parametrize("header", ["X-Remote-User", "x-remote-user"])
def test_two_users_are_a_bad_request(ask, header):
    """By the front proxy itself: somebody smuggled one past it."""
    assert ask("front-proxy", *USER, "-H", f"{header}: a", "-H", f"{header}: b") == "400"


@pytest.fixture(scope="module")
def direct(chart, pki):
    """For linkprobe: the manager's port, as the front proxy."""
    bundle = chart.kubectl_json("get", "apiservice", f"v1.{GROUP}")["spec"]["caBundle"]
    return {
        "host": manager_pods(chart)[0]["status"]["podIP"],
        "port": 8443,
        "serverName": "tp-manager.tp-system.svc",
        "ca": base64.b64decode(bundle).decode(),
        "cert": (pki / "front-proxy.crt").read_text(),
        "key": (pki / "front-proxy.key").read_text(),
    }


def direct_link(direct, *headers):
    options = [text for header in headers for text in ("--header", header)]
    return Link(direct, "--name", fresh_name(), *options,
                prefix=("nsenter", "-n", "-t", node_pid()))  # fmt: skip


def test_the_user_of_a_link_is_asked_about(direct, chart):
    """The manager asks for itself: that the front proxy vouches for the name
    gives no right."""
    with direct_link(direct, "X-Remote-User: nobody-special") as link:
        assert link.opening.startswith("refused 403"), link.opening
    with direct_link(direct, "X-Remote-User: anna", "X-Remote-Group: developers") as link:
        assert link.opening == "open"
        assert link.info()["user"] == "anna"
        assert link.ask("header x-remote-user root") == "ok"
        assert link.ask("request GET /tp/v1/info").startswith("400")


def test_a_pods_own_token_opens_nothing(chart, apps, tmp_path):
    """KUBERNETES: every pod has one."""
    token = chart.kubectl("create", "token", "default", "-n", NAMESPACE).stdout.strip()
    config = json.loads(
        chart.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    for method in ("POST", "GET"):
        text, sock = upgrade(str(path), method=method)
        sock.close()
        assert " 403 " in text.splitlines()[0], text
