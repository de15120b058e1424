"""The agent's file server, by OpenSSH's sftp on the daemon's socket.

Two users: the session's own, who may do anything, and `erin` of the group
`developers`, who has the chart's role tp-user and hence no service-account token.
The containers are the pod's own; what is read here is compared with what is
there.
"""

import functools
import hashlib
import json
import os
import subprocess

import pytest
from conftest import DAEMON, E2E, TOOLS, Cluster, run, wait_until
from engage import DATA_APP, NAMESPACE, in_pod_of, engage, prepare, rollout
from links import manager_logs
from test_heal import daemon_pid

DEV = f"{E2E}-erin"
TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
in_pod = functools.partial(in_pod_of, "filer")

FILER = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: filer}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: filer}}}}
  template:
    metadata: {{labels: {{app: filer}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsNonRoot: true, runAsUser: 4321, runAsGroup: 4322}}
      containers:
        {DATA_APP}
          volumeMounts:
            - {{name: data, mountPath: /data}}
            - {{name: other, mountPath: /data/nested}}
            - {{name: conf, mountPath: /etc/filer}}
            - {{name: conf, mountPath: /etc/one.conf, subPath: key}}
            - {{name: secret, mountPath: /etc/secret, readOnly: true}}
            - {{name: other, mountPath: /ro, readOnly: true}}
            - {{name: host, mountPath: /host}}
            - {{name: scratch, mountPath: /tmp}}
            - {{name: tok, mountPath: /data/tok}}
        - name: side
          image: {TOOLS}
          imagePullPolicy: IfNotPresent
          command: [sleep, infinity]
          volumeMounts: [{{name: hidden, mountPath: /hidden}}]
      volumes:
        - {{name: data, emptyDir: {{}}}}
        - {{name: other, emptyDir: {{}}}}
        - {{name: scratch, emptyDir: {{}}}}
        - {{name: hidden, emptyDir: {{}}}}
        - {{name: conf, configMap: {{name: filer}}}}
        - {{name: secret, secret: {{secretName: filer, defaultMode: 256}}}}
        - name: tok
          projected: {{sources: [{{serviceAccountToken: {{path: token, audience: x}}}}]}}
        - {{name: host, hostPath: {{path: /var/tmp/tp-e2e-host, type: DirectoryOrCreate}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: filer}}
data: {{key: "configured\\n"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: filer}}
stringData: {{password: "not-a-secret"}}
"""

# Hands the connection to ssh (ProxyUseFdpass).
PROXY = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=1), [b"x"], [s.fileno()])
"""


def as_user(cluster, directory, name, group):
    config = json.loads(
        cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout
    )
    for user in config["users"]:
        user["user"] |= {"as": name, "as-groups": [group]}
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return Cluster(path)


def ctl(daemon, request):
    done = run(
        ["docker", "exec", "-i", daemon, "tp-daemon", "ctl"],
        input=json.dumps(request) + "\n", timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def root_of(daemon):
    """The daemon's file system, as the volume plugin will see its sockets."""
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", daemon]).stdout.strip()
    return f"/proc/{pid}/root"


class Files:
    """The files of one engagement."""

    def __init__(self, directory, daemon, name):
        self.dir, self.daemon, self.name = directory, daemon, name
        (directory / "proxy.py").write_text(PROXY)
        self.ask()

    def ask(self):
        self.files = ctl(
            self.daemon, {"op": "files", "name": self.name, "secret": True}
        )
        assert "key" in self.files, self.files
        self.socket = root_of(self.daemon) + self.files["socket"]
        key = self.dir / "key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_text(self.files["key"])
        (self.dir / "known").write_text(f"pod {self.files['hostKey']}\n")

    def options(self, key=None):
        return [
            "-F", "none", "-i", str(key or self.dir / "key"), "-o", "IdentitiesOnly=yes",
            "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={self.dir}/known",
            "-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes",
            "-o", "ProxyUseFdpass=yes",
            "-o", f"ProxyCommand=/usr/bin/python3 {self.dir}/proxy.py {self.socket}",
        ]  # fmt: skip

    def sftp(self, *lines, key=None, timeout=60):
        return subprocess.run(
            ["sftp", "-b", "-", *self.options(key), "tp@pod"],
            input="\n".join(lines) + "\n", capture_output=True, text=True,
            timeout=timeout, cwd=self.dir,
        )  # fmt: skip

    def get(self, path):
        local = self.dir / "got"
        local.unlink(missing_ok=True)
        done = self.sftp(f"get {path} got")
        return local.read_bytes() if done.returncode == 0 else None

    def mounts(self):
        return {m["path"]: m for m in self.files["mounts"]}

    def left_out(self):
        return {m["path"]: m["reason"] for m in self.files["left_out"]}


@pytest.fixture(scope="module")
def filer(session):
    prepare(session)
    session.apply(FILER, NAMESPACE)
    rollout(session, "deployment/filer")
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    session.kubectl("delete", "-n", NAMESPACE, "deployment/filer", "--wait=false")


@pytest.fixture(scope="module")
def files(filer, tmp_path_factory):
    """Of a user who may do anything; the engagement is an intercept."""
    engage(filer, "intercept", "filer", "--port", "18080:http")
    rollout(filer, "deployment/filer")
    return Files(tmp_path_factory.mktemp("files"), DAEMON, "filer")


@pytest.fixture(scope="module")
def erin(filer, files, tmp_path_factory):
    """Her own session, with an ingest of the same workload."""
    directory = tmp_path_factory.mktemp("erin")
    cluster = as_user(filer, directory, "erin", "developers")
    cluster.tp("quit", "--name", DEV, check=False)
    cluster.tp("connect", "--name", DEV, "-n", NAMESPACE)
    cluster.tp("ingest", "filer", "--container", "app", "--name", DEV, "-n", NAMESPACE)
    yield Files(directory, DEV, "filer")
    cluster.tp("quit", "--name", DEV, check=False)


def test_volumes_are_listed(filer, files):
    done = filer.tp("volumes", "--name", DAEMON, "--format", "json")
    (one,) = [v for v in json.loads(done.stdout)["volumes"] if v["engagement"] == "filer"]
    mounts = {m["path"]: m for m in one["mounts"]}
    assert set(mounts) == {
        "/data", "/data/nested", "/etc/filer", "/etc/one.conf", "/etc/secret", "/ro",
        "/host", "/data/tok", TOKEN_DIR,
    }  # fmt: skip
    assert {p for p, m in mounts.items() if m["readOnly"]} == {
        "/etc/secret", "/ro", TOKEN_DIR,
    }  # fmt: skip
    assert mounts["/data"]["volume"] == "data"
    assert [m["path"] for m in one["left_out"]] == ["/tmp"]
    assert "key" not in done.stdout
    text = filer.tp("volumes", "filer", "--name", DAEMON).stdout
    assert "/etc/secret" in text and "not served: policy: local" in text


def test_bytes_and_modes_are_equal(filer, files):
    big = files.dir / "big"
    big.write_bytes(os.urandom(5_000_001))
    big.chmod(0o750)
    done = files.sftp("put -p big /data/big", "mkdir /data/d", "symlink big /data/link",
                      "rename /data/big /data/d/big", "put big /data/nested/big")  # fmt: skip
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(big.read_bytes()).hexdigest()
    out = in_pod(filer, "sha256sum /data/d/big /ro/big; stat -c '%a %u %g' /data/d/big; "
                        "readlink /data/link")  # fmt: skip
    assert out.count(digest) == 2
    assert out.split()[-4:] == ["750", "4321", "4322", "big"]
    in_pod(filer, "head -c 3000000 /dev/urandom >/data/theirs; chmod 600 /data/theirs")
    theirs = in_pod(filer, "sha256sum /data/theirs").split()[0]
    assert hashlib.sha256(files.get("/data/theirs")).hexdigest() == theirs


def test_configuration_and_secrets_are_read(files):
    assert files.get("/etc/filer/key") == b"configured\n"
    assert files.get("/etc/one.conf") == b"configured\n"
    assert files.get("/etc/secret/password") is None  # of root, 0400, as in the pod
    assert files.get(f"{TOKEN_DIR}/token").count(b".") == 2
    assert files.get("/data/tok/token").count(b".") == 2


def test_the_agents_own_token_is_not_among_them(files):
    assert files.get("/run/tp/token/token") is None
    done = files.sftp("ls -a /", "ls -a /run", "ls -a /var/run/secrets")
    assert "token" not in done.stdout.replace("secrets/kubernetes.io", "")


def test_read_only_is_refused(filer, files, erin):
    (files.dir / "small").write_text("x")
    (erin.dir / "small").write_text("x")
    for path in ["/etc/secret/x", "/ro/x", "/x", "/etc/x", "/host/x"]:
        assert files.sftp(f"put small {path}").returncode != 0, path
    # an ingest is read-only as a whole
    assert all(m["readOnly"] for m in erin.files["mounts"])
    in_pod(filer, "echo there >/data/there")
    assert erin.get("/data/there") == b"there\n"
    for line in ["put small /data/x", "rm /data/there", "mkdir /data/x",
                 "rename /data/there /data/x", "chmod 777 /data/there"]:  # fmt: skip
        assert erin.sftp(line).returncode != 0, line
    assert in_pod(filer, "ls /data/x /data/there 2>/dev/null || true") == "/data/there\n"


def test_without_the_right_there_is_no_token(filer, erin):
    assert "engagements/credentials" in erin.left_out()[TOKEN_DIR]
    assert TOKEN_DIR not in erin.mounts()
    assert erin.get(f"{TOKEN_DIR}/token") is None
    # one that is mounted below what she may see, and by a link there
    assert "engagements/credentials" in erin.left_out()["/data/tok"]
    in_pod(filer, "ln -sf tok/token /data/t; ln -sf tok /data/t2; echo x >/data/plain")
    for path in ["/data/tok/token", "/data/t", "/data/t2/token", "/data/tok/..data/token"]:
        assert erin.get(path) is None, path
    assert erin.get("/data/plain") == b"x\n"
    assert erin.get("/etc/filer/key") == b"configured\n"


def test_another_sessions_key_is_refused(files, erin):
    for ours, theirs in [(files, erin), (erin, files)]:
        done = ours.sftp("ls /", key=theirs.dir / "key")
        assert done.returncode == 255 and "Permission denied" in done.stderr
    stranger = files.dir / "stranger"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)])
    done = files.sftp("ls /", key=stranger)
    assert done.returncode == 255 and "Permission denied" in done.stderr


