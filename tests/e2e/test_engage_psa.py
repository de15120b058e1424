"""Ports where nothing in a pod may redirect: Pod Security, Services, policies."""

import json
import tempfile
import time

import pytest
from conftest import DAEMON, MANAGER_NAMESPACE, install_chart, run, wait_until
from engage import (
    THROUGH_THE_CLUSTER,
    LOCAL_PORT,
    NAMED_SERVICE,
    NUMERIC_SERVICE,
    SECRET,
    local_program,
    service,
    until_answered_by,
    who,
    workload,
)

LEVELS = ["privileged", "baseline", "restricted"]
HARDENED = """          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
"""


def namespace_of(level):
    return f"tp-psa-{level}"


def hardened(text):
    """The workload as `restricted` wants it."""
    return text.replace("          ports: [", HARDENED + "          ports: [")


def make_namespace(cluster, level):
    ns = namespace_of(level)
    cluster.kubectl("create", "namespace", ns, check=False)
    cluster.kubectl(
        "label", "--overwrite", "namespace", ns, f"pod-security.kubernetes.io/enforce={level}"
    )
    cluster.apply(SECRET, ns)
    cluster.apply(hardened(workload("tools")).replace("tp-test/app", "tp-test/tools").replace(
        'args: ["http=8080", "echo=9001"]', 'command: [python3, -m, http.server, "8080"]'
    ).replace("path: /healthz", "path: /"), ns)
    for name, ports in (("named", NAMED_SERVICE), ("numeric", NUMERIC_SERVICE)):
        cluster.apply(hardened(workload(name)), ns)
        cluster.apply(service(name, ports), ns)
    for name in ("named", "numeric"):
        cluster.kubectl("rollout", "status", "-n", ns, f"deployment/{name}",
                        "--timeout=90s", timeout=100)  # fmt: skip
    return ns


def set_redirect(cluster, value):
    install_chart(cluster, "--set", f"agent.redirect={value}")


@pytest.fixture(scope="module")
def spaces(session):
    for level in LEVELS:
        make_namespace(session, level)
    yield session
    session.tp("detach", "--all", "--name", DAEMON, check=False)
    for level in LEVELS:
        session.kubectl("delete", "namespace", namespace_of(level), "--wait=false", check=False)


@pytest.fixture(scope="module")
def switching(spaces):
    """The chart with agent.redirect: service."""
    set_redirect(spaces, "service")
    yield spaces
    spaces.tp("detach", "--all", "--name", DAEMON, check=False)
    set_redirect(spaces, "initContainer")


@pytest.fixture
def clean(spaces):
    yield spaces
    spaces.tp("detach", "--all", "--name", DAEMON, check=False)


def engage(cluster, ns, verb, target, *flags, check=True):
    done = cluster.tp(
        verb, target, "--name", DAEMON, "-n", ns, "--format", "json",
        *THROUGH_THE_CLUSTER.get(verb, []), *flags, check=check, timeout=180,
    )  # fmt: skip
    return json.loads(done.stdout) if check else done


def intercept(cluster, ns, name, check=True):
    return engage(
        cluster, ns, "intercept", name, "--yes", "--port", f"{LOCAL_PORT}:http", check=check
    )


def refusal(done):
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout)["error"] if done.stdout.startswith("{") else done.stderr


def spec_of(cluster, ns, name):
    return cluster.kubectl_json("get", "service", name, "-n", ns)["spec"]


def target_of(cluster, ns, name):
    return spec_of(cluster, ns, name)["ports"][0]["targetPort"]


def pods_of(cluster, ns, name):
    items = cluster.kubectl_json("get", "pods", "-n", ns, "-l", f"app={name}")["items"]
    return [p for p in items if not p["metadata"].get("deletionTimestamp")]


def capabilities(pod):
    """What its containers may have beyond nothing: {container: [added]}."""
    out = {}
    for kind in ("initContainers", "containers"):
        for container in pod["spec"].get(kind, []):
            caps = container.get("securityContext", {}).get("capabilities", {})
            if caps.get("drop") != ["ALL"] or caps.get("add"):
                out[container["name"]] = caps
    return out


# ---- without switching: what is engaged, what is refused -------------------


@pytest.mark.parametrize("level", LEVELS)
def test_named_ports_are_taken_at_every_level(clean, box, level):
    ns = namespace_of(level)
    with local_program():
        assert intercept(clean, ns, "named")["phase"] == "ready"
        until_answered_by(box, f"http://named.{ns}/", "local", 60)
        for pod in pods_of(clean, ns, "named"):
            assert not capabilities(pod)


