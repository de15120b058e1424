# All but main(), so that tests can link it.
noinst_LIBRARIES += libtp-manager.a
libtp_manager_a_SOURCES = \
	src/manager/agent_conn.c \
	src/manager/agent_list.c \
	src/manager/agent_pod.c src/manager/agent_pod.h \
	src/manager/agent_review.c src/manager/agent_review.h \
	src/manager/agent_route.c \
	src/manager/agents.c src/manager/agents.h \
	src/manager/agents_gate.c \
	src/manager/agents_internal.h \
	src/manager/api.c src/manager/api.h \
	src/manager/audit.c src/manager/audit.h \
	src/manager/authorize.c src/manager/authorize.h \
	src/manager/certificate.c src/manager/certificate.h \
	src/manager/cluster.c src/manager/cluster.h \
	src/manager/credentials.c src/manager/credentials.h \
	src/manager/dial_turns.c src/manager/dial_turns.h \
	src/manager/direct.c src/manager/direct.h \
	src/manager/direct_listener.c \
	src/manager/discovery.c src/manager/discovery.h \
	src/manager/engagements.h \
	src/manager/events.c src/manager/events.h \
	src/manager/farewell.c \
	src/manager/files.c src/manager/files.h \
	src/manager/frontproxy.c src/manager/frontproxy.h \
	src/manager/gate.c src/manager/gate.h \
	src/manager/gate_internal.h \
	src/manager/gate_open.c \
	src/manager/gate_path.c \
	src/manager/health.c \
	src/manager/hello.c src/manager/hello.h \
	src/manager/identity.c src/manager/identity.h \
	src/manager/info.c src/manager/info.h \
	src/manager/inject.c src/manager/inject.h \
	src/manager/inject_agent.c \
	src/manager/inject_check.c \
	src/manager/inject_config.c \
	src/manager/inject_env.c \
	src/manager/inject_internal.h \
	src/manager/inject_patch.c \
	src/manager/inject_pod.c \
	src/manager/inject_policy.c \
	src/manager/inject_probes.c \
	src/manager/inject_settings.c \
	src/manager/inject_volumes.c \
	src/manager/inject_wish.c \
	src/manager/json_patch.c src/manager/json_patch.h \
	src/manager/template_inject.c src/manager/template_inject.h \
	src/manager/webhook_probe.c src/manager/webhook_probe.h \
	src/manager/link.c \
	src/manager/link_age.c \
	src/manager/link_dial.c \
	src/manager/link_incoming.c \
	src/manager/link_internal.h \
	src/manager/link_ticket.c \
	src/manager/link_to_pod.c \
	src/manager/links.c src/manager/links.h \
	src/manager/lookups.c src/manager/lookups.h \
	src/manager/manager.c src/manager/manager.h \
	src/manager/manager_internal.h \
	src/manager/metrics.c src/manager/metrics.h \
	src/manager/options.c src/manager/options.h \
	src/manager/parts.h \
	src/manager/policy.c src/manager/policy.h \
	src/manager/refresh.c \
	src/manager/replicas.c src/manager/replicas.h \
	src/manager/resolvconf.c \
	src/manager/review.c src/manager/review.h \
	src/manager/selfcheck.c src/manager/selfcheck.h \
	src/manager/scope.c src/manager/scope.h \
	src/manager/server.c src/manager/server.h \
	src/manager/server_answer.c \
	src/manager/server_body.c src/manager/server_body.h \
	src/manager/server_conn.c src/manager/server_internal.h \
	src/manager/slices.c src/manager/slices.h \
	src/manager/snapshot.c src/manager/snapshot.h \
	src/manager/subnets.c src/manager/subnets.h \
	src/manager/ticket.c src/manager/ticket.h \
	src/manager/webhook.c src/manager/webhook.h \
	src/manager/webhook_listener.c
include src/manager/engage.mk
MANAGER_LIBS = libtp-manager.a libtp-kube.a $(TUNNEL_LIBS) $(CURL_LIBS)

bin_PROGRAMS += tp-manager
tp_manager_SOURCES = src/manager/main.c
tp_manager_LDADD = $(MANAGER_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_manager check_manager_gate check_manager_agent_pod \
	check_manager_agents
check_PROGRAMS += check_manager_server check_manager_direct
check_manager_direct_SOURCES = tests/unit/check_manager_direct.c
check_manager_direct_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_direct_LDADD = $(MANAGER_LIBS) libtp-daemon.a $(BASE_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_inject check_webhook
check_webhook_SOURCES = tests/unit/check_webhook.c \
	tests/unit/pki.c tests/unit/pki.h
check_webhook_CFLAGS = $(CHECK_CFLAGS_ALL)
check_webhook_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_inject_SOURCES = tests/unit/check_inject.c \
	tests/unit/check_inject_refused.c \
	tests/unit/check_inject_template.c \
	tests/unit/inject_world.c tests/unit/inject_world.h
check_inject_CFLAGS = $(CHECK_CFLAGS_ALL)
check_inject_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_PROGRAMS += check_manager_link
check_manager_SOURCES = tests/unit/check_manager.c \
	tests/unit/pki.c tests/unit/pki.h
check_manager_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_link_SOURCES = tests/unit/check_manager_link.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_manager_link_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_link_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_gate_SOURCES = tests/unit/check_manager_gate.c \
	tests/unit/pki.c tests/unit/pki.h
check_manager_gate_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_gate_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_agent_pod_SOURCES = tests/unit/check_manager_agent_pod.c
check_manager_agent_pod_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_agent_pod_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_agents_SOURCES = tests/unit/check_manager_agents.c \
	tests/unit/agents_world.c tests/unit/agents_world.h \
	tests/unit/pki.c tests/unit/pki.h \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_manager_agents_CFLAGS = $(CHECK_CFLAGS_ALL)
# Its engagements are the test's own: they stand before those of the library.
check_manager_agents_LDFLAGS = $(AM_LDFLAGS) -Wl,--allow-multiple-definition
check_manager_agents_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_server_SOURCES = tests/unit/check_manager_server.c
check_manager_server_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_server_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
endif
