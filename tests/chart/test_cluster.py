"""The chart in a real cluster, installed by tp itself."""

import base64
import json
import os
import re
import time

import pytest

from conftest import (
    APISERVICE,
    CHART,
    CRDS,
    IMAGES,
    NAMESPACE,
    TOP,
    WEBHOOK,
    helm,
    kubectl,
    kubectl_json,
    run,
)

pytestmark = pytest.mark.usefixtures("cluster")

TP = TOP / "tp"
MANAGER = f"system:serviceaccount:{NAMESPACE}:tp-manager"
OURS = "app.kubernetes.io/part-of=tp"
KINDS = (
    "apiservices,clusterroles,clusterrolebindings,roles,rolebindings,"
    "deployments,services,secrets,configmaps,serviceaccounts,"
    "poddisruptionbudgets,networkpolicies,mutatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings"
)


def tp(*args, **kwargs):
    return run(TP, *args, **kwargs)


def leftovers():
    done = kubectl("get", KINDS, "-A", "-l", OURS, "-o", "name")
    return done.stdout.split()


def remove_release():
    tp("helm", "uninstall", "--wait", check=False)


@pytest.fixture(scope="module")
def image(cluster):
    """The manager's image on the nodes, where that is ours to do."""
    if os.environ.get("TP_TEST_KUBECONFIG"):
        return
    archive = IMAGES / "tp-manager.tar"
    if not archive.exists():
        pytest.skip(f"no {archive}: run make images")
    name = run("docker", "load", "-q", "-i", archive).stdout.split()[-1]
    run(TOP / "tests/cluster/load", name)


@pytest.fixture(scope="module")
def release(image):
    """Installed without waiting for pods; removed at the end."""
    if kubectl("get", "apiservice", APISERVICE, check=False).returncode == 0:
        if os.environ.get("TP_TEST_KUBECONFIG"):
            pytest.skip("tp is installed in this cluster: not ours to remove")
        remove_release()
    tp("helm", "install", "--set", "client.dns.excludes={corp.example}")
    yield
    remove_release()


@pytest.fixture(scope="module")
def ready(release):
    """The release with its managers ready."""
    kubectl(
        "rollout", "status", "deployment/tp-manager", "-n", NAMESPACE,
        "--timeout=90s",
    )  # fmt: skip


@pytest.fixture
def namespace():
    """Makes namespaces whose names begin with tp-chart-."""
    made = []

    def make(name, **labels):
        made.append(f"tp-chart-{name}-{os.urandom(3).hex()}")
        kubectl("create", "namespace", made[-1])
        for key, value in labels.items():
            label = "pod-security.kubernetes.io/" + key
            kubectl("label", "namespace", made[-1], f"{label}={value}")
        return made[-1]

    yield make
    for name in made:
        kubectl("delete", "namespace", name, "--wait=false", check=False)


def review(verb, what, user=MANAGER, name=None, namespace=NAMESPACE, groups=()):
    """A question to the API server's authorizer, groups as they would be."""
    resource, _, subresource = what.partition("/")
    resource, _, group = resource.partition(".")
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": ["system:authenticated", *groups],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "name": name or "",
                "namespace": namespace,
            },
        },
    }


def answers(reviews):
    """What the authorizer says to each of many."""
    text = "\n---\n".join(json.dumps(r) for r in reviews)
    template = "{.status.allowed} "
    done = kubectl(
        "create", "-f", "-", "-o", f"jsonpath={template}", input=text
    )
    words = done.stdout.split()
    assert len(words) == len(reviews), done.stdout
    return [word == "true" for word in words]


def can(*args, **kwargs):
    return answers([review(*args, **kwargs)])[0]