def test_numeric_ports_are_redirected_where_that_is_let_in(clean, box):
    ns = namespace_of("privileged")
    with local_program():
        assert intercept(clean, ns, "numeric")["phase"] == "ready"
        until_answered_by(box, f"http://numeric.{ns}/", "local", 60)
        for pod in pods_of(clean, ns, "numeric"):
            assert list(capabilities(pod)) == ["tp-agent-init"]


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_numeric_ports_are_refused_with_the_verdict(clean, level):
    ns = namespace_of(level)
    said = refusal(intercept(clean, ns, "numeric", check=False))
    # the API server's own words, from a dry run
    assert "the cluster would refuse the pods with their agent" in said
    assert f'violates PodSecurity "{level}:latest"' in said
    assert "NET_ADMIN" in said
    assert "agent.redirect=service" in said
    for pod in pods_of(clean, ns, "numeric"):
        assert [c["name"] for c in pod["spec"]["containers"]] == ["app"]


# ---- Services are switched -------------------------------------------------


def is_plain(cluster, ns, name="numeric", port=8080):
    """The Service is as it was, without a trace."""
    obj = cluster.kubectl_json("get", "service", name, "-n", ns)
    return obj["spec"]["ports"][0]["targetPort"] == port and "tp.internal/switched" not in json.dumps(
        {k: obj["metadata"].get(k) for k in ("labels", "annotations")}
    ).replace("last-applied", "")


def message_of(cluster, ns):
    items = cluster.kubectl_json("get", "engagements", "-n", MANAGER_NAMESPACE)["items"]
    return [e["status"].get("message", "") for e in items if e["spec"]["namespace"] == ns]


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_service_leads_to_the_agent_while_engaged(switching, box, level):
    ns = namespace_of(level)
    url = f"http://numeric.{ns}/"
    before = spec_of(switching, ns, "numeric")
    with local_program():
        assert intercept(switching, ns, "numeric")["phase"] == "ready"
        assert target_of(switching, ns, "numeric") == "tp-8080"
        until_answered_by(box, url, "local", 30)
        for pod in pods_of(switching, ns, "numeric"):
            assert not capabilities(pod)
        # the sibling port is still the cluster's
        assert box.out(f"echo ping | nc -N -w 3 numeric.{ns} 9001") == "ping"
        switching.tp("detach", "numeric", "--name", DAEMON)
        wait_until("the Service as it was", lambda: spec_of(switching, ns, "numeric") == before, 10)
        assert is_plain(switching, ns)
        until_answered_by(box, url, "numeric", 15)


def test_where_init_containers_are_let_in_no_service_is_switched(switching, box):
    ns = namespace_of("privileged")
    with local_program():
        assert intercept(switching, ns, "numeric")["phase"] == "ready"
        assert is_plain(switching, ns)
        until_answered_by(box, f"http://numeric.{ns}/", "local", 60)
    switching.tp("detach", "numeric", "--name", DAEMON)


INTRUDER = """
apiVersion: v1
kind: Pod
metadata: {name: intruder, labels: {app: numeric}}
spec:
""" + "\n".join(
    line[4:] for line in hardened(workload("x")).split("    spec:\n", 1)[1].splitlines()
)


@pytest.fixture
def engaged(switching, box):
    """An intercept by a switched Service in the restricted namespace."""
    ns = namespace_of("restricted")
    with local_program():
        intercept(switching, ns, "numeric")
        until_answered_by(box, f"http://numeric.{ns}/", "local", 30)
        yield switching, ns
    switching.tp("detach", "--all", "--name", DAEMON, check=False)
    switching.kubectl("delete", "pod", "intruder", "-n", ns, "--ignore-not-found", "--wait=true",
                      "--grace-period=1")  # fmt: skip


def test_a_ready_pod_without_agent_switches_back(engaged, box):
    cluster, ns = engaged
    cluster.apply(INTRUDER, ns)
    cluster.kubectl("wait", "-n", ns, "pod/intruder", "--for=condition=Ready", "--timeout=30s")
    wait_until("the switch back", lambda: target_of(cluster, ns, "numeric") == 8080, 5)
    # nobody's request is lost: both pods answer, once the endpoints have followed
    wait_until(
        "both pods",
        lambda: {who(box, f"http://numeric.{ns}/") for _ in range(10)}
        == {p["metadata"]["name"] for p in pods_of(cluster, ns, "numeric")},
        15,
    )
    wait_until("the reason", lambda: any("intruder" in m for m in message_of(cluster, ns)), 10)
    cluster.kubectl("delete", "pod", "intruder", "-n", ns, "--grace-period=1")
    wait_until("the switch again", lambda: target_of(cluster, ns, "numeric") == "tp-8080", 15)


def test_a_mirror_beside_it_finds_the_port(engaged):
    """The Service leads to a name that no template knows."""
    cluster, ns = engaged
    mirror = engage(cluster, ns, "mirror", "numeric", "--as-name", "beside", "--port",
                    f"{LOCAL_PORT + 1}:http")  # fmt: skip
    assert mirror["phase"] == "ready" and mirror["ports"][0]["mode"] == "service"
    cluster.tp("detach", "beside", "--name", DAEMON)
    assert target_of(cluster, ns, "numeric") == "tp-8080"


