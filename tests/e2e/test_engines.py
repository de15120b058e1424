"""tp by every way to a Docker engine: TLS, contexts, ssh. The engine behind is
always the real one of this machine."""

import contextlib
import json
import os

import pytest

from conftest import E2E, NAMESPACE, TOOLS, Cluster, run, wait_until

NAME = f"{E2E}-en"
FRONT = f"{E2E}-front"


def openssl(directory, *args):
    run(["openssl", *args], cwd=directory)


def make_certificates(directory):
    """ca.pem, cert.pem, key.pem as Docker names them; server.pem; and a client
    of another authority in bad/."""
    for name, where in (("ca", "."), ("other", "bad")):
        (directory / where).mkdir(exist_ok=True)
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                "2", "-subj", f"/CN={name}", "-keyout", f"{where}/{name}.key",
                "-out", f"{where}/ca.crt")
    (directory / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, where, ca in (("server", ".", "ca"), ("key", ".", "ca"),
                            ("key", "bad", "other")):
        openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{where}/{name}.pem", "-out", "request")
        openssl(directory, "x509", "-req", "-in", "request", "-days", "2", "-CA",
                f"{where}/ca.crt", "-CAkey", f"{where}/{ca}.key", "-CAcreateserial",
                "-extfile", "san", "-out", f"{where}/{name}.crt")
    for where in (".", "bad"):
        (directory / where / "key.crt").rename(directory / where / "cert.pem")
        # Both trust the server; only one is trusted by it.
        (directory / where / "ca.pem").write_text((directory / "ca.crt").read_text())
    (directory / "front.pem").write_text(
        (directory / "server.pem").read_text() + (directory / "server.crt").read_text())


class Front:
    """What dockerd with --tlsverify looks like."""

    def __init__(self, directory):
        self.dir = directory
        make_certificates(directory)
        run(["docker", "create", "--name", FRONT, "-p", "127.0.0.1:0:2376",
             "-v", "/var/run/docker.sock:/var/run/docker.sock", "tp-test/proxy",
             "socat", "OPENSSL-LISTEN:2376,fork,reuseaddr,cert=/front.pem,"
             "cafile=/ca.crt,verify=1", "UNIX-CONNECT:/var/run/docker.sock"])
        for name in ("front.pem", "ca.crt"):
            run(["docker", "cp", str(directory / name), f"{FRONT}:/{name}"])
        run(["docker", "start", FRONT])
        port = run(["docker", "port", FRONT, "2376"]).stdout.split()[0]
        self.url = "tcp://localhost:" + port.rsplit(":", 1)[1]
        self.env = {"DOCKER_HOST": self.url, "DOCKER_TLS_VERIFY": "1",
                    "DOCKER_CERT_PATH": str(directory)}
        wait_until("the engine by TLS", lambda: run(
            ["docker", "version"], env={**os.environ, **self.env},
            check=False).returncode == 0, 15)

    def cut(self):
        """All connections end at once; new ones are possible."""
        run(["docker", "exec", FRONT, "bash", "-c",
             "kill -9 $(cat /proc/1/task/1/children)"])


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    run(["docker", "rm", "-f", FRONT], check=False)
    try:
        yield Front(tmp_path_factory.mktemp("front"))
    finally:
        run(["docker", "rm", "-f", FRONT], check=False)


def fetch():
    return run(
        ["docker", "run", "--rm", "--network", f"container:{NAME}", TOOLS,
         "curl", "-sS", "--max-time", "10", "http://web/"]
    ).stdout  # fmt: skip


def there():
    return run(["docker", "ps", "-aq", "--filter", f"name=^{NAME}$"]).stdout != ""


def state(cluster, env):
    done = cluster.tp("status", "--name", NAME, "--format", "json", env=env,
                      check=False)
    return json.loads(done.stdout)["state"]


@contextlib.contextmanager
def connected(cluster, env):
    """connect, status and quit by the engine that env names."""
    try:
        cluster.tp("connect", "--name", NAME, "-n", NAMESPACE, env=env)
        assert there() and "web-" in fetch()
        assert state(cluster, env) == "connected"
        yield
        cluster.tp("quit", "--name", NAME, env=env)
        assert not there()
    finally:
        run(["docker", "rm", "-f", NAME], check=False)


def works(cluster, env):
    with connected(cluster, env):
        pass


def refused(cluster, env):
    done = cluster.tp("connect", "--name", NAME, "-n", NAMESPACE, env=env, check=False)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    assert not there()
    return lines[0]


def test_tcp_with_tls(chart, apps, front):
    works(chart, front.env)


def test_tls_without_a_good_certificate(chart, front):
    bad = {**front.env, "DOCKER_CERT_PATH": str(front.dir / "bad")}
    assert "localhost" in refused(chart, bad)
    assert "localhost" in refused(chart, {"DOCKER_HOST": front.url})


def test_a_context_made_by_docker(chart, apps, front, tmp_path):
    env = {"DOCKER_CONFIG": str(tmp_path)}
    run(["docker", "context", "create", "far", "--docker",
         f"host={front.url},ca={front.dir}/ca.pem,cert={front.dir}/cert.pem,"
         f"key={front.dir}/key.pem"], env={**os.environ, **env})
    works(chart, {**env, "DOCKER_CONTEXT": "far"})
    run(["docker", "context", "use", "far"], env={**os.environ, **env})
    assert "connected" not in state(chart, env)
    line = refused(chart, {**env, "DOCKER_CONTEXT": "near"})
    assert "near" in line


@pytest.fixture
def ssh(tmp_path):
    """A program ssh that runs its command here, as a far sshd would."""
    script = tmp_path / "ssh"
    script.write_text(
        f"""#!/bin/bash
echo "$*" >>{tmp_path}/calls
unset DOCKER_HOST
while [ "$1" != -- ] && [[ "$1" == -* ]]; do
    case $1 in -o|-l|-p|-i) shift 2 ;; *) shift ;; esac
done
[ "$1" != -- ] || shift
shift
exec "$@"
"""
    )
    script.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}",
            "DOCKER_HOST": "ssh://me@engine.test:2222"}


