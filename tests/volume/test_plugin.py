"""Volumes on the real Docker: what containers see, who is told what, what
stays after restarts."""
import json
import os
import sqlite3
import stat
import subprocess
import time

import pytest

from conftest import (DAEMON, DRIVER, IMAGE, Volume, docker, processes, read,
                      wait_until)



def fails(done):
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_a_container_reads_and_writes(volume, data):
    (data / "from-pod").write_text("hello\n")
    out = volume().sh("cat /v/from-pod; echo back > /v/from-container").stdout
    assert out == "hello\n"
    assert (data / "from-container").read_text() == "back\n"


def test_trees_are_the_same(volume, data, tmp_path):
    """cp -a and tar, both ways, by bytes and modes. A setuid bit arrives, but is
    not shown (SECURITY 11)."""
    make = ("mkdir -p /t/a/b; cd /t; head -c 3000000 /dev/urandom > big;"
            "head -c 100 /dev/urandom > a/small; ln -s ../big a/b/link;"
            "chmod 700 a; chmod 4755 a/small; chmod 600 big;"
            "touch -d 2020-02-03T04:05:06Z a/small big;")
    show = ("find . -mindepth 1 -printf '%P %y %m %s %Ts %l\\n' | "
            "grep -v ' d ' | sed 's/\\.0000000000//' | sort;"
            "find . -type f | sort | xargs sha256sum")
    script = (f"{make} ({show}) > /before; mkdir /v/cp /v/tar; cp -a /t/. /v/cp;"
              f"tar c . | tar xp -C /v/tar;"
              "sed -i 's|small f 4755|small f 755|' /before; "
              f"for d in cp tar; do cd /v/$d; ({show}) > /after; "
              "diff /before /after || exit 9; done; cat /after; stat -c "
              "'%a %n' /v/cp/a")
    out = volume().sh(script).stdout
    assert "a/b/link l" in out and "700 /v/cp/a" in out
    for way in ("cp", "tar"):
        assert (data / way / "a/small").stat().st_mode & 0o7777 == 0o4755


def test_read_only(volume, data):
    err = fails(volume("engagement=web", "ro").sh("echo x > /v/x",
                                                  check=False))
    assert "Read-only file system" in err
    assert not (data / "x").exists()


def test_a_read_only_mount_is_read_only(volume, daemon, data, tmp_path):
    daemon.engage("ro", {"path": "/data", "source": str(data),
                         "readOnly": True})
    err = fails(volume("engagement=ro").sh("echo x > /v/x", check=False))
    assert "Read-only file system" in err


def test_a_directory_of_it(volume, data):
    (data / "sub/deep").mkdir(parents=True)
    (data / "sub/deep/f").write_text("deep")
    assert volume("engagement=web", "dir=sub/deep").sh("cat /v/f").stdout == "deep"
    err = fails(volume("engagement=web", "dir=none").sh("ls", check=False))
    assert "/data/none" in err and "No such file" in err


