"""A Docker network has addresses of the cluster's services: these are reached by
virtual ones, and the network's own containers as ever."""

import ipaddress

import pytest

from conftest import E2E, NAMESPACE, TOOLS, run, start_joined

DAEMON = f"{E2E}-overlap"
NETWORK, OWNER = f"{DAEMON}-net", f"{DAEMON}-owner"


def connect(cluster, *flags, check=True):
    return cluster.tp("connect", "--name", DAEMON, "-n", NAMESPACE, *flags, check=check)


def remove(cluster):
    cluster.tp("quit", "--name", DAEMON, check=False)
    run(["docker", "rm", "-f", OWNER, f"{DAEMON}-box"], check=False)
    run(["docker", "network", "rm", NETWORK], check=False)


def cluster_ip(cluster, service, namespace=NAMESPACE):
    got = cluster.kubectl_json("get", "service", "-n", namespace, service)
    return got["spec"]["clusterIP"]


@pytest.fixture(scope="module")
def overlap(chart, apps):
    """Of the services' subnet a /24 that no Service is in, and a session that is in
    that network, too; `kube-dns` is never to be reached through the cluster."""
    never = cluster_ip(chart, "kube-dns", "kube-system")
    services = ipaddress.ip_network(f"{never}/16", strict=False)
    taken = {ipaddress.ip_address(s["spec"]["clusterIP"])
             for s in chart.kubectl_json("get", "services", "-A")["items"]
             if s["spec"].get("clusterIP", "None") != "None"}  # fmt: skip
    part = next(n for n in services.subnets(new_prefix=24) if not any(t in n for t in taken))
    remove(chart)
    run(["docker", "network", "create", "--subnet", str(part), NETWORK])
    run(["docker", "run", "-d", "--name", OWNER, "--network", NETWORK, "--ip",
         str(part[10]), TOOLS, "python3", "-m", "http.server", "8000"])  # fmt: skip
    web = cluster_ip(chart, "web")
    done = connect(chart, "--network", NETWORK, "--never-proxy", f"{web}/32")
    box = start_joined(f"{DAEMON}-box", daemon=DAEMON)
    box.cluster, box.said = chart, done.stderr
    box.part, box.owner, box.web = part, str(part[10]), web
    yield box
    remove(chart)


def test_services_are_reached_by_virtual_addresses(overlap):
    status = overlap.cluster.status(DAEMON)
    (pair,) = status["subnets"]["virtual"]
    assert pair["virtual"] == "246.0.0.0/16" and str(overlap.part) in pair["reason"]
    assert pair["subnet"] in status["subnets"]["service"] and pair["virtual"] in overlap.said
    assert status["dns"]["address"].startswith("246.0.")
    name = f"kubernetes.default.svc.{status['dns']['domain']}"
    address = overlap.out(f"dig +short {name}")
    real = cluster_ip(overlap.cluster, "kubernetes", "default")
    assert address.split(".")[2:] == real.split(".")[2:] and address.startswith("246.0.")
    assert overlap.out(f"dig +short -x {address}") == f"{name}."
    # 401 or 403 of the API server; its certificate is for its name.
    out = overlap.out(f"curl -sk -o /dev/null -w '%{{http_code}} %{{remote_ip}}' https://{name}/api")
    assert out.split()[0] in ("401", "403") and out.split()[1] == address
    # Pods overlap with nothing, and stay what they are.
    pod = overlap.cluster.kubectl_json("get", "pod", "-n", NAMESPACE, "db-0")
    assert overlap.out("getent ahostsv4 db-0.db | head -1").split()[0] == pod["status"]["podIP"]


def test_the_networks_own_container_is_reached_directly(overlap):
    out = overlap.out(f"curl -sS --max-time 5 -o /dev/null -w '%{{http_code}}' http://{overlap.owner}:8000/")
    assert out == "200"


def test_never_proxy_beats_virtual_addresses(overlap):
    assert overlap.out("getent ahostsv4 web | head -1").split()[0] == overlap.web


def test_contradictions_are_one_line_and_leave_nothing(chart):
    name = f"{E2E}-contradiction"
    for flags, words in (
        (["--also-proxy", "10.9.0.0/16", "--never-proxy", "10.9.0.0/16"], "contradict"),
        (["--vnat", "off", "--vnat", "all"], "'off' goes with nothing else"),
        (["--vnat", "10.9.0.0/33"], "10.9.0.0/33"),
        (["--virtual-subnet", "nonsense"], "nonsense"),
        (["--dns-mapping", "db"], "NAME=NAME"),
    ):
        done = chart.tp("connect", "--name", name, "-n", NAMESPACE, *flags, check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert run(["docker", "ps", "-aq", "--filter", f"name={name}"]).stdout == ""
