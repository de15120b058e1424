"""Every form of a kubeconfig that kubectl takes, against the real cluster:
connect, one request, and who the manager says the user is."""

import base64
import contextlib
import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import E2E, NAMESPACE, RUN, TOOLS, TOP, Cluster, run, wait_until

NAME = f"{E2E}-kc"
PROXY = f"{E2E}-proxy"
NODE = os.environ.get("TP_CLUSTER_NAME", "tp-cluster") + "-node1"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:kc"


class Forms:
    """Writes kubeconfigs of a user who has the role tp-user and nothing else."""

    def __init__(self, cluster, directory):
        self.cluster = cluster
        self.dir = directory
        path = run([str(TOP / "tests/cluster/user"), "kc-anna", "developers"])
        self.base = self.view(path.stdout.strip().splitlines()[-1])
        self.direct = self.view(RUN / "kubeconfig.direct")["clusters"][0][
            "cluster"]["server"]
        user = self.base["users"][0]["user"]
        self.ca = self.base["clusters"][0]["cluster"]["certificate-authority-data"]
        self.cert = base64.b64decode(user["client-certificate-data"]).decode()
        self.key = base64.b64decode(user["client-key-data"]).decode()

    def view(self, path):
        return json.loads(
            Cluster(path).kubectl("config", "view", "--raw", "-o", "json").stdout
        )

    def put(self, name, text):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def make(self, user=None, **edits):
        """A kubeconfig; `edits` are set in its cluster, None removes."""
        config = json.loads(json.dumps(self.base))
        if user:
            config["users"][0]["user"] = user
        target = config["clusters"][0]["cluster"]
        for key, value in edits.items():
            key = key.replace("_", "-")
            target.pop(key, None)
            if value is not None:
                target[key] = value
        return self.put("config", json.dumps(config))

    def token(self, *flags):
        return self.cluster.kubectl(
            "create", "token", "kc", "-n", NAMESPACE, *flags
        ).stdout.strip()


@pytest.fixture(scope="module")
def forms(chart, apps, tmp_path_factory):
    chart.kubectl("create", "serviceaccount", "kc", "-n", NAMESPACE, check=False)
    chart.kubectl(
        "create", "clusterrolebinding", NAME, "--clusterrole=tp-user",
        f"--serviceaccount={NAMESPACE}:kc", check=False,
    )  # fmt: skip
    yield Forms(chart, tmp_path_factory.mktemp("kc"))
    chart.kubectl("delete", "clusterrolebinding", NAME, check=False)


def fetch():
    return run(
        ["docker", "run", "--rm", "--network", f"container:{NAME}", TOOLS,
         "curl", "-sS", "--max-time", "10", "http://web/"]
    ).stdout  # fmt: skip


@contextlib.contextmanager
def connected(path, user="kc-anna", flags=(), env=None):
    """Connects, fetches, compares the user; quits in the end."""
    who = Cluster(path)
    try:
        who.tp("connect", "--name", NAME, "-n", NAMESPACE, *flags, env=env)
        assert "web-" in fetch()
        assert who.status(NAME)["user"] == user
        yield who
    finally:
        who.tp("quit", "--name", NAME, check=False)


def works(path, **kwargs):
    with connected(path, **kwargs):
        pass


def refused(path, env=None):
    """The one line that connect fails with, which leaves nothing."""
    done = Cluster(path).tp("connect", "--name", NAME, "-n", NAMESPACE,
                            check=False, env=env)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    left = run(["docker", "ps", "-aq", "--filter", f"name=^{NAME}$"]).stdout
    assert left == ""
    return lines[0]


def cut_link():
    """The daemon begins anew, with the session that the supervisor keeps."""
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", NAME]).stdout.strip()
    run(["pkill", "-9", "-P", pid, "tp-daemon"])


def connects_again(who):
    wait_until("connected again",
               lambda: who.status(NAME)["state"] == "connected", 30)
    assert "web-" in fetch()


def test_certificates_in_files_beside_the_kubeconfig(forms):
    forms.put("pki/cert.pem", forms.cert)
    forms.put("pki/key.pem", forms.key)
    forms.put("pki/ca.pem", base64.b64decode(forms.ca).decode())
    works(forms.make(
        {"client-certificate": "pki/cert.pem", "client-key": "pki/key.pem"},
        certificate_authority_data=None, certificate_authority="pki/ca.pem",
    ))  # fmt: skip


def test_token(forms):
    works(forms.make({"token": forms.token()}), user=ACCOUNT)


