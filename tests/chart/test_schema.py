"""The schema: what it refuses, and what it is."""

import json
import re

import pytest
import yaml

from conftest import CHART, TOP, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def refused(*sets, values=None):
    done = render(*sets, values=values, check=False)
    assert done.returncode != 0, "was accepted"
    return done.stderr


# a wrong value, and what the message has to name
WRONG = [
    ("replcias=2", "replcias"),
    ("replicas=two", "/replicas"),
    ("replicas=0", "/replicas"),
    ("image.tags=x", "tags"),
    ("image.tag=a b", "/image/tag"),
    ("image.digest=sha256:12", "/image/digest"),
    ("image.pullPolicy=never", "/image/pullPolicy"),
    ("logLevel=warning", "/logLevel"),
    ("link.rate=200M", "/link/rate"),
    ("link.rate=-1", "/link/rate"),
    ("link.aggregate=true", "aggregate"),
    ("link.aggregated=yes please", "/link/aggregated"),
    ("frontProxy.allowAnyName=1", "/frontProxy/allowAnyName"),
    ("dial.scope=everything", "/dial/scope"),
    ("dial.allow=10.0.0.0/8", "/dial/allow"),
    ("dial.allow={10.0.0.0}", "/dial/allow/0"),
    ("dial.allow={10.0.0.0/33}", "/dial/allow/0"),
    ("dial.allow={300.0.0.0/8}", "/dial/allow/0"),
    ("dial.allow={fd00::/129}", "/dial/allow/0"),
    ("dial.allowNodes={10.0.0.0/8}", "/dial/allowNodes/0"),
    ("subnets.pods={10.0.0.0/8}", "pods"),
    ("cluster.dnsAddress=dns", "/cluster/dnsAddress"),
    ("cluster.domain=-x", "/cluster/domain"),
    ("client.dns.exclude={a}", "exclude"),
    ("client.dns.mappings={db}", "/client/dns/mappings/0"),
    ("client.dns.mappedNamespaces={A_B}", "/client/dns/mappedNamespaces/0"),
    ("client.dns.lookupTimeout=4", "/client/dns/lookupTimeout"),
    ("client.dns.lookupTimeout=4 s", "/client/dns/lookupTimeout"),
    ("client.dns.lookupTimeout=11m", "/client/dns/lookupTimeout"),
    ("client.routing.allowConflictingSubnets={10.0.0.0/8}", "allowConflicting"),
    ("client.routing.alsoProxy={x}", "/client/routing/alsoProxy/0"),
    ("client.logLevel=trace", "/client/logLevel"),
    ("client.proxy=0.0.0.0:1080", "proxy"),
    ("clientRbac.subjects[0].kind=Group", "name"),
    ("clientRbac.subjects[0].kind=Team,clientRbac.subjects[0].name=x", "kind"),
    ("clientRbac.namespaces={Not A Name}", "/clientRbac/namespaces/0"),
    ("ca.bundle=nonsense", "/ca/bundle"),
    ("agent.image.tags=x", "tags"),
    ("agent.redirect=ebpf", "/agent/redirect"),
    ("agent.environment.exclude={}", "/agent/environment/exclude"),
    ("agent.environment.excludes={A}", "excludes"),
    ("agent.volumes.default=rw", "/agent/volumes/default"),
    ("agent.volumes.policy=local", "policy"),
    ("agent.volumes.rules[0].path=tmp,agent.volumes.rules[0].policy=local", "path"),
    ("agent.volumes.rules[0].path=/a", "policy"),
    ("agent.idleSeconds=1h", "/agent/idleSeconds"),
    ("agent.logLevel=loud", "/agent/logLevel"),
    ("agent.securityContext.privileged=true", "securityContext"),
    ("agent.command={sh}", "command"),
    ("agent.resources.limits.memory=lots", "/agent/resources/limits/memory"),
    ("agent.pullSecrets={A B}", "/agent/pullSecrets/0"),
    ("webhook.failurePolicy=Fail", "failurePolicy"),
    ("webhook.timeoutSeconds=31", "/webhook/timeoutSeconds"),
    ("webhook.reinvocationPolicy=Always", "/webhook/reinvocationPolicy"),
    ("webhook.namespaceSelector.matchLabel.a=b", "matchLabel"),
    ("podSecurityContext.runAsUser=0", "/podSecurityContext/runAsUser"),
    ("podSecurityContext.runAsNonRoot=false", "/podSecurityContext"),
    ("podSecurityContext.sysctls[0].name=x", "sysctls"),
    ("securityContext.privileged=true", "securityContext"),
    ("podSecurityContext.seccompProfile.type=Unconfined", "/seccompProfile"),
    ("resources.limits.memory=lots", "/resources/limits/memory"),
    ("resources.limit.memory=1Gi", "limit"),
    ("tolerations[0].effects=x", "effects"),
    ("affinity.nodesAffinity=x", "nodesAffinity"),
    ("drainTimeout=1", "/drainTimeout"),
    ("drainTimeout=1m", "/drainTimeout"),
    ("terminationGracePeriodSeconds=60", "terminationGracePeriodSeconds"),
]


