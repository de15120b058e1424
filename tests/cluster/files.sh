# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# What up leaves in run/ for those who use the cluster. All of it comes from
# the running cluster, which another checkout may have started.

write_kubeconfigs() {
    local direct
    direct=https://$(node_ip "$control_plane"):6443
    docker cp "$control_plane:/etc/kubernetes/admin.conf" \
        "$kubeconfig.direct" >/dev/null
    chmod 600 "$kubeconfig.direct"
    install -m 600 /dev/null "$kubeconfig"
    sed "s|$direct|https://127.0.0.1:$(api_port)|" "$kubeconfig.direct" \
        >"$kubeconfig"
}

# place FROM TO: without a copy where that is possible.
place() {
    ln -f "$1" "$2" 2>/dev/null || cp -f "$1" "$2"
}

write_programs() {
    mkdir -p "$run_dir/bin"
    if have_programs; then
        place "$(programs_dir)/testkube" "$run_dir/bin/kubectl"
        place "$(programs_dir)/helm" "$run_dir/bin/helm"
    else
        docker cp "$control_plane:/usr/local/bin/testkube" \
            "$run_dir/bin/kubectl" >/dev/null
        docker cp "$control_plane:/usr/local/bin/helm" \
            "$run_dir/bin/helm" >/dev/null
    fi
}

write_run_files() {
    mkdir -p "$run_dir/users"
    write_kubeconfigs
    write_programs
}
