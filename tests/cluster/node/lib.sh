# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that read this one
# What the node's scripts share: places, supervision and waiting.

readonly pki=/etc/kubernetes/pki
readonly conf=/etc/kubernetes
readonly logs=/var/log/kube
readonly share=/usr/local/share/tp-node
# up waits for this file.
readonly ready_file=/run/tp-node.ready

readonly pod_network=10.42.0.0/16
readonly service_network=10.43.0.0/16
readonly pod_network6=fd42::/48
readonly service_network6=fd43::/112
readonly api_service_ip=10.43.0.1
readonly dns_service_ip=10.43.0.10

say() {
    printf '%s\n' "$*"
}

die() {
    say "failed: $*"
    exit 1
}

# The address of the network that all nodes are at.
own_ip() {
    ip -4 -brief address show dev eth0 | awk '{sub("/.*", "", $3); print $3}'
}

# Its IPv6 address there; empty where Docker gave it none: then the cluster
# is one of IPv4 only.
own_ip6() {
    ip -6 -brief address show dev eth0 scope global |
        awk '{sub("/.*", "", $3); print $3}'
}

# both_families IPV4 IPV6: as Kubernetes wants to be told of both.
both_families() {
    if [ -n "$(own_ip6)" ]; then
        echo "$1,$2"
    else
        echo "$1"
    fi
}

# keep NAME COMMAND...: runs a component in the background and starts it anew
# when it ends, so that a test may kill one to see what follows.
keep() {
    local name=$1
    shift
    while :; do
        "$@" || true
        echo "--- $name ended, started anew"
        sleep 1
    done >>"$logs/$name.log" 2>&1 &
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || die "$what: not within the time-out"
        sleep 0.2
    done
}
