# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# Builds what a node is made of, once: the programs by the Go sources' hash
# in the cache, the image by the hash of everything that goes into it.

hash_of() {
    # Contents with names, so that a renamed file counts.
    sha256sum "$@" | sha256sum | cut -c1-16
}

programs_dir() {
    echo "$cache_dir/testkube-$(hash_of go.mod go.sum ./*.go)"
}

have_programs() {
    [ -x "$(programs_dir)/testkube" ] && [ -x "$(programs_dir)/helm" ]
}

node_image() {
    echo "tp-testnode:$(hash_of go.mod go.sum ./*.go Dockerfile \
        pause/pause.c node/*)"
}

have_node_image() {
    docker image inspect "$(node_image)" >/dev/null 2>&1
}

need_go() {
    local have need
    PATH=$PATH:/usr/local/go/bin
    need=$(awk '$1 == "go" { print $2 }' go.mod)
    command -v go >/dev/null ||
        die "Go $need or later is needed to build Kubernetes: no go in PATH"
    have=$(go env GOVERSION)
    printf '%s\n' "$need" "${have#go}" | sort -VC ||
        die "Go $need or later is needed to build Kubernetes: this is $have"
}

# Kubernetes reports the version that its linker flags say; clients compare
# it.
version_flags() {
    local version rest package=k8s.io/component-base/version
    version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
    rest=${version#v*.}
    echo "-X $package.gitVersion=$version" \
        "-X $package.gitMajor=$(cut -d. -f1 <<<"${version#v}")" \
        "-X $package.gitMinor=${rest%%.*}"
}

# Without cgo the programs run in the node whatever C library the host has.
compile_programs() {
    local out=$1
    export CGO_ENABLED=0
    go mod download
    go build -trimpath -ldflags "-s -w $(version_flags)" \
        -o "$out/testkube" .
    go build -trimpath -ldflags "-s -w" \
        -o "$out/helm" helm.sh/helm/v3/cmd/helm
}

build_programs() {
    local directory begin=$SECONDS
    have_programs && return
    need_go
    directory=$(programs_dir)
    say "building Kubernetes and helm from source" \
        "(about 9 minutes on 2 cores, once)"
    mkdir -p "$directory.part"
    shows_progress "building Kubernetes and helm" \
        compile_programs "$directory.part"
    # Renamed when whole, so that an interrupted build is never used.
    mkdir -p "$directory"
    mv "$directory.part"/* "$directory/"
    rmdir "$directory.part"
    say "built Kubernetes and helm in $((SECONDS - begin)) s"
}

build_pause_image() {
    local work=$1
    gcc -static -O2 -Wall -Wextra -o "$work/pause" pause/pause.c
    mkdir "$work/pause-image"
    mv "$work/pause" "$work/pause-image/"
    printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' \
        >"$work/pause-image/Dockerfile"
    docker build -q -t tp-test/pause "$work/pause-image"
    docker save -o "$work/pause.tar" tp-test/pause
}

assemble_image() {
    local work=$1
    build_pause_image "$work"
    cp -R Dockerfile node "$work/"
    ln "$(programs_dir)"/* "$work/" 2>/dev/null ||
        cp "$(programs_dir)"/* "$work/"
    docker build -t "$(node_image)" "$work"
}

build_node_image() {
    local begin=$SECONDS
    have_node_image && return
    ../images/base
    command -v gcc >/dev/null || die "gcc is needed (for the pause image)"
    # Beside the cache, for hard links; global for the trap.
    build_dir=$(mktemp -d "$cache_dir/build.XXXXXX")
    trap 'rm -rf "$build_dir"' EXIT
    say "building the node image (about a minute, once)"
    shows_progress "building the node image" assemble_image "$build_dir"
    rm -rf "$build_dir"
    say "built $(node_image) in $((SECONDS - begin)) s"
}
