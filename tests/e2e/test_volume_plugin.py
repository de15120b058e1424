"""Volumes of an engaged container as Docker volumes, through all of tp: container,
plugin, daemon, manager, agent, pod. What needs no cluster is in tests/volume.

A plugin and a daemon of its own: the plugin must be there before tp connect.
"""

import json
import os
import pathlib
import subprocess

import pytest
from conftest import E2E, TOOLS, run, wait_until
from engage import DATA_APP, NAMESPACE, in_pod_of, prepare, rollout

DATABASE = "tp-test/database"
DRIVER = f"{E2E}-volume"
VOLUMES = f"{E2E}-vdaemon"
BOX = f"{E2E}-vbox"

STORE = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: store}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: store}}}}
  template:
    metadata: {{labels: {{app: store}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsNonRoot: true, runAsUser: 4321, runAsGroup: 4322}}
      containers:
        {DATA_APP}
          volumeMounts:
            - {{name: data, mountPath: /data}}
            - {{name: conf, mountPath: /etc/store, readOnly: true}}
      volumes:
        - {{name: data, hostPath: {{path: /var/tmp/tp-e2e-store, type: DirectoryOrCreate}}}}
        - {{name: conf, configMap: {{name: store}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: store}}
data: {{key: "configured"}}
"""


class Volumes:
    def __init__(self, cluster, home):
        self.cluster = cluster
        self.env = {"TP_VOLUME_DRIVER": DRIVER, "XDG_STATE_HOME": str(home)}
        self.state = home / f"tp/volume-{DRIVER}.json"

    def tp(self, *args, **kwargs):
        return self.cluster.tp(*args, env=self.env, **kwargs)

    def intercept(self):
        self.tp("intercept", "store", "--port", "18080:http", "--name", VOLUMES,
                "-n", NAMESPACE, timeout=180)  # fmt: skip
        rollout(self.cluster, "deployment/store")

    def create(self, name, *options):
        flags = [x for o in options for x in ("-o", o)]
        run(["docker", "volume", "create", "-d", DRIVER, *flags, name])

    def sh(self, script, *flags, volume=f"{E2E}-data", image=TOOLS, check=True,
           timeout=120):  # fmt: skip
        return run(["docker", "run", "--rm", "-v", f"{volume}:/v", *flags, image,
                    "bash", "-c", script], check=check, timeout=timeout)  # fmt: skip

    def in_pod(self, script):
        return in_pod_of("store", self.cluster, script)


def purge():
    have = ["docker", "volume", "ls", "-q", "-f", f"driver={DRIVER}:latest"]
    run(["docker", "plugin", "enable", DRIVER], check=False)
    for name in run(have).stdout.split():
        ids = run(["docker", "ps", "-aq", "-f", f"volume={name}"]).stdout.split()
        if ids:
            run(["docker", "rm", "-f", *ids])


@pytest.fixture(scope="module")
def volumes(chart, tmp_path_factory):
    v = Volumes(chart, tmp_path_factory.mktemp("state"))
    purge()
    prepare(chart)
    # a hostPath belongs to root; the pod's user must be able to write
    chart.apply(STORE, NAMESPACE)
    node = os.environ.get("TP_CLUSTER_NAME", "tp-cluster") + "-node1"
    wait_until("the directory", lambda: run(
        ["docker", "exec", node, "chmod", "777", "/var/tmp/tp-e2e-store"],
        check=False).returncode == 0, 60)  # fmt: skip
    rollout(chart, "deployment/store")
    v.tp("volume", "install", timeout=120)
    v.tp("quit", "--name", VOLUMES, check=False)
    v.tp("connect", "--name", VOLUMES, "-n", NAMESPACE)
    v.intercept()
    v.create(f"{E2E}-data", "engagement=store", "mount=/data", f"daemon={VOLUMES}")
    yield v
    purge()
    v.tp("detach", "--all", "--name", VOLUMES, check=False, timeout=180)
    v.tp("quit", "--name", VOLUMES, check=False)
    v.tp("volume", "uninstall", check=False)
    chart.kubectl("delete", "-n", NAMESPACE, "deployment/store", "--wait=false")


def test_a_container_reads_and_writes_the_pods_files(volumes):
    volumes.in_pod("rm -rf /data/*; echo from-pod > /data/f")
    out = volumes.sh("cat /v/f; echo from-container > /v/g").stdout
    assert out == "from-pod\n"
    assert volumes.in_pod("cat /data/g; stat -c %u /data/g") == "from-container\n4321\n"


def test_trees_are_the_same(volumes):
    """cp -a and tar into the pod, compared there by bytes and modes."""
    show = (r"find . -type f -printf '%P %m %s %Ts\n' | sed 's/\.0000000000//' | sort;"
            "find . -type f | sort | xargs sha256sum; find . -type l -printf '%P %l\\n'")
    make = ("mkdir -p /t/a/b; cd /t; head -c 3000001 /dev/urandom >big; echo x >a/s;"
            "ln -s ../s a/b/l; chmod 640 big; chmod 751 a/s; touch -d 2020-02-03 big;")
    out = volumes.sh(f"{make} mkdir /v/cp /v/tar; cp -a --no-preserve=ownership . /v/cp;"
                     f"tar c . | tar xpo --no-same-owner -C /v/tar; {show}").stdout
    for way in ("cp", "tar"):
        assert volumes.in_pod(f"cd /data/{way}; {show}") == out, way


def test_read_only_and_the_other_mount(volumes):
    volumes.create(f"{E2E}-conf", "engagement=store", "mount=/etc/store",
                   f"daemon={VOLUMES}")
    assert volumes.sh("cat /v/key", volume=f"{E2E}-conf").stdout == "configured"
    done = volumes.sh("echo x > /v/x", volume=f"{E2E}-conf", check=False)
    assert "Read-only file system" in done.stderr
    volumes.create(f"{E2E}-ro", "engagement=store", "mount=/data", "ro",
                   f"daemon={VOLUMES}")
    done = volumes.sh("echo x > /v/x", volume=f"{E2E}-ro", check=False)
    assert "Read-only file system" in done.stderr


def test_a_directory_of_it(volumes):
    volumes.in_pod("mkdir -p /data/sub; echo deep > /data/sub/f")
    volumes.create(f"{E2E}-dir", "engagement=store", "mount=/data", "dir=sub",
                   f"daemon={VOLUMES}")
    assert volumes.sh("cat /v/f", volume=f"{E2E}-dir").stdout == "deep\n"


@pytest.fixture
def box(volumes):
    run(["docker", "rm", "-f", BOX], check=False)
    run(["docker", "run", "-d", "--name", BOX, "-v", f"{E2E}-data:/v", TOOLS, "sleep",
         "infinity"])  # fmt: skip
    yield lambda script, check=True: run(
        ["docker", "exec", BOX, "bash", "-c", script], check=check, timeout=90)
    run(["docker", "rm", "-f", BOX], check=False)


def test_two_containers_on_one_volume(volumes, box):
    box("echo one > /v/shared")
    assert volumes.sh("cat /v/shared; echo two > /v/shared").stdout == "one\n"
    assert volumes.in_pod("cat /data/shared") == "two\n"
    box("echo three > /v/shared")
    assert volumes.in_pod("cat /data/shared") == "three\n"


def test_the_pod_is_replaced(volumes, box):
    """The data is the node's; the next pod has another host key."""
    box("echo before > /v/pod")
    volumes.cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "app=store")
    rollout(volumes.cluster, "deployment/store")
    wait_until("the mount", lambda: box("cat /v/pod", False).stdout == "before\n", 60)
    box("echo after > /v/pod")
    assert volumes.in_pod("cat /data/pod") == "after\n"


def test_the_daemon_is_killed(volumes, box):
    """tp-init starts it again; the engagement and its key are kept."""
    box("echo before > /v/killed")
    top = run(["docker", "top", VOLUMES, "-o", "pid,comm"]).stdout.splitlines()
    (pid,) = [line.split()[0] for line in top if line.endswith("tp-daemon")]
    subprocess.run(["kill", "-9", pid], check=True)
    wait_until("the mount", lambda: box("cat /v/killed", False).stdout == "before\n", 60)


def test_the_plugin_is_restarted(volumes, box):
    box("echo one > /v/restart")
    run(["docker", "plugin", "disable", "-f", DRIVER])
    run(["docker", "plugin", "enable", DRIVER])
    assert volumes.sh("cat /v/restart").stdout == "one\n"
    run(["docker", "restart", "-t", "0", BOX])
    assert box("cat /v/restart").stdout == "one\n"


def test_no_key_is_to_be_seen(volumes, box):
    """SECURITY 17."""
    box("ls /v")
    request = json.dumps({"op": "files", "name": "store", "secret": True}) + "\n"
    done = run(["docker", "exec", "-i", VOLUMES, "tp-daemon", "ctl"], input=request)
    session_key = json.loads(done.stdout.splitlines()[-1])["key"].splitlines()[3]
    own_key = json.loads(volumes.state.read_text())["key"].splitlines()[1][-40:]
    texts = [run(["docker", *what]).stdout for what in (
        ["inspect", BOX], ["inspect", VOLUMES], ["volume", "inspect", f"{E2E}-data"],
        ["plugin", "inspect", DRIVER], ["logs", VOLUMES])]  # fmt: skip
    for log in pathlib.Path("/var/log").glob("dockerd*"):
        texts.append(log.read_text(errors="replace"))
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                texts.append((p / name).read_text(errors="replace"))
            except OSError:
                pass
    for key in (session_key, own_key):
        assert len(key) >= 40
        assert not [t[:200] for t in texts if key in t]


class Database:
    """Debian's databases on a strict volume, as the pod's user, whom the image is
    told of by a file (PostgreSQL wants a name)."""

    def __init__(self, volumes, passwd):
        self.volumes = volumes
        self.flags = ["--user", "4321:4322", "-v", f"{passwd}:/etc/passwd:ro"]
        passwd.write_text("pod:x:4321:4322::/tmp:/bin/bash\n")
        volumes.in_pod("rm -rf /data/db; mkdir /data/db")
        volumes.create(f"{E2E}-db", "engagement=store", "mount=/data", "dir=db",
                       "strict", f"daemon={VOLUMES}")  # fmt: skip

    def sh(self, script):
        return self.volumes.sh(script, *self.flags, volume=f"{E2E}-db", image=DATABASE,
                               timeout=400)  # fmt: skip

    def start(self, script):
        run(["docker", "run", "-d", "--name", BOX, *self.flags, "-v", f"{E2E}-db:/v",
             DATABASE, "bash", "-c", script])  # fmt: skip

    def same_in_pod(self):
        """What the container reads is what lies in the pod; how many files."""
        show = "find . -type f | sort | xargs sha256sum"
        there = self.volumes.in_pod(f"cd /data/db; {show}")
        assert there == self.sh(f"cd /v; {show}").stdout
        return len(there.splitlines())


@pytest.fixture
def database(volumes, tmp_path):
    run(["docker", "rm", "-f", BOX], check=False)
    yield Database(volumes, tmp_path / "passwd")
    run(["docker", "rm", "-f", BOX], check=False)
    run(["docker", "volume", "rm", f"{E2E}-db"])


SQLITE = r"""
set -e
echo "pragma journal_mode=$1; create table t(i integer primary key, x);" | sqlite3 /v/db
for i in $(seq 150); do echo "insert into t values($i, hex(randomblob(600)));"; done |
    sqlite3 /v/db
echo "begin; delete from t; rollback; update t set x='u'||x where i%3=0;
    select count(*), sum(x like 'u%') from t; pragma integrity_check;" | sqlite3 /v/db
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_sqlite(volumes, database, mode):
    """Each insert is a transaction of its own, synced."""
    out = database.sh(f"set -- {mode}; {SQLITE}").stdout
    assert out.split() == [mode, "150|50", "ok"]
    check = ("import sqlite3; d = sqlite3.connect('/data/db/db'); print(d.execute("
             "'pragma integrity_check').fetchone()[0], d.execute("
             "'select count(*) from t').fetchone()[0])")
    assert volumes.in_pod(f'python3 -c "{check}"') == "ok 150\n"


POSTGRES = r"""
set -e
export PGHOST=/tmp PGUSER=postgres PGDATABASE=postgres PGDATA=/v/pg
start() { pg_ctl -w -t 60 -l /tmp/log -o "-k /tmp -c listen_addresses=''" start >&2 ||
    { cat /tmp/log >&2; exit 1; }; }
ask() { psql -XAtc "$1"; }
agree() { ask "select (select sum(abalance) from pgbench_accounts) =
    (select coalesce(sum(delta), 0) from pgbench_history)"; }
check() { pg_checksums --check | sed -n 's/^Bad checksums: *//p'; }
"""
# -n, as everywhere: else pgbench empties its history. A number is told when its
# transaction was told committed.
COUNT = r"""
pgbench -c 2 -T 600 -n >/tmp/load 2>&1 &
for i in $(seq 100000); do ask "insert into told values($i)" >/tmp/said; echo $i; done
"""


@pytest.mark.long
def test_postgresql(database):
    """initdb, pgbench and a crash of the server in the middle of it; then the
    container is killed: what was told committed is there for the next one."""
    out = database.sh(POSTGRES + r"""
        initdb -k -A trust -U postgres -E UTF8 --locale=C.UTF-8 >&2
        start; ask "show fsync"; ask "show synchronous_commit"
        pgbench -q -i -s 1 >&2; pgbench -n -c 4 -j 2 -T 8 >&2; agree
        pgbench -n -c 4 -T 30 >/tmp/load 2>&1 & sleep 3; pg_ctl -m immediate stop >&2
        start; agree; ask "create table told(i int)" >&2; pg_ctl stop >&2; check""")
    assert out.stdout.split() == ["on", "on", "t", "t", "0"]
    print("\n".join(x for x in out.stderr.splitlines() if "tps" in x or "latency" in x))
    assert database.same_in_pod() > 900

    database.start(POSTGRES + "start" + COUNT)
    told = lambda: run(["docker", "logs", BOX]).stdout.split()  # noqa: E731
    wait_until("fifty transactions", lambda: len(told()) > 50, 90)
    run(["docker", "kill", BOX])
    last = int(told()[-1])
    run(["docker", "rm", BOX])
    out = database.sh(POSTGRES + """start; agree; ask "select count(*), max(i) from told"
        pg_ctl stop >&2; check""").stdout.split()
    count, most = map(int, out[1].split("|"))
    assert (out[0], out[2]) == ("t", "0")
    assert last <= count == most <= last + 1


def test_a_volume_whose_engagement_is_gone(volumes):
    volumes.tp("detach", "store", "--name", VOLUMES, timeout=180)
    done = volumes.sh("ls /v", check=False)
    assert done.returncode != 0
    assert "engagement store is not active: run tp intercept store" in done.stderr
    assert f"docker volume rm {E2E}-data" in done.stderr
    volumes.intercept()
    assert volumes.sh("echo ok").stdout == "ok\n"


def test_compose(volumes, tmp_path):
    volumes.in_pod("echo composed > /data/compose")
    (tmp_path / "docker-compose.yml").write_text(f"""
version: "3"
services:
  app:
    image: {TOOLS}
    command: cat /v/compose
    network_mode: "container:{VOLUMES}"
    volumes: ["data:/v"]
volumes:
  data:
    driver: {DRIVER}
    driver_opts: {{engagement: store, mount: /data, daemon: {VOLUMES}}}
""")
    compose = ["docker-compose", "-p", f"{E2E}compose", "-f",
               str(tmp_path / "docker-compose.yml")]  # fmt: skip
    try:
        assert "composed" in run([*compose, "up", "--no-color"], timeout=90).stdout
    finally:
        run([*compose, "down", "-v"], timeout=90)


def test_quit_is_told_and_a_new_session_serves_again(volumes):
    volumes.tp("quit", "--name", VOLUMES, timeout=180)
    done = volumes.sh("ls /v", check=False)
    assert f"tp connect --name {VOLUMES}" in done.stderr
    volumes.tp("connect", "--name", VOLUMES, "-n", NAMESPACE)
    volumes.intercept()
    assert volumes.sh("echo ok").stdout == "ok\n"
