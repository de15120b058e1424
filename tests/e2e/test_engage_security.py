"""Engagements and people: who may what to whom, and who is believed.

Two users with client certificates and the role tp-user by a RoleBinding in one
namespace, each with a daemon of his own; others with less. SECURITY.md 3, 7, 8,
9, 16, 21; doc/security.md.
"""

import contextlib
import json
import subprocess
import time

import pytest
from conftest import E2E, MANAGER_NAMESPACE, run, start_joined, wait_until
from engage import NAMED_SERVICE, SECRET, THROUGH_THE_CLUSTER, service, who, workload
from links import Link, manager_pods, target_of
from test_security import upgrade, user

NS = "tp-people"
URL = f"http://web.{NS}/"
AUDIENCE = "tp-manager.tp.internal"
TOOLS_POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: c, image: tp-test/tools, imagePullPolicy: IfNotPresent, command: [sleep, infinity]}
"""
MIRROR_ONLY = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tp-e2e-%s}
rules:
  - {apiGroups: [connect.tp.internal], resources: [connections/portforward], verbs: [get, create]}
  - {apiGroups: [connect.tp.internal], resources: [connections], verbs: [create]}
  - {apiGroups: [tp.internal], resources: [%s], verbs: [create]}
"""


class Person:
    """A user of the cluster with a session of his own."""

    def __init__(self, admin, name, role):
        self.admin, self.name, self.role = admin, name, role
        self.kubeconfig = user(f"people-{name}")
        self.daemon = f"{E2E}-{name}"
        self.bind()

    def bind(self):
        self.admin.kubectl("delete", "rolebinding", f"tp-{self.name}", "-n", NS, "--ignore-not-found")
        self.admin.kubectl("create", "rolebinding", f"tp-{self.name}", "-n", NS,
                           f"--clusterrole={self.role}", f"--user=people-{self.name}")  # fmt: skip

    def unbind(self):
        self.admin.kubectl("delete", "rolebinding", f"tp-{self.name}", "-n", NS)

    def tp(self, *args, check=True, timeout=120):
        return self.kubeconfig.tp(*args, "--name", self.daemon, check=check, timeout=timeout)

    def connect(self):
        self.tp("quit", check=False)
        self.tp("connect", "-n", NS)
        return self

    def engage(self, verb, target, *flags, check=True):
        way = THROUGH_THE_CLUSTER.get(verb, [])
        done = self.tp(verb, target, "-n", NS, "--format", "json", *way, *flags, check=check)
        text = done.stdout + done.stderr
        return json.loads(done.stdout) if check else text

    def mine(self):
        """The Engagements of this user, as objects."""
        items = self.admin.kubectl_json("get", "engagements", "-n", MANAGER_NAMESPACE)["items"]
        return [e for e in items if e["spec"]["user"] == f"people-{self.name}"]

    @contextlib.contextmanager
    def program(self, port, answer, *args):
        name = f"{self.daemon}-program"
        run(["docker", "rm", "-f", name], check=False)
        run(
            ["docker", "run", "-d", "--name", name, "--network", f"container:{self.daemon}",
             "-e", f"POD_NAME={answer}", "tp-test/app", f"http={port}", *args]
        )  # fmt: skip
        try:
            yield name
        finally:
            run(["docker", "rm", "-f", name], check=False)


