"""What the verbs of engagements say: ports, streams, names that are wrong."""

import json
import subprocess

import pytest
from conftest import DAEMON, E2E, TP, run, wait_until
from engage import (
    LOCAL_PORT,
    NAMED_SERVICE,
    NAMESPACE,
    engage,
    local_program,
    prepare,
    rollout,
    service,
    until_answered_by,
    workload,
)

URL = f"http://said.{NAMESPACE}/"


@pytest.fixture(scope="module")
def workloads(session):
    prepare(session)
    session.apply(workload("said"), NAMESPACE)
    session.apply(service("said", NAMED_SERVICE), NAMESPACE)
    rollout(session, "deployment/said")
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False, timeout=200)
    session.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture
def clean(workloads):
    yield workloads
    workloads.tp("detach", "--all", "--name", DAEMON, check=False, timeout=200)


def tp(cluster, *args, **kwargs):
    return cluster.tp(*args, "--name", DAEMON, **{"check": False, "timeout": 200, **kwargs})


def test_a_local_port_alone(clean, box):
    """Two ports: the one of that number, else the list of what there is."""
    done = tp(clean, "intercept", "said", "-n", NAMESPACE, "-p", str(LOCAL_PORT))
    assert done.returncode != 0
    assert "say which port with --port LOCAL:REMOTE: http 80 of service said" in done.stderr
    with local_program("local", 9001, "echo=9009"):
        local = engage(clean, "intercept", "said", "-p", "9001")
        assert [(p["port"], p["local"]) for p in local["ports"]] == [(9001, 9001)]
        wait_until(
            "the local program",
            lambda: "pod: local" in box.out(
                f"curl -sS --max-time 5 http://said.{NAMESPACE}:9001/", check=False
            ),
        )  # fmt: skip


def test_another_kind_does_not_take_its_place(clean):
    engage(clean, "intercept", "said", "-p", f"{LOCAL_PORT}:http")
    done = tp(clean, "mirror", "said", "-n", NAMESPACE, "-p", f"{LOCAL_PORT}:http")
    assert done.returncode != 0
    assert "--as-name" in done.stderr and "tp detach said" in done.stderr, done.stderr
    kinds = json.loads(tp(clean, "list", "--format", "json").stdout)["engagements"]
    assert [k["type"] for k in kinds] == ["intercept"]


def test_the_environment_has_standard_output_for_itself(clean):
    for flags in ([], ["--format", "json"]):
        done = tp(clean, "ingest", "said", "-n", NAMESPACE, "-e", "-", *flags)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert all("=" in line and not line.startswith(" ") for line in lines), done.stdout
        assert any(line.startswith("GREETING=hello said-") for line in lines)
        assert "ingest" in done.stderr
        assert "MULTI: the syntax 'docker' cannot say this variable" in done.stderr
    both = tp(clean, "ingest", "said", "-n", NAMESPACE, "-e", "-", "-j", "-")
    assert "cannot both be" in both.stderr
    done = tp(clean, "ingest", "said", "-n", NAMESPACE, "-j", "-")
    assert json.loads(done.stdout)["MULTI"] == "one\ntwo"


def test_what_is_not_delivered_is_said(clean):
    done = tp(clean, "replace", "said", "-n", NAMESPACE, "-p", f"{LOCAL_PORT}:http",
              "--to-pod", "9001", "--address", "nosuch.invalid")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "9001 (echo) is not delivered" in done.stdout, done.stdout
    assert "127.0.0.1:9001 here is the pod's localhost:9001" in done.stdout, done.stdout
    assert "nosuch.invalid: there is no such host" in done.stderr, done.stderr
    out = tp(clean, "list", "-n", NAMESPACE).stdout
    assert "9001 is not delivered" in out and "the pod's localhost" in out, out


def test_lists_of_namespaces(clean):
    engage(clean, "intercept", "said", "-p", f"{LOCAL_PORT}:http")
    done = tp(clean, "list", "-n", "nons")
    assert done.returncode != 0
    assert "there is no namespace nons" in done.stderr, done.stderr
    other = json.loads(tp(clean, "list", "-n", "default", "--format", "json").stdout)
    assert other["engagements"] == []
    mine = json.loads(tp(clean, "list", "--format", "json").stdout)
    assert [e["name"] for e in mine["engagements"]] == ["said"]


def test_one_local_port_is_one_port_there(clean):
    done = tp(clean, "intercept", "said", "-n", NAMESPACE, "-p", "9000:http", "-p", "9000:echo")
    assert "a local port of its own" in done.stderr, done.stderr


def test_two_connects_at_once(chart, apps):
    name = f"{E2E}-twice"
    try:
        both = [
            subprocess.Popen([TP, "connect", "--name", name, "-n", "tp-e2e"], env=chart.env,
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(2)
        ]  # fmt: skip
        said = [p.communicate(timeout=90) for p in both]
        assert [p.returncode for p in both] == [0, 0], said
        assert "Conflict" not in str(said)
    finally:
        chart.tp("quit", "--name", name, check=False)


def test_after_a_restart_of_the_container(chart, apps):
    name = f"{E2E}-again"
    chart.tp("connect", "--name", name, "-n", "tp-e2e")
    try:
        run(["docker", "restart", "-t", "2", name])
        for words in (["list"], ["detach", "web"], ["list", "-n", "tp-e2e"]):
            done = chart.tp(*words, "--name", name, check=False)
            assert "not connected: run tp connect" in done.stderr, done.stderr
    finally:
        chart.tp("quit", "--name", name, check=False)
