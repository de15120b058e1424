//go:build tools

// Package main names helm here so that go.mod and go.sum pin its version,
// too; it is built on its own.
package main

import _ "helm.sh/helm/v3/cmd/helm"