@pytest.fixture(scope="module")
def people(chart):
    """alice and bob are tp-users; carol mirrors, dave only connects."""
    admin = chart
    admin.kubectl("create", "namespace", NS, check=False)
    admin.apply(SECRET, NS)
    admin.apply(workload("web"), NS)
    admin.apply(service("web", NAMED_SERVICE), NS)
    admin.apply(workload("other"), NS)
    admin.apply(service("other", NAMED_SERVICE), NS)
    admin.apply(TOOLS_POD % ("probe", "probe"), NS)
    admin.apply(MIRROR_ONLY % ("mirror", "engagements/mirror"), NS)
    admin.apply(MIRROR_ONLY % ("connect", "engagements/none"), NS)
    for name in ("web", "other"):
        admin.kubectl("rollout", "status", "-n", NS, f"deployment/{name}", "--timeout=90s",
                      timeout=100)  # fmt: skip
    admin.kubectl("wait", "-n", NS, "pod/probe", "--for=condition=Ready", "--timeout=60s",
                  timeout=70)  # fmt: skip
    crowd = {
        "alice": Person(admin, "alice", "tp-user"),
        "bob": Person(admin, "bob", "tp-user"),
        "carol": Person(admin, "carol", "tp-e2e-mirror"),
        "dave": Person(admin, "dave", "tp-e2e-connect"),
    }
    for person in crowd.values():
        for old in person.mine():  # of a run that was broken off
            admin.kubectl("delete", "engagement", "-n", MANAGER_NAMESPACE, old["metadata"]["name"])
        person.connect()
    yield crowd
    for person in crowd.values():
        person.tp("quit", check=False)
    for role in ("mirror", "connect"):
        admin.kubectl("delete", "clusterrole", f"tp-e2e-{role}", check=False)
    admin.kubectl("delete", "namespace", NS, "--wait=false", check=False)


@pytest.fixture
def calm(people):
    yield people
    for name in ("alice", "bob", "carol"):
        people[name].tp("detach", "--all", check=False)


@pytest.fixture(scope="module")
def look(people):
    """Where requests come from: a container in bob's network."""
    joined = start_joined(f"{E2E}-look", daemon=people["bob"].daemon)
    yield joined
    run(["docker", "rm", "-f", joined.name], check=False)


def link_of(person):
    """A link of one's own: a session's name is its owner's."""
    name = f"linkprobe-of-{person.name}".ljust(30, "x")
    return Link(target_of(person.kubeconfig), "--name", name, namespace=NS)


def admin_of(people):
    return people["alice"].admin


# ---- two people, one workload ----------------------------------------------


def test_a_conflict_names_the_holder_and_disjoint_ports_both_work(calm, look):
    alice, bob = calm["alice"], calm["bob"]
    with alice.program(18080, "alices"), bob.program(18081, "bobs", "echo=18082"):
        alice.engage("intercept", "web", "--port", "18080:http")
        wait_until("alice's program", lambda: who(look, URL) == "alices", 60)
        said = bob.engage("intercept", "web", "--port", "18081:http", check=False)
        assert "held by people-alice (intercept) since" in said and "UTC" in said, said
        # a mirror may stand beside it
        bob.engage("mirror", "web", "--port", "18081:http")
        bob.tp("detach", "web")
        # kube-proxy may still lead to a pod that the rollout has ended
        wait_until("alice's program", lambda: who(look, URL) == "alices", 30)
        bob.engage("intercept", "web", "--port", "18082:echo")
        wait_until(
            "bob's program",
            lambda: look.out(f"echo ping | nc -N -w 3 web.{NS} 9001", check=False) == "ping",
            30,
        )
        assert {e["spec"]["ports"][0]["port"] for e in alice.mine() + bob.mine()} == {8080, 9001}
        assert who(look, URL) == "alices"
        alice.tp("detach", "web")
        wait_until("the app", lambda: who(look, URL).startswith("web-"), 15)
        assert len(bob.mine()) == 1


def test_what_is_anothers_does_not_exist(calm):
    """404 for every verb on another's engagement and session."""
    alice, bob = calm["alice"], calm["bob"]
    alice.engage("intercept", "web", "--port", "18080:http")
    (mine,) = alice.mine()
    ident, session = mine["metadata"]["name"], mine["spec"]["session"]
    never = "z" * 26
    with link_of(bob) as link:
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/environment")):
            answers = [
                link.ask(f"request {method} /tp/v1/engagements/{i}{path}") for i in (ident, never)
            ]
            assert answers[0].startswith("404"), answers
            assert answers[0] == answers[1].replace(never, ident)
        body = json.dumps({
            "id": ident, "type": "intercept", "namespace": NS, "workload": "web",
            "ports": [{"remote": "echo", "protocol": "tcp"}],
        })  # fmt: skip
        assert link.ask(f"request POST /tp/v1/engagements {body}").startswith("404")
        assert ident not in link.ask("request GET /tp/v1/engagements")
    for protocol in ("tp/1", "tp-incoming/1"):
        text, sock = upgrade(bob.kubeconfig.kubeconfig, namespace=NS, name=session,
                             protocol=protocol)  # fmt: skip
        sock.close()
        assert " 404 " in text.splitlines()[0], text
    assert alice.mine() and alice.mine()[0]["metadata"]["uid"] == mine["metadata"]["uid"]
    for verb in ("get", "delete", "create", "patch"):
        can = bob.kubeconfig.kubectl("auth", "can-i", verb, "engagements.tp.internal", "-n",
                                     MANAGER_NAMESPACE, check=False)  # fmt: skip
        assert can.stdout.strip() == "no", verb