def test_a_token_file_that_is_written_anew(forms):
    """The first token ends with the object that it is bound to."""
    forms.cluster.kubectl("create", "secret", "generic", "kc-bound", "-n", NAMESPACE)
    try:
        first = forms.token("--bound-object-kind=Secret", "--bound-object-name=kc-bound")
        path = forms.make({"tokenFile": str(forms.put("token", first))})
        with connected(path, user=ACCOUNT) as who:
            forms.put("token", forms.token())
            forms.cluster.kubectl("delete", "secret", "kc-bound", "-n", NAMESPACE)
            old = forms.put("old", json.dumps(
                {**forms.base, "users": [{**forms.base["users"][0],
                                          "user": {"token": first}}]}))
            # The API server believes in a token for ten seconds more.
            wait_until("the first token is refused", lambda: Cluster(old).kubectl(
                "get", "--raw", "/version", check=False).returncode != 0, 20, 1)
            cut_link()
            connects_again(who)
    finally:
        forms.cluster.kubectl("delete", "secret", "kc-bound", "-n", NAMESPACE,
                              check=False)


def plugin(forms, status):
    answer = {"apiVersion": "client.authentication.k8s.io/v1",
              "kind": "ExecCredential", "status": status}
    path = forms.put("plugin", f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
                     "command": "./plugin", "interactiveMode": "Never"}}


def test_a_plugin_that_gives_a_certificate(forms):
    works(forms.make(plugin(forms, {
        "clientCertificateData": forms.cert, "clientKeyData": forms.key,
    })))


def test_another_server_name(forms):
    works(forms.make(tls_server_name="kubernetes.default.svc"))
    line = refused(forms.make(tls_server_name="wrong.example"))
    assert "certificate" in line


def test_a_server_that_is_not_verified(forms):
    works(forms.make(certificate_authority_data=None, insecure_skip_tls_verify=True))


def test_impersonation(forms):
    works(forms.cluster.kubeconfig, user="kc-boss",
          flags=("--as", "kc-boss", "--as-group", "developers"))


def test_impersonation_needs_the_right(forms):
    done = Cluster(forms.make()).tp("connect", "--name", NAME, "-n", NAMESPACE,
                                    "--as", "kc-boss", check=False)
    assert done.returncode != 0 and "impersonate" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_kubeconfig_of_two_files(forms):
    user = {**forms.base, "clusters": [], "contexts": [], "current-context": ""}
    rest = {**forms.base, "users": []}
    first = forms.put("one/users", json.dumps(user))
    second = forms.put("two/rest", json.dumps(rest))
    works(f"{first}:{forms.dir}/missing:{second}")


def start_proxy(forms):
    """Ports: 8888 for all, 8889 for user:pass.word, 8443 the first one by TLS."""
    common = "Listen 0.0.0.0\nTimeout 600\nMaxClients 50\nLogLevel Connect\n"
    script = (
        f"printf '{common}Port 8888\n' >/tmp/open\n"
        f"printf '{common}Port 8889\nBasicAuth user pass.word\n' >/tmp/auth\n"
        "tinyproxy -c /tmp/auth -d &\n"
        "socat OPENSSL-LISTEN:8443,fork,reuseaddr,cert=/proxy.pem,verify=0"
        " TCP:127.0.0.1:8888 &\n"
        "exec tinyproxy -c /tmp/open -d\n"
    )
    run(["docker", "create", "--name", PROXY, "--network", PROXY, "-p",
         "127.0.0.1:0:8888", "tp-test/proxy", "bash", "-c", script])
    address = run(["docker", "network", "inspect", "-f",
                   "{{(index .IPAM.Config 0).Subnet}}", PROXY]).stdout
    address = address.strip().rsplit(".", 1)[0] + ".2"
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=proxy", "-addext", f"subjectAltName=IP:{address}",
         "-keyout", str(forms.dir / "proxy.key"),
         "-out", str(forms.dir / "proxy.crt")])
    forms.proxy_ca = (forms.dir / "proxy.crt").read_text()
    pem = forms.put("proxy.pem", (forms.dir / "proxy.key").read_text() + forms.proxy_ca)
    run(["docker", "cp", str(pem), f"{PROXY}:/proxy.pem"])
    run(["docker", "start", PROXY])
    run(["docker", "network", "connect", NODE.removesuffix("-node1"), PROXY])
    for port in (8888, 8889, 8443):
        wait_until(f"proxy {port}", lambda: run(
            ["bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"],
            check=False).returncode == 0, 10)
    return address


@pytest.fixture(scope="module")
def proxy(forms):
    """A real proxy's address, in a Docker network of its own."""
    run(["docker", "rm", "-f", PROXY], check=False)
    run(["docker", "network", "rm", PROXY], check=False)
    run(["docker", "network", "create", PROXY])
    try:
        yield start_proxy(forms)
    finally:
        run(["docker", "rm", "-f", PROXY], check=False)
        run(["docker", "network", "rm", PROXY], check=False)