WRITE = ("create", "update", "patch", "delete", "deletecollection")
READ = ("get", "list", "watch")
FORBIDDEN = (
    [(v, "mutatingwebhookconfigurations.admissionregistration.k8s.io") for v in WRITE]
    + [(v, "validatingwebhookconfigurations.admissionregistration.k8s.io") for v in WRITE]
    + [(v, "customresourcedefinitions.apiextensions.k8s.io") for v in WRITE]
    + [(v, "apiservices.apiregistration.k8s.io") for v in WRITE]
    + [
        (v, f"{kind}.rbac.authorization.k8s.io")
        for v in WRITE + ("bind", "escalate")
        for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")
    ]
    + [(v, "secrets") for v in READ + WRITE]
    # the right to create them is one to dry runs: test_the_manager_creates_pods_in_dry_runs_only
    + [(v, "pods") for v in WRITE if v != "create"]
    + [
        (v, f"pods/{s}")
        for v in ("get", "create")
        for s in ("exec", "attach", "portforward", "log", "ephemeralcontainers")
    ]
    + [("create", "serviceaccounts/token"), ("impersonate", "users")]
    + [(v, "configmaps") for v in WRITE]
    + [(v, "deployments.apps") for v in WRITE if v != "patch"]
    + [(v, "services") for v in WRITE]
    + [(v, "validatingadmissionpolicies.admissionregistration.k8s.io") for v in WRITE]
)  # fmt: skip


@pytest.mark.parametrize("place", [NAMESPACE, "kube-system", ""])
def test_the_manager_may_not(release, place):
    asked = [review(*question, namespace=place) for question in FORBIDDEN]
    allowed = zip(FORBIDDEN, answers(asked))
    assert [question for question, yes in allowed if yes] == []


POD = """
apiVersion: v1
kind: Pod
metadata: {name: made-by-the-manager}
spec: {containers: [{name: c, image: none.invalid/x}]}
"""


def test_the_manager_creates_pods_in_dry_runs_only(release):
    create = ["--as", MANAGER, "create", "-f", "-", "-n"]
    for place in ("default", NAMESPACE):
        done = kubectl(*create, place, input=POD, check=False)
        assert done.returncode != 0 and "tp-manager creates no pods" in done.stderr
    kubectl(*create, "default", "--dry-run=server", input=POD)


@pytest.mark.parametrize(
    "verb, what, name, place",
    [
        ("create", "subjectaccessreviews.authorization.k8s.io", None, ""),
        ("list", "servicecidrs.networking.k8s.io", None, ""),
        ("list", "nodes", None, ""),
        ("get", "namespaces", "kube-system", "kube-system"),
        ("get", "namespaces", NAMESPACE, NAMESPACE),
        ("create", "tokenreviews.authentication.k8s.io", None, ""),
        ("watch", "pods", None, "default"),
        ("create", "pods/eviction", None, "default"),
        ("list", "services", None, "default"),
        ("patch", "deployments.apps", None, "default"),
        ("get", "jobs.batch", None, "default"),
        ("create", "events", None, "default"),
        ("create", "engagements.tp.internal", None, NAMESPACE),
        ("update", "sessions.tp.internal/status", None, NAMESPACE),
        ("update", "leases.coordination.k8s.io", None, NAMESPACE),
        (
            "delete",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
            WEBHOOK,
            "",
        ),
        ("delete", "apiservices.apiregistration.k8s.io", APISERVICE, ""),
        ("get", "services", "tp-manager", NAMESPACE),
        ("list", "endpointslices.discovery.k8s.io", None, NAMESPACE),
        ("watch", "endpointslices.discovery.k8s.io", None, NAMESPACE),
        (
            "get",
            "configmaps",
            "extension-apiserver-authentication",
            "kube-system",
        ),
    ],
)
def test_the_manager_may(release, verb, what, name, place):
    assert can(verb, what, name=name, namespace=place)
    if what.startswith(("apiservices", "mutatingwebhook")):
        assert not can(verb, what, name="v1.apps", namespace="")
    if what.startswith(("engagements", "leases")):
        assert not can(verb, what, namespace="default")


