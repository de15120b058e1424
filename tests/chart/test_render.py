"""What the chart renders, without a cluster."""

import base64
import re
import subprocess

import pytest

from conftest import CHART, TOP, helm, render

PEM = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"
EXISTING = {"ca": {"existingSecret": "mine", "bundle": PEM}}

# Each is a tree of values that somebody may have.
VARIANTS = {
    "defaults": {},
    "one replica": {"replicas": 1},
    "not aggregated": {"link": {"aggregated": False}},
    "no limits": {"link": {"rate": 0, "maxPerUser": 0}},
    "own authority": EXISTING,
    "cert-manager": {"certManager": {"enabled": True}},
    "cert-manager's issuer": {
        "certManager": {
            "enabled": True,
            "issuerRef": {"name": "corp", "kind": "ClusterIssuer"},
        }
    },
    "subjects": {
        "clientRbac": {
            "subjects": [
                {"kind": "Group", "name": "developers"},
                {"kind": "ServiceAccount", "name": "ci", "namespace": "ci"},
            ]
        }
    },
    "subjects in namespaces": {
        "clientRbac": {
            "subjects": [{"kind": "User", "name": "alice"}],
            "namespaces": ["team-a", "team-b"],
        }
    },
    "no client RBAC": {"clientRbac": {"create": False}},
    "network policy": {
        "metrics": {
            "annotations": True,
            "networkPolicy": {
                "enabled": True,
                "from": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"name": "monitoring"}
                        }
                    }
                ],
            },
        }
    },
    "network policy for nobody": {
        "metrics": {"networkPolicy": {"enabled": True}}
    },
    "OpenShift": {
        "podSecurityContext": {
            "runAsUser": None,
            "runAsGroup": None,
            "fsGroup": None,
        }
    },
    "subchart": {"global": {"anything": {"goes": 1}}, "enabled": True},
    "client": {
        "client": {
            "logLevel": "debug",
            "connect": {"timeout": "45s"},
            "dns": {"excludes": ["corp.example"], "suffixes": ["x.example"]},
            "routing": {"alsoProxy": ["10.20.0.0/16", "fd00::/8"]},
        }
    },
    "pods": {
        "labels": {"team": "platform"},
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "nodeSelector": {"disk": "ssd"},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "regcred"}],
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "a", "operator": "In", "values": ["b"]}
                            ]
                        }
                    ]
                }
            }
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule",
            }
        ],
        "resources": {"limits": {"cpu": 1, "memory": "64Mi"}},
        "serviceAccount": {"annotations": {"e": "f"}},
        "service": {"annotations": {"g": "h"}},
        "image": {"repository": "r.example:5000/tp", "tag": "1"},
    },
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def variant(request):
    return render(values=request.param)


def test_lint_is_clean():
    helm("lint", "--strict", CHART)


def test_trust_is_never_skipped(variant):
    assert "insecureSkipTLSVerify" not in variant.text
    for service in variant.all("APIService"):
        annotations = service["metadata"].get("annotations", {})
        assert (
            service["spec"].get("caBundle")
            or annotations["cert-manager.io/inject-ca-from"]
            == "tp-system/tp-manager"
        )


def test_pods_are_confined(variant):
    specs = [variant.pod_spec()] + [p["spec"] for p in variant.all("Pod")]
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {
            "type": "RuntimeDefault"
        }
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            assert not spec.get(key)


def test_every_object_is_labelled_and_placed(variant):
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "APIService"}
    for obj in variant.objects:
        meta = obj["metadata"]
        assert meta["labels"]["app.kubernetes.io/name"], obj["kind"]
        assert meta["labels"]["helm.sh/chart"].startswith("tp-")
        assert ("namespace" in meta) == (obj["kind"] not in cluster_wide)