@pytest.mark.parametrize("value, named", WRONG, ids=[v for v, _ in WRONG])
def test_a_wrong_value_is_named(value, named):
    message = refused(value)
    assert named in message
    assert "schema" in message


REFUSED = [
    (["certManager.enabled=true", "ca.existingSecret=x"], "exclude each other"),
    (["ca.existingSecret=x"], "give the authority's certificates in ca.bundle"),
    (["certManager.issuerRef.name=x"], "needs certManager.enabled"),
    (["clientRbac.namespaces={a}"], "needs clientRbac.subjects"),
    (
        [
            "clientRbac.create=false",
            "clientRbac.subjects[0].kind=User",
            "clientRbac.subjects[0].name=x",
        ],
        "needs clientRbac.create",
    ),
]


@pytest.mark.parametrize("sets, reason", REFUSED, ids=[r for _, r in REFUSED])
def test_values_that_contradict_each_other(sets, reason):
    assert reason in refused(*sets)


def walk(node, path="$"):
    """Every schema in the schema, with its path."""
    yield path, node
    for key in ("properties", "definitions"):
        for name, child in node.get(key, {}).items():
            yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from walk(node[key], f"{path}[]")
    for key in ("allOf", "anyOf"):
        for i, child in enumerate(node.get(key, [])):
            yield from walk(child, f"{path}|{i}")


def test_every_object_is_closed():
    for path, node in walk(SCHEMA):
        if node.get("type") == "object" and path != "$.global":
            assert "additionalProperties" in node, path
            assert node["additionalProperties"] is not True, path


def test_it_needs_no_network():
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    for path, node in walk(SCHEMA):
        ref = node.get("$ref", "#/definitions/")
        assert ref.startswith("#/definitions/"), path
        assert node.keys() == {"$ref"} or "$ref" not in node, path
    assert len(json.dumps(SCHEMA)) < 40000  # it is stored in every release


def test_every_value_is_described():
    def check(node, path):
        for name, child in node.get("properties", {}).items():
            if "$ref" not in child:
                assert child.get("description"), f"{path}.{name}"
            check(child, f"{path}.{name}")

    check(SCHEMA, "$")


def test_values_and_schema_have_the_same_keys():
    def check(values, node, path):
        properties = node["properties"]
        left_out = {"global", "enabled"} if path == "$" else set()
        assert values.keys() == properties.keys() - left_out, path
        for name, value in values.items():
            child = properties[name]
            if isinstance(value, dict) and value and "properties" in child:
                if name not in ("resources", "podSecurityContext"):
                    check(value, child, f"{path}.{name}")

    check(VALUES, SCHEMA, "$")


def central_leaves(node, path=()):
    """(path, schema) of what is neither an object nor inside one."""
    for name, child in node.get("properties", {}).items():
        if child.get("type") == "object":
            yield from central_leaves(child, path + (name,))
        else:
            yield ".".join(path + (name,)), child


def test_what_a_cluster_may_set_on_a_workstation():
    """No path, command, or address to listen on: a list to be read twice."""
    client = SCHEMA["properties"]["client"]
    assert {
        name
        for name, leaf in central_leaves(client)
        if leaf.get("x-tp-central") is True
    } == {
        "logLevel",
        "connect.timeout",
        "dns.excludes",
        "dns.suffixes",
        "dns.lookupTimeout",
        "dns.mappings",
        "dns.mappedNamespaces",
        "routing.alsoProxy",
        "routing.neverProxy",
    }
    source = (TOP / "src/daemon/cluster_config.c").read_text()
    table = re.search(r"central_keys\[\] = \{\n(.*?)^\};", source, re.M | re.S)[1]
    taken = set(re.findall(r'^    \{"([A-Za-z.]+)",', table, re.M))
    assert taken == {name for name, _ in central_leaves(client)}
    for name, leaf in central_leaves(client):
        assert leaf.get("x-tp-central") is True, name
    for path, node in walk(SCHEMA):
        assert "x-tp-central" not in node or path.startswith("$.client."), path