@pytest.fixture
def bound(release, namespace):
    """A namespace where alice has the role, and group readers everywhere
    reads everything, as many clusters' viewers do."""
    name = namespace("bound")
    kubectl(
        "create", "rolebinding", "tp", "-n", name, "--clusterrole=tp-user",
        "--user=alice",
    )  # fmt: skip
    kubectl(
        "create", "clusterrole", "tp-chart-reader", "--verb=get,list,watch",
        "--resource=*.*",
    )  # fmt: skip
    kubectl(
        "create", "clusterrolebinding", "tp-chart-reader",
        "--clusterrole=tp-chart-reader", "--group=readers",
    )  # fmt: skip
    yield name
    for kind in ("clusterrolebinding", "clusterrole"):
        kubectl("delete", kind, "tp-chart-reader")


def test_a_user_with_the_role_may_connect_there(bound):
    connections = "connections.connect.tp.internal"
    tunnel = f"{connections}/portforward"
    for verb, what in (
        ("create", connections),
        ("create", tunnel),
        ("get", tunnel),
    ):
        assert can(verb, what, user="alice", namespace=bound)
        assert not can(verb, what, user="alice", namespace="default")
        assert not can(verb, what, user="bob", namespace=bound)
    for what in ("pods", "secrets", "pods/portforward", "services"):
        assert not can("get", what, user="alice", namespace=bound)
    engagements = "engagements.tp.internal"
    for kind in ("intercept", "replace", "mirror", "ingest", "topod"):
        right = ("create", f"{engagements}/{kind}")
        assert can(*right, user="alice", namespace=bound)
        assert not can(*right, user="alice", namespace="default")
    for right in (
        ("create", f"{engagements}/takeover"),
        ("create", engagements),
        ("get", engagements),
    ):
        assert not can(*right, user="alice", namespace=bound)


def test_who_reads_everything_may_not_connect(bound):
    what = "connections.connect.tp.internal"
    assert can("get", what, user="v", namespace=bound, groups=["readers"])
    assert not can(
        "create", what, user="v", namespace=bound, groups=["readers"]
    )


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_no_common_role_opens_a_tunnel(release, role):
    rules = kubectl_json("get", "clusterrole", role)["rules"]
    assert "tp.internal" not in json.dumps(rules)


def test_an_upgrade_keeps_the_authority(release):
    def authority():
        service = kubectl_json("get", "apiservice", APISERVICE)
        secret = kubectl_json(
            "get", "secret", "tp-manager-ca", "-n", NAMESPACE
        )
        deployment = kubectl_json(
            "get", "deployment", "tp-manager", "-n", NAMESPACE
        )
        return (
            service["spec"]["caBundle"],
            secret["data"],
            deployment["spec"]["template"],
        )

    before = authority()
    assert before[0] == before[1]["tls.crt"]
    tp("helm", "upgrade", "--set", "client.dns.excludes={other.example}")
    assert authority() == before
    config = kubectl_json(
        "get", "configmap", "tp-client-config", "-n", NAMESPACE
    )
    assert json.loads(config["data"]["client.json"]) == {
        "dns": {"excludes": ["other.example"]}
    }


def test_a_secret_of_the_admin_needs_no_bundle(release):
    """Where the cluster is at hand, the chart reads the Secret itself."""
    done = helm(
        "install", "tp", CHART, "-n", NAMESPACE, "--dry-run=server",
        "--replace", "--set", "ca.existingSecret=tp-manager-ca",
        check=False,
    )  # fmt: skip
    if "cannot re-use a name" in done.stderr:
        done = helm(
            "upgrade", "tp", CHART, "-n", NAMESPACE, "--dry-run=server",
            "--set", "ca.existingSecret=tp-manager-ca",
        )  # fmt: skip
    bundle = re.search(r'caBundle: "(.*)"', done.stdout)[1]
    secret = kubectl_json("get", "secret", "tp-manager-ca", "-n", NAMESPACE)
    assert bundle == secret["data"]["tls.crt"]
    assert b"BEGIN CERTIFICATE" in base64.b64decode(bundle)


