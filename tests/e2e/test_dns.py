"""Names, as a pod of the connected namespace sees them."""

import pytest

from conftest import E2E, NAMESPACE, run, start_joined, TOOLS

DOMAIN = "cluster.local"
SVC = f"{NAMESPACE}.svc.{DOMAIN}"


def cluster_ip(cluster, service):
    got = cluster.kubectl_json("get", "service", "-n", NAMESPACE, service)
    return got["spec"]["clusterIP"]


def pod_ip(cluster, pod):
    return cluster.kubectl_json("get", "pod", "-n", NAMESPACE, pod)["status"]["podIP"]


def test_resolv_conf_is_a_pods(session, box):
    lines = box.out("cat /etc/resolv.conf").splitlines()
    search = next(line for line in lines if line.startswith("search")).split()[1:]
    assert search[:3] == [SVC, f"svc.{DOMAIN}", DOMAIN]
    dns = session.kubectl_json("get", "service", "-n", "kube-system", "kube-dns")
    assert f"nameserver {dns['spec']['clusterIP']}" in lines
    assert any(line.startswith("options") and "ndots:5" in line for line in lines)


@pytest.mark.parametrize(
    "name", ["web", f"web.{NAMESPACE}", f"web.{NAMESPACE}.svc", f"web.{SVC}"]
)
def test_service_names(session, box, name):
    out = box.out(f"getent ahostsv4 {name} | head -1")
    assert out.split()[0] == cluster_ip(session, "web")


def test_headless_service_and_pod_names(session, box):
    address = pod_ip(session, "db-0")
    assert address in box.out("getent ahostsv4 db")
    assert box.out("getent ahostsv4 db-0.db | head -1").split()[0] == address


def test_srv_records(box):
    out = box.out(f"dig +short SRV _http._tcp.web.{SVC}")
    assert out.split()[2:] == ["80", f"web.{SVC}."]


def test_ptr_record(session, box):
    out = box.out(f"dig +short -x {cluster_ip(session, 'web')}")
    assert out == f"web.{SVC}."


def test_unknown_name_is_nxdomain(box):
    out = box.out(f"dig nobody-here.{SVC}")
    assert "status: NXDOMAIN" in out


def test_dns_over_tcp(session, box):
    out = box.out(f"dig +tcp +short web.{SVC}")
    assert out == cluster_ip(session, "web")


def test_edns_and_all_types_pass(box):
    out = box.out(f"dig +bufsize=4096 TXT dns-version.{DOMAIN}")
    assert "status: NOERROR" in out and "1.1.0" in out


def test_large_answer_falls_back_to_tcp(session, box):
    """A headless service with 300 addresses: truncated by UDP, whole by TCP,
    more than 4 KiB."""
    endpoints = ", ".join(
        f'{{addresses: ["10.42.9.{i % 250 + 1}"], hostname: "h{i}"}}'
        for i in range(250)
    )
    session.apply(
        f"""
apiVersion: v1
kind: Service
metadata: {{name: many}}
spec: {{clusterIP: None, ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: many-1
  labels: {{kubernetes.io/service-name: many}}
addressType: IPv4
endpoints: [{endpoints}]
ports: [{{port: 80}}]
"""
    )
    out = box.out(
        "for i in $(seq 50); do "
        f"n=$(dig +short +bufsize=512 many.{SVC} | wc -l); "
        '[ "$n" -eq 250 ] && break; sleep 0.2; done; echo "$n"'
    )
    assert out == "250"


def test_namespace_called_com_leaves_example_com_alone(session, box):
    session.kubectl("create", "namespace", "com", check=False)
    try:
        session.kubectl(
            "create", "service", "clusterip", "example", "-n", "com",
            "--tcp=80:80", check=False,
        )  # fmt: skip
        inside = session.kubectl_json("get", "service", "-n", "com", "example")
        out = box.sh("dig +short +tries=1 +time=3 example.com.", check=False).stdout
        assert inside["spec"]["clusterIP"] not in out
    finally:
        session.kubectl("delete", "namespace", "com", "--wait=false")