def test_nothing_but_sftp(files):
    for flags in [["tp@pod", "id"], ["-T", "tp@pod"], ["-W", "127.0.0.1:8080", "tp@pod"]]:
        done = subprocess.run(
            ["ssh", *files.options(), *flags], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 255, flags
        assert "uid=" not in done.stdout


def test_nothing_leads_out(filer, files):
    in_pod(filer, "cd /data; ln -sf /etc/passwd p; ln -sf /proc/self/root root; "
                  "ln -sf ../../../../../etc/passwd up; ln -sf /proc/1/environ env; "
                  "ln -sf /run/tp/token/token token; ln -sf /data/there abs; "
                  "ln -sf ../hidden h; mkdir -p in; echo in >in/side")  # fmt: skip
    in_pod(filer, "echo hidden >/hidden/file", "side")
    for path in ["p", "root/etc/passwd", "up", "env", "token", "../etc/passwd",
                 "../../../../proc/self/environ", "h/file", "../hidden/file"]:  # fmt: skip
        assert files.get(f"/data/{path}") is None, path
    for path in ["/etc/passwd", "/proc/self/environ", "/run/tp/token/token", "/hidden/file"]:
        assert files.get(path) is None, path
    assert files.get("/data/in/../in/side") == b"in\n"


def test_the_key_is_nowhere(filer, files):
    """Not in what Docker and Kubernetes keep or log, nor in any process's arguments."""
    mark = files.files["key"].splitlines()[2][:60].encode()
    seen = {"inspect": run(["docker", "inspect", DAEMON]).stdout}
    logs = run(["docker", "logs", DAEMON])
    seen["daemon"] = logs.stdout + logs.stderr
    seen["pods"] = filer.kubectl("get", "pods,engagements", "-A", "-o", "yaml").stdout
    seen["agent"] = filer.kubectl(
        "logs", "-n", NAMESPACE, "deployment/filer", "-c", "tp-agent"
    ).stdout
    seen["manager"] = manager_logs(filer)
    assert "volumes" in seen["manager"]
    seen = {name: text.encode() for name, text in seen.items()}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{kind}", "rb") as file:
                    seen[f"{pid} {kind}"] = file.read()
            except OSError:
                pass  # it has ended
    assert [name for name, text in seen.items() if mark in text] == []


def test_kill_9_of_the_daemon_keeps_the_key(filer, files):
    key = files.files["key"]
    run(["kill", "-9", str(daemon_pid("tp-daemon"))])
    wait_until(
        "the engagement's files",
        lambda: "key" in ctl(DAEMON, {"op": "files", "name": "filer", "secret": True}), 30,
    )  # fmt: skip
    files.ask()
    assert files.files["key"] == key
    assert files.get("/etc/one.conf") == b"configured\n"


def test_the_streams_go_to_the_next_pod(filer, files):
    files.ask()
    before = files.files["hostKey"]
    assert files.get("/etc/one.conf") == b"configured\n"
    filer.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "app=filer", "--wait=true",
                  timeout=90)  # fmt: skip
    rollout(filer, "deployment/filer")

    def again():
        answer = ctl(DAEMON, {"op": "files", "name": "filer"})
        return answer.get("hostKey", before) != before

    wait_until("the next pod's host key", again, 60)
    # the old host key is not believed; the key is the same one
    assert files.get("/etc/one.conf") is None
    key = files.files["key"]
    files.ask()
    assert files.files["key"] == key
    assert files.get("/etc/one.conf") == b"configured\n"


