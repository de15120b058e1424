noinst_LIBRARIES += libtp-tunnel.a
libtp_tunnel_a_SOURCES = \
	src/tunnel/capsule.c src/tunnel/capsule.h \
	src/tunnel/chunkq.c src/tunnel/chunkq.h \
	src/tunnel/direction.c src/tunnel/direction.h \
	src/tunnel/errno_table.c \
	src/tunnel/head.c \
	src/tunnel/link_io.c \
	src/tunnel/open.c \
	src/tunnel/relay.c src/tunnel/relay.h \
	src/tunnel/request.c \
	src/tunnel/serve.c src/tunnel/serve.h \
	src/tunnel/session.c \
	src/tunnel/splice.c src/tunnel/splice.h \
	src/tunnel/target.c \
	src/tunnel/tstream.c \
	src/tunnel/tunnel.c src/tunnel/tunnel.h \
	src/tunnel/tunnel_internal.h \
	src/tunnel/udp.c src/tunnel/udp.h \
	src/tunnel/window.c
TUNNEL_LIBS = libtp-tunnel.a $(NET_LIBS) $(NGHTTP2_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_tunnel check_tunnel_flood check_tunnel_head \
	check_tunnel_relay check_tunnel_splice check_tunnel_udp
check_tunnel_SOURCES = tests/unit/check_tunnel.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
check_tunnel_flood_SOURCES = tests/unit/check_tunnel_flood.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_flood_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_flood_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
check_tunnel_head_SOURCES = tests/unit/check_tunnel_head.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_head_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_head_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
check_tunnel_relay_SOURCES = tests/unit/check_tunnel_relay.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_relay_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_relay_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
check_tunnel_splice_SOURCES = tests/unit/check_tunnel_splice.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_splice_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_splice_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
check_tunnel_udp_SOURCES = tests/unit/check_tunnel_udp.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_tunnel_udp_CFLAGS = $(CHECK_CFLAGS_ALL)
check_tunnel_udp_LDADD = $(TUNNEL_LIBS) $(CHECK_LIBS)
endif

EXTRA_PROGRAMS += link_bench
link_bench_SOURCES = tests/bench/link_bench.c tests/bench/link_bench_cert.h
link_bench_LDADD = $(TUNNEL_LIBS)
