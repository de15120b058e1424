# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# Makes of a container what kubelet and containerd expect of a machine.

# Docker mounts these read-only into a container that is not privileged. A
# failure is none yet: what cannot do without says so itself.
make_mounts_writable() {
    local directory
    mount -o remount,bind,rw /sys 2>/dev/null || true
    mount -o remount,rw /proc/sys 2>/dev/null || true
    mount -o remount,rw /sys/fs/cgroup 2>/dev/null || true
    for directory in /sys/fs/cgroup/*/; do
        mount -o remount,bind,rw "$directory" 2>/dev/null || true
    done
}

# In cgroup v2 a group that holds processes cannot hand controllers down:
# the node's own processes move to a leaf.
prepare_cgroup_v2() {
    local root=/sys/fs/cgroup process controllers
    [ -f "$root/cgroup.controllers" ] || return 0
    mkdir -p "$root/node"
    while read -r process; do
        echo "$process" >"$root/node/cgroup.procs" 2>/dev/null || true
    done <"$root/cgroup.procs"
    read -r controllers <"$root/cgroup.controllers"
    # "cpu memory" becomes "+cpu +memory".
    echo "+${controllers// / +}" >"$root/cgroup.subtree_control"
}

prepare_network() {
    # A pod that calls its own Service comes back through the bridge, where
    # kube-proxy's rules must see the packet again.
    sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
    sysctl -qw net.ipv4.ip_forward=1
    # Only what leaves the cluster is hidden behind the node: between pods of
    # two nodes the addresses stay what they are.
    iptables -t nat -A POSTROUTING -s "$pod_network" ! -d "$pod_network" \
        -o eth0 -m comment --comment "pods to the outside" -j MASQUERADE
    [ -n "$(own_ip6)" ] || return 0
    sysctl -qw net.bridge.bridge-nf-call-ip6tables=1 2>/dev/null || true
    # Docker enables IPv6 for eth0 alone; the pods' bridge wants it, too.
    sysctl -qw net.ipv6.conf.default.disable_ipv6=0 \
        net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
    ip6tables -t nat -A POSTROUTING -s "$pod_network6" ! -d "$pod_network6" \
        -o eth0 -m comment --comment "pods to the outside" -j MASQUERADE
}

prepare_machine() {
    make_mounts_writable
    prepare_cgroup_v2
    # Mounts that kubelet makes must show up in the pods that share them.
    mount --make-rshared /
    mkdir -p "$pki" "$logs" /etc/cni/net.d /etc/containerd
    prepare_network
}