def open_stream(files):
    """An SFTP conversation that has begun and waits."""
    stream = subprocess.Popen(
        ["ssh", *files.options(), "-s", "tp@pod", "sftp"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stream.stdin.write(b"\0\0\0\5\1\0\0\0\3")  # INIT
    stream.stdin.flush()
    assert stream.stdout.read(5)[4] == 2  # VERSION
    return stream


def test_the_end_ends_the_streams(filer, files):
    """And so the socket; last, as it ends the engagement."""
    stream = open_stream(files)
    assert stream.poll() is None
    filer.tp("detach", "filer", "--name", DAEMON)
    assert stream.wait(timeout=20) == 255
    assert not os.path.exists(files.socket)
    assert "error" in ctl(DAEMON, {"op": "files", "name": "filer"})


ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: tp-e2e-nora}}
rules:
  - apiGroups: [connect.tp.internal]
    resources: [connections, connections/portforward]
    verbs: [create, get]
  - apiGroups: [tp.internal]
    resources: [engagements/ingest{more}]
    verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: tp-e2e-nora}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tp-e2e-nora}}
subjects: [{{kind: User, name: nora, apiGroup: rbac.authorization.k8s.io}}]
"""


def test_the_right_is_asked_for_and_again(filer, tmp_path):
    nora = as_user(filer, tmp_path, "nora", "nobody")
    name = f"{E2E}-nora"
    filer.apply(ROLE.format(more=""))
    try:
        nora.tp("connect", "--name", name, "-n", NAMESPACE)
        nora.tp("ingest", "filer", "--container", "app", "--name", name, "-n", NAMESPACE)
        answer = ctl(name, {"op": "files", "name": "filer", "secret": True})
        assert answer["code"] == "no-right" and "engagements/volumes" in answer["error"]
        assert "key" not in answer
        assert "engagements/volumes" in nora.tp("volumes", "--name", name).stdout
        filer.apply(ROLE.format(more=", engagements/volumes"))
        wait_until(
            "the right",
            lambda: "key" in ctl(name, {"op": "files", "name": "filer", "secret": True}), 20,
        )  # fmt: skip
        stream = open_stream(Files(tmp_path, name, "filer"))
        filer.apply(ROLE.format(more=""))
        assert stream.wait(timeout=75) == 255
        assert ctl(name, {"op": "files", "name": "filer"})["code"] == "no-right"
        listed = json.loads(
            nora.tp("list", "--name", name, "-n", NAMESPACE, "--format", "json").stdout
        )
        assert listed["engagements"][0]["phase"] == "ready"
    finally:
        nora.tp("quit", "--name", name, check=False)
        filer.kubectl("delete", "clusterrole,clusterrolebinding", "tp-e2e-nora", check=False)
