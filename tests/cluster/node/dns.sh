# shellcheck shell=bash
# shellcheck disable=SC2154 # names that lib.sh sets
# CoreDNS runs on the first node itself: no image of it is needed, and it
# answers before the first pod can be scheduled. For pods it is the usual
# Service kube-dns.

configure_dns() {
    cat >"$conf/Corefile" <<EOF
.:53 {
    bind $(own_ip)
    errors
    health 127.0.0.1:8181
    ready 127.0.0.1:8182
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $conf/admin.conf tp-cluster
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
EOF
}

dns_service() {
    cat <<EOF
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns, kubernetes.io/name: CoreDNS}
spec:
  clusterIP: $dns_service_ip
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns-1
  namespace: kube-system
  labels: {kubernetes.io/service-name: kube-dns}
addressType: IPv4
endpoints:
- addresses: ["$(own_ip)"]
  conditions: {ready: true}
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
EOF
}

start_dns() {
    configure_dns
    keep coredns coredns -conf "$conf/Corefile"
    dns_service |
        kubectl --kubeconfig "$conf/admin.conf" apply -f - >/dev/null
}