def test_two_containers_share_it(volume, data):
    v = volume()
    v.start(f"{DRIVER}-a")
    v.start(f"{DRIVER}-b")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    assert docker("exec", f"{DRIVER}-b", "cat", "/v/f").stdout == "one\n"
    docker("rm", "-f", f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-b", "bash", "-c", "echo two > /v/f")
    assert (data / "f").read_text() == "two\n"


def test_what_was_written_is_there_when_the_container_has_ended(volume, data):
    """200 files, acknowledged to the program; the unmount waits for them."""
    volume("engagement=web", "async_names").sh(
        "for i in $(seq 200); do echo $i > /v/f$i; done")
    assert sorted(int(p.read_text()) for p in data.iterdir()) == list(range(1, 201))


# ---- which mount -----------------------------------------------------------


@pytest.fixture
def two(daemon, data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "f").write_text("other")
    token = tmp_path / "token"
    token.mkdir()
    daemon.engage(
        "two", {"path": "/data", "source": str(data)},
        {"path": "/etc/app", "source": str(other)},
        {"path": "/var/run/secrets/kubernetes.io/serviceaccount",
         "source": str(token)})
    return other


def test_more_than_one_mount_is_asked_about(volume, two):
    err = fails(volume("engagement=two").sh("ls", check=False))
    assert "mount=PATH" in err and "/data" in err and "/etc/app" in err
    v = volume("engagement=two", "mount=/etc/app")
    assert v.sh("cat /v/f").stdout == "other"
    err = fails(volume("engagement=two", "mount=/nope").sh("ls", check=False))
    assert "does not serve /nope" in err


def test_tokens_do_not_make_it_ambiguous(volume, daemon, data, tmp_path):
    daemon.engage("t", {"path": "/data", "source": str(data)},
                  {"path": "/var/run/secrets/kubernetes.io/serviceaccount",
                   "source": str(tmp_path)})
    assert volume("engagement=t").sh("ls /v; echo ok").stdout == "ok\n"


def test_an_engagement_that_is_gone(volume, daemon):
    v = volume("engagement=web")
    assert v.sh("echo ok").stdout == "ok\n"
    daemon.end("web")
    err = fails(v.sh("ls", check=False))
    assert "engagement web is not active: run tp intercept web" in err
    assert f"docker volume rm {v.name}" in err


@pytest.mark.parametrize("options, text", [
    ([], "engagement=NAME is missing"),
    (["engagement=web", "colour=red"], "unknown option 'colour'"),
    (["engagement=web", "dir=../x"], "no path below the mount"),
    (["engagement=web", "mount=data"], "no absolute path"),
    (["engagement=web", "ro=maybe"], "bad value 'maybe'"),
    (["engagement=web", "timeout=0"], "bad value '0'"),
    (["engagement=web", "strict", "async_names"], "exclude each other"),
    (["engagement=web", "daemon=-x"], "no container's name"),
    (["control"], "tp-ctl-DAEMON"),
])
def test_bad_options(plugin, options, text):
    flags = [x for o in options for x in ("-o", o)]
    err = fails(docker("volume", "create", "-d", DRIVER, *flags, "tp-bad",
                       check=False))
    assert text in err and len(err.splitlines()) == 1


def test_which_daemon(volume, daemon, data):
    assert volume("engagement=web", f"daemon={DAEMON}").sh("echo ok").stdout
    err = fails(volume("engagement=web", "daemon=nobody").sh("ls", check=False))
    assert "tp connect --name nobody" in err


# ---- restarts --------------------------------------------------------------


def test_the_plugin_is_restarted(volume, daemon, data):
    """Volumes stay; a container that had one needs a restart, and gets it."""
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    plugin_restart()
    assert v.sh("cat /v/f").stdout == "one\n"
    done = docker("exec", f"{DRIVER}-a", "ls", "/v", check=False)
    assert "Transport endpoint is not connected" in done.stderr
    docker("restart", "-t", "0", f"{DRIVER}-a")
    assert docker("exec", f"{DRIVER}-a", "cat", "/v/f").stdout == "one\n"


def plugin_restart():
    docker("plugin", "disable", "-f", DRIVER)
    docker("plugin", "enable", DRIVER)


def test_disable_writes_what_is_left(volume, data):
    """Acknowledged by the kernel's page cache and by tp-mount, not yet by the
    server."""
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "bash", "-c",
           "exec 9>/v/big; head -c 20000000 /dev/zero >&9")
    plugin_restart()
    assert (data / "big").stat().st_size == 20000000


def test_the_plugin_is_killed(plugin, volume, data):
    """Docker starts it again; what it has left mounted is cleaned."""
    v = volume()
    v.start(f"{DRIVER}-a")
    (main,) = [p for p in plugin.pids()
               if read(f"/proc/{p}/cmdline").split("\0") == ["/usr/bin/tp-volume", ""]]
    os.kill(main, 9)
    wait_until("another one", lambda: [
        p for p in plugin.pids() if p != main
        and read(f"/proc/{p}/cmdline").startswith("/usr/bin/tp-volume")])
    docker("rm", "-f", f"{DRIVER}-a")
    assert v.sh("echo new > /v/f; cat /v/f").stdout == "new\n"


