"""Engagements on real workloads: every kind of workload, every verb."""

import json

import pytest
from conftest import DAEMON, TOOLS, run, wait_until
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NAMESPACE,
    NUMERIC_SERVICE,
    detach,
    engage,
    listed,
    local_program,
    prepare,
    rollout,
    service,
    until_answered_by,
    until_settled,
    who,
    who_at_once,
    workload,
)

WORKLOADS = {
    "named": (workload("named"), service("named", NAMED_SERVICE), "deployment/named"),
    "numeric": (
        workload("numeric"),
        service("numeric", NUMERIC_SERVICE),
        "deployment/numeric",
    ),
    "headless": (
        workload("headless", "StatefulSet", "serviceName: headless\n  replicas: 1"),
        service(
            "headless",
            "{name: http, port: 8080, targetPort: 8080}, {name: echo, port: 9001, targetPort: 9001}",
            "clusterIP: None",
        ),
        "statefulset/headless",
    ),
    "everywhere": (
        workload("everywhere", "DaemonSet", ""),
        service("everywhere", NAMED_SERVICE),
        "daemonset/everywhere",
    ),
    "four": (
        workload("four", extra="replicas: 4"),
        service("four", NAMED_SERVICE),
        "deployment/four",
    ),
}
URLS = {"headless": "http://headless.tp-engage:8080/"}


def url_of(name):
    return URLS.get(name, f"http://{name}.{NAMESPACE}/")


@pytest.fixture(scope="module")
def workloads(session):
    prepare(session)
    for app, svc, _ in WORKLOADS.values():
        session.apply(app, NAMESPACE)
        session.apply(svc, NAMESPACE)
    for _, _, target in WORKLOADS.values():
        rollout(session, target)
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture
def clean(workloads):
    yield workloads
    workloads.tp("detach", "--all", "--name", DAEMON, check=False)


@pytest.mark.parametrize("name", ["named", "numeric", "headless", "everywhere"])
def test_intercept(clean, box, name):
    url = url_of(name)
    assert who(box, url).startswith(name)
    with local_program():
        local = engage(
            clean, "intercept", WORKLOADS[name][2], "--yes", "--port", f"{LOCAL_PORT}:http"
        )
        assert local["phase"] == "ready"
        # a StatefulSet's pod has another address: the cluster's DNS caches the old one
        until_answered_by(box, url, "local", 60)
        # the sibling port is still the cluster's
        host = url.split("/")[2].split(":")[0]
        wait_until(  # the rollout has just changed the pod
            "the sibling port",
            lambda: box.out(f"echo ping | nc -N -w 3 {host} 9001", check=False) == "ping",
            20,
        )
        entry = [w for w in listed(clean)["workloads"] if w["name"] == name][0]
        assert [e["type"] for e in entry["engagements"]] == ["intercept"]
        detach(clean, name)
        until_answered_by(box, url, name)


def test_all_replicas_deliver(clean, box):
    with local_program():
        engage(clean, "intercept", "four", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, url_of("four"), "local")
        until_settled(clean, "four")
        assert who_at_once(box, url_of("four"), 200) == {"local": 200}


def test_nobody_listens_here(clean, box):
    """Fails open: the app answers."""
    engage(clean, "intercept", "named", "--port", f"{LOCAL_PORT}:http")
    until_answered_by(box, url_of("named"), "named")


def test_mirror_copies_and_the_app_answers(clean, box):
    name = f"{DAEMON}-copy"
    run(["docker", "rm", "-f", name], check=False)
    run(
        ["docker", "run", "-d", "--name", name, "--network", f"container:{DAEMON}",
         TOOLS, "python3", "-u", "-m", "http.server", str(LOCAL_PORT)]
    )  # fmt: skip
    try:
        engage(clean, "mirror", "named", "--port", f"{LOCAL_PORT}:http")

        def copies():
            log = run(["docker", "logs", name])
            return (log.stdout + log.stderr).count("GET /mirrored-")

        until_copied = f"{url_of('named')}mirrored-first"
        wait_until("the mirror", lambda: who(box, until_copied) and copies() > 0, 10)
        before = copies()
        for i in range(20):
            assert who(box, f"{url_of('named')}mirrored-{i}").startswith("named")
        wait_until("20 copies", lambda: copies() == before + 20, 10)
        # a receiver that is dead changes nothing
        run(["docker", "rm", "-f", name])
        assert who(box, url_of("named")).startswith("named")
    finally:
        run(["docker", "rm", "-f", name], check=False)


