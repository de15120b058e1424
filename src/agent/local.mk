include src/agent/path.mk

noinst_LIBRARIES += libtp-agent.a
libtp_agent_a_SOURCES = $(AGENT_PATH_SOURCES)
AGENT_LIBS = libtp-agent.a $(TUNNEL_LIBS) $(AGENT_PATH_LIBS)