def broker_of(plugin):
    return [p for p in plugin.pids()
            if "broker" in read(f"/proc/{p}/cmdline").split("\0")]


def test_a_broker_that_dies_is_started_again(plugin, volume, daemon, data):
    """The mount stays, and gets the connections that it needs later."""
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    for turn in range(2):
        (broker,) = broker_of(plugin)
        os.kill(broker, 9)
        daemon.cut()
        assert docker("exec", f"{DRIVER}-a", "cat", "/v/f").stdout == "one\n"
        (another,) = broker_of(plugin)
        assert another != broker
    # it is confined as the first one was
    assert int(status_of(another, "CapEff"), 16) == 0
    assert status_of(another, "Seccomp") == "2"
    docker("rm", "-f", f"{DRIVER}-a")
    wait_until("all have ended", lambda: not broker_of(plugin))


def test_a_broker_that_dies_beside_a_silent_daemon(plugin, volume, daemon, data):
    """It had taken a request and not answered it: that is the next one's."""
    v = volume("engagement=web", "timeout=60")
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    daemon.silent = True
    asked = daemon.asked
    daemon.cut()
    reader = subprocess.Popen(["docker", "exec", f"{DRIVER}-a", "cat", "/v/f"],
                              stdout=subprocess.PIPE, text=True)
    wait_until("it asks", lambda: daemon.asked > asked)
    daemon.silent = False
    os.kill(broker_of(plugin)[0], 9)
    assert reader.communicate(timeout=30)[0] == "one\n"


def test_the_daemon_is_restarted(volume, daemon, data):
    """Its sockets are made anew; a container goes on."""
    v = volume()
    v.start(f"{DRIVER}-a", "sleep infinity")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    daemon.stop()
    daemon.start()
    assert docker("exec", f"{DRIVER}-a", "cat", "/v/f").stdout == "one\n"
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo two > /v/f")
    assert (data / "f").read_text() == "two\n"


def test_another_pod_with_other_keys(volume, daemon, data, tmp_path):
    """Each connection is asked for anew: host key and own key may differ."""
    from daemon import make_key
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "bash", "-c", "echo one > /v/f")
    daemon.host_key = str(tmp_path / "other-host")
    make_key(daemon.host_key)
    daemon.end("web")
    daemon.engage("web", {"path": "/data", "source": str(data)})
    assert docker("exec", f"{DRIVER}-a", "cat", "/v/f").stdout == "one\n"


def test_control_volumes_stay(daemon):
    err = fails(docker("volume", "rm", f"tp-ctl-{DAEMON}", check=False))
    assert "in use" in err


# ---- programs ----