@pytest.mark.parametrize("aggregated", ["true", "false"])
def test_a_second_release_is_refused(release, namespace, aggregated):
    other = namespace("second")
    done = helm(
        "install", "again", CHART, "-n", other,
        "--set", f"link.aggregated={aggregated}", check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "installed in this cluster already, as release tp in namespace " in (
        done.stderr
    )
    assert not kubectl("get", "all", "-n", other, "-o", "name").stdout


def test_pod_security_restricted(release, namespace):
    place = namespace("restricted", enforce="restricted", warn="restricted")
    manifest = helm("get", "manifest", "tp", "-n", NAMESPACE).stdout
    for kind in ("deployment", "pod"):
        found = kubectl_json("get", "deployment", "tp-manager", "-n", NAMESPACE)
        spec = found["spec"]
        if kind == "pod":
            # the account is not there, and not what is asked
            pod = {**spec["template"]["spec"], "serviceAccountName": "default"}
            obj = {"apiVersion": "v1", "kind": "Pod", "spec": pod}
        else:
            obj = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
        obj["metadata"] = {"name": "x", "namespace": place}
        done = kubectl(
            "create", "--dry-run=server", "-f", "-", input=json.dumps(obj)
        )
        assert "created (server dry run)" in done.stdout
        assert "PodSecurity" not in done.stderr
    assert "tp-manager" in manifest


def test_the_server_accepts_every_field(release):
    """Unknown and doubled fields are errors under strict validation."""
    manifest = helm("get", "manifest", "tp", "-n", NAMESPACE).stdout
    kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-",
        input=manifest,
    )  # fmt: skip


def test_the_api_is_served_and_helm_test_passes(ready):
    kubectl(
        "wait", "--for=condition=Available", f"apiservice/{APISERVICE}",
        "--timeout=60s",
    )  # fmt: skip
    done = tp("helm", "test", "--timeout", "90s")
    assert re.search(r"Phase:\s+Succeeded", done.stdout)


def engagement(name):
    return json.dumps(
        {
            "apiVersion": "tp.internal/v1",
            "kind": "Engagement",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "type": "intercept",
                "namespace": "default",
                "user": "mallory",
                "workload": {"kind": "Deployment", "name": "web"},
                "ports": [{"port": 8080, "protocol": "tcp", "name": "http"}],
            },
        }
    )


def test_only_the_manager_writes_engagements(release):
    """Even who may do everything in the cluster (the tests' own user) may not
    lead a workload's traffic elsewhere by writing an object; he may delete."""
    done = kubectl("create", "-f", "-", input=engagement("forged"), check=False)
    assert done.returncode != 0
    assert "only tp-manager creates and changes" in done.stderr
    as_manager = ("--as", MANAGER)
    kubectl("create", "-f", "-", *as_manager, input=engagement("genuine"))
    done = kubectl(
        "patch", "engagements.tp.internal", "genuine", "-n", NAMESPACE,
        "--type=merge", "-p", '{"spec": {"session": "mallorys"}}', check=False,
    )  # fmt: skip
    assert "only tp-manager creates and changes" in done.stderr
    shown = kubectl("get", "engagements.tp.internal", "-n", NAMESPACE).stdout
    assert "default" in shown and "8080" in shown and "mallory" in shown
    kubectl(
        "delete", "engagements.tp.internal", "genuine", "-n", NAMESPACE,
        "--cascade=foreground", "--timeout=30s",
    )  # fmt: skip


def pod(place, **annotations):
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "x",
                "namespace": place,
                "annotations": {
                    f"tp.internal/{k}": v for k, v in annotations.items()
                },
            },
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "x",
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "securityContext": {
                            "runAsUser": 7,
                            "runAsNonRoot": True,
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                    }
                ]
            },
        }
    )


def dry_run(text):
    """The pod as the API server would keep it, and its warnings."""
    done = kubectl(
        "create", "--dry-run=server", "-f", "-", "-o", "json", input=text
    )
    return json.loads(done.stdout), done.stderr


