# What the end-to-end tests need beside Python; built when tests/e2e/run asks.
EXTRA_PROGRAMS += linkprobe
linkprobe_SOURCES = \
	tests/e2e/linkprobe.c \
	tests/e2e/linkprobe_h2.c tests/e2e/linkprobe_h2.h
linkprobe_LDADD = $(TUNNEL_LIBS)
CLEANFILES += linkprobe
