# The data path comes with branch agent-path, which has this file as it must be.
AGENT_PATH_SOURCES = src/agent/path.h
AGENT_PATH_LIBS =