@pytest.fixture
def injecting(ready, namespace):
    """A namespace whose pods are restricted. The webhook may need a moment
    after the managers are ready."""
    place = namespace("inject", enforce="restricted", warn="restricted")
    kubectl("create", "serviceaccount", "default", "-n", place, check=False)
    for _ in range(30):
        found, _ = dry_run(pod(place, inject="enabled"))
        if len(found["spec"]["containers"]) == 2:
            break
        time.sleep(1)
    return place


def test_a_pod_gets_its_agent(injecting):
    found, warnings = dry_run(pod(injecting, inject="enabled"))
    agent, app = found["spec"]["containers"]
    assert agent["name"] == "tp-agent" and app["name"] == "app"
    assert agent["ports"][0]["name"] == "http"
    assert agent["securityContext"]["runAsUser"] == 7
    assert "PodSecurity" not in warnings
    mounts = {m["mountPath"]: m["name"] for m in agent["volumeMounts"]}
    files = "/run/tp/files/app"
    own = {name for path, name in mounts.items() if not path.startswith(files)}
    assert own == {"tp-internal-token"}
    # of the app's volumes, for who may see them
    token = mounts[files + "/var/run/secrets/kubernetes.io/serviceaccount"]
    assert token.startswith("kube-api-access-")
    assert found["metadata"]["annotations"]["tp.internal/injected"]


def test_a_pod_that_asks_for_nothing_is_left_alone(injecting):
    found, _ = dry_run(pod(injecting))
    assert len(found["spec"]["containers"]) == 1
    found, _ = dry_run(pod(injecting, inject="disabled"))
    assert len(found["spec"]["containers"]) == 1


def test_a_bad_annotation_is_a_warning(injecting):
    found, warnings = dry_run(pod(injecting, agent="{"))
    assert len(found["spec"]["containers"]) == 1
    assert "tp: the pod gets no agent: tp.internal/agent:" in warnings


def test_the_own_namespace_is_never_touched(injecting):
    found, _ = dry_run(pod(NAMESPACE, inject="enabled"))
    assert len(found["spec"]["containers"]) == 1


def test_a_namespace_deleted_by_hand_blocks_no_other(ready, namespace):
    """The APIService belongs to no namespace; without its manager no namespace
    of the cluster could be deleted. The managers take it along."""
    other = namespace("other")
    kubectl(
        "wait", "--for=condition=Available", f"apiservice/{APISERVICE}",
        "--timeout=60s",
    )  # fmt: skip
    kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    found = kubectl("get", "apiservice", APISERVICE, check=False)
    assert "NotFound" in found.stderr
    found = kubectl(
        "get", "mutatingwebhookconfiguration", WEBHOOK, check=False
    )
    assert "NotFound" in found.stderr
    kubectl("delete", "namespace", other, "--timeout=60s")
    # what the namespace did not hold is left: elsewhere it is named,
    # in the same place it is taken over
    place = namespace("elsewhere")
    done = helm("install", "tp", CHART, "-n", place, check=False)
    assert done.returncode != 0
    assert "which is gone" in done.stderr
    assert f"-l {OURS}" in done.stderr
    tp("helm", "install")


def test_uninstall_removes_the_api_first_and_all_of_it(release):
    done = tp("helm", "uninstall", "--wait", "--debug")
    deleted = re.findall(
        r'(?:[Ss]tarting delete).*?"?(?:for "|name=)([^" ]+)"? .*?'
        r'(?:kind=)?(\w+)$',
        done.stdout + done.stderr,
        re.M,
    )
    assert deleted, done.stderr
    # beside the Job that has run before, the first of all
    assert deleted[0][0] == "tp-remove-agents", deleted
    deleted = [d for d in deleted if d[0] != "tp-remove-agents"]
    assert APISERVICE in deleted[0], deleted
    assert not leftovers()
    for crd in CRDS:  # what they hold is not Helm's to delete
        assert kubectl_json("get", "crd", crd)["metadata"]["annotations"][
            "helm.sh/resource-policy"
        ] == "keep"
    # a namespace can be deleted, with nothing left that blocks it
    kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    tp("helm", "install")
    assert leftovers()