def test_kubectl_delete_revokes(calm, look):
    alice = calm["alice"]
    with alice.program(18080, "alices"):
        alice.engage("intercept", "web", "--port", "18080:http")
        wait_until("alice's program", lambda: who(look, URL) == "alices", 30)
        (mine,) = alice.mine()
        alice.admin.kubectl("delete", "engagement", "-n", MANAGER_NAMESPACE, mine["metadata"]["name"])
        wait_until("the app", lambda: who(look, URL).startswith("web-"), 15)
        listed = json.loads(alice.tp("list", "-n", NS, "--format", "json").stdout)
        assert not [e for w in listed["workloads"] for e in w["engagements"]]
        time.sleep(3)
        assert not alice.mine()


# ---- rights ----------------------------------------------------------------


@pytest.mark.parametrize("verb", ["intercept", "replace", "mirror", "ingest"])
def test_a_right_that_is_missing_is_named(calm, verb):
    flags = [] if verb in ("ingest", "replace") else ["--port", "18080:http"]
    said = calm["dave"].engage(verb, "web", "--yes", *flags, check=False)
    assert f"engagements/{verb}" in said and "deployments.web" in said, said
    assert not calm["dave"].mine()


def test_force_needs_a_right_of_its_own(calm):
    calm["alice"].engage("intercept", "web", "--port", "18080:http")
    said = calm["bob"].engage("intercept", "web", "--force", "--port", "18081:http", check=False)
    assert "engagements/takeover" in said, said
    assert len(calm["alice"].mine()) == 1


def test_a_mirror_gives_no_variable_and_no_file(calm, tmp_path):
    carol = calm["carol"]
    path = tmp_path / "env.json"
    done = carol.tp("mirror", "web", "-n", NS, "--port", "18080:http", "--env-json", str(path),
                    check=False)  # fmt: skip
    said = done.stdout + done.stderr
    assert "engagements/environment" in said, said
    text = path.read_text() if path.exists() else ""
    assert "PASSWORD" not in text + said and "not-a-secret" not in text + said
    carol.engage("mirror", "web", "--port", "18080:http")
    (mine,) = carol.mine()
    with link_of(carol) as link:
        answer = link.ask(f"request GET /tp/v1/engagements/{mine['metadata']['name']}/environment")
        assert answer.startswith("403") and "engagements/environment" in answer, answer
        body = json.dumps({
            "id": "c" * 26, "type": "ingest", "namespace": NS, "workload": "web",
        })  # fmt: skip
        assert link.ask(f"request POST /tp/v1/engagements {body}").startswith("403")
        body = json.dumps({
            "id": "d" * 26, "type": "mirror", "namespace": NS, "workload": "web",
            "ports": [{"remote": "http", "protocol": "tcp"}],
            "toPod": [{"port": 9001, "protocol": "tcp"}],
        })  # fmt: skip
        answer = link.ask(f"request POST /tp/v1/engagements {body}")
        assert answer.startswith("202"), answer
        answer = link.ask(f"request GET /tp/v1/engagements/{'d' * 26}")
        assert '"toPod":[]' in answer.replace(" ", "") and "engagements/topod" in answer, answer
        assert link.ask(f"request DELETE /tp/v1/engagements/{'d' * 26}").startswith("200")