def test_a_foreign_edit_wins(engaged, box):
    cluster, ns = engaged
    patch = '[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8080}]'
    cluster.kubectl("patch", "service", "numeric", "-n", ns, "--type=json", "-p", patch)
    wait_until("the report", lambda: any("somebody else" in m for m in message_of(cluster, ns)), 15)
    time.sleep(5)
    assert target_of(cluster, ns, "numeric") == 8080
    until_answered_by(box, f"http://numeric.{ns}/", "numeric", 10)
    cluster.tp("detach", "numeric", "--name", DAEMON)
    wait_until("no trace", lambda: is_plain(cluster, ns), 10)


SECOND = f"{DAEMON}-second"


@pytest.fixture
def second(switching):
    """The same by a daemon of its own, which may be killed."""
    ns = namespace_of("restricted")
    switching.tp("connect", "--name", SECOND, "-n", ns)
    switching.tp("intercept", "numeric", "--name", SECOND, "-n", ns, "--yes",
                 "--port", f"{LOCAL_PORT}:http", timeout=180)  # fmt: skip
    assert target_of(switching, ns, "numeric") == "tp-8080"
    yield switching, ns
    switching.tp("quit", "--name", SECOND, check=False)


def test_the_end_of_a_session_restores(second):
    cluster, ns = second
    cluster.tp("quit", "--name", SECOND)
    wait_until("no trace", lambda: is_plain(cluster, ns), 15)


def test_the_managers_restart_and_the_service_comes_back(second):
    """Its engagement has ended while no manager ran: it is found by its label."""
    cluster, ns = second
    scale = ["-n", MANAGER_NAMESPACE, "scale", "deployment/tp-manager"]
    cluster.kubectl(*scale, "--replicas=0")
    try:
        cluster.kubectl("wait", "-n", MANAGER_NAMESPACE, "--for=delete", "pod",
                        "-l", "app.kubernetes.io/name=tp-manager", "--timeout=60s",
                        timeout=70)  # fmt: skip
        assert target_of(cluster, ns, "numeric") == "tp-8080"
        run(["docker", "rm", "-f", SECOND])
        cluster.kubectl("delete", "engagements", "--all", "-n", MANAGER_NAMESPACE)
    finally:
        cluster.kubectl(*scale, "--replicas=2")
    wait_until("no trace", lambda: is_plain(cluster, ns), 90)
    cluster.kubectl("rollout", "status", "-n", MANAGER_NAMESPACE, "deployment/tp-manager",
                    "--timeout=60s", timeout=70)  # fmt: skip


def test_straight_to_the_pod_is_refused(switching):
    ns = namespace_of("restricted")
    headless = service("bare", "{name: http, port: 8080, targetPort: 8080}", "clusterIP: None")
    for name in ("bare", "lonely"):
        switching.apply(hardened(workload(name)), ns)
    switching.apply(headless, ns)
    for name, reason in (("bare", "Service bare is headless"), ("lonely", "no Service leads to port")):
        said = refusal(intercept(switching, ns, name, check=False))
        assert reason in said and "violates PodSecurity" in said, said


# ---- NetworkPolicies -------------------------------------------------------

BY_NUMBER = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-8080}
spec:
  podSelector: {matchLabels: {app: named}}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: 8080}, {port: 9001}]}]
"""
NO_EGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: no-way-out}
spec:
  podSelector: {matchLabels: {app: closed}}
  policyTypes: [Egress]
  egress: [{ports: [{port: 53, protocol: UDP}]}]
"""


@pytest.fixture
def fresh(clean):
    """Workload `named` without an agent of another test."""

    def make(level, policy, name="named"):
        ns = namespace_of(level)
        clean.kubectl("delete", "deployment", name, "-n", ns, "--ignore-not-found")
        clean.apply(hardened(workload(name)), ns)
        clean.apply(service(name, NAMED_SERVICE), ns)
        clean.apply(policy, ns)
        clean.kubectl("rollout", "status", "-n", ns, f"deployment/{name}", "--timeout=90s",
                      timeout=100)  # fmt: skip
        return ns

    yield make
    for level in LEVELS:
        clean.kubectl("delete", "networkpolicies", "--all", "-n", namespace_of(level))


def test_a_policy_by_number_leads_to_redirection(fresh, clean, box):
    ns = fresh("privileged", BY_NUMBER)
    with local_program():
        assert intercept(clean, ns, "named")["phase"] == "ready"
        until_answered_by(box, f"http://named.{ns}/", "local", 60)
        for pod in pods_of(clean, ns, "named"):
            assert list(capabilities(pod)) == ["tp-agent-init"]


