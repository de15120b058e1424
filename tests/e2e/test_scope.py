"""dial.scope: namespace. A user who may connect in one namespace only reaches the
Services and pods of no other (SECURITY 20)."""

import pytest
from conftest import NAMESPACE, install_chart, wait_until
from links import Link, audit, target_of
from test_security import user

OTHER = "tp-scope-other"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def scoped(cluster, apps, chart):
    install_chart(
        cluster, "--set", "dial.scope=namespace", "--set", "clientRbac.subjects=null"
    )
    cluster.kubectl("create", "namespace", OTHER, check=False)
    cluster.apply(SERVICE, OTHER)
    cluster.kubectl(
        "create", "rolebinding", "tp-scope", "-n", NAMESPACE, "--clusterrole=tp-user",
        "--user=scoped", check=False,
    )  # fmt: skip
    yield cluster
    cluster.kubectl("delete", "namespace", OTHER, "--wait=false")
    cluster.kubectl("delete", "rolebinding", "tp-scope", "-n", NAMESPACE)
    install_chart(cluster)


@pytest.fixture(scope="module")
def link(scoped):
    target = target_of(user("scoped"))
    wait_until("the right", lambda: opens(target, NAMESPACE))
    with Link(target, namespace=NAMESPACE) as link:
        yield link


def opens(target, namespace):
    with Link(target, namespace=namespace) as link:
        return link.opening == "open"


def address(cluster, namespace, name):
    path = "jsonpath={.spec.clusterIP}"
    return cluster.kubectl("get", "service", "-n", namespace, name, "-o", path).stdout


def pod_address(cluster, namespace, label):
    pods = cluster.kubectl_json("get", "pods", "-n", namespace, "-l", label)["items"]
    return next(p["status"]["podIP"] for p in pods if p["status"]["phase"] == "Running")


def test_his_own_namespace_is_reached(scoped, link):
    assert link.ask(f"tcp {address(scoped, NAMESPACE, 'web')}:80") == "200"
    assert link.ask(f"tcp {pod_address(scoped, NAMESPACE, 'app=web')}:8080") == "200"


def test_what_all_pods_need_is_reached(scoped, link):
    dns = address(scoped, "kube-system", "kube-dns")
    assert link.ask(f"tcp {dns}:53") == "200"
    assert link.ask(f"tcp {address(scoped, 'default', 'kubernetes')}:443") == "200"
    assert link.ask(f"tcp {dns}:9153").startswith("403")  # its metrics are not


def test_others_are_not(scoped, link):
    other = address(scoped, OTHER, "other")
    refused = "403 destination_ip_prohibited"
    assert link.ask(f"tcp {other}:80") == refused
    assert link.ask(f"udp {other} 80 x").startswith("403")
    assert link.ask("tcp 10.43.255.254:80") == refused  # nobody's
    lines = audit(scoped, audit="dial", user="scoped", reason="namespace")
    assert f"{other}:80" in {line["destination"] for line in lines}


def test_a_right_in_another_namespace_is_enough(scoped):
    """By the identity of the link: it is asked when the address is dialled."""
    scoped.kubectl(
        "create", "rolebinding", "tp-scope", "-n", OTHER, "--clusterrole=tp-user",
        "--user=scoped",
    )  # fmt: skip
    target = target_of(user("scoped"))
    wait_until("the right", lambda: opens(target, OTHER))
    with Link(target, namespace=NAMESPACE) as link:
        # Nobody listens there: it is dialled.
        assert link.ask(f"tcp {address(scoped, OTHER, 'other')}:80") == "502 connection_refused"
