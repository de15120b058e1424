# The data path of tp-agent: its sources for libtp-agent.a, its tests.
AGENT_PATH_SOURCES = \
	src/agent/conn.c \
	src/agent/listening.c \
	src/agent/path.c src/agent/path.h src/agent/path_internal.h \
	src/agent/port.c \
	src/agent/rules.c src/agent/rules.h \
	src/agent/tee.c src/agent/tee.h \
	src/agent/udp_copy.c src/agent/udp_copy.h \
	src/agent/udp_flow.c \
	src/agent/udp_port.c
AGENT_PATH_LIBS = $(NFTABLES_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_agent_tcp check_agent_udp
check_agent_tcp_SOURCES = tests/unit/check_agent_tcp.c \
	tests/unit/agent_world.c tests/unit/agent_world.h \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_agent_tcp_CFLAGS = $(CHECK_CFLAGS_ALL)
check_agent_tcp_LDADD = $(AGENT_LIBS) $(CHECK_LIBS)
check_agent_udp_SOURCES = tests/unit/check_agent_udp.c \
	tests/unit/agent_world.c tests/unit/agent_world.h \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_agent_udp_CFLAGS = $(CHECK_CFLAGS_ALL)
check_agent_udp_LDADD = $(AGENT_LIBS) $(CHECK_LIBS)
endif

# In namespaces of their own (root): the redirect rules and the figures.
EXTRA_PROGRAMS += netns-agent
netns_agent_SOURCES = tests/netns/testagent.c
netns_agent_LDADD = $(AGENT_LIBS)
CLEANFILES += netns-agent
EXTRA_DIST += tests/netns/agent.py

.PHONY: check-netns-agent
check-netns-agent: netns-agent netns-load
	$(top_srcdir)/tests/netns/agent.py --build .
check-netns: check-netns-agent
