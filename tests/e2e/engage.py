"""What the tests of engagements share: workloads of all kinds, a local program.

Every workload answers over HTTP with the name of its pod, so that a test sees
who answered; the program of the workstation answers with "local".
"""

import collections
import contextlib
import json
import pathlib
import re
import time

from conftest import DAEMON, E2E, NODE, TOOLS, run, wait_until

NAMESPACE = "tp-engage"
LOCAL_PORT = 18080

CONTAINER = """
        - name: app
          image: tp-test/app
          imagePullPolicy: IfNotPresent
          args: [{args}]
          env:
            - name: POD_NAME
              valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}
            - {{name: GREETING, value: "hello $(POD_NAME) $$(X)"}}
            - {{name: MULTI, value: "one\\ntwo"}}
          envFrom:
            - secretRef: {{name: keys}}
          ports: [{ports}]
          readinessProbe:
            httpGet: {{path: /healthz, port: {probe}}}
            periodSeconds: 1
"""

POD = """
      terminationGracePeriodSeconds: 2
      securityContext:
        runAsNonRoot: true
        runAsUser: 65534
        seccompProfile: {{type: RuntimeDefault}}
      containers:{containers}
"""

WORKLOAD = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  {extra}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:{pod}
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  {extra}
  selector: {{app: {name}}}
  ports: [{ports}]
"""

NAMED = "{name: http, containerPort: 8080}"
SIBLING = "{name: echo, containerPort: 9001}"


def container(args="http=8080,echo=9001", ports=f"{NAMED}, {SIBLING}", probe="http"):
    quoted = ", ".join(f'"{a}"' for a in args.split(","))
    return CONTAINER.format(args=quoted, ports=ports, probe=probe)


def workload(name, kind="Deployment", extra="replicas: 1", containers=None):
    pod = POD.format(containers=containers or container())
    return WORKLOAD.format(name=name, kind=kind, extra=extra, pod=pod)


def service(name, ports, extra=""):
    return SERVICE.format(name=name, ports=ports, extra=extra)


NAMED_SERVICE = (
    "{name: http, port: 80, targetPort: http}, {name: echo, port: 9001, targetPort: echo}"
)
NUMERIC_SERVICE = (
    "{name: http, port: 80, targetPort: 8080}, {name: echo, port: 9001, targetPort: 9001}"
)

SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {PASSWORD: "not-a-secret"}
"""


def is_going(cluster):
    phase = ["get", "namespace", NAMESPACE, "-o", "jsonpath={.status.phase}"]
    return cluster.kubectl(*phase, check=False).stdout == "Terminating"


def prepare(cluster):
    """The module before may have just deleted it."""
    wait_until("the end of the namespace", lambda: not is_going(cluster), 90, 1)
    cluster.kubectl("create", "namespace", NAMESPACE, check=False)
    cluster.apply(SECRET, NAMESPACE)


# Serves its /data on port 8080; the container's mounts follow.
DATA_APP = f"""- name: app
          image: {TOOLS}
          imagePullPolicy: IfNotPresent
          command: [python3, -m, http.server, "8080", --directory, /data]
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}"""


def in_pod_of(workload, cluster, script, container="app"):
    """What a script prints in a container of the deployment; see functools.partial."""
    return cluster.kubectl(
        "exec", "-n", NAMESPACE, f"deployment/{workload}", "-c", container, "--",
        "bash", "-c", script,
    ).stdout  # fmt: skip


def rollout(cluster, target):
    cluster.kubectl(
        "rollout", "status", "-n", NAMESPACE, target, "--timeout=90s", timeout=100
    )


@contextlib.contextmanager
def local_program(name="local", port=LOCAL_PORT, *services):
    """An ordinary container of the workstation that answers with its name."""
    container_name = f"{E2E}-program-{name}"
    run(["docker", "rm", "-f", container_name], check=False)
    run(
        ["docker", "run", "-d", "--name", container_name, "--network",
         f"container:{DAEMON}", "-e", f"POD_NAME={name}", "tp-test/app",
         f"http={port}", *services]
    )  # fmt: skip
    try:
        yield container_name
    finally:
        run(["docker", "rm", "-f", container_name], check=False)


