# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# What runs on every node: containerd, kubelet, kube-proxy.

start_containerd() {
    configure_containerd
    configure_cni
    keep containerd containerd
}

load_pause_image() {
    wait_for 30 containerd ctr version
    ctr -n k8s.io images import "$share/pause.tar" >/dev/null
}

# start_kubelet CONTROL_PLANE_IP
start_kubelet() {
    configure_kubelet "$1"
    keep kubelet kubelet --kubeconfig="$conf/kubelet.conf" \
        --config="$conf/kubelet.yaml" \
        --node-ip="$(both_families "$(own_ip)" "$(own_ip6)")"
}

start_proxy() {
    configure_proxy
    keep kube-proxy kube-proxy --config="$conf/proxy.yaml"
}
