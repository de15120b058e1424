"""Volumes by the command line: mounted on the host for an ordinary user, served
to other SFTP clients, and in containers that tp starts.

The user is made here. He needs what is usual on a workstation: /dev/fuse for
all, fusermount3 setuid root, the group docker; where that is otherwise it is
changed for these tests and put back. What is read is compared with what is in
the pod.
"""

import contextlib
import functools
import grp
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import time

import pytest
from conftest import DAEMON, E2E, NODE, TOOLS, TP, run, wait_until
from engage import DATA_APP, NAMESPACE, in_pod_of, prepare, rollout
from test_volumes_agent import TOKEN_DIR, as_user

USER = "tpe" + hashlib.sha256(E2E.encode()).hexdigest()[:8]
DEV = f"{E2E}-frank"
OWN = f"{E2E}-own"
HOST_DIR = f"/var/tmp/{E2E}-cli"
RETURN_SECONDS = 60  # a mount works again; a call that waits ends at 30
in_pod = functools.partial(in_pod_of, "keeper")

KEEPER = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: keeper}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: keeper}}}}
  template:
    metadata: {{labels: {{app: keeper}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsUser: 4321, runAsGroup: 4322}}
      initContainers:
        - name: open
          image: {TOOLS}
          imagePullPolicy: IfNotPresent
          command: [chmod, "0777", /data]
          securityContext: {{runAsUser: 0}}
          volumeMounts: [{{name: data, mountPath: /data}}]
      containers:
        {DATA_APP}
          volumeMounts:
            - {{name: data, mountPath: /data}}
            - {{name: conf, mountPath: /etc/keeper}}
            - {{name: conf, mountPath: /etc/one.conf, subPath: key}}
            - {{name: scratch, mountPath: /tmp}}
            - {{name: ram, mountPath: /ram}}
      volumes:
        - {{name: ram, emptyDir: {{medium: Memory}}}}
        - {{name: data, hostPath: {{path: {HOST_DIR}, type: DirectoryOrCreate}}}}
        - {{name: scratch, emptyDir: {{}}}}
        - {{name: conf, configMap: {{name: keeper}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: keeper}}
data: {{key: "configured\\n"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: bare}}
spec:
  selector: {{matchLabels: {{app: bare}}}}
  template:
    metadata: {{labels: {{app: bare}}}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers:
        - {{name: app, image: {TOOLS}, imagePullPolicy: IfNotPresent,
            command: [sleep, infinity]}}
"""


@contextlib.contextmanager
def mode_of(path, added):
    """What a workstation usually has."""
    before = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, before | added)
    try:
        yield
    finally:
        os.chmod(path, before)


class User:
    """Runs tp, and other programs, as an ordinary user of this host."""

    def __init__(self, cluster):
        run(["useradd", "-m", USER])
        self.entry = pwd.getpwnam(USER)
        self.home = pathlib.Path(self.entry.pw_dir)
        self.kubeconfig = self.home / "kubeconfig"
        shutil.copy(cluster.kubeconfig, self.kubeconfig)
        shutil.chown(self.kubeconfig, USER)
        docker = os.stat("/var/run/docker.sock").st_gid
        grp.getgrgid(docker)
        self.prefix = ["setpriv", f"--reuid={self.entry.pw_uid}",
                       f"--regid={self.entry.pw_gid}", f"--groups={docker}"]
        self.env = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "KUBECONFIG": str(self.kubeconfig), "LANG": "C.UTF-8"}

    def run(self, *args, check=True, timeout=180, **kwargs):
        return run([*self.prefix, *map(str, args)], check=check, timeout=timeout,
                   env=self.env, cwd=self.home, **kwargs)

    def popen(self, *args, **kwargs):
        return subprocess.Popen([*self.prefix, *map(str, args)], env=self.env, text=True,
                                cwd=self.home, **kwargs)

    def sh(self, script, **kwargs):
        return self.run("bash", "-c", script, **kwargs)

    def tp(self, verb, *args, name=DAEMON, **kwargs):
        return self.run(TP, verb, "--name", name, *args, **kwargs)

    def engage(self, verb, *flags, target="keeper", **kwargs):
        ports = ["-p", "18081:http"] if verb == "intercept" else []
        done = self.tp(verb, target, "-n", NAMESPACE, *ports, "--format", "json", *flags,
                       **kwargs)  # fmt: skip
        return json.loads(done.stdout)

    def records(self):
        base = self.home / ".local/state/tp/run"
        return sorted(p.name for p in base.iterdir()) if base.exists() else []


def mounts():
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return {line.split()[1]: line for line in lines if " fuse.tp-mount " in line}


def processes(name):
    """(pid, arguments) of USER's."""
    uid = pwd.getpwnam(USER).pw_uid
    found = []
    for path in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and path.stat().st_uid in (0, uid):
                status = (path / "status").read_text()
                if f"Name:\t{name}\n" in status and f"\nUid:\t{uid}\t" in status \
                        and "\nState:\tZ" not in status:
                    found.append((int(path.name), (path / "cmdline").read_bytes()))
    return found


@pytest.fixture(scope="module")
def keeper(session):
    prepare(session)
    session.apply(KEEPER, NAMESPACE)
    rollout(session, "deployment/keeper")
    rollout(session, "deployment/bare")
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    session.kubectl("delete", "-n", NAMESPACE, "deployment/keeper", "deployment/bare",
                    "--wait=false", check=False)  # fmt: skip
    run(["docker", "exec", NODE, "rm", "-rf", HOST_DIR], check=False)


@pytest.fixture(scope="module")
def user(keeper):
    run(["userdel", "-rf", USER], check=False)
    with mode_of("/dev/fuse", 0o666), mode_of(shutil.which("fusermount3"), stat.S_ISUID):
        yield User(keeper)
        for pid, _ in processes("tp-mounter"):
            os.kill(pid, signal.SIGTERM)
        wait_until("the end of mounters", lambda: not processes("tp-mounter"), 90)
        run(["userdel", "-rf", USER], check=False)


@pytest.fixture
def clean(keeper, user):
    yield user
    user.tp("detach", "--all", check=False)
    for path in [p for p in mounts() if p.startswith(str(user.home))]:
        run(["umount", "-l", path], check=False)


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- --mount ----


def test_an_ordinary_user_mounts(keeper, clean):
    local = clean.engage("intercept", "--mount", "m")
    root = clean.home / "m"
    assert local["mount"] == {"path": str(root), "readOnly": False}
    line = mounts()[str(root)]
    assert "nosuid" in line and "nodev" in line and " rw," in line
    assert clean.sh("cat m/etc/keeper/key m/etc/one.conf").stdout == "configured\n" * 2
    assert clean.sh(f"cat m{TOKEN_DIR}/token").stdout.count(".") == 2
    clean.sh("head -c 3000000 /dev/urandom >m/data/big; chmod 640 m/data/big; mkdir m/data/d")
    ours = clean.sh("sha256sum <m/data/big").stdout.split()[0]
    out = in_pod(keeper, "sha256sum </data/big; stat -c '%a %u' /data/big; ls -d /data/d")
    assert out.split() == [ours, "-", "640", "4321", "/data/d"]
    in_pod(keeper, "head -c 2000000 /dev/urandom >/data/theirs")
    theirs = in_pod(keeper, "sha256sum </data/theirs").split()[0]
    # The directory has been listed: a name may be as late as attr_timeout, 3 s.
    wait_until("the name", lambda: clean.sh(
        "test -e m/data/theirs", check=False).returncode == 0, 10)  # fmt: skip
    assert clean.sh("sha256sum <m/data/theirs").stdout.split()[0] == theirs
    clean.tp("detach", "keeper")
    assert str(root) not in mounts() and not root.exists()
    assert clean.records() == [] and not processes("tp-mounter")


def test_links_out_of_the_mount_are_refused(keeper, clean):
    in_pod(keeper, "ln -sfn /etc/passwd /data/out; ln -sfn ../../../../etc/passwd /data/up;"
                   "echo in >/data/file; ln -sfn file /data/in")  # fmt: skip
    clean.engage("intercept", "--mount", "m")
    for name in ("out", "up"):
        done = clean.sh(f"cat m/data/{name}", check=False)
        assert done.returncode != 0 and "root:" not in done.stdout, done.stdout
    assert clean.sh("cat m/data/in").stdout == "in\n"


def test_a_command_has_its_root(keeper, clean):
    done = clean.tp(
        "intercept", "keeper", "-n", NAMESPACE, "-p", "18081:http", "--mount", "m", "--",
        "bash", "-c", 'echo "$TP_ROOT"; cat "$TP_ROOT/etc/one.conf"; '
        'echo from-here >"$TP_ROOT/data/here"; exit 7', check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines() == [str(clean.home / "m"), "configured"]
    assert in_pod(keeper, "cat /data/here") == "from-here\n"
    assert not mounts().get(str(clean.home / "m")) and clean.records() == []
    listed = json.loads(clean.tp("list", "--format", "json").stdout)
    assert listed["engagements"] == []


def test_ctrl_c_unmounts(keeper, clean):
    process = clean.popen(
        TP, "intercept", "keeper", "--name", DAEMON, "-n", NAMESPACE, "-p", "18081:http",
        "--mount", "m", "--", "bash", "-c", "echo kept >$TP_ROOT/data/kept; sleep 300",
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until("the file", lambda: in_pod(keeper, "cat /data/kept || true") == "kept\n", 90)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=90)
    assert not mounts().get(str(clean.home / "m")) and clean.records() == []


def test_read_only(keeper, clean):
    clean.engage("intercept", "--mount", "m:ro")
    assert " ro," in mounts()[str(clean.home / "m")]
    done = clean.sh("echo x >m/data/no", check=False)
    assert "Read-only file system" in done.stderr
    local = clean.engage("intercept", "--mount", "m", "--volumes", "ro")
    assert local["mount"]["readOnly"] is False
    done = clean.sh("echo x >m/data/no", check=False)
    assert done.returncode != 0
    listed = json.loads(clean.tp("volumes", "--format", "json").stdout)["volumes"]
    assert all(m["readOnly"] for v in listed for m in v["mounts"])
    assert in_pod(keeper, "ls /data/no 2>/dev/null || true") == ""


def test_a_volume_in_memory_is_read_only(keeper, clean):
    """What is written there counts against the agent's memory limit."""
    in_pod(keeper, "echo theirs >/ram/x")
    clean.engage("intercept", "--mount", "m")
    assert clean.sh("cat m/ram/x; echo y >m/data/y; cat m/data/y").stdout == "theirs\ny\n"
    for script in ("echo ours >m/ram/x", "echo ours >m/ram/new"):
        assert clean.sh(script, check=False).returncode != 0
    assert in_pod(keeper, "cat /ram/*") == "theirs\n"
    listed = json.loads(clean.tp("volumes", "--format", "json").stdout)["volumes"]
    assert {m["path"]: m["readOnly"] for v in listed for m in v["mounts"]}["/ram"]


def test_an_ingest_is_read_only(keeper, clean):
    clean.engage("ingest", "--mount", "m")
    assert clean.sh("cat m/etc/one.conf").stdout == "configured\n"
    assert clean.sh("echo x >m/data/no", check=False).returncode != 0


def test_the_same_again_and_another_place(clean):
    clean.engage("intercept", "--mount", "m")
    pids = processes("tp-mounter")
    clean.engage("intercept", "--mount", "m")
    assert [p for p, _ in pids if p in [q for q, _ in processes("tp-mounter")]]
    clean.engage("intercept", "--mount", "n")
    assert set(mounts()) & {str(clean.home / d) for d in "mn"} == {str(clean.home / "n")}
    done = clean.tp("ingest", "bare", "-n", NAMESPACE, "--mount", "n", check=False)
    assert "is in use by the engagement keeper" in done.stderr, done.stderr


def test_what_cannot_be_mounted_engages_nothing(clean):
    clean.sh("mkdir -p full; touch full/x")
    for flags, said in (
        (["--mount", "full"], "is not empty"),
        (["--mount", "a/b/c"], "No such file"),
        (["--mount", "m", "--volumes", "off"], "--volumes off"),
        (["--local-mount-port", "70000"], "a port of this host"),
    ):
        done = clean.tp("ingest", "keeper", "-n", NAMESPACE, *flags, check=False)
        assert done.returncode != 0 and said in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
    done = clean.tp("ingest", "bare", "-n", NAMESPACE, "--mount", "m", check=False)
    assert "there is nothing to mount" in done.stderr, done.stderr
    assert json.loads(clean.tp("list", "--format", "json").stdout)["engagements"] == []
    assert not (clean.home / "m").exists()
    os.chmod("/dev/fuse", 0o600)
    try:
        done = clean.tp("ingest", "keeper", "-n", NAMESPACE, "--mount", "m", check=False)
    finally:
        os.chmod("/dev/fuse", 0o666)
    assert "/dev/fuse, which this user may not open" in done.stderr, done.stderr


def test_the_key_is_in_no_place_that_others_see(keeper, clean):
    clean.engage("intercept", "--mount", "m")
    key = json.loads(run(
        ["docker", "exec", "-i", DAEMON, "tp-daemon", "ctl"],
        input='{"op":"files","name":"keeper","secret":true}\n',
    ).stdout)["key"]  # fmt: skip
    body = key.splitlines()[1]
    every = b"".join(p for name in ("tp-mount", "tp-mounter") for _, p in processes(name))
    assert every and body.encode() not in every
    for pid, _ in processes("tp-mount"):
        assert body.encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert body not in run(["docker", "inspect", DAEMON]).stdout
    assert body not in run(["docker", "logs", DAEMON]).stdout
    done = run(["grep", "-rlF", body, str(clean.home)], check=False)
    assert done.stdout == ""
    # The worker that speaks with the pod is confined (SECURITY 10).
    workers = [pathlib.Path(f"/proc/{p}/status").read_text() for p, _ in processes("tp-mount")]
    assert any("CapEff:\t0000000000000000" in w and "Seccomp:\t2" in w for w in workers)


def test_no_token_without_the_right(keeper, clean, tmp_path):
    frank = as_user(keeper, tmp_path, "frank", "developers")
    frank.tp("quit", "--name", DEV, check=False)
    try:
        frank.tp("connect", "--name", DEV, "-n", NAMESPACE)
        clean.tp("ingest", "keeper", "--mount", "m", name=DEV)
        assert clean.sh("cat m/etc/one.conf").stdout == "configured\n"
        assert clean.sh(f"ls m{TOKEN_DIR}", check=False).returncode != 0
        clean.tp("quit", name=DEV)
        assert not mounts().get(str(clean.home / "m"))
    finally:
        frank.tp("quit", "--name", DEV, check=False)


# ---- --local-mount-port ----


def bridge_gateway():
    return run(["docker", "network", "inspect", "bridge", "-f",
                "{{(index .IPAM.Config 0).Gateway}}"]).stdout.strip()  # fmt: skip


def test_other_sftp_clients(keeper, clean):
    sftp = clean.engage("intercept", "--local-mount-port", "0")["sftp"]
    assert stat.S_IMODE(os.stat(sftp["key"]).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(pathlib.Path(sftp["key"]).parent).st_mode) == 0o700
    clean.run("sftp", "-b", "-", "-F", sftp["config"], "pod", input="get /etc/one.conf got\n")
    assert (clean.home / "got").read_text() == "configured\n"
    clean.run("sftp", "-b", "-", "-F", "none", "-P", sftp["port"], "-i", sftp["key"],
              "-o", f"UserKnownHostsFile={sftp['knownHosts']}", "-o", "BatchMode=yes",
              "tp@127.0.0.1", input="put got /data/put\n")  # fmt: skip
    assert in_pod(keeper, "cat /data/put") == "configured\n"
    clean.sh(f"mkdir s && sshfs -F {sftp['config']} pod:/ s")
    try:
        assert clean.sh("cat s/etc/one.conf; echo by-sshfs >s/data/sshfs").stdout \
            == "configured\n"  # fmt: skip
    finally:
        clean.sh("fusermount3 -u s && rmdir s")
    assert in_pod(keeper, "cat /data/sshfs") == "by-sshfs\n"
    clean.tp("detach", "keeper")
    assert clean.records() == []
    assert not pathlib.Path(sftp["key"]).exists()


def test_another_key_gets_nothing(clean):
    sftp = clean.engage("intercept", "--local-mount-port", "0")["sftp"]
    clean.sh("rm -f other*; ssh-keygen -qt ed25519 -N '' -f other")
    done = clean.run(
        "sftp", "-b", "-", "-F", "none", "-P", sftp["port"], "-i", "other",
        "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={sftp['knownHosts']}",
        "tp@127.0.0.1", input="ls /\n", check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "Permission denied" in done.stderr, done.stderr


def test_no_container_reaches_the_port(clean):
    """SECURITY 12: by the bridge's gateway, by the daemon's address, by host
    names that lead to this host."""
    port = clean.engage("intercept", "--local-mount-port", "0")["sftp"]["port"]
    daemon = run(["docker", "inspect", "-f",
                  "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
                  DAEMON]).stdout.split()  # fmt: skip
    script = "import socket,sys\nfor a in sys.argv[2:]:\n" \
             "  s=socket.socket();s.settimeout(3)\n" \
             "  print(s.connect_ex((a,int(sys.argv[1]))))"  # fmt: skip
    for network in ("bridge", f"container:{DAEMON}"):
        done = run(["docker", "run", "--rm", "--network", network, TOOLS, "python3", "-c",
                    script, str(port), bridge_gateway(), "127.0.0.1", *daemon])  # fmt: skip
        assert "0" not in done.stdout.split(), (network, done.stdout)
    assert run(["python3", "-c", script, str(port), "127.0.0.1"]).stdout.split() == ["0"]


# ---- faults ----


@contextlib.contextmanager
def writing(user, path, megabytes=200):
    """A writer, and what it wrote by its own account."""
    script = (
        "import hashlib,os,sys\nh=hashlib.sha256()\nf=open(sys.argv[1],'wb')\n"
        f"for i in range({megabytes}):\n b=os.urandom(1<<20);h.update(b);f.write(b)\n"
        "f.flush();os.fsync(f.fileno());f.close();print(h.hexdigest())"
    )
    user.sh(f"rm -f {path}")  # of an earlier run: the pod may be the same
    process = user.popen("python3", "-c", script, path, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)  # fmt: skip
    # Not even root sees into a user's mount.
    wait_until("some bytes", lambda: user.sh(f"test -e {path}", check=False).returncode == 0)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def written_or_told(keeper, process, name):
    """Equal bytes, or an error; never neither."""
    out, err = process.communicate(timeout=150)
    if process.returncode != 0:
        assert "Error: [Errno " in err, err  # OSError, or one of its kinds
        return False
    assert in_pod(keeper, f"sha256sum </data/{name}").split()[0] == out.strip()
    return True


def works_again(user):
    wait_until("the mount", lambda: user.sh(
        "echo again >m/data/again && cat m/data/again", check=False, timeout=60
    ).stdout == "again\n", RETURN_SECONDS, 1)  # fmt: skip


def pod_is_back(keeper, former):
    def back():
        pods = keeper.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", "app=keeper")["items"]
        return [p for p in pods if p["metadata"]["name"] not in former
                and all(c["ready"] for c in p["status"].get("containerStatuses", [{"ready": 0}]))]  # fmt: skip

    wait_until("another pod", back, 90, 1)


def delete_pods(keeper):
    pods = keeper.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", "app=keeper")["items"]
    names = [p["metadata"]["name"] for p in pods]
    keeper.kubectl("delete", "pod", "-n", NAMESPACE, "--wait=false", "--grace-period=1", *names)
    return names


def test_a_pod_that_goes_in_a_write(keeper, clean):
    clean.engage("intercept", "--mount", "m")
    with writing(clean, "m/data/fault") as process:
        former = delete_pods(keeper)
        written_or_told(keeper_when_back(keeper, former), process, "fault")
    works_again(clean)


def keeper_when_back(keeper, former):
    pod_is_back(keeper, former)
    return keeper


def test_a_pod_that_goes_in_a_read(keeper, clean):
    in_pod(keeper, "head -c 100000000 /dev/urandom >/data/source")
    there = in_pod(keeper, "sha256sum </data/source").split()[0]
    clean.engage("intercept", "--mount", "m")
    process = clean.popen("bash", "-c", "sha256sum <m/data/source", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)  # fmt: skip
    time.sleep(0.3)
    former = delete_pods(keeper)
    out, err = process.communicate(timeout=120)
    assert out.split()[:1] == [there] or "rror" in err, (out, err)
    pod_is_back(keeper, former)
    works_again(clean)
    assert clean.sh("sha256sum <m/data/source").stdout.split()[0] == there


def test_a_cut_link(keeper, clean):
    """10 s without the cluster in a write: a pause, and equal bytes."""
    clean.engage("intercept", "--mount", "m")
    with writing(clean, "m/data/cut") as process:
        run(["docker", "pause", NODE])
        try:
            time.sleep(10)
        finally:
            run(["docker", "unpause", NODE])
        assert written_or_told(keeper, process, "cut")
    works_again(clean)


def test_a_daemon_that_is_killed(keeper, clean):
    clean.engage("intercept", "--mount", "m")
    with writing(clean, "m/data/killed") as process:
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", DAEMON]).stdout.strip()
        run(["pkill", "-9", "-P", pid, "-x", "tp-daemon"])
        written_or_told(keeper, process, "killed")
    works_again(clean)


def test_detach_in_a_write_drains(keeper, clean):
    clean.engage("intercept", "--mount", "m")
    clean.sh("head -c 30000000 /dev/urandom >first; cp first m/data/first")
    with writing(clean, "m/data/drained") as process:
        clean.tp("detach", "keeper")
        written_or_told(keeper, process, "drained")
    assert in_pod(keeper, "sha256sum </data/first").split()[0] \
        == digest((clean.home / "first").read_bytes())  # fmt: skip
    assert not mounts().get(str(clean.home / "m")) and clean.records() == []


def test_quit_in_a_write_drains(keeper, clean):
    keeper.tp("quit", "--name", OWN, check=False)
    keeper.tp("connect", "--name", OWN, "-n", NAMESPACE)
    try:
        clean.engage("intercept", "--mount", "m", name=OWN)
        with writing(clean, "m/data/quit") as process:
            clean.tp("quit", name=OWN)
            written_or_told(keeper, process, "quit")
    finally:
        keeper.tp("quit", "--name", OWN, check=False)
    assert not mounts().get(str(clean.home / "m")) and clean.records() == []


def test_tp_that_is_killed_leaves_what_the_next_one_ends(keeper, clean):
    process = clean.popen(
        TP, "intercept", "keeper", "--name", DAEMON, "-n", NAMESPACE, "-p", "18081:http",
        "--mount", "m", "--", "sleep", "300", start_new_session=True,
    )  # fmt: skip
    wait_until("the mount", lambda: mounts().get(str(clean.home / "m")), 90)
    wait_until("the command", lambda: processes("sleep"), 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.killpg(process.pid, signal.SIGKILL)
    assert clean.sh("cat m/etc/one.conf").stdout == "configured\n"  # it is engaged
    clean.tp("detach", "keeper")
    assert not mounts().get(str(clean.home / "m")) and clean.records() == []


def test_a_killed_mounter_leaves_nothing(keeper, clean):
    clean.engage("intercept", "--mount", "m", "--local-mount-port", "0")
    clean.sh("echo safe >m/data/safe")
    (record,) = clean.records()
    for pid, _ in processes("tp-mounter"):
        os.kill(pid, signal.SIGKILL)
    wait_until("the end of tp-mount", lambda: not processes("tp-mount"), 90)
    assert not mounts().get(str(clean.home / "m"))
    assert clean.records() == [record]
    clean.engage("intercept", "--mount", "m")
    assert clean.sh("cat m/data/safe").stdout == "safe\n"
    clean.tp("detach", "keeper")
    assert clean.records() == []


def test_an_engagement_that_is_revoked_unmounts(keeper, clean):
    local = clean.engage("intercept", "--mount", "m", "--local-mount-port", "0")
    keeper.kubectl("delete", "engagement", "-n", "tp-system", local["id"])
    wait_until("the unmount", lambda: not mounts().get(str(clean.home / "m")), 60)
    wait_until("the end of the mounter", lambda: not clean.records(), 60)


# ---- docker run ----


@pytest.fixture(scope="module")
def plugin(keeper, tmp_path_factory):
    """The Docker plugin, installed by tp under a name of its own, and a session
    that knows it."""
    env = {"HOME": str(tmp_path_factory.mktemp("home")), "TP_VOLUME_DRIVER": f"{E2E}-volume"}
    keeper.tp("quit", "--name", OWN, check=False)
    keeper.tp("volume", "uninstall", check=False, env=env)
    keeper.tp("volume", "install", env=env, timeout=180)
    try:
        keeper.tp("connect", "--name", OWN, "-n", NAMESPACE, env=env)
        yield env
    finally:
        keeper.tp("quit", "--name", OWN, check=False, env=env)
        keeper.tp("volume", "uninstall", check=False, env=env)


def docker_run(keeper, env, *flags, script, verb="ingest", name=OWN, tp=(), check=True):
    return keeper.tp(verb, "keeper", "--name", name, "-n", NAMESPACE, *tp, "--", "docker", "run",
                     "--rm", *flags, TOOLS, "bash", "-c", script, env=env, check=check,
                     timeout=180)  # fmt: skip


def volumes_of(name=OWN):
    return run(["docker", "volume", "ls", "-q", "-f",
                f"label=internal.tp.volume={name}"]).stdout.split()  # fmt: skip


def test_docker_run_has_the_volumes(keeper, plugin):
    in_pod(keeper, "echo from-the-pod >/data/hello")
    done = docker_run(keeper, plugin, verb="intercept", tp=["-p", "18081:http"], script=(
        "cat /data/hello /etc/keeper/key; echo from-docker >/data/docker; "
        f"cat {TOKEN_DIR}/token | tr -cd . | wc -c; ls -la /etc/one.conf; mount"))  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:3] == ["from-the-pod", "configured", "2"], done.stdout + done.stderr
    assert "/etc/one.conf is a single file there" in done.stderr
    assert in_pod(keeper, "cat /data/docker") == "from-docker\n"
    assert volumes_of() == []


def test_an_ingests_volumes_are_read_only(keeper, plugin):
    done = docker_run(keeper, plugin, script="echo x >/data/no", check=False)
    assert done.returncode != 0 and "Read-only" in done.stderr, done.stderr


def test_the_users_own_mounts_win(keeper, plugin, tmp_path):
    (tmp_path / "mine").write_text("mine\n")
    done = docker_run(keeper, plugin, "-v", f"{tmp_path}:/data", "--tmpfs", "/etc/keeper",
                      script="cat /data/mine; ls /etc/keeper | wc -l")  # fmt: skip
    assert done.stdout.splitlines() == ["mine", "0"]
    assert "the volume at /data is left out" in done.stderr
    done = docker_run(keeper, plugin, tp=["--volumes", "off"], script="ls /data", check=False)
    assert done.returncode != 0


def test_a_detached_container_keeps_them_until_detach(keeper, plugin):
    name = f"{E2E}-detached"
    run(["docker", "rm", "-f", name], check=False)
    try:
        docker_run(keeper, plugin, "-d", "--name", name, script="sleep infinity")
        assert volumes_of()
        assert run(["docker", "exec", name, "cat", "/etc/keeper/key"]).stdout == "configured\n"
        run(["docker", "rm", "-f", name])
        keeper.tp("detach", "keeper", "--name", OWN, env=plugin)
        assert volumes_of() == []
    finally:
        run(["docker", "rm", "-f", name], check=False)
        keeper.tp("detach", "keeper", "--name", OWN, env=plugin, check=False)


def test_without_the_plugin_it_is_said(keeper, session):
    """Never an empty local volume."""
    env = {"TP_VOLUME_DRIVER": f"{E2E}-none"}
    done = docker_run(keeper, env, name=DAEMON, script="ls /data", check=False)
    assert "volumes are not mounted: " in done.stderr and "tp volume install" in done.stderr
    assert "No such file" in done.stderr, done.stderr
    done = docker_run(keeper, env, name=DAEMON, tp=["--volumes", "rw"], script="true",
                      check=False)  # fmt: skip
    assert done.returncode == 1 and "--volumes rw: " in done.stderr, done.stderr
    assert volumes_of(DAEMON) == []
    assert json.loads(keeper.tp("list", "--name", DAEMON, "--format", "json").stdout)[
        "engagements"] == []  # fmt: skip