def test_selectors_match_the_pods(variant):
    labels = variant.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        variant.one("Deployment")["spec"]["selector"]["matchLabels"],
        variant.one("Service")["spec"]["selector"],
    ]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for obj in variant.all(kind):
            spec = obj["spec"]
            selector = spec.get("selector") or spec.get("podSelector")
            selectors.append(selector["matchLabels"])
    for selector in selectors:
        assert selector and selector.items() <= labels.items()


def test_the_manager_has_no_more_rights_than_it_says(variant):
    forbidden = {"secrets", "pods", "mutatingwebhookconfigurations", "*"}
    roles = [
        o
        for kind in ("Role", "ClusterRole")
        for o in variant.all(kind)
        if o["metadata"]["name"] == "tp-manager"
    ]
    for rule in (r for o in roles for r in o["rules"]):
        assert not forbidden & set(rule["resources"] + rule["verbs"])
        if {"update", "patch", "delete", "deletecollection"} & set(
            rule["verbs"]
        ):
            assert rule["resources"] == ["apiservices"]
            assert rule["verbs"] == ["delete"]
            assert rule["resourceNames"] == ["v1.connect.tp.internal"]


def test_the_authority_is_one_in_all_objects():
    chart = render()
    secret = chart.one("Secret", "tp-manager-ca")
    bundle = chart.one("APIService")["spec"]["caBundle"]
    assert secret["data"]["tls.crt"] == bundle
    pem = base64.b64decode(bundle)
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text"],
        input=pem,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "CA:TRUE" in text and "Certificate Sign" in text
    public = subprocess.run(
        ["openssl", "x509", "-noout", "-pubkey"],
        input=pem,
        capture_output=True,
        check=True,
    ).stdout
    key = subprocess.run(
        ["openssl", "pkey", "-pubout"],
        input=base64.b64decode(secret["data"]["tls.key"]),
        capture_output=True,
        check=True,
    ).stdout
    assert public == key


def test_an_authority_of_the_admin_is_used():
    chart = render(values=EXISTING)
    assert not chart.all("Secret")
    bundle = chart.one("APIService")["spec"]["caBundle"]
    assert base64.b64decode(bundle).decode() == PEM
    volume = chart.pod_spec()["volumes"][0]
    assert volume["secret"]["secretName"] == "mine"


def test_cert_manager_makes_the_leaf():
    chart = render("certManager.enabled=true")
    assert not chart.all("Secret")
    leaf = chart.one("Certificate", "tp-manager")["spec"]
    assert "tp-manager.tp-system.svc" in leaf["dnsNames"]
    assert leaf["secretName"] == "tp-manager-tls"
    args = chart.container()["args"]
    assert "--tls-cert=/etc/tp/tls/tls.crt" in args
    assert not [a for a in args if a.startswith("--ca-")]


def test_without_aggregation_nothing_of_it_is_left():
    chart = render("link.aggregated=false")
    assert not chart.all("APIService")
    assert "--apiservice=" in chart.container()["args"]
    rules = chart.one("ClusterRole", "tp-manager")["rules"]
    assert "apiservices" not in str(rules)


def test_a_lost_node_is_left_after_20_seconds():
    tolerations = render().pod_spec()["tolerations"]
    assert {
        t["key"]: t["tolerationSeconds"] for t in tolerations
    } == {
        "node.kubernetes.io/not-ready": 20,
        "node.kubernetes.io/unreachable": 20,
    }


@pytest.mark.parametrize(
    "value, flag",
    [
        ("link.rate=25000000", "--link-rate=25000000"),
        ("link.rate=0", "--link-rate=0"),
        ("link.maxPerUser=7", "--link-max=7"),
        ("logLevel=debug", "--log-level=debug"),
        ("frontProxy.allowAnyName=true", "--allow-any-front-proxy-name"),
        ("dial.allow={10.1.0.0/16,fd00::/8}", "--dial-allow=10.1.0.0/16,fd00::/8"),
        ("dial.allowNodes={10.0.0.4}", "--dial-allow-node=10.0.0.4"),
        ("subnets.service={10.2.0.0/16}", "--service-subnets=10.2.0.0/16"),
        ("subnets.pod={10.3.0.0/16}", "--pod-subnets=10.3.0.0/16"),
        ("subnets.also={10.4.0.0/16}", "--also-subnets=10.4.0.0/16"),
        ("cluster.domain=corp.local", "--cluster-domain=corp.local"),
        ("cluster.dnsAddress=10.2.0.10", "--dns-address=10.2.0.10"),
        ("cluster.dnsSearch={a.example,b}", "--dns-search=a.example,b"),
    ],
)
def test_a_value_becomes_a_flag(value, flag):
    assert flag in render(value).container()["args"]


