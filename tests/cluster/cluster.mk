# The test cluster's targets; included from the top directory's GNUmakefile
# and in need of nothing that configure makes. See tests/cluster/README.md.
.PHONY: cluster-up cluster-down cluster-selftest

cluster-up:
	@tests/cluster/up

cluster-down:
	@tests/cluster/down

cluster-selftest:
	@tests/cluster/selftest
