"""What the manager does with links that tp-daemon would never make."""

import json
import secrets

import pytest

from conftest import (
    E2E,
    MANAGER_NAMESPACE,
    NAMESPACE,
    start_joined,
    run,
    wait_until,
)
from links import Link, audit, manager_logs, manager_pods, metric, metrics, target_of
from test_security import user

PROHIBITED = "403 destination_ip_prohibited"

DENIED_V4 = [
    "127.0.0.1", "127.5.5.5", "0.0.0.0", "0.1.2.3", "169.254.169.254",
    "169.254.1.1", "224.0.0.1", "239.255.255.250", "255.255.255.255",
    "100.100.100.200", "168.63.129.16",
]  # fmt: skip
DENIED_V6 = ["::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254"]
MAPPED = [f"::ffff:{v4}" for v4 in DENIED_V4]
OUTSIDE = ["192.0.2.1", "198.51.100.7", "172.17.0.1", "2001:db8::1"]
DENIED = DENIED_V4 + DENIED_V6 + MAPPED


@pytest.fixture(scope="module")
def anna(chart, apps):
    return user("dev-anna", "developers")


@pytest.fixture(scope="module")
def link(anna):
    with Link(target_of(anna), "--name", fresh_name()) as probe:
        yield probe


def fresh_name():
    return "probe-" + secrets.token_hex(13)


def cluster_ip(cluster, name, namespace=NAMESPACE):
    got = cluster.kubectl_json("get", "service", "-n", namespace, name)
    return got["spec"]["clusterIP"]


def ask_tcp(link, address, port):
    literal = f"[{address}]" if ":" in address else address
    return link.ask(f"tcp {literal}:{port}")


def ask_udp(link, address, port):
    return link.ask(f"udp {address.replace(':', '%3A')} {port} hello")


def answers(ask, link, targets):
    return {f"{a} {p}": ask(link, a, p) for a, p in targets}


@pytest.mark.parametrize("websocket", [False, True], ids=["raw", "websocket"])
def test_a_link_as_the_protocol_says(anna, chart, websocket):
    """Also the positive control of all refusals below."""
    options = ["--websocket"] if websocket else []
    with Link(target_of(anna), "--name", fresh_name(), *options) as link:
        assert link.opening == "open"
        assert link.info()["user"] == "dev-anna"
        web = cluster_ip(chart, "web")
        assert link.ask(f"tcp {web}:80") == "200"
        assert link.ask(f"udp {web} 9001 hello") == "200 hello"
        assert link.ask("request GET /tp/v1/info").startswith("200 {")
        assert link.ask("request GET /tp/v1/nonsense").startswith("404")


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
@pytest.mark.parametrize("port", [80, 8443])
def test_always_denied_addresses(link, ask, port):
    got = answers(ask, link, [(a, port) for a in DENIED])
    assert got == {f"{a} {port}": PROHIBITED for a in DENIED}


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
def test_addresses_outside_all_subnets(link, ask):
    got = answers(ask, link, [(a, 53) for a in OUTSIDE])
    assert got == {f"{a} 53": PROHIBITED for a in OUTSIDE}


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
def test_nodes(chart, link, ask):
    """kubelet, etcd, the API server at the node's address, anything else."""
    nodes = [
        address["address"]
        for node in chart.kubectl_json("get", "nodes")["items"]
        for address in node["status"]["addresses"]
        if address["type"].endswith("IP")
    ]
    assert nodes
    targets = [(n, p) for n in nodes for p in (10250, 2379, 6443, 22)]
    targets += [(f"::ffff:{n}", p) for n, p in targets if ":" not in n]
    got = answers(ask, link, targets)
    assert set(got.values()) == {PROHIBITED}, got


@pytest.mark.parametrize("ask", [ask_tcp, ask_udp], ids=["tcp", "udp"])
def test_the_managers_own_addresses(chart, link, ask):
    """All replicas and the Service, every port."""
    wait_until("two managers", lambda: len(manager_pods(chart)) == 2, 60)
    own = [p["status"]["podIP"] for p in manager_pods(chart)]
    wait_until("they know each other",
               lambda: {ask_tcp(link, a, 8443) for a in own} == {PROHIBITED}, 5)  # fmt: skip
    own.append(cluster_ip(chart, "tp-manager", MANAGER_NAMESPACE))
    got = answers(ask, link, [(a, p) for a in own for p in (443, 8443, 8080, 1, 65535)])
    assert set(got.values()) == {PROHIBITED}, got


