include src/daemon/datapath.mk

noinst_LIBRARIES += libtp-daemon.a
libtp_daemon_a_SOURCES = $(DATAPATH_SOURCES)