def test_ssh(chart, apps, ssh, tmp_path):
    works(chart, ssh)
    call = (tmp_path / "calls").read_text().splitlines()[0]
    assert "engine.test" in call and "2222" in call and "dial-stdio" in call


def test_ssh_that_fails(chart, ssh, tmp_path):
    """What ssh says stays visible: it is the cause."""
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'Permission denied' >&2\nexit 255\n")
    done = chart.tp("connect", "--name", NAME, "-n", NAMESPACE, env=ssh, check=False)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0 and len(lines) == 2
    assert lines[0] == "Permission denied" and "ssh://me@engine.test" in lines[1]


def short_lived_plugin(cluster, directory):
    """A kubeconfig whose token ends in 15 s; counts its calls."""
    cluster.kubectl("create", "serviceaccount", "en", "-n", NAMESPACE, check=False)
    cluster.kubectl(
        "create", "clusterrolebinding", NAME, "--clusterrole=tp-user",
        f"--serviceaccount={NAMESPACE}:en", check=False,
    )  # fmt: skip
    token = cluster.kubectl("create", "token", "en", "-n", NAMESPACE).stdout.strip()
    plugin = directory / "plugin"
    plugin.write_text(
        f"""#!/bin/sh
echo call >>{directory}/calls
printf '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
printf '"status":{{"token":"{token}","expirationTimestamp":"%s"}}}}' \\
    "$(date -u -d '+15 seconds' +%Y-%m-%dT%H:%M:%SZ)"
"""
    )
    plugin.chmod(0o755)
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json").stdout)
    config["users"][0]["user"] = {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin), "interactiveMode": "Never"}}
    (directory / "kubeconfig").write_text(json.dumps(config))
    return Cluster(directory / "kubeconfig")


def test_the_helper_comes_back_when_its_connection_dies(chart, apps, front, tmp_path):
    """As after sleep, or with an engine that restarts."""
    who = short_lived_plugin(chart, tmp_path)
    calls = tmp_path / "calls"
    with connected(who, front.env):
        front.cut()
        before = len(calls.read_text().splitlines())
        wait_until("the plugin is asked again by the helper",
                   lambda: len(calls.read_text().splitlines()) > before, 40, 0.5)
        assert state(who, front.env) == "connected"
    chart.kubectl("delete", "clusterrolebinding", NAME, check=False)