def test_both_replicas_get_links(chart, anna):
    """Whatever the API server picks, each replica works."""
    wait_until("two managers", lambda: len(manager_pods(chart)) == 2, 60)
    web = cluster_ip(chart, "web")
    links = [Link(target_of(anna), "--name", fresh_name()) for _ in range(24)]
    try:
        assert {link.opening for link in links} == {"open"}
        assert {link.ask(f"tcp {web}:80") for link in links} == {"200"}
        used = {pod: m["tp_links"] for pod, m in metrics(chart).items()}
        assert len(used) == 2 and min(used.values()) > 0, used
    finally:
        for link in links:
            link.close()


def test_the_api_servers_cluster_ip_is_reached(link):
    assert link.ask("tcp 10.43.0.1:443") == "200"


@pytest.mark.parametrize(
    "authority", ["localhost:22", "web:80", "10.43.0.1", "10.43.0.1:0",
                  "10.43.0.1:99999", "010.043.0.1:80", "1.1:80"]
)  # fmt: skip
def test_only_ip_literals_are_dialled(link, authority):
    """The manager resolves nothing: what it checks is what it connects to."""
    answer = link.ask(f"tcp {authority}")
    assert answer.split()[0] in ("400", "403") or answer.startswith("reset"), answer


def test_denials_are_counted_and_audited(chart, apps):
    """With a token, which must not be seen anywhere."""
    chart.kubectl("create", "serviceaccount", "prober", "-n", NAMESPACE, check=False)
    chart.kubectl("create", "rolebinding", "tp-e2e-prober", "-n", NAMESPACE,
                  "--clusterrole=tp-user", f"--serviceaccount={NAMESPACE}:prober",
                  check=False)  # fmt: skip
    token = chart.kubectl("create", "token", "prober", "-n", NAMESPACE).stdout.strip()
    account = chart.kubectl_json("get", "serviceaccount", "-n", NAMESPACE, "prober")
    # A cluster that names no header for it (--requestheader-uid-headers) sends
    # the manager none that it could trust.
    rules = chart.kubectl_json("get", "configmap", "-n", "kube-system",
                               "extension-apiserver-authentication")["data"]  # fmt: skip
    named = json.loads(rules.get("requestheader-uid-headers", "[]"))
    uids = [account["metadata"]["uid"]] if named else [""]
    target = target_of(chart) | {"token": token}
    target.pop("cert"), target.pop("key")
    name = fresh_name()
    before = metric(chart, 'tp_denied_total{reason="reserved"}')
    with Link(target, "--name", name) as link:
        assert link.opening == "open"
        assert ask_tcp(link, "169.254.169.254", 80) == PROHIBITED
        assert ask_udp(link, "127.0.0.1", 53) == PROHIBITED
    after = metric(chart, 'tp_denied_total{reason="reserved"}')
    assert after - before == 2
    lines = audit(chart, audit="dial", name=name)
    assert [line["destination"] for line in lines] == ["169.254.169.254:80", "127.0.0.1:53"]
    for line in lines:
        assert line["user"] == f"system:serviceaccount:{NAMESPACE}:prober"
        assert line["uid"] in uids
        assert line["decision"] == "deny"
    verbs = [line["verb"] for line in audit(chart, audit="link", name=name)]
    assert verbs[:1] == ["open"]
    logs = manager_logs(chart)
    assert token not in logs and token.split(".")[2] not in logs


def test_by_a_name_that_points_to_a_denied_address(chart, apps):
    """A headless Service with an address that clouds use for metadata, captured
    because the user wants it so; the API server itself refuses loopback and
    link-local addresses there."""
    name = f"{E2E}-named"
    chart.apply(
        """
apiVersion: v1
kind: Service
metadata: {name: metadata}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: metadata-1
  labels: {kubernetes.io/service-name: metadata}
addressType: IPv4
endpoints: [{addresses: ["100.100.100.200"]}]
ports: [{port: 80}]
"""
    )
    before = metric(chart, 'tp_denied_total{reason="reserved"}')
    chart.tp("connect", "--name", name, "-n", NAMESPACE,
             "--also-proxy", "100.100.100.0/24")  # fmt: skip
    box = start_joined(f"{name}-box", daemon=name)
    try:
        wait_until("the name resolves",
                   lambda: "100.100.100.200" in box.sh("getent ahostsv4 metadata", check=False).stdout)  # fmt: skip
        done = box.sh("curl -sS --max-time 5 http://metadata/", check=False)
        assert done.returncode == 7, done.stderr
        box.sh("dig +tries=1 +time=2 @metadata a.b", check=False)
        after = metric(chart, 'tp_denied_total{reason="reserved"}')
        assert after - before >= 2
    finally:
        run(["docker", "rm", "-f", box.name], check=False)
        chart.tp("quit", "--name", name, check=False)


