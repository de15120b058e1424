include src/agent/path.mk

noinst_LIBRARIES += libtp-agent.a
libtp_agent_a_SOURCES = $(AGENT_PATH_SOURCES) \
	src/agent/engaged.c src/agent/engaged.h \
	src/agent/environment.c src/agent/environment.h \
	src/agent/expand.c src/agent/expand.h \
	src/agent/files.c src/agent/files.h src/agent/files_internal.h \
	src/agent/files_mounts.c src/agent/files_server.c \
	src/agent/idle.c src/agent/idle.h \
	src/agent/link.c src/agent/link.h \
	src/agent/logring.c src/agent/logring.h \
	src/agent/ready.c src/agent/ready.h \
	src/agent/replica_links.c \
	src/agent/replica_list.c \
	src/agent/replicas.c src/agent/replicas.h \
	src/agent/replicas_internal.h \
	src/agent/serve.c src/agent/serve.h \
	src/agent/settings.c src/agent/settings.h
AGENT_LIBS = libtp-agent.a $(TUNNEL_LIBS) $(AGENT_PATH_LIBS)

bin_PROGRAMS += tp-agent
tp_agent_SOURCES = src/agent/main.c src/agent/agent.c src/agent/agent.h
tp_agent_LDADD = $(AGENT_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_agent check_agent_link check_agent_files
check_agent_SOURCES = tests/unit/check_agent.c
check_agent_CFLAGS = $(CHECK_CFLAGS_ALL)
check_agent_LDADD = $(AGENT_LIBS) $(CHECK_LIBS)
check_agent_files_SOURCES = tests/unit/check_agent_files.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_agent_files_CFLAGS = $(CHECK_CFLAGS_ALL)
check_agent_files_LDADD = $(AGENT_LIBS) $(CHECK_LIBS)
EXTRA_check_agent_files_DEPENDENCIES = tp-agent-sftp$(EXEEXT)
check_agent_link_SOURCES = tests/unit/check_agent_link.c \
	tests/unit/agent_manager.c tests/unit/agent_manager.h \
	src/manager/certificate.c src/manager/certificate.h \
	tests/unit/pki.c tests/unit/pki.h
check_agent_link_CFLAGS = $(CHECK_CFLAGS_ALL)
check_agent_link_LDADD = $(AGENT_LIBS) $(CHECK_LIBS)
endif
