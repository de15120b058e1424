# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that read this one
# What the scripts on the host share: names, messages and waiting.

# Another name gives another cluster beside the usual one; it wants a
# TP_CLUSTER_RUN of its own, too.
readonly cluster=${TP_CLUSTER_NAME:-tp-cluster}
readonly network=$cluster
readonly node_prefix=$cluster-node
readonly control_plane=${node_prefix}1

readonly run_dir=${TP_CLUSTER_RUN:-$PWD/run}
readonly cache_dir=${TP_CACHE:-$HOME/.cache/tp}
readonly kubeconfig=$run_dir/kubeconfig

say() {
    printf 'cluster: %s\n' "$*"
}

die() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

# On a terminal a line that shows the seconds while something lasts; nothing
# in a pipe.
show_waiting() {
    [ ! -t 1 ] || printf '\r\033[Kcluster: %s ... %d s' "$1" "$2"
}

clear_waiting() {
    [ ! -t 1 ] || printf '\r\033[K'
}

# wait_for SECONDS WHAT COMMAND...: false when the command still fails then.
wait_for() {
    local begin=$SECONDS limit=$1 what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - begin)) -ge "$limit" ]; then
            clear_waiting
            return 1
        fi
        show_waiting "$what" $((SECONDS - begin))
        sleep 0.2
    done
    clear_waiting
}

# Ends with the script, however that ends.
tick() {
    local begin=$SECONDS
    while kill -0 $$ 2>/dev/null; do
        show_waiting "$1" $((SECONDS - begin))
        sleep 1
    done
}

# shows_progress WHAT COMMAND...: runs it, output in a file that is shown,
# its end at least, when it fails. In the foreground, so that an interrupt
# from the terminal reaches it.
shows_progress() {
    local what=$1 log ticker status
    shift
    log=$(mktemp)
    tick "$what" &
    ticker=$!
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    kill "$ticker" 2>/dev/null
    wait "$ticker" 2>/dev/null || true
    clear_waiting
    [ "$status" = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    [ "$status" = 0 ] || die "$what: failed, the end of its output is above"
}

# All nodes that there are, running or not, in the order of their numbers.
nodes() {
    docker ps -a --filter "name=^${node_prefix}[0-9]+\$" \
        --format '{{.Names}}' | sort -V
}

is_running() {
    [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]
}

node_ip() {
    docker inspect -f \
        "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "$1"
}

# Empty in a network of IPv4 only.
node_ip6() {
    docker inspect -f \
        "{{(index .NetworkSettings.Networks \"$network\").GlobalIPv6Address}}" \
        "$1"
}

# The port at the host's loopback that Docker chose for the API server.
api_port() {
    docker port "$control_plane" 6443/tcp | sed -n 's/^127.0.0.1://p'
}

need_docker() {
    command -v docker >/dev/null || die "docker is not installed"
    docker version >/dev/null 2>&1 ||
        die "the Docker daemon does not answer (docker version)"
}

need_cluster() {
    need_docker
    is_running "$control_plane" ||
        die "the cluster does not run: start it by tests/cluster/up"
}

# One at a time, whichever checkout they come from: the names are global.
lock_cluster() {
    mkdir -p "$cache_dir"
    exec 9>"$cache_dir/cluster.lock"
    flock -n 9 && return
    say "another tests/cluster/up or down runs, waiting for it"
    flock -w 1800 9 || die "it has not finished in half an hour"
}