def test_a_policy_by_number_without_redirection_is_refused(fresh, switching):
    ns = fresh("restricted", BY_NUMBER)
    said = refusal(intercept(switching, ns, "named", check=False))
    assert "NetworkPolicy only-8080 lets port 8080 in by its number" in said


def test_a_policy_that_keeps_agents_in_is_refused(fresh, clean):
    ns = fresh("privileged", NO_EGRESS, "closed")
    said = refusal(intercept(clean, ns, "closed", check=False))
    assert "NetworkPolicy no-way-out does not let the pods connect to port 8444" in said


# ---- the right to dry runs -------------------------------------------------

POD = """
apiVersion: v1
kind: Pod
metadata: {name: made-by-the-manager}
spec: {containers: [{name: c, image: tp-test/app}]}
"""


def bare_kubectl(cluster):
    """kubectl with nothing but a token (the kubeconfig's certificate would win)."""
    config = json.loads(
        cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout
    )["clusters"][0]["cluster"]

    def call(*args, token, text=None):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(
                {
                    "apiVersion": "v1", "kind": "Config", "current-context": "c",
                    "clusters": [{"name": "c", "cluster": config}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                },
                file,
            )  # fmt: skip
            file.flush()
            return cluster.kubectl("--kubeconfig", file.name, *args, check=False, input=text)

    return call


def test_the_manager_creates_no_pods(clean):
    ns = namespace_of("privileged")
    token = clean.kubectl("create", "token", "tp-manager", "-n", MANAGER_NAMESPACE).stdout.strip()
    bare = bare_kubectl(clean)
    for where in (ns, MANAGER_NAMESPACE, "kube-system"):
        done = bare("create", "-n", where, "-f", "-", token=token, text=POD)
        assert done.returncode != 0, where
        assert "tp-manager creates no pods" in done.stderr, done.stderr
    done = bare("create", "--dry-run=server", "-n", ns, "-f", "-", token=token, text=POD)
    assert done.returncode == 0, done.stderr
    for question in ("get secrets", "create pods --subresource=exec", "update services",
                     "delete pods", "patch pods", "create deployments", "update roles",
                     "delete validatingadmissionpolicies"):  # fmt: skip
        done = bare("auth", "can-i", *question.split(), "-n", ns, token=token)
        assert done.stdout.strip() == "no", question


# ---- a forged AdmissionReview ----------------------------------------------


def test_a_forged_review_changes_nothing(clean, box):
    """A pod posts to the webhook what the API server would: it gets the patch
    for the pod that it has itself written, and no secret."""
    ns = namespace_of("privileged")
    before = clean.kubectl("get", "deployment,pods,services,secrets", "-A", "-o", "name").stdout
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1-2-3", "operation": "CREATE", "namespace": ns,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "x", "annotations": {"tp.internal/inject": "enabled"}},
                "spec": {"containers": [{
                    "name": "app", "image": "x",
                    "envFrom": [{"secretRef": {"name": "keys"}}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                }]},
            },
        },
    }  # fmt: skip
    script = (
        "import base64,json,os,ssl,urllib.request\n"
        "context = ssl._create_unverified_context()\n"
        f"body = {json.dumps(json.dumps(review))}\n"
        f"url = 'https://tp-manager.{MANAGER_NAMESPACE}.svc:8445/inject'\n"
        "request = urllib.request.Request(url, body.encode(), {'Content-Type': 'application/json'})\n"
        "answer = json.load(urllib.request.urlopen(request, context=context, timeout=10))\n"
        "print(base64.b64decode(answer['response'].get('patch', '')).decode())\n"
    )
    pod = next(p["metadata"]["name"] for p in pods_of(clean, ns, "tools"))
    answer = clean.kubectl("exec", "-n", ns, pod, "--", "python3", "-c", script).stdout
    patch = json.loads(answer)
    assert any("tp-agent" in json.dumps(op) for op in patch)
    assert "not-a-secret" not in answer and "PRIVATE KEY" not in answer
    assert "BEGIN CERTIFICATE" in answer  # the authority's, which is no secret
    after = clean.kubectl("get", "deployment,pods,services,secrets", "-A", "-o", "name").stdout
    assert after == before


# ---- the end of tp (last: it removes the release) ---------------------------


def test_helm_uninstall_restores_services(second):
    cluster, ns = second
    cluster.tp("helm", "uninstall", "--wait", "--timeout", "120s", timeout=150)
    assert is_plain(cluster, ns)
    left = cluster.kubectl("get", "clusterroles,validatingadmissionpolicies", "-o", "name").stdout
    assert "/tp-manager" not in left
    install_chart(cluster, "--set", "agent.redirect=service")
    wait_until("the link", lambda: cluster.status()["state"] == "connected", 60)