# ---- identity inside a link ----


@pytest.mark.parametrize("request_line", [
    "request GET /tp/v1/info",
    'request POST /tp/v1/hello {"protocol": [1]}', "tcp 10.43.0.1:443",
    "udp 10.43.0.10 53 hello",
])  # fmt: skip
@pytest.mark.parametrize("header", ["x-remote-user admin", "x-remote-group system:masters",
                                    "x-remote-uid 1", "x-remote-extra-scopes all"])
def test_a_request_header_inside_a_link(link, header, request_line):
    assert link.ask(f"header {header}") == "ok"
    answer = link.ask(request_line)
    assert answer.startswith("400") or answer.startswith("reset"), answer


def test_forged_request_headers_of_a_user_do_not_reach_the_manager(anna):
    """The API server takes them off."""
    with Link(target_of(anna), "--name", fresh_name(),
              "--header", "X-Remote-User: admin",
              "--header", "X-Remote-Group: system:masters") as link:  # fmt: skip
        if link.opening == "open":
            assert link.info()["user"] == "dev-anna"
        else:
            assert link.opening.startswith("refused 4")


# ---- hello ----


def hello(protocol, version="9.9.9-probe"):
    return json.dumps({"protocol": protocol, "version": version, "features": []})


def test_the_highest_common_version(anna):
    with Link(target_of(anna), "--name", fresh_name(), "--hello", hello([1, 2])) as link:
        assert link.hello[0] == "200"
        assert json.loads(link.hello[1])["protocol"] == 1


def test_no_common_version_names_both_sides(anna):
    with Link(target_of(anna), "--name", fresh_name(), "--hello", hello([99])) as link:
        assert link.hello[0] == "409"
        error = json.loads(link.hello[1])["error"]
        assert "99" in error and "9.9.9-probe" in error and "speaks 1" in error
        assert link.ask("tcp 10.43.0.1:443").split()[0] == "400"


@pytest.mark.parametrize("body", ["", "[]", "{", '{"protocol": "1"}', "null", "[" * 2000])
def test_a_bad_hello(anna, body):
    with Link(target_of(anna), "--name", fresh_name(), "--hello", body) as link:
        assert link.hello[0] in ("400", "409"), link.hello


def test_nothing_is_dialled_before_hello(anna):
    with Link(target_of(anna), "--name", fresh_name(), "--hello", "none") as link:
        assert link.ask("tcp 10.43.0.1:443").split()[0] == "400"
        assert link.ask("udp 10.43.0.10 53 hello").split()[0] == "400"
        assert link.ask("request GET /tp/v1/info").split()[0] == "400"


# ---- other users ----


@pytest.fixture(scope="module")
def one_manager(chart, anna):
    """One replica, so that it knows every session; two again afterwards."""

    def scale(count):
        chart.kubectl("scale", "deployment/tp-manager", "-n", MANAGER_NAMESPACE,
                      f"--replicas={count}")  # fmt: skip
        wait_until(f"{count} managers", lambda: len(manager_pods(chart)) == count, 60)
        chart.kubectl("rollout", "status", "deployment/tp-manager", "-n",
                      MANAGER_NAMESPACE, "--timeout=60s", timeout=70)  # fmt: skip

    scale(1)
    yield chart
    scale(2)


ANY_VERB = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tp-e2e-any-verb}
rules:
  - apiGroups: [connect.tp.internal]
    resources: [connections, connections/portforward]
    verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tp-e2e-any-verb}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tp-e2e-any-verb}
subjects: [{kind: Group, name: developers, apiGroup: rbac.authorization.k8s.io}]
"""


def status_of(cluster, method, path, *flags):
    """Straight to the API server with the user's certificate."""
    target = target_of(cluster)
    import tempfile, pathlib

    with tempfile.TemporaryDirectory() as directory:
        for name in ("ca", "cert", "key"):
            pathlib.Path(directory, name).write_text(target[name])
        out = run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method,
             "--max-time", "10", "--http1.1", "--cacert", f"{directory}/ca",
             "--cert", f"{directory}/cert", "--key", f"{directory}/key", *flags,
             f"https://{target['host']}:{target['port']}{path}"], check=False)  # fmt: skip
    return out.stdout


