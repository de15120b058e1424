# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# What runs on the first node only.

start_etcd() {
    # A test cluster does not outlive its container, so nothing need be
    # safe on the disk.
    keep etcd etcd --data-dir /var/lib/etcd --unsafe-no-fsync \
        --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 \
        --advertise-client-urls http://127.0.0.1:2379
}

# TP_AGGREGATOR_ROUTING: whether webhooks and aggregated APIs are reached at
# the addresses of their pods or, as in many clusters, at the Service's.
start_api_server() {
    local options=(
        --advertise-address="$(own_ip)"
        --etcd-servers=http://127.0.0.1:2379
        --service-cluster-ip-range="$(both_families "$service_network" \
            "$service_network6")"
        --allow-privileged=true
        "--authorization-mode=Node,RBAC"
        --enable-admission-plugins=NodeRestriction
        --client-ca-file="$pki/ca.crt"
        --tls-cert-file="$pki/apiserver.crt"
        --tls-private-key-file="$pki/apiserver.key"
        --kubelet-certificate-authority="$pki/ca.crt"
        --kubelet-client-certificate="$pki/apiserver-kubelet.crt"
        --kubelet-client-key="$pki/apiserver-kubelet.key"
        --service-account-issuer=https://kubernetes.default.svc.cluster.local
        --service-account-key-file="$pki/service-accounts.pub"
        --service-account-signing-key-file="$pki/service-accounts.key"
        --enable-aggregator-routing="${TP_AGGREGATOR_ROUTING:-true}"
        --requestheader-client-ca-file="$pki/front-proxy-ca.crt"
        --requestheader-allowed-names=front-proxy-client
        --requestheader-extra-headers-prefix=X-Remote-Extra-
        --requestheader-group-headers=X-Remote-Group
        --requestheader-username-headers=X-Remote-User
        --proxy-client-cert-file="$pki/front-proxy.crt"
        --proxy-client-key-file="$pki/front-proxy.key"
    )
    keep kube-apiserver kube-apiserver "${options[@]}"
}

start_controllers() {
    keep kube-controller-manager kube-controller-manager \
        --kubeconfig="$conf/controller-manager.conf" \
        --use-service-account-credentials=true \
        --service-account-private-key-file="$pki/service-accounts.key" \
        --root-ca-file="$pki/ca.crt" \
        --cluster-signing-cert-file="$pki/ca.crt" \
        --cluster-signing-key-file="$pki/ca.key" \
        --allocate-node-cidrs=true \
        --cluster-cidr="$(both_families "$pod_network" "$pod_network6")" \
        --leader-elect=false
    keep kube-scheduler kube-scheduler \
        --kubeconfig="$conf/scheduler.conf" --leader-elect=false
}

api_server_ready() {
    kubectl --kubeconfig "$conf/admin.conf" --request-timeout 2s \
        get --raw /readyz
}