def local_program_args(name, ports):
    """docker run of local_program.py, listening on ports."""
    program = pathlib.Path(__file__).with_name("local_program.py").read_text()
    return ["docker", "run", "-d", "--name", name, "--network", f"container:{DAEMON}",
            TOOLS, "python3", "-u", "-c", program, *map(str, ports)]  # fmt: skip


def who(box, url, seconds=5):
    """The pod that answers, or "" if none does; why is then in the test's output."""
    done = box.sh(f"curl -sS --max-time {seconds} {url}", check=False)
    for line in done.stdout.splitlines():
        if line.startswith("pod"):
            return line.split(":", 1)[-1].strip()
    print(f"{time.strftime('%T')} {url}: {done.stderr.strip() or done.stdout[:200]}")
    return ""


def led_to(name, namespace):
    """The pods' addresses behind a Service, as kube-proxy's rules have them now."""
    rules = run(["docker", "exec", NODE, "iptables-save", "-t", "nat"], check=False).stdout
    return set(re.findall(rf'"{namespace}/{name}(?::\S*)? -> ([0-9.]+):', rules))


def until_settled(cluster, name, namespace=NAMESPACE, seconds=60):
    """No pod of before a rollout is asked any more: they are gone, and kube-proxy,
    which is a second or more behind, knows that."""

    def settled():
        pods = cluster.kubectl_json("get", "pods", "-n", namespace, "-l", f"app={name}")["items"]
        going = [p for p in pods if "deletionTimestamp" in p["metadata"]]
        here = {p["status"].get("podIP") for p in pods}
        return not going and led_to(name, namespace) <= here

    wait_until(f"the pods of {name} of before are gone", settled, seconds)


# One program: as many processes as requests are more load than the requests.
AT_ONCE = """
import http.client, sys, threading, urllib.parse
url, n, answers = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2]), []
def ask():
    c = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=20)
    try:
        c.request('GET', '/')
        text = c.getresponse().read().decode()
        answers.append(next((x[5:] for x in text.splitlines() if x.startswith('pod: ')), text))
    except Exception as e:
        answers.append(repr(e))
    c.close()
threads = [threading.Thread(target=ask) for _ in range(n)]
for t in threads: t.start()
for t in threads: t.join()
print(*answers, sep='\\n')
"""


def who_at_once(box, url, n):
    """n requests at the same time: how often each pod answered, or what went wrong."""
    done = run(["docker", "exec", box.name, "python3", "-c", AT_ONCE, url, str(n)], timeout=120)
    return collections.Counter(done.stdout.splitlines())


# The tests ask from the session's own network, where what is taken over would be
# answered without the cluster.
THROUGH_THE_CLUSTER = {v: ["--no-local-shortcut"] for v in ("intercept", "replace")}


def engage(cluster, verb, target, *flags, check=True, timeout=180, shortcut=False):
    way = [] if shortcut else THROUGH_THE_CLUSTER.get(verb, [])
    done = cluster.tp(
        verb, target, "--name", DAEMON, "-n", NAMESPACE, "--format", "json", *way, *flags,
        check=check, timeout=timeout,
    )  # fmt: skip
    return json.loads(done.stdout) if check else done


def detach(cluster, name, check=True):
    return cluster.tp("detach", name, "--name", DAEMON, check=check)


def listed(cluster):
    done = cluster.tp(
        "list", "--name", DAEMON, "-n", NAMESPACE, "--format", "json"
    )
    return json.loads(done.stdout)


def until_answered_by(box, url, wanted, seconds=30):
    wait_until(f"{url} answered by {wanted}", lambda: who(box, url).startswith(wanted), seconds)
