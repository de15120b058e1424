# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# The nodes: containers that run, join and become Ready.

# The end of what a node and some of its components logged.
show_logs() {
    local node=$1 component
    shift
    {
        echo "--- docker logs $node"
        docker logs --tail 10 "$node" 2>&1
        for component in "$@"; do
            echo "--- $node: $component"
            docker exec "$node" tail -n 8 "/var/log/kube/$component.log" |
                cut -c1-300
        done
    } >&2
}

# What Docker calls --privileged, spelled out: that one wants
# CAP_SYS_RESOURCE, which a daemon that is confined itself cannot give.
node_options() {
    local device
    printf '%s\n' --cap-add=ALL --cap-drop=SYS_RESOURCE \
        --security-opt=seccomp=unconfined \
        --security-opt=apparmor=unconfined \
        --security-opt=systempaths=unconfined \
        '--device-cgroup-rule=a *:* rwm' \
        --tmpfs=/run --tmpfs=/tmp
    for device in /dev/fuse /dev/kmsg; do
        [ ! -e "$device" ] || echo "--device=$device"
    done
    [ ! -d /lib/modules ] || echo --volume=/lib/modules:/lib/modules:ro
}

# Of the network's name, because two networks cannot have the same.
subnet6() {
    sha256sum <<<"$network" |
        sed 's/\(..\)\(....\)\(....\).*/fd\1:\2:\3::\/64/'
}

make_network() {
    local mtu device
    docker network inspect "$network" >/dev/null 2>&1 && return
    # What leaves the host has to fit its own link.
    device=$(ip route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p;q')
    mtu=$(cat "/sys/class/net/$device/mtu" 2>/dev/null || echo 1500)
    mtu=com.docker.network.driver.mtu=$mtu
    # Both families where the host has them, else IPv4 alone.
    docker network create --opt "$mtu" --ipv6 --subnet "$(subnet6)" \
        "$network" >/dev/null 2>&1 ||
        docker network create --opt "$mtu" "$network" >/dev/null
}

# run_node NUMBER [OPTION...]
run_node() {
    local number=$1 options name=$node_prefix$1
    shift
    mapfile -t options < <(node_options)
    docker run --detach --name "$name" --hostname "$name" \
        --network "$network" "${options[@]}" \
        --env "TP_NODE_NUMBER=$number" "$@" "$(node_image)" >/dev/null
}

# True also when it has stopped: then there is nothing to wait for.
started_or_stopped() {
    docker exec "$1" test -f /run/tp-node.ready || ! is_running "$1"
}

# wait_until_started NODE COMPONENT...: those whose logs tell why not.
wait_until_started() {
    local node=$1
    shift
    if wait_for 120 "starting $node" started_or_stopped "$node" &&
        is_running "$node"; then
        return
    fi
    show_logs "$node" "$@"
    die "$node did not start, the ends of its logs are above;" \
        "tests/cluster/down removes it"
}

start_first_node() {
    say "starting $control_plane"
    make_network
    run_node 1 --publish 127.0.0.1:0:6443 \
        --env "TP_AGGREGATOR_ROUTING=${TP_AGGREGATOR_ROUTING:-true}"
    wait_until_started "$control_plane" etcd kube-apiserver containerd
}

# An API server that was told to end takes a minute for it before another
# one starts.
cluster_is_healthy() {
    is_running "$control_plane" &&
        wait_for 75 "asking the API server" api_server_answers
}

api_server_answers() {
    docker exec "$control_plane" timeout 3 kubectl \
        --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz
}

# A word about a cluster that this checkout would make differently.
made_otherwise() {
    [ "$(docker inspect -f '{{.Config.Image}}' "$control_plane")" = \
        "$(node_image)" ] ||
        echo ", made of other sources than these (down and up renew it)"
}

# A dead node takes its mounts and addresses with it; nothing in a test
# cluster is worth more than the ten seconds of starting anew.
remove_cluster_if_any() {
    [ -n "$(nodes)" ] || return 0
    say "there are nodes, but the API server does not answer: starting anew"
    remove_nodes "$(nodes)"
}

remove_nodes() {
    # shellcheck disable=SC2086 # names of nodes, one word each
    docker rm --force --volumes $1 >/dev/null
}

# Ready, and with what a pod needs that is created right then.
usable() {
    local ready
    ready=$("$run_dir/bin/kubectl" --kubeconfig "$kubeconfig" get nodes \
        --request-timeout 3s | grep -c ' Ready') &&
        [ "$ready" -ge "$1" ] &&
        "$run_dir/bin/kubectl" --kubeconfig "$kubeconfig" \
            --request-timeout 3s get serviceaccount default
}

# wait_for_nodes COUNT
wait_for_nodes() {
    local node
    wait_for 60 "waiting for $1 Ready node(s)" usable "$1" && return
    for node in $(nodes); do
        show_logs "$node" kubelet containerd
    done
    die "not $1 Ready node(s) in 60 s, the ends of the logs are above"
}

# Every node knows the way to the pods of every other.
connect_pods() {
    local here there number
    for here in $(nodes); do
        for there in $(nodes); do
            [ "$here" != "$there" ] || continue
            number=${there#"$node_prefix"}
            docker exec "$here" ip route replace \
                "10.42.$((number - 1)).0/24" via "$(node_ip "$there")"
            [ -z "$(node_ip6 "$there")" ] ||
                docker exec "$here" ip -6 route replace \
                    "$(printf 'fd42:0:0:%x::/64' $((number - 1)))" \
                    via "$(node_ip6 "$there")"
        done
    done
}

join_node() {
    local name=$node_prefix$1
    say "starting $name"
    have_node_image || build_programs
    build_node_image
    run_node "$1"
    docker exec "$control_plane" /usr/local/lib/tp-node/issue-node \
        "$name" "$(node_ip "$name")" |
        docker exec -i "$name" tar -C /etc/kubernetes -xf -
    docker exec "$name" touch /etc/kubernetes/joined
    wait_until_started "$name" containerd kubelet
}

# add_nodes COUNT: those that are missing of so many.
add_nodes() {
    local number
    for ((number = 2; number <= $1; number++)); do
        is_running "$node_prefix$number" && continue
        docker rm --force --volumes "$node_prefix$number" \
            >/dev/null 2>&1 || true
        join_node "$number"
        wait_for_nodes "$number"
    done
    connect_pods
}