def test_a_revoked_binding_ends_the_engagement(calm, look):
    alice = calm["alice"]
    with alice.program(18080, "alices"):
        alice.engage("intercept", "web", "--port", "18080:http")
        wait_until("alice's program", lambda: who(look, URL) == "alices", 30)
        start = time.monotonic()
        alice.unbind()
        try:
            wait_until("the end", lambda: not alice.mine(), 75)
            wait_until("the app", lambda: who(look, URL).startswith("web-"), 10)
            print(f"revoked after {time.monotonic() - start:.0f} s")
        finally:
            alice.bind()
    alice.connect()


# ---- the objects -----------------------------------------------------------

ENGAGEMENT = """
apiVersion: tp.internal/v1
kind: Engagement
metadata: {name: %s, namespace: %s}
spec:
  {session: %s, user: people-eve, uid: "", namespace: %s, workload: {kind: Deployment, name: web},
   container: app, type: intercept, ports: [{port: 8080, protocol: tcp, mode: named, name: http}]}
"""


def test_a_namespaces_admin_writes_no_engagement(calm):
    admin = calm["alice"].admin
    calm["bob"].engage("intercept", "web", "--port", "18081:http")
    (theirs,) = calm["bob"].mine()
    eve = user("people-eve")
    for ns in (NS, MANAGER_NAMESPACE):
        admin.kubectl("create", "rolebinding", "tp-eve", "-n", ns, "--clusterrole=cluster-admin",
                      "--user=people-eve", check=False)  # fmt: skip
    try:
        for ns in (NS, MANAGER_NAMESPACE):
            text = ENGAGEMENT % ("e" * 26, ns, theirs["spec"]["session"], NS)
            done = eve.kubectl("create", "-f", "-", check=False, input=text)
            assert "only tp-manager creates and changes" in done.stderr, done.stderr
        for what in (("engagement", theirs["metadata"]["name"]), ("session", theirs["spec"]["session"])):
            for more in ([], ["--subresource=status"]):
                done = eve.kubectl("patch", *what, "-n", MANAGER_NAMESPACE, "--type=merge", *more,
                                   "-p", '{"status": {"replica": "evil"}, "spec": {"user": "x"}}',
                                   check=False)  # fmt: skip
                assert "only tp-manager creates and changes" in done.stderr, done.stderr
        # nor by a Lease that would claim the port
        assert calm["bob"].mine()[0]["metadata"]["uid"] == theirs["metadata"]["uid"]
        eve.kubectl("delete", "engagement", theirs["metadata"]["name"], "-n", MANAGER_NAMESPACE)
    finally:
        for ns in (NS, MANAGER_NAMESPACE):
            admin.kubectl("delete", "rolebinding", "tp-eve", "-n", ns, check=False)


# ---- agents ----------------------------------------------------------------


def injected(people):
    """A ready pod of web with its agent, engaged by alice."""
    people["alice"].engage("intercept", "web", "--port", "18080:http")
    pods = admin_of(people).kubectl_json("get", "pods", "-n", NS, "-l", "app=web")["items"]
    return next(
        p for p in pods
        if not p["metadata"].get("deletionTimestamp")
        and any(c["name"] == "tp-agent" for c in p["spec"]["containers"])
    )  # fmt: skip


def in_pod(people, code, pod="probe", timeout=60):
    done = admin_of(people).kubectl("exec", "-i", "-n", NS, pod, "--", "python3", "-", input=code,
                                    timeout=timeout)  # fmt: skip
    return done.stdout


SCAN = """
import asyncio
async def one(port, gate):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection("{ip}", port), 3)
            writer.close()
            return port
        except (OSError, asyncio.TimeoutError):
            return None
async def main():
    gate = asyncio.Semaphore(500)
    found = await asyncio.gather(*(one(p, gate) for p in range(1, 65536)))
    print(sorted(p for p in found if p))
asyncio.run(main())
"""


