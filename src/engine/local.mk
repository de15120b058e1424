noinst_LIBRARIES += libtp-engine.a
libtp_engine_a_SOURCES = \
	src/engine/archive.c src/engine/archive.h \
	src/engine/conn.c src/engine/conn.h \
	src/engine/conn_internal.h \
	src/engine/conn_open.c src/engine/conn_tls.c \
	src/engine/engine.c src/engine/engine.h \
	src/engine/engine_internal.h \
	src/engine/exec.c src/engine/exec.h \
	src/engine/exec_internal.h src/engine/exec_join.c \
	src/engine/frames.c src/engine/frames.h \
	src/engine/http.c src/engine/http.h \
	src/engine/objects.c \
	src/engine/plugin.c src/engine/plugin.h \
	src/engine/plugin_archive.c \
	src/engine/target.c src/engine/target.h \
	src/engine/upload.c src/engine/upload.h
ENGINE_LIBS = libtp-engine.a $(NET_LIBS) $(ARCHIVE_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_engine
check_engine_SOURCES = tests/unit/check_engine.c
check_engine_CFLAGS = $(CHECK_CFLAGS_ALL)
check_engine_LDADD = $(ENGINE_LIBS) $(CHECK_LIBS)
endif