def test_another_users_session_is_not_there_for_any_verb(one_manager, anna):
    """Same role, same namespace, same replica."""
    one_manager.apply(ANY_VERB)
    bob = user("dev-bob", "developers")
    taken, free = fresh_name(), fresh_name()
    base = f"/apis/connect.tp.internal/v1/namespaces/{NAMESPACE}/connections"
    with Link(target_of(anna), "--name", taken) as mine:
        assert mine.opening == "open"
        assert status_of(anna, "GET", f"{base}/{taken}") == "200"
        for method in ("GET", "DELETE", "PUT", "PATCH", "POST"):
            for suffix in ("", "/portforward"):
                got = status_of(bob, method, f"{base}/{taken}{suffix}")
                assert got == status_of(bob, method, f"{base}/{free}{suffix}")
        assert status_of(bob, "GET", f"{base}/{taken}") == "404"
        for options in ([], ["--websocket"]):
            with Link(target_of(bob), "--name", taken, *options) as other:
                assert other.opening.startswith("refused 404"), other.opening
            with Link(target_of(bob), "--name", fresh_name(), *options) as other:
                assert other.opening == "open"
        assert mine.ask("request GET /tp/v1/info").startswith("200")
        other_ns = Link(target_of(bob), "--name", taken, namespace="default")
        assert other_ns.opening.startswith("refused 404")
        other_ns.close()


def test_the_same_user_replaces_his_own_link(one_manager, anna):
    """A redial after a lost connection must not be refused."""
    name = fresh_name()
    with Link(target_of(anna), "--name", name) as old:
        with Link(target_of(anna), "--name", name) as new:
            assert new.opening == "open"
            assert old.ask("idle 5").startswith("ended")
            assert new.ask("tcp 10.43.0.1:443") == "200"


# ---- floods, and many ----


def test_rapid_reset_leaves_the_manager_and_other_links_alone(one_manager, anna, link):
    """CVE-2023-44487: streams that are opened and reset at once. The link may
    live (its user's own connections do that) or end; nothing else may notice."""
    web = cluster_ip(one_manager, "web")
    with Link(target_of(anna), "--name", fresh_name()) as probe, Link(
        target_of(user("dev-bob", "developers")), "--name", fresh_name()
    ) as other:
        for _ in range(2):  # more than there are local ports
            got = probe.ask(f"reset 20000 {web}:80")
            assert got.split()[0] in ("ok", "ended")
            assert other.ask(f"tcp {web}:80") == "200"
        if got.startswith("ok"):
            assert probe.ask(f"tcp {web}:80") == "200"
    wait_until("all its streams are gone",
               lambda: metric(one_manager, "tp_streams") < 100, 20)  # fmt: skip


def test_thousands_of_slow_connects_let_other_links_pass(one_manager, anna):
    """An address of no pod: each connect takes seconds to minutes. Another link's
    do not wait for that, nor the same one's afterwards."""
    web = cluster_ip(one_manager, "web")
    nobody = manager_pods(one_manager)[0]["status"]["podIP"].rsplit(".", 1)[0] + ".253"
    with Link(target_of(anna), "--name", fresh_name()) as busy, Link(
        target_of(user("dev-bob", "developers")), "--name", fresh_name()
    ) as other:
        busy.send(f"hold 4000 {nobody}:80")
        for _ in range(50):
            assert other.ask(f"tcp {web}:80") == "200"
        assert busy.line().startswith("ok")
        assert busy.ask(f"tcp {web}:80") == "200"


@pytest.mark.parametrize("count,size", [(100000, 0), (1000, 16), (1000, 65536)])
def test_a_flood_of_continuations_ends_its_link_only(one_manager, anna, count, size):
    """CVE-2024-28182: a header block that never ends."""
    web = cluster_ip(one_manager, "web")
    with Link(target_of(anna), "--name", fresh_name()) as probe, Link(
        target_of(user("dev-bob", "developers")), "--name", fresh_name()
    ) as other:
        assert probe.ask(f"tcp {web}:80") == "200"
        assert probe.ask(f"flood {count} {size}").startswith("ended")
        assert other.ask(f"tcp {web}:80") == "200"
    with Link(target_of(anna), "--name", fresh_name()) as probe:
        assert probe.ask("flood 4 16") == "alive"  # and not for its mere form