DATABASE = r"""
import sqlite3, sys
db = sqlite3.connect("/v/db", isolation_level=None, timeout=30)
print(db.execute("pragma journal_mode=" + sys.argv[1]).fetchone()[0])
db.execute("create table t(i integer primary key, t)")
for i in range(100):
    db.execute("insert into t values(?, hex(randomblob(500)))", (i,))
db.execute("begin"); db.execute("delete from t"); db.execute("rollback")
print(db.execute("select count(*) from t").fetchone()[0])
print(db.execute("pragma integrity_check").fetchone()[0])
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database(volume, data, mode):
    """SQLite in an unmodified container; this machine's Python, as the image has
    none."""
    v = volume("engagement=web", "strict")
    flags = ["-v", "/usr/bin/python3:/usr/bin/python3:ro", "-v",
             "/usr/lib:/usr/lib:ro"]
    out = docker("run", "--rm", "-v", f"{v.name}:/v", *flags, IMAGE, "python3",
                 "-c", DATABASE, mode).stdout
    assert out.split() == [mode, "100", "ok"]
    with sqlite3.connect(data / "db") as db:
        assert db.execute("select count(*) from t").fetchone() == (100,)


# ---- bounds ----------------------------------------------------------------


def test_a_daemon_that_does_not_answer(volume, daemon):
    daemon.silent = True
    v = volume()
    begun = time.monotonic()
    err = fails(v.sh("ls", check=False))
    assert time.monotonic() - begun < 25
    assert "does not answer" in err
    daemon.silent = False
    assert v.sh("echo ok").stdout == "ok\n"


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4, 0.7, 1.2])
def test_interrupted_at_any_point(plugin, volume, daemon, data, seconds):
    v = volume()
    p = subprocess.Popen(["docker", "run", "--rm", "--name", f"{DRIVER}-i",
                          "-v", f"{v.name}:/v", IMAGE, "bash", "-c",
                          "echo x > /v/x; sleep 60"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    p.send_signal(2)
    try:
        p.wait(5)
    except subprocess.TimeoutExpired:
        docker("kill", f"{DRIVER}-i", check=False)
        p.wait(20)
    # The engine goes on with a create whose client has gone: the container may be
    # there only after a while, and no sooner can its volume be removed.
    def remove():
        return docker("rm", "-f", f"{DRIVER}-i", check=False)

    remove()
    wait_until("nothing is left", lambda: not [
        p for p in plugin.pids() if "tp-mount" in read(f"/proc/{p}/cmdline")])
    assert v.sh("echo ok").stdout == "ok\n"
    wait_until("the volume is free", lambda: remove() and docker(
        "volume", "rm", v.name, check=False).returncode == 0)


# ---- security --------------------------------------------------------------


def status_of(pid, key):
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(key + ":"):
            return line.split()[1]
    return None


def test_who_speaks_with_the_cluster_has_no_rights(plugin, volume, data):
    """SECURITY 10: the broker and tp-mount's worker."""
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "ls", "/v")
    confined, others = [], []
    for pid in plugin.pids():
        sockets = [f for f in os.listdir(f"/proc/{pid}/fd")
                   if "socket" in os.readlink(f"/proc/{pid}/fd/{f}")]
        words = read(f"/proc/{pid}/cmdline").split("\0")
        worker = words[0].endswith("tp-mount") and status_of(pid, "Seccomp") == "2"
        (confined if "broker" in words or worker else others).append(pid)
        assert sockets
    assert len(confined) == 2
    for pid in confined:
        for key in ("CapEff", "CapPrm", "CapInh"):
            assert int(status_of(pid, key), 16) == 0, (pid, key)
        assert status_of(pid, "Seccomp") == "2"
        assert status_of(pid, "NoNewPrivs") == "1"
    for pid in others:  # PID 1, and tp-mount's mounter
        assert int(status_of(pid, "CapEff"), 16) & ~(1 << 21) == 0