def test_large_numbers_are_not_written_as_powers():
    """A number of a file is a float to Helm, one of --set is not."""
    assert "--link-rate=25000000" in render().container()["args"]
    chart = render(values={"link": {"rate": 123456789}})
    assert "--link-rate=123456789" in chart.container()["args"]


def test_flags_are_those_of_the_manager():
    """Every flag of the template is one of the manager's table."""
    table = (TOP / "src/manager/options.c").read_text()
    known = set(re.findall(r'^    \{"([a-z-]+)", KIND_', table, re.M))
    template = (CHART / "templates/deployment.yaml").read_text()
    used = set(re.findall(r"^ +- --([a-z-]+)", template, re.M))
    used |= set(re.findall(r'"([a-z]+-[a-z-]+)" \.Values', template))
    assert len(used) > 10 and used <= known, used - known


def test_image_by_tag_and_digest():
    assert render().container()["image"] == "tp-manager:" + version()
    digest = "sha256:" + "a" * 64
    chart = render("image.repository=r/x", "image.tag=v1")
    assert chart.container()["image"] == "r/x:v1"
    chart = render("image.tag=v1", f"image.digest={digest}")
    assert chart.container()["image"] == f"tp-manager@{digest}"


def test_client_rbac():
    chart = render(values=VARIANTS["subjects"])
    subjects = chart.one("ClusterRoleBinding", "tp-user")["subjects"]
    assert subjects == [
        {
            "kind": "Group",
            "name": "developers",
            "apiGroup": "rbac.authorization.k8s.io",
        },
        {"kind": "ServiceAccount", "name": "ci", "namespace": "ci"},
    ]
    chart = render(values=VARIANTS["subjects in namespaces"])
    places = [
        o["metadata"]["namespace"]
        for o in chart.all("RoleBinding")
        if o["metadata"]["name"] == "tp-user"
    ]
    assert places == ["team-a", "team-b"]
    assert "tp-user" not in [
        o["metadata"]["name"] for o in chart.all("ClusterRoleBinding")
    ]
    for obj in chart.all("ClusterRole"):
        assert "aggregat" not in str(obj["metadata"])


def test_replicas_and_disruptions():
    assert render().one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert not render("replicas=1").all("PodDisruptionBudget")


def test_any_uid_can_read_the_key():
    volume = render().pod_spec()["volumes"][0]["secret"]
    assert volume["defaultMode"] == 0o440
    chart = render(values=VARIANTS["OpenShift"])
    assert chart.pod_spec()["volumes"][0]["secret"]["defaultMode"] == 0o444
    assert "runAsUser" not in chart.pod_spec()["securityContext"]


def version():
    text = (TOP / "configure.ac").read_text()
    return re.search(r"^AC_INIT\(\[tp\], \[(.*?)\]", text, re.M)[1]


def test_chart_and_program_have_one_version():
    text = (CHART / "Chart.yaml").read_text()
    assert re.findall(r"^(?:version|appVersion): (.*)$", text, re.M) == [
        version()
    ] * 2


def test_the_carried_chart_is_complete():
    listed = set(
        re.findall(r"^\tchart/(tp/\S+)", (TOP / "chart/local.mk").read_text(), re.M)
    )
    there = {
        str(p.relative_to(CHART.parent))
        for p in CHART.rglob("*")
        if p.is_file()
    }
    assert listed == there