def used_proxy():
    """Whether the daemon itself has asked the proxy, in whichever network."""
    nets = json.loads(run(["docker", "inspect", NAME]).stdout)[0][
        "NetworkSettings"]["Networks"]
    log = run(["docker", "logs", PROXY])
    words = re.findall(r"[0-9]+(?:\.[0-9]+){3}", log.stdout + log.stderr)
    return any(net["IPAddress"] in words for net in nets.values())


def test_a_proxy(forms, proxy):
    path = forms.make(server=forms.direct, proxy_url=f"http://{proxy}:8888")
    with connected(path):
        assert used_proxy()


def test_a_proxy_that_resolves_the_name_of_the_server(forms, proxy):
    """Only Docker's DNS in the proxy's network knows it."""
    works(forms.make(server=f"https://{NODE}:6443",
                     tls_server_name="kubernetes.default.svc",
                     proxy_url=f"http://{proxy}:8888"))


def test_a_proxy_with_a_password(forms, proxy):
    works(forms.make(server=forms.direct, proxy_url=f"http://user:pass%2Eword@{proxy}:8889"))
    line = refused(forms.make(server=forms.direct, proxy_url=f"http://{proxy}:8889"))
    assert "the proxy wants credentials" in line
    line = refused(forms.make(server=forms.direct,
                              proxy_url=f"http://user:secret@{proxy}:8889"))
    assert "the proxy refuses the credentials" in line and "secret" not in line


def test_a_proxy_by_the_environment(forms, proxy):
    path = forms.make(server=forms.direct)
    with connected(path, env={"HTTPS_PROXY": f"{proxy}:8888"}):
        assert used_proxy()


def test_a_proxy_that_speaks_tls(forms, proxy):
    """Trusted by the kubeconfig's CA bundle, as kubectl has it."""
    bundle = base64.b64decode(forms.ca).decode() + forms.proxy_ca
    ca = base64.b64encode(bundle.encode()).decode()
    works(forms.make(server=forms.direct, proxy_url=f"https://{proxy}:8443",
                     certificate_authority_data=ca))
    line = refused(forms.make(server=forms.direct, proxy_url=f"https://{proxy}:8443"))
    assert "certificate" in line


def test_a_proxy_that_a_container_publishes_on_the_loopback(forms, proxy):
    port = run(["docker", "port", PROXY, "8888"]).stdout.split()[0].rsplit(":", 1)[1]
    with connected(forms.make(server=forms.direct,
                              proxy_url=f"http://127.0.0.1:{port}")):
        assert used_proxy()


def test_a_proxy_of_the_workstation_only(forms, proxy):
    """It listens on the loopback, where the container cannot reach it."""
    relay = subprocess.Popen(
        ["python3", "-c", RELAY, proxy], stdout=subprocess.PIPE, text=True)
    try:
        port = relay.stdout.readline().strip()
        line = refused(forms.make(server=forms.direct,
                                  proxy_url=f"http://127.0.0.1:{port}"))
        assert "proxy" in line and f"127.0.0.1:{port}" in line
    finally:
        relay.kill()
        relay.wait()


RELAY = """
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    near = server.accept()[0]
    far = socket.create_connection((sys.argv[1], 8888))
    threading.Thread(target=pump, args=(near, far), daemon=True).start()
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
"""


def test_a_server_name_that_the_workstation_alone_knows(forms):
    """A name of /etc/hosts for a container's address: kind behind a name."""
    address = forms.direct.removeprefix("https://").rsplit(":", 1)[0]
    hosts = forms.put("hosts", pathlib.Path("/etc/hosts").read_text()
                      + f"{address} api.kc.test\n")
    path = forms.make(server="https://api.kc.test:6443",
                      tls_server_name="kubernetes.default.svc")
    who = Cluster(path)
    try:
        run(["unshare", "-m", "bash", "-c",
             f'mount --bind {hosts} /etc/hosts; exec "$@"', "tp", str(TOP / "tp"),
             "connect", "--name", NAME, "-n", NAMESPACE], env=who.env)
        assert "web-" in fetch()
        cut_link()
        connects_again(who)
    finally:
        who.tp("quit", "--name", NAME, check=False)


def test_a_server_name_that_dockers_dns_knows(forms):
    """The workstation knows it by /etc/hosts, the container by its network."""
    address = forms.direct.removeprefix("https://").rsplit(":", 1)[0]
    hosts = forms.put("hosts", pathlib.Path("/etc/hosts").read_text()
                      + f"{address} {NODE}\n")
    path = forms.make(server=f"https://{NODE}:6443",
                      tls_server_name="kubernetes.default.svc")
    who = Cluster(path)
    try:
        run(["unshare", "-m", "bash", "-c",
             f'mount --bind {hosts} /etc/hosts; exec "$@"', "tp", str(TOP / "tp"),
             "connect", "--name", NAME, "-n", NAMESPACE,
             "--network", NODE.removesuffix("-node1")], env=who.env)
        assert "web-" in fetch()
    finally:
        who.tp("quit", "--name", NAME, check=False)
