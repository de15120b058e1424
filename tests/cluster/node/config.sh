# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# The configuration files of what runs on every node.

configure_containerd() {
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE the score of a pod
    # cannot be set below the node's own.
    cat >/etc/containerd/config.toml <<'EOF'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/tp-test/pause:latest"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
EOF
}

# pod_ranges IPV4 IPV6, for host-local
pod_ranges() {
    echo "[{\"subnet\": \"$1\"}]"
    [ -z "$(own_ip6)" ] || echo ", [{\"subnet\": \"$2\"}]"
}

pod_routes() {
    echo '{"dst": "0.0.0.0/0"}'
    [ -z "$(own_ip6)" ] || echo ', {"dst": "::/0"}'
}

# The node's number gives its pod subnets: the controller manager hands the
# subnets out in the order in which the nodes join, which is the same.
configure_cni() {
    local index=$((TP_NODE_NUMBER - 1)) mtu
    local subnet=10.42.$index.0/24 subnet6
    subnet6=$(printf 'fd42:0:0:%x::/64' "$index")
    mtu=$(cat /sys/class/net/eth0/mtu)
    cat >/etc/cni/net.d/10-pods.conflist <<EOF
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "mtu": $mtu,
      "ipam": {
        "type": "host-local",
        "ranges": [$(pod_ranges "$subnet" "$subnet6")],
        "routes": [$(pod_routes)]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOF
}

# configure_kubelet CONTROL_PLANE_IP. Pods that do not use the cluster's DNS
# cannot use Docker's either (it listens at the node's loopback only): they
# ask CoreDNS by its address at the node.
configure_kubelet() {
    echo "nameserver $1" >"$conf/resolv.conf"
    cat >"$conf/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
clusterDNS: ["$dns_service_ip"]
clusterDomain: cluster.local
resolvConf: $conf/resolv.conf
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
maxPods: 250
serializeImagePulls: false
cgroupDriver: cgroupfs
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
# Images are loaded by hand and the disk is shared with the host: nothing
# may be thrown away or evicted because the disk is full of other things.
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard:
  nodefs.available: "0%"
  nodefs.inodesFree: "0%"
  imagefs.available: "0%"
EOF
}

configure_proxy() {
    cat >"$conf/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $conf/proxy.conf}
clusterCIDR: $(both_families "$pod_network" "$pod_network6")
mode: iptables
# The kernel's limits belong to the host.
conntrack: {maxPerCore: 0}
EOF
}