@pytest.mark.parametrize("how", ["ro", "rw", "readonly"])
def test_setuid_and_devices_never_work(volume, data, how):
    """SECURITY 11: Docker's own read-only makes a mount without nosuid and
    nodev."""
    v = volume()
    v.sh("cp /usr/bin/id /v/id")
    (data / "id").chmod(0o6755)
    os.mknod(data / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    flags = ["-v", f"{v.name}:/x:{how}"] if how != "readonly" else [
        "--mount", f"type=volume,source={v.name},target=/x,readonly"]
    out = docker("run", "--rm", "--user", "4321:4321", *flags, IMAGE, "bash", "-c",
                 "/x/id -u; /x/id -g; stat -c %a /x/id; ls /x;"
                 "cat /x/null && echo there; touch /x/y && echo written",
                 check=False)
    assert out.stdout.split() == ["4321", "4321", "755", "id"] + (
        ["written", ] if how == "rw" else []), out


def secrets_of(plugin, daemon):
    """Distinctive parts of every private key that there is."""
    texts = [plugin.keys()["key"]]
    texts += [open(e.key).read() for e in daemon.engagements.values()]
    root = plugin.directory().replace("/propagated-mount", "/rootfs")
    texts.append(open(f"{root}/etc/tp/plugin.key").read())
    return [t.splitlines()[1][-40:] if t.count("\n") == 3
            else t.splitlines()[3][:40] for t in texts]


def test_no_key_is_to_be_seen(plugin, volume, daemon, data):
    """SECURITY 17: not in what Docker shows or keeps, not in arguments,
    environments or the log, not in the plugin's state."""
    v = volume()
    v.start(f"{DRIVER}-a")
    docker("exec", f"{DRIVER}-a", "ls", "/v")
    secrets = secrets_of(plugin, daemon)
    assert len(set(secrets)) == 3
    seen = [docker("inspect", f"{DRIVER}-a").stdout,
            docker("volume", "inspect", v.name).stdout,
            docker("plugin", "inspect", DRIVER).stdout,
            docker("logs", f"{DRIVER}-a").stdout,
            read(f"{plugin.directory()}/state.json"),
            read("/var/log/dockerd.log"), plugin.tp("volume", "status").stdout]
    for pid in processes():
        seen += [read(f"/proc/{pid}/cmdline"), read(f"/proc/{pid}/environ")]
    for secret in secrets:
        assert not [text[:200] for text in seen if secret in text]
    root = plugin.directory().replace("/propagated-mount", "/rootfs")
    assert os.stat(f"{root}/etc/tp/plugin.key").st_mode & 0o777 == 0o600
    assert os.stat(plugin.keys_file).st_mode & 0o777 == 0o600


INTRUDER = r"""
import json, socket, ssl, sys
s = socket.socket(socket.AF_UNIX); s.connect("/ctl/control.sock")
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
try:
    t = c.wrap_socket(s)
    t.sendall(b'{"op":"files","name":"web"}\n')
    print("got", t.recv(10000))
except (OSError, ssl.SSLError) as e:
    print("refused", e)
"""


def test_a_container_with_the_control_volume_gets_nothing(volume, daemon, data):
    """It knows socket and engagement, but has not the plugin's key."""
    flags = ["--rm", "-i", "-v", f"tp-ctl-{DAEMON}:/ctl", "-v",
             "/usr/bin/python3:/usr/bin/python3:ro", "-v",
             "/usr/lib:/usr/lib:ro"]
    out = docker("run", *flags, IMAGE, "python3", "-c", INTRUDER,
                 check=False).stdout
    assert out.startswith("refused"), out
    assert "key" not in out


# ---- install ---------------------------------------------------------------


def test_install_is_idempotent_and_refuses_in_use(plugin, volume, data):
    assert json.loads(plugin.tp("volume", "install", "--format",
                                "json").stdout)["already"] is True
    v = volume()
    v.start(f"{DRIVER}-a")
    done = plugin.tp("volume", "uninstall", check=False)
    assert done.returncode == 1
    assert "in use by" in done.stderr and f"{DRIVER}-a" in done.stderr
    assert docker("exec", f"{DRIVER}-a", "ls", "/v").returncode == 0


def test_compose(volume, daemon, data, tmp_path):
    (data / "f").write_text("composed")
    (tmp_path / "docker-compose.yml").write_text(f"""
version: "3"
services:
  app:
    image: {IMAGE}
    command: cat /v/f
    network_mode: none
    volumes: ["data:/v"]
volumes:
  data:
    driver: {DRIVER}
    driver_opts:
      engagement: web
      ro: "true"
""")
    compose = ["docker-compose", "-p", "tpvolumetest", "-f",
               str(tmp_path / "docker-compose.yml")]
    try:
        out = subprocess.run([*compose, "up", "--no-color"], timeout=90,
                             capture_output=True, text=True)
        assert "composed" in out.stdout, out.stdout + out.stderr
    finally:
        down = subprocess.run([*compose, "down", "-v"], timeout=90,
                              capture_output=True, text=True)
    assert down.returncode == 0, down.stderr