def test_10000_lookups_none_lost(box):
    out = box.python(
        f"""
import socket, struct
dns = open('/etc/resolv.conf').read().split('nameserver')[1].split()[0]
name = b''.join(bytes([len(p)]) + p.encode() for p in 'web.{SVC}'.split('.')) + b'\\0'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect((dns, 53))
got = set()
for start in range(0, 10000, 50):
    for i in range(start, start + 50):
        s.send(struct.pack('>HHHHHH', i, 0x100, 1, 0, 0, 0) + name + b'\\0\\1\\0\\1')
    for i in range(50):
        got.add(struct.unpack('>H', s.recv(512)[:2])[0])
print(len(got))
"""
    )
    assert out == "10000"


@pytest.fixture(scope="module")
def chosen(chart, apps):
    """A session with settings for names, in a Docker network with a neighbour."""
    cluster, name, net = chart, f"{E2E}-names", f"{E2E}-names-net"
    run(["docker", "network", "create", net], check=False)
    run(["docker", "run", "-d", "--name", f"{E2E}-neighbour", "--network", net,
         "--network-alias", "compose-db", TOOLS, "sleep", "infinity"])  # fmt: skip
    cluster.tp(
        "connect", "--name", name, "-n", NAMESPACE, "--network", net,
        "--dns-mapping", f"postgres=db-0.db.{NAMESPACE}.svc",
        "--dns-mapping", "fixed.example=10.9.8.7",
        "--dns-exclude", "left.example", "--mapped-namespaces", "default",
    )  # fmt: skip
    joined = start_joined(f"{name}-box", daemon=name)
    joined.cluster, joined.daemon = cluster, name
    yield joined
    run(["docker", "rm", "-f", joined.name, f"{E2E}-neighbour"], check=False)
    cluster.tp("quit", "--name", name, check=False)
    run(["docker", "network", "rm", net], check=False)


def test_mapped_names(chosen):
    address = pod_ip(chosen.cluster, "db-0")
    assert chosen.out("getent ahostsv4 postgres | head -1").split()[0] == address
    out = chosen.out("dig +short postgres; dig +tcp +short fixed.example").splitlines()
    assert out == [f"db-0.db.{SVC}.", address, "10.9.8.7"]
    dns = chosen.cluster.status(chosen.daemon)["dns"]
    assert dns["mappings"][1] == "fixed.example=10.9.8.7"
    assert dns["mappedNamespaces"] == ["default"] and dns["excludes"] == ["left.example"]


def test_other_namespaces_and_discovery_are_not_asked_for(chosen):
    for name in (f"kube-dns.kube-system.svc.{DOMAIN}", f"wpad.{SVC}",
                 f"b._dns-sd._udp.{SVC}", f"left.example.{SVC}"):  # fmt: skip
        assert "status: NXDOMAIN" in chosen.out(f"dig {name}"), name
    assert chosen.out("getent ahostsv4 web | head -1")
    assert chosen.out("getent ahostsv4 kubernetes.default | head -1")


def test_dockers_names_resolve_as_ever(chosen):
    inspect = ["docker", "inspect", "-f",
               "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"]  # fmt: skip
    address = run([*inspect, f"{E2E}-neighbour"]).stdout.strip()
    assert chosen.out("getent ahostsv4 compose-db | head -1").split()[0] == address


def test_a_name_that_was_asked_for_is_known(chosen):
    """The search list of an outside name, too: by its negative answers."""
    def stats():
        return chosen.cluster.status(chosen.daemon)["dns"]["cache"]

    chosen.sh("getent hosts compose-db.example", check=False)
    before = stats()
    chosen.sh("getent hosts compose-db.example", check=False)
    after = stats()
    assert after["hits"] >= before["hits"] + 3, (before, after)
