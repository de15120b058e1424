"""Bad input: one line that says what to do, a status, nothing left behind."""

import json
import os

import pytest

from conftest import E2E, NAMESPACE, run

NAME = f"{E2E}-bad"


def left_behind():
    return run(
        ["docker", "ps", "-aq", "--filter", f"name=^{NAME}$"]
    ).stdout.strip()


def connect(cluster, *args, env=None):
    done = cluster.tp("connect", "--name", NAME, *args, check=False, env=env)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0
    assert len(lines) == 1, done.stderr
    assert not left_behind()
    return lines[0]


def edited(cluster, tmp_path, edit):
    """The cluster's kubeconfig after edit(config)."""
    config = json.loads(
        cluster.kubectl("config", "view", "--raw", "-o", "json").stdout
    )
    edit(config)
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def test_no_docker(chart):
    line = connect(chart, env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert "Docker" in line and "/nonexistent/docker.sock" in line


def test_no_permission_on_dockers_socket(chart, tmp_path):
    """As an ordinary user, against the real socket."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(open(chart.kubeconfig).read())
    os.chmod(tmp_path, 0o755)
    os.chmod(kubeconfig, 0o644)
    tp = tmp_path / "tp"
    tp.write_bytes(open(os.path.realpath("tp"), "rb").read())
    tp.chmod(0o755)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    done = run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         str(tp), "connect", "--name", NAME, "--kubeconfig", str(kubeconfig)],
        check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "permission" in done.stderr.lower()
    assert len(done.stderr.strip().splitlines()) == 1


def test_no_kubeconfig(chart, tmp_path):
    line = connect(
        chart, env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    )
    assert "kubeconfig" in line


def test_unknown_context_names_the_known(chart):
    known = chart.kubectl("config", "current-context").stdout.strip()
    line = connect(chart, "--context", "nowhere")
    assert "nowhere" in line and known in line


def test_api_server_down(chart, tmp_path):
    def edit(config):
        config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"

    line = connect(chart, "--kubeconfig", edited(chart, tmp_path, edit))
    assert "127.0.0.1:1" in line


def test_expired_token(chart, tmp_path):
    def edit(config):
        config["users"][0]["user"] = {"token": "expired"}

    line = connect(chart, "--kubeconfig", edited(chart, tmp_path, edit))
    assert "credentials" in line or "token" in line


def test_wrong_ca(chart, tmp_path):
    def edit(config):
        cluster = config["clusters"][0]["cluster"]
        cluster.pop("certificate-authority-data")

    line = connect(chart, "--kubeconfig", edited(chart, tmp_path, edit))
    assert "certificate" in line


def test_broken_kubeconfig(chart, tmp_path):
    path = tmp_path / "broken"
    path.write_text("apiVersion: v1\nclusters: [{name: a, cluster: {\n")
    assert "broken" in connect(chart, "--kubeconfig", str(path))


def test_name_taken_by_a_foreign_container(chart):
    run(["docker", "create", "--name", NAME, "tp-test/tools", "true"])
    try:
        done = chart.tp("connect", "--name", NAME, check=False)
        assert done.returncode != 0
        assert NAME in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert left_behind()
    finally:
        run(["docker", "rm", "-f", NAME])


def test_bad_flags(chart):
    assert "--nonsense" in connect(chart, "--nonsense")
    assert "10.0.0.0/33" in connect(chart, "--also-proxy", "10.0.0.0/33")
    assert "namespace" in connect(chart, "-n", "Not_A_Namespace")


def test_namespace_that_is_not_there(chart):
    line = connect(chart, "-n", "no-such-namespace")
    assert "no-such-namespace" in line


def test_wrong_chart_value(chart):
    done = chart.tp("helm", "lint", "--set", "replicaz=3", check=False)
    assert done.returncode != 0
    assert "replicaz" in done.stdout + done.stderr


def test_errors_as_json(chart, tmp_path):
    done = chart.tp("connect", "--name", NAME, "--context", "nowhere",
                    "--format", "json", check=False)
    assert done.returncode != 0
    assert "nowhere" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("text", ["dns: {exclude: [a]}\n", "nonsense: 1\n"])
def test_typo_in_the_users_configuration(chart, tmp_path, text):
    directory = tmp_path / "tp"
    directory.mkdir()
    (directory / "config.yml").write_text(text)
    line = connect(chart, env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert "config.yml" in line


def test_nothing_to_quit(chart):
    done = chart.tp("quit", "--name", NAME)
    assert done.returncode == 0
    assert NAME in done.stdout + done.stderr


def test_manager_not_installed(chart, tmp_path):
    """Without the chart's APIService; it is put back at once."""
    name = "v1.connect.tp.internal"
    kept = chart.kubectl_json("get", "apiservice", name)
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        kept["metadata"].pop(key, None)
    kept.pop("status", None)
    chart.kubectl("delete", "apiservice", name)
    try:
        line = connect(chart, "-n", NAMESPACE)
        assert "tp helm install" in line
    finally:
        chart.kubectl("apply", "-f", "-", input=json.dumps(kept))
        chart.kubectl("wait", "--for=condition=Available", f"apiservice/{name}",
                      "--timeout=30s")
