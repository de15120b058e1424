"""What the chart renders, without a cluster."""

import base64
import json
import re
import subprocess

import pytest

from conftest import CHART, NAMESPACE, TOP, helm, render

PEM = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"
EXISTING = {"ca": {"existingSecret": "mine", "bundle": PEM}}

# Each is a tree of values that somebody may have.
VARIANTS = {
    "defaults": {},
    "one replica": {"replicas": 1},
    "not aggregated": {"link": {"aggregated": False}},
    "no webhook": {"webhook": {"enabled": False}},
    "direct": {"link": {"direct": {"enabled": True}}},
    "direct by nodes": {
        "link": {
            "direct": {
                "enabled": True,
                "type": "NodePort",
                "nodePort": 31000,
                "endpoints": ["tp.example:31000", "[fd00::1]:31000"],
                "annotations": {"a": "b"},
                "rate": 1000,
            }
        }
    },
    "webhook": {
        "webhook": {
            "timeoutSeconds": 3,
            "reinvocationPolicy": "Never",
            "namespaceSelector": {
                "matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "c", "operator": "Exists"}],
            },
            "objectSelector": {"matchLabels": {"d": "e"}},
        }
    },
    "agent": {
        "agent": {
            "image": {"repository": "r.example:5000/tp-agent", "tag": "1"},
            "pullSecrets": ["regcred"],
            "resources": {"limits": {"cpu": 1}},
            "redirect": "none",
            "environment": {"exclude": ["AWS_*"]},
            "idleSeconds": 0,
            "logLevel": "debug",
        }
    },
    "agents stay": {"uninstall": {"removeAgents": False}},
    "uninstall": {"uninstall": {"timeoutSeconds": 10}},
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


def webhook(chart):
    hooks = chart.one("MutatingWebhookConfiguration")["webhooks"]
    assert [h["name"] for h in hooks] == ["inject.tp.internal", "probe.tp.internal"]
    return hooks[0]


def agent_config(chart):
    return json.loads(chart.one("ConfigMap", "tp-agent")["data"]["agent.json"])


def test_the_probe_is_asked_about_nobody_else(variant):
    hooks = variant.all("MutatingWebhookConfiguration")
    for probe in (h for c in hooks for h in c["webhooks"] if h["name"] == "probe.tp.internal"):
        assert probe["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "tp-system"
        }
        assert probe["objectSelector"]["matchLabels"] == {"tp.internal/probe": "webhook"}
        assert (probe["failurePolicy"], probe["sideEffects"]) == ("Ignore", "None")


def test_lint_is_clean():
    helm("lint", "--strict", CHART)


def test_trust_is_never_skipped(variant):
    assert "insecureSkipTLSVerify" not in variant.text
    trusting = [(s, s["spec"]) for s in variant.all("APIService")]
    trusting += [
        (c, hook["clientConfig"])
        for c in variant.all("MutatingWebhookConfiguration")
        for hook in c["webhooks"]
    ]
    for obj, where in trusting:
        annotations = obj["metadata"].get("annotations", {})
        assert (
            where.get("caBundle")
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
    cluster_wide = {
        "ClusterRole",
        "ClusterRoleBinding",
        "APIService",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    for obj in variant.objects:
        meta = obj["metadata"]
        assert meta["labels"]["app.kubernetes.io/name"], obj["kind"]
        assert meta["labels"]["helm.sh/chart"].startswith("tp-")
        assert ("namespace" in meta) == (obj["kind"] not in cluster_wide)


def test_selectors_match_the_pods(variant):
    labels = variant.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        variant.one("Deployment")["spec"]["selector"]["matchLabels"],
        *[s["spec"]["selector"] for s in variant.all("Service")],
    ]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for obj in variant.all(kind):
            spec = obj["spec"]
            selector = spec.get("selector") or spec.get("podSelector")
            selectors.append(selector["matchLabels"])
    for selector in selectors:
        assert selector and selector.items() <= labels.items()


READ = {"get", "list", "watch"}
# What the manager writes, and where: by resource, the verbs that are no reading.
WRITTEN = {
    "ClusterRole": {
        "subjectaccessreviews": {"create"},
        "tokenreviews": {"create"},
        "pods/eviction": {"create"},
        "pods": {"create"},  # dry runs: test_pods_are_created_in_dry_runs_only
        "events": {"create"},
        "deployments": {"patch"},
        "statefulsets": {"patch"},
        "daemonsets": {"patch"},
        "replicasets": {"patch"},
        "apiservices": {"delete"},
        "mutatingwebhookconfigurations": {"delete"},
    },
    "Role": {
        kind: {"create", "update", "patch", "delete", "deletecollection"}
        for kind in (
            "sessions",
            "sessions/status",
            "engagements",
            "engagements/status",
            "leases",
        )
    },
}


def test_the_manager_has_no_more_rights_than_it_says(variant):
    """Neither does it read secrets, nor enter pods, nor change what decides
    about others: the two objects of its own it may only delete."""
    never = re.compile(
        r"secrets|pods/(?!eviction)|serviceaccounts|.*roles|.*rolebindings|"
        r"customresource.*|validating.*|\*"
    )
    for kind, written in WRITTEN.items():
        role = variant.one(kind, "tp-manager")
        for rule in role["rules"]:
            for what in rule["resources"]:
                assert not never.fullmatch(what), what
                more = set(rule["verbs"]) - READ
                assert more <= written.get(what, set()), (what, more)
            if "delete" in rule["verbs"] and kind == "ClusterRole":
                assert rule["resourceNames"] in (
                    ["v1.connect.tp.internal"],
                    ["tp-manager"],
                )
                assert rule["verbs"] == ["delete"]


def may(chart, verb, what):
    rules = chart.one("ClusterRole", "tp-manager")["rules"]
    return any(what in r["resources"] and verb in r["verbs"] for r in rules)


def test_pods_are_created_in_dry_runs_only(variant):
    """RBAC has no right to dry runs alone: the policy takes the rest away, and
    without policies there is no right."""
    policies = [
        p for p in variant.all("ValidatingAdmissionPolicy")
        if p["metadata"]["name"] == "tp-manager-pods"
    ]
    assert may(variant, "create", "pods") == bool(policies)
    for policy in policies:
        spec = policy["spec"]
        (rule,) = spec["matchConstraints"]["resourceRules"]
        assert (rule["resources"], rule["operations"]) == (["pods"], ["CREATE"])
        assert spec["failurePolicy"] == "Fail"
        account = f"system:serviceaccount:{NAMESPACE}:tp-manager"
        assert f"== '{account}'" in spec["matchConditions"][0]["expression"]
        bindings = variant.all("ValidatingAdmissionPolicyBinding")
        assert [
            b["spec"]["validationActions"] for b in bindings
            if b["spec"]["policyName"] == "tp-manager-pods"
        ] == [["Deny"]]
    assert not may(render(kube="1.29.1"), "create", "pods")


def test_services_are_changed_only_where_they_are_to_be_switched():
    for redirect in ("initContainer", "none", "service"):
        chart = render(f"agent.redirect={redirect}")
        switches = redirect == "service"
        assert may(chart, "patch", "services") == switches
        # helm runs the lighter one first
        jobs = sorted(
            (int(j["metadata"]["annotations"].get("helm.sh/hook-weight", 0)), j["metadata"]["name"])
            for j in chart.all("Job")
        )
        names = [name for _, name in jobs]
        assert names == (["tp-restore-services"] if switches else []) + ["tp-remove-agents"]
        args = chart.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
        assert ("--switch-services" in args) == switches


def test_the_authority_is_one_in_all_objects():
    chart = render()
    secret = chart.one("Secret", "tp-manager-ca")
    bundle = chart.one("APIService")["spec"]["caBundle"]
    assert secret["data"]["tls.crt"] == bundle
    assert webhook(chart)["clientConfig"]["caBundle"] == bundle
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
    assert webhook(chart)["clientConfig"]["caBundle"] == bundle
    assert agent_config(chart)["ca"] == PEM
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


def test_the_webhook_refuses_no_pod_and_leaves_the_system_alone(variant):
    if not variant.all("MutatingWebhookConfiguration"):
        return
    hook = webhook(variant)
    assert hook["failurePolicy"] == "Ignore"
    assert hook["sideEffects"] == "None"
    assert hook["timeoutSeconds"] <= 5
    assert hook["clientConfig"]["service"] == {
        "name": "tp-manager",
        "namespace": "tp-system",
        "path": "/inject",
        "port": 8445,
    }
    assert hook["rules"] == [
        {
            "operations": ["CREATE"],
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]
    assert hook["namespaceSelector"]["matchExpressions"][0] == {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", "kube-node-lease", "tp-system"],
    }


def test_selectors_of_the_webhook_are_added():
    hook = webhook(render(values=VARIANTS["webhook"]))
    selector = hook["namespaceSelector"]
    assert selector["matchLabels"] == {"a": "b"}
    assert len(selector["matchExpressions"]) == 2
    assert hook["objectSelector"] == {"matchLabels": {"d": "e"}}
    assert hook["timeoutSeconds"] == 3
    assert hook["reinvocationPolicy"] == "Never"


def test_pods_without_annotation_are_not_asked_about():
    condition = webhook(render())["matchConditions"][0]["expression"]
    for name in ("tp.internal/agent", "tp.internal/inject"):
        assert f"'{name}' in object.metadata.annotations" in condition
    assert "matchConditions" not in webhook(render(kube="1.27.9"))


def direct_of(**values):
    chart = render(values={"link": {"direct": {"enabled": True, **values}}})
    return chart.one("Service", "tp-manager-direct")


def test_direct_links_are_off_by_default():
    text = render().text
    assert "tp-manager-direct" not in text
    assert "listen-direct" not in text


def test_the_service_of_direct_links():
    service = direct_of(loadBalancerSourceRanges=["192.0.2.0/24"])
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    service = direct_of(type="NodePort", nodePort=31000)
    assert service["spec"]["ports"][0]["nodePort"] == 31000
    service = direct_of(type="ClusterIP", endpoints=["tp.example:443"])
    assert service["spec"]["type"] == "ClusterIP"
    with pytest.raises(AssertionError, match="needs endpoints"):
        direct_of(type="ClusterIP")


def test_without_the_webhook_nothing_of_it_is_left():
    chart = render("webhook.enabled=false")
    assert not chart.all("MutatingWebhookConfiguration")
    args = chart.container()["args"]
    assert "--listen-webhook=" in args and "--webhook=" in args
    assert "webhook" not in str(chart.one("Service")["spec"])
    assert "webhook" not in str(chart.container()["ports"])
    assert "webhook" not in str(chart.one("ClusterRole", "tp-manager")["rules"])


def test_services_and_pods_have_the_same_ports(variant):
    service = {
        p["targetPort"] for s in variant.all("Service") for p in s["spec"]["ports"]
    }
    pod = {p["name"] for p in variant.container()["ports"]}
    assert service | {"metrics"} == pod
    own = variant.one("Service", "tp-manager")["spec"]["ports"]
    numbers = {p["name"]: p["port"] for p in own}
    assert numbers["agents"] == 8444  # what agents are told
    for policy in variant.all("NetworkPolicy"):
        open_ports = {p["port"] for p in policy["spec"]["ingress"][0]["ports"]}
        assert open_ports == service


def test_settings_of_agents():
    config = agent_config(render(values=VARIANTS["agent"]))
    assert config == {
        "image": "r.example:5000/tp-agent:1",
        "pullPolicy": "IfNotPresent",
        "pullSecrets": ["regcred"],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": 1, "memory": "128Mi"},
        },
        "redirect": "none",
        "exclude": ["AWS_*"],
        "volumes": {
            "default": "remote",
            "rules": [{"path": "/tmp", "policy": "local"}],
        },
        "idleSeconds": 0,
        "logLevel": "debug",
        "nativeSidecars": True,
        "caFile": "/etc/tp/tls/tls.crt",
        "namespaceSelector": {},
        "objectSelector": {},
    }
    hook = VARIANTS["webhook"]["webhook"]
    config = agent_config(render(values=VARIANTS["webhook"]))
    assert config["namespaceSelector"] == hook["namespaceSelector"]
    assert config["objectSelector"] == hook["objectSelector"]
    # the one place: no flag of the manager's
    chart = render("agent.idleSeconds=7")
    assert agent_config(chart)["idleSeconds"] == 7
    assert not any("idle" in arg for arg in chart.container()["args"])
    assert agent_config(render())["image"] == "tp-agent:" + version()
    assert agent_config(render(kube="1.28.1"))["nativeSidecars"] is False
    chart = render("certManager.enabled=true")
    assert agent_config(chart)["caFile"] == "/etc/tp/tls/ca.crt"


def test_settings_of_agents_are_what_the_manager_reads():
    source = (TOP / "src/manager/inject_settings.c").read_text()
    read = set(re.findall(r'\(obj, "([A-Za-z]+)"', source))
    written = set(agent_config(render(values=EXISTING)))
    assert written == read


def test_custom_resources():
    columns = {
        "sessions": ["Namespace", "User", "Client", "Phase", "Age"],
        "engagements": [
            "Namespace", "Workload", "Type", "Ports", "User", "Phase", "Age",
        ],
    }  # fmt: skip
    for name, wanted in columns.items():
        crd = render().one("CustomResourceDefinition", f"{name}.tp.internal")
        assert crd["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep"
        }
        (version,) = crd["spec"]["versions"]
        assert version["name"] == "v1"
        assert version["subresources"] == {"status": {}}
        assert version["schema"]["openAPIV3Schema"]["type"] == "object"
        shown = [
            c["name"]
            for c in version["additionalPrinterColumns"]
            if not c.get("priority")
        ]
        assert shown == wanted


def test_only_the_manager_writes_custom_resources():
    chart = render()
    spec = chart.one("ValidatingAdmissionPolicy", "tp-manager")["spec"]
    assert spec["failurePolicy"] == "Fail"
    rule = spec["matchConstraints"]["resourceRules"][0]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert set(rule["resources"]) == {
        "sessions",
        "sessions/status",
        "engagements",
        "engagements/status",
    }
    manager = "system:serviceaccount:tp-system:tp-manager"
    assert manager in spec["validations"][0]["expression"]
    binding = chart.one("ValidatingAdmissionPolicyBinding", "tp-manager")["spec"]
    assert binding == {
        "policyName": "tp-manager",
        "validationActions": ["Deny"],
    }
    assert not render(kube="1.29.0").all("ValidatingAdmissionPolicy")


def test_rights_of_users_and_admins():
    chart = render()
    rights = {
        (what, verb)
        for rule in chart.one("ClusterRole", "tp-user")["rules"]
        for what in rule["resources"]
        for verb in rule["verbs"]
        if rule["apiGroups"] == ["tp.internal"]
    }
    assert rights == {
        (f"engagements/{kind}", "create")
        for kind in (
            "intercept", "replace", "mirror", "ingest", "environment", "topod",
            "volumes",
        )
    }  # fmt: skip
    admin = chart.one("ClusterRole", "tp-admin")["rules"]
    assert admin == [
        {
            "apiGroups": ["tp.internal"],
            "resources": ["engagements/takeover"],
            "verbs": ["create"],
        },
        {
            "apiGroups": ["tp.internal"],
            "resources": ["sessions", "engagements"],
            "verbs": ["get", "list", "watch", "delete"],
        },
    ]


def test_the_kubelet_waits_for_the_drain():
    assert render().pod_spec()["terminationGracePeriodSeconds"] == 75
    pod = render("drainTimeout=300").pod_spec()
    assert pod["terminationGracePeriodSeconds"] > 300


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
        ("drainTimeout=300", "--drain-timeout=300"),
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


def hooks(chart, when):
    return [
        o for o in chart.objects
        if (o["metadata"].get("annotations") or {}).get("helm.sh/hook") == when
    ]  # fmt: skip


def test_agents_are_removed_before_the_release_goes():
    job = hooks(render(), "pre-delete")[0]
    pod = job["spec"]["template"]["spec"]
    # the manager's rights and no others
    assert pod["serviceAccountName"] == "tp-manager"
    assert pod["containers"][0]["args"] == [
        "remove-agents", "tp-system", "tp-manager", "240",
    ]  # fmt: skip
    assert job["spec"]["activeDeadlineSeconds"] == 270
    assert job["spec"]["activeDeadlineSeconds"] < 300  # helm's own time-out
    job = hooks(render(values=VARIANTS["no webhook"]), "pre-delete")[0]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][2] == ""
    assert hooks(render(values=VARIANTS["agents stay"]), "pre-delete") == []


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