def test_ingest_gives_the_environment(clean, tmp_path):
    path = tmp_path / "env.json"
    engage(clean, "ingest", "named", "--env-json", str(path))
    env = json.loads(path.read_text())
    pod = env["POD_NAME"]
    assert pod.startswith("named-")
    assert env["GREETING"] == f"hello {pod} $(X)"
    assert env["MULTI"] == "one\ntwo"
    assert env["PASSWORD"] == "not-a-secret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_container_is_run_with_it(clean):
    done = clean.tp(
        "ingest", "named", "--name", DAEMON, "-n", NAMESPACE, "--",
        "docker", "run", "--rm", TOOLS, "bash", "-c",
        'echo "$PASSWORD|$MULTI"; exit 7',
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "not-a-secret|one\ntwo" in done.stdout
    assert listed(clean)["engagements"] == []


def test_replace_and_back(clean, box):
    with local_program():
        engage(clean, "replace", "named", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, url_of("named"), "local")
        pods = clean.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", "app=named")
        images = [
            c["image"] for p in pods["items"] for c in p["spec"]["containers"]
            if not p["metadata"].get("deletionTimestamp")
        ]  # fmt: skip
        assert not any("tp-test/app" in i for i in images), images
        detach(clean, "named")
        until_answered_by(box, url_of("named"), "named", 60)


def test_conflict_names_the_holder(clean):
    engage(clean, "intercept", "named", "--port", f"{LOCAL_PORT}:http")
    other = f"{DAEMON}-two"
    clean.tp("connect", "--name", other, "-n", NAMESPACE)
    try:
        done = clean.tp(
            "intercept", "named", "--name", other, "--port", "9999:http", check=False
        )
        assert done.returncode != 0
        assert "held by" in done.stderr, done.stderr
        clean.tp("mirror", "named", "--name", other, "--port", "9999:http")
        # another port is free
        clean.tp(
            "intercept", "named", "--name", other, "--as-name", "echo", "--port", "9998:echo"
        )
    finally:
        clean.tp("quit", "--name", other, check=False)


def test_kubectl_shows_and_revokes(clean, box):
    with local_program():
        engage(clean, "intercept", "named", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, url_of("named"), "local")
        items = clean.kubectl_json("get", "engagements.tp.internal", "-A")["items"]
        assert len(items) == 1 and items[0]["spec"]["workload"]["name"] == "named"
        clean.kubectl(
            "delete", "engagements.tp.internal", "-n", items[0]["metadata"]["namespace"],
            items[0]["metadata"]["name"],
        )  # fmt: skip
        until_answered_by(box, url_of("named"), "named")
        wait_until("gone here", lambda: listed(clean)["engagements"] == [], 10)


def test_the_daemon_dies(clean, box):
    with local_program():
        engage(clean, "intercept", "named", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, url_of("named"), "local")
        run(["docker", "exec", DAEMON, "/usr/bin/tp-daemon", "--version"], check=False)
        pid = run(["docker", "top", DAEMON, "-o", "pid,comm"]).stdout
        for line in pid.splitlines():
            if "tp-daemon" in line:
                run(["kill", "-9", line.split()[0]])
        until_answered_by(box, url_of("named"), "local", 30)


def test_the_manager_dies(clean, box):
    with local_program():
        engage(clean, "intercept", "named", "--port", f"{LOCAL_PORT}:http")
        until_answered_by(box, url_of("named"), "local")
        clean.kubectl(
            "delete", "pods", "-n", "tp-system", "-l", "app.kubernetes.io/name=tp-manager",
            "--grace-period=0", "--force", "--wait=false",
        )  # fmt: skip
        until_answered_by(box, url_of("named"), "local", 60)


def test_to_pod(clean, box):
    engage(clean, "ingest", "named", "--to-pod", "9001")
    # agents may be on their way to managers that an earlier test has killed
    wait_until(
        "the pod's localhost",
        lambda: box.out("echo ping | nc -N -w 3 127.0.0.1 9001", check=False) == "ping",
        20,
    )


def test_bad_input(clean):
    for flags, text in [
        (["intercept", "nosuch", "--port", "1:http"], "nosuch"),
        (["intercept", "named", "--port", "1:grpc"], "grpc"),
        (["intercept", "named", "--port", "x"], "--port"),
        (["intercept", "pod/nosuch", "--port", "1:http"], "nosuch"),
        (["detach", "nosuch"], "nosuch"),
    ]:
        where = [] if flags[0] == "detach" else ["-n", NAMESPACE]
        done = clean.tp(*flags, *where, "--name", DAEMON, check=False)
        assert done.returncode != 0
        assert text in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert listed(clean)["engagements"] == []