def test_an_agent_has_no_port_but_those_of_the_app(calm):
    """It dials the managers, so whoever calls it reaches the app, and nothing
    in it can be asked: there is no caller that it would have to refuse."""
    pod = injected(calm)
    ip = pod["status"]["podIP"]
    agent = next(c for c in pod["spec"]["containers"] if c["name"] == "tp-agent")
    listens = {p["containerPort"] for p in agent["ports"]}
    plain = admin_of(calm).kubectl_json("get", "pods", "-n", NS, "-l", "app=other")["items"][0]

    def scan(address):
        return set(json.loads(in_pod(calm, SCAN.format(ip=address), timeout=120)))

    assert listens and scan(ip) - scan(plain["status"]["podIP"]) == listens
    ask = "import urllib.request\nprint(urllib.request.urlopen('http://{}:{}/tp/v1/status').read())"
    http = next(p["containerPort"] for p in agent["ports"] if p["name"] == "http")
    calm["alice"].tp("detach", "web")
    assert pod["metadata"]["name"] in in_pod(calm, ask.format(ip, http))  # the app's answer


AGENT_CALL = """
import json, socket, ssl, sys
context = ssl._create_unverified_context()
for token in {tokens}:
    sock = context.wrap_socket(socket.create_connection(("{host}", 8444), 10))
    head = "POST /tp/v1/agent HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: tp-agent/1\\r\\n"
    if token:
        head += "Authorization: Bearer " + token + "\\r\\n"
    sock.sendall((head + "Content-Length: 0\\r\\n\\r\\n").encode())
    sock.settimeout(10)
    print(sock.recv(4096).decode().split("\\r\\n")[0])
"""


def agent_call(people, *tokens):
    code = AGENT_CALL.format(tokens=json.dumps(tokens), host=f"tp-manager.{MANAGER_NAMESPACE}.svc")
    return [line.split(" ")[1] for line in in_pod(people, code).splitlines()]


def token_of(people, *flags, audience=AUDIENCE):
    return admin_of(people).kubectl(
        "create", "token", "default", "-n", NS, f"--audience={audience}", *flags
    ).stdout.strip()  # fmt: skip


def bound_to(name, uid):
    return ["--bound-object-kind=Pod", f"--bound-object-name={name}", f"--bound-object-uid={uid}"]


def test_who_poses_as_an_agent_is_refused(calm):
    admin = admin_of(calm)
    pod = injected(calm)
    real = token_of(calm, *bound_to(pod["metadata"]["name"], pod["metadata"]["uid"]))
    probe = admin.kubectl_json("get", "pod", "probe", "-n", NS)["metadata"]
    admin.apply(TOOLS_POD % ("short", "short"), NS)
    short = admin.kubectl_json("get", "pod", "short", "-n", NS)["metadata"]
    deleted = token_of(calm, *bound_to("short", short["uid"]))
    admin.kubectl("delete", "pod", "short", "-n", NS, "--grace-period=0", "--force", "--wait=true")
    tokens = {
        "no pod at all": token_of(calm),
        "a pod without agent": token_of(calm, *bound_to("probe", probe["uid"])),
        "a deleted pod": deleted,
        "another audience": token_of(
            calm, *bound_to(pod["metadata"]["name"], pod["metadata"]["uid"]),
            audience="https://kubernetes.default.svc",
        ),
        "nothing": "",
        "garbage": "x.y.z",
        "a cut one": real[:-8],
    }  # fmt: skip
    answers = dict(zip(tokens, agent_call(calm, *tokens.values())))
    assert set(answers.values()) == {"401"}, answers
    # the right one works, so the others were not refused for another reason
    assert agent_call(calm, real) == ["101"]


