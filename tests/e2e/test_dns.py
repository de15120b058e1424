"""Names, as a pod of the connected namespace sees them."""

import pytest

from conftest import NAMESPACE

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


def test_1000_lookups_none_lost(box):
    out = box.python(
        f"""
import socket, struct
dns = open('/etc/resolv.conf').read().split('nameserver')[1].split()[0]
name = b''.join(bytes([len(p)]) + p.encode() for p in 'web.{SVC}'.split('.')) + b'\\0'
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect((dns, 53))
got = set()
for start in range(0, 1000, 50):
    for i in range(start, start + 50):
        s.send(struct.pack('>HHHHHH', i, 0x100, 1, 0, 0, 0) + name + b'\\0\\1\\0\\1')
    for i in range(50):
        got.add(struct.unpack('>H', s.recv(512)[:2])[0])
print(len(got))
"""
    )
    assert out == "1000"
