noinst_LIBRARIES += libtp-base.a
libtp_base_a_SOURCES = \
	src/base/broker.c src/base/broker.h \
	src/base/bucket.c src/base/bucket.h \
	src/base/buf.c src/base/buf.h \
	src/base/cleanup.h \
	src/base/confine.c src/base/confine.h \
	src/base/encoding.c src/base/encoding.h \
	src/base/error.c src/base/error.h \
	src/base/file.c src/base/file.h \
	src/base/flow_table.c src/base/flow_table.h \
	src/base/json.c src/base/json.h \
	src/base/log.c src/base/log.h \
	src/base/memory.c src/base/memory.h src/base/proxy_port.h \
	src/base/sockaddr.c src/base/sockaddr.h
BASE_LIBS = libtp-base.a $(JSONC_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_base
check_base_SOURCES = tests/unit/check_base.c
check_base_CFLAGS = $(CHECK_CFLAGS_ALL)
check_base_LDADD = $(BASE_LIBS) $(CHECK_LIBS)
endif
EXTRA_DIST += tests/unit/suite.h tests/unit/quoted.h \
	tests/unit/agent_pods.h tests/unit/tempdir.h