def test_a_pod_that_looks_injected_takes_no_traffic_of_a_workload(calm, look):
    """Somebody's own pod with an agent's container and annotations and the labels
    of web: it is no pod of the Deployment's, whatever it says."""
    admin = admin_of(calm)
    pod = injected(calm)
    agent = next(c for c in pod["spec"]["containers"] if c["name"] == "tp-agent")
    forged = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "forged", "labels": {"app": "forged"},
            "annotations": pod["metadata"]["annotations"],
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": "tp-agent", "image": "tp-test/tools", "imagePullPolicy": "IfNotPresent",
                 "command": ["sleep", "infinity"], "env": agent["env"]},
                {"name": "app", "image": "tp-test/app", "imagePullPolicy": "IfNotPresent",
                 "args": ["http=8080"]},
            ],
        },
    }  # fmt: skip
    admin.apply(json.dumps(forged), NS)
    uid = admin.kubectl_json("get", "pod", "forged", "-n", NS)["metadata"]["uid"]
    token = token_of(calm, *bound_to("forged", uid))
    # it may be let in as what it is, a bare pod: nobody engages that
    assert agent_call(calm, token) in (["101"], ["401"])
    logs = [
        line for line in calm["alice"].tp("list", "-n", NS, "--format", "json").stdout.splitlines()
        if "forged" in line and "intercept" in line
    ]  # fmt: skip
    assert not logs
    admin.kubectl("delete", "pod", "forged", "-n", NS, "--grace-period=0", "--force")


FOREIGN = """
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/pair.pem")
server = socket.create_server(("0.0.0.0", 8444))
while True:
    sock, _ = server.accept()
    sock.settimeout(5)
    try:
        sock = context.wrap_socket(sock, server_side=True)
        print("handshake", flush=True)
        print("got", sock.recv(65536), flush=True)
    except Exception as problem:
        print("refused", problem, flush=True)
    sock.close()
"""


def test_an_agent_sends_no_token_to_a_foreign_server(calm, tmp_path):
    """A pod's own agent, pointed at somebody else's TLS server."""
    admin = admin_of(calm)
    pod = injected(calm)
    name = f"tp-manager.{MANAGER_NAMESPACE}.svc"
    pair = tmp_path / "pair.pem"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"),
         "-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"])  # fmt: skip
    pair.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text())
    admin.kubectl("exec", "-i", "-n", NS, "probe", "--", "sh", "-c", "cat >/tmp/pair.pem",
                  input=pair.read_text())  # fmt: skip
    admin.kubectl("exec", "-i", "-n", NS, "probe", "--", "sh", "-c", "cat >/tmp/foreign.py",
                  input=FOREIGN)  # fmt: skip
    server = subprocess.Popen(
        ["kubectl", "exec", "-n", NS, "probe", "--", "python3", "/tmp/foreign.py"],
        env=admin.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    ip = admin.kubectl_json("get", "pod", "probe", "-n", NS)["status"]["podIP"]
    spec = pod["spec"]
    agent = next(c for c in spec["containers"] if c["name"] == "tp-agent")
    for variable in agent["env"]:
        if variable["name"] == "TP_AGENT_MANAGER":
            variable["value"] = f"{ip}:8444"
    agent.pop("startupProbe", None)
    agent.pop("readinessProbe", None)
    misled = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "misled"},
        "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [agent],
            "volumes": spec["volumes"],  # the agent mounts the app's, too
            "securityContext": spec["securityContext"],
        },
    }  # fmt: skip
    try:
        admin.apply(json.dumps(misled), NS)
        seen = [server.stdout.readline() for _ in range(2)]
    finally:
        server.kill()
        admin.kubectl("exec", "-n", NS, "probe", "--", "pkill", "-f", "foreign.py", check=False)
        admin.kubectl("delete", "pod", "misled", "-n", NS, "--grace-period=0", "--force")
    assert all(line.startswith("refused") for line in seen), seen


def test_the_managers_ports_are_not_reached_through_a_link(calm):
    """Agents have no control port; the port that they dial is no user's."""
    admin = admin_of(calm)
    svc = admin.kubectl_json("get", "service", "tp-manager", "-n", MANAGER_NAMESPACE)["spec"]
    targets = [(svc["clusterIP"], p) for p in (443, 8444, 8445)] + [
        (pod["status"]["podIP"], p) for pod in manager_pods(admin) for p in (8443, 8444, 8445, 8080)
    ]
    with link_of(calm["alice"]) as link:
        assert link.hello and link.hello[0] == "200", (link.opening, link.hello)
        for ip, port in targets:
            answer = link.ask(f"tcp {ip}:{port}")
            assert answer.startswith("403") and "prohibited" in answer, (ip, port, answer)
