// Testkube is every program of a Kubernetes node in one binary: which one it
// is follows from the name that it was started by, as with busybox, or else
// from its first argument. One binary because they share most of their code:
// 206 MB together, about 600 MB apart, and one link instead of eight.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	_ "github.com/coredns/coredns/core/plugin" // all of CoreDNS's plugins
	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// A component reads its arguments from os.Args and does not return.
var components = map[string]func(){
	"coredns": coremain.Run,
	"etcd":    func() { etcdmain.Main(os.Args) },
	"kubectl": func() { run(kubectl.NewDefaultKubectlCommand()) },
	"kube-apiserver": func() {
		run(apiserver.NewAPIServerCommand())
	},
	"kube-controller-manager": func() {
		run(controllermanager.NewControllerManagerCommand())
	},
	"kube-proxy":     func() { run(proxy.NewProxyCommand()) },
	"kube-scheduler": func() { run(scheduler.NewSchedulerCommand()) },
	"kubelet": func() {
		run(kubelet.NewKubeletCommand(context.Background()))
	},
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func usage() {
	names := make([]string, 0, len(components))
	for name := range components {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: testkube %s [argument...]\n",
		strings.Join(names, "|"))
	os.Exit(2)
}

func main() {
	start, known := components[filepath.Base(os.Args[0])]
	if !known && len(os.Args) > 1 {
		start, known = components[os.Args[1]]
		os.Args = os.Args[1:]
	}
	if !known {
		usage()
	}
	start()
}
