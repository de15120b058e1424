# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# Certificates and kubeconfigs. All of them are made when the cluster is, and
# none leaves the node but those of the users. The cluster's own keys are
# elliptic ones (fast to make), those of users RSA, so that tests meet both.

readonly valid_days=3650

new_key() {
    case $2 in
    ec) openssl genpkey -quiet -algorithm EC \
        -pkeyopt ec_paramgen_curve:P-256 -out "$1" ;;
    rsa) openssl genpkey -quiet -algorithm RSA \
        -pkeyopt rsa_keygen_bits:2048 -out "$1" ;;
    esac
}

# new_ca NAME: makes NAME.crt and NAME.key.
new_ca() {
    new_key "$pki/$1.key" ec
    openssl req -x509 -new -key "$pki/$1.key" -subj "/CN=$1" \
        -days "$valid_days" -out "$pki/$1.crt" \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# issue CA KEYTYPE FILE SUBJECT USAGE [NAMES]: makes FILE.crt and FILE.key,
# signed by the CA of that name.
issue() {
    local ca=$1 type=$2 file=$3 subject=$4 usage=$5 names=${6:-}
    new_key "$file.key" "$type"
    openssl req -new -key "$file.key" -subj "$subject" |
        openssl x509 -req -CA "$pki/$ca.crt" -CAkey "$pki/$ca.key" \
            -set_serial "0x$(openssl rand -hex 16)" -days "$valid_days" \
            -out "$file.crt" -extfile <(
                echo "basicConstraints=critical,CA:FALSE"
                echo "keyUsage=critical,digitalSignature,keyEncipherment"
                echo "extendedKeyUsage=$usage"
                echo "authorityKeyIdentifier=keyid"
                [ -z "$names" ] || echo "subjectAltName=$names"
            ) 2>/dev/null
}

# kubeconfig NAME SERVER: prints a kubeconfig of the certificate NAME.crt.
kubeconfig() {
    cat <<EOF
apiVersion: v1
kind: Config
clusters:
- name: tp-cluster
  cluster:
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
    server: $2
users:
- name: $(basename "$1")
  user:
    client-certificate-data: $(base64 -w0 "$1.crt")
    client-key-data: $(base64 -w0 "$1.key")
contexts:
- name: tp-cluster
  context: {cluster: tp-cluster, user: $(basename "$1")}
current-context: tp-cluster
EOF
}

# The one API server's certificate holds for its address in the Docker
# network and for the port that is published at the host's loopback.
api_server_names() {
    local name names
    names="IP:$(own_ip),IP:127.0.0.1,IP:$api_service_ip"
    for name in localhost "$(hostname)" kubernetes kubernetes.default \
        kubernetes.default.svc kubernetes.default.svc.cluster.local; do
        names+=",DNS:$name"
    done
    echo "$names"
}

# Clients of the API server within the control plane, by the names that
# Kubernetes' own RBAC rules expect.
issue_clients() {
    local name
    for name in controller-manager scheduler proxy; do
        issue ca ec "$pki/$name" "/CN=system:kube-$name" clientAuth
    done
    issue ca ec "$pki/admin" "/O=system:masters/CN=admin" clientAuth
    issue ca ec "$pki/apiserver-kubelet" \
        "/O=system:masters/CN=kube-apiserver-kubelet-client" clientAuth
    issue front-proxy-ca ec "$pki/front-proxy" /CN=front-proxy-client \
        clientAuth
}

# issue_node NAME IP: kubelet's certificate, for both of its roles.
issue_node() {
    issue ca ec "$pki/kubelet-$1" "/O=system:nodes/CN=system:node:$1" \
        clientAuth,serverAuth "DNS:$1,IP:$2"
}

make_pki() {
    local name server
    server=https://$(own_ip):6443
    new_ca ca
    new_ca front-proxy-ca
    issue ca ec "$pki/apiserver" /CN=kube-apiserver serverAuth \
        "$(api_server_names)"
    issue_clients
    issue_node "$(hostname)" "$(own_ip)"
    new_key "$pki/service-accounts.key" ec
    openssl pkey -in "$pki/service-accounts.key" -pubout \
        -out "$pki/service-accounts.pub"
    for name in admin controller-manager scheduler proxy; do
        kubeconfig "$pki/$name" "$server" >"$conf/$name.conf"
    done
    kubeconfig "$pki/kubelet-$(hostname)" "$server" >"$conf/kubelet.conf"
    cp "$pki/kubelet-$(hostname).crt" "$pki/kubelet.crt"
    cp "$pki/kubelet-$(hostname).key" "$pki/kubelet.key"
}
