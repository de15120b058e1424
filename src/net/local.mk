noinst_LIBRARIES += libtp-net.a
libtp_net_a_SOURCES = \
	src/net/connect.c \
	src/net/dial.c src/net/dial.h \
	src/net/dial_config.c \
	src/net/dial_connect.c src/net/dial_http.c \
	src/net/dial_internal.h \
	src/net/direct_endpoint.c src/net/direct_endpoint.h \
	src/net/forward.c src/net/forward.h \
	src/net/http1.c src/net/http1.h \
	src/net/limit.c src/net/limit.h \
	src/net/listen.c src/net/listen.h \
	src/net/nftables.c src/net/nftables.h \
	src/net/pipes.c src/net/pipes.h \
	src/net/pktinfo.c src/net/pktinfo.h \
	src/net/route_never.c src/net/route_never.h \
	src/net/selfsigned.c src/net/selfsigned.h \
	src/net/socket.c src/net/socket.h \
	src/net/socks5.c src/net/socks5.h \
	src/net/http1_chunks.c src/net/http1_chunks.h \
	src/net/sshkey.c src/net/sshkey.h \
	src/net/stream.c src/net/stream.h \
	src/net/stream_fd.c \
	src/net/stream_internal.h \
	src/net/stream_prepend.c \
	src/net/tls.c src/net/tls.h \
	src/net/tls_bio.c \
	src/net/tls_ctx.c src/net/tls_internal.h \
	src/net/tls_text.c \
	src/net/websocket.c src/net/websocket.h \
	src/net/websocket_frame.c src/net/websocket_internal.h \
	src/net/websocket_key.c
NET_LIBS = libtp-net.a $(BASE_LIBS) $(UV_LIBS) $(OPENSSL_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_net
check_net_SOURCES = \
	tests/unit/check_net.c tests/unit/check_net.h \
	tests/unit/check_net_dial.c \
	tests/unit/check_net_http1.c \
	tests/unit/check_net_stream.c \
	tests/unit/check_net_support.c \
	tests/unit/check_net_tls.c \
	tests/unit/check_net_websocket.c
check_net_CFLAGS = $(CHECK_CFLAGS_ALL)
check_net_LDADD = $(NET_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_net_limit
check_net_limit_SOURCES = tests/unit/check_net_limit.c
check_net_limit_CFLAGS = $(CHECK_CFLAGS_ALL)
check_net_limit_LDADD = $(NET_LIBS) $(CHECK_LIBS)
endif
