include src/daemon/datapath.mk

noinst_LIBRARIES += libtp-daemon.a
libtp_daemon_a_SOURCES = $(DATAPATH_SOURCES) \
	src/daemon/cluster_capture.c \
	src/daemon/cluster_config.c \
	src/daemon/cluster_info.c src/daemon/cluster_info.h \
	src/daemon/cluster_info_internal.h \
	src/daemon/control.c src/daemon/control.h \
	src/daemon/control_internal.h \
	src/daemon/control_disengage.c \
	src/daemon/control_engage.c \
	src/daemon/control_files.c \
	src/daemon/control_ops.c \
	src/daemon/ctl.c src/daemon/ctl.h \
	src/daemon/dial_ctl.c src/daemon/dial_ctl.h \
	src/daemon/dns.c src/daemon/dns.h src/daemon/dns_internal.h \
	src/daemon/dns_ask.c src/daemon/dns_ask.h \
	src/daemon/dns_backend.c \
	src/daemon/dns_cache.c src/daemon/dns_cache.h \
	src/daemon/dns_key.c \
	src/daemon/dns_msg.c src/daemon/dns_msg.h \
	src/daemon/dns_path.c \
	src/daemon/dns_peer.c \
	src/daemon/dns_record.c src/daemon/dns_record.h \
	src/daemon/dns_reverse.c \
	src/daemon/dns_rewrite.c src/daemon/dns_rewrite.h \
	src/daemon/dns_tcp.c src/daemon/dns_tcp_internal.h \
	src/daemon/dns_translate.c src/daemon/dns_translate.h \
	src/daemon/dns_udp.c \
	src/daemon/dns_zone.c src/daemon/dns_zone.h \
	src/daemon/engagement.c src/daemon/engagement.h \
	src/daemon/engagement_internal.h \
	src/daemon/engagement_address.c \
	src/daemon/engagement_deliver.c \
	src/daemon/engagement_files.c \
	src/daemon/engagement_manager.c \
	src/daemon/engagement_shortcut.c \
	src/daemon/engagement_withdraw.c \
	src/daemon/engagement_spec.c \
	src/daemon/engagement_topod.c \
	src/daemon/files_ctl.c src/daemon/files_ctl.h \
	src/daemon/join.c src/daemon/join.h \
	src/daemon/link.c src/daemon/link.h \
	src/daemon/link_failure.c src/daemon/link_failure.h \
	src/daemon/memstate.c src/daemon/memstate.h \
	src/daemon/proxy.c src/daemon/proxy.h src/daemon/proxy_internal.h \
	src/daemon/proxy_access.c src/daemon/proxy_access.h \
	src/daemon/proxy_conn.c \
	src/daemon/proxy_dial.c src/daemon/proxy_dial.h \
	src/daemon/proxy_http.c \
	src/daemon/proxy_lookup.c src/daemon/proxy_lookup.h \
	src/daemon/proxy_pac.c src/daemon/proxy_pac.h \
	src/daemon/proxy_request.c src/daemon/proxy_request.h \
	src/daemon/proxy_socks.c \
	src/daemon/proxy_udp.c \
	src/daemon/resolvconf.c src/daemon/resolvconf.h \
	src/daemon/session.c src/daemon/session.h \
	src/daemon/session_apply.c \
	src/daemon/session_config.c src/daemon/session_config.h \
	src/daemon/session_direct.c \
	src/daemon/session_former.c \
	src/daemon/session_incoming.c \
	src/daemon/session_internal.h \
	src/daemon/session_link.c \
	src/daemon/session_links.c \
	src/daemon/session_state.c src/daemon/session_state.h \
	src/daemon/session_status.c \
	src/daemon/volume_socket.c src/daemon/volume_socket.h
DAEMON_LIBS = libtp-daemon.a $(TUNNEL_LIBS) $(DATAPATH_LIBS)

bin_PROGRAMS += tp-daemon
tp_daemon_SOURCES = src/daemon/main.c src/daemon/daemon.c src/daemon/daemon.h
tp_daemon_LDADD = $(DAEMON_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_control check_dns check_dns_answers check_engagement check_link \
	check_session check_session_links check_engagement_spec \
	check_engagement_left check_files_ctl check_proxy check_vnat check_volume_socket
check_proxy_SOURCES = tests/unit/check_proxy.c tests/unit/check_net.h
check_proxy_CFLAGS = $(CHECK_CFLAGS_ALL)
check_proxy_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_vnat_SOURCES = tests/unit/check_vnat.c
check_vnat_CFLAGS = $(CHECK_CFLAGS_ALL)
check_vnat_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_files_ctl_SOURCES = tests/unit/check_files_ctl.c
check_files_ctl_CFLAGS = $(CHECK_CFLAGS_ALL)
check_files_ctl_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_volume_socket_SOURCES = tests/unit/check_volume_socket.c
check_volume_socket_CFLAGS = $(CHECK_CFLAGS_ALL)
check_volume_socket_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_engagement_spec_SOURCES = tests/unit/check_engagement_spec.c
check_engagement_spec_CFLAGS = $(CHECK_CFLAGS_ALL)
check_engagement_spec_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_engagement_left_SOURCES = tests/unit/check_engagement_left.c tests/unit/tempdir.h
check_engagement_left_CFLAGS = $(CHECK_CFLAGS_ALL)
check_engagement_left_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_engagement_SOURCES = tests/unit/check_engagement.c \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_engagement_CFLAGS = $(CHECK_CFLAGS_ALL)
check_engagement_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_control_SOURCES = tests/unit/check_control.c
check_control_CFLAGS = $(CHECK_CFLAGS_ALL)
check_control_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
DNS_WORLD = tests/unit/dns_world.c tests/unit/dns_world.h \
	tests/unit/tunnel_pair.c tests/unit/tunnel_pair.h
check_dns_SOURCES = tests/unit/check_dns.c $(DNS_WORLD)
check_dns_CFLAGS = $(CHECK_CFLAGS_ALL)
check_dns_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_dns_answers_SOURCES = tests/unit/check_dns_answers.c $(DNS_WORLD)
check_dns_answers_CFLAGS = $(CHECK_CFLAGS_ALL)
check_dns_answers_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_link_SOURCES = tests/unit/check_link.c \
	tests/unit/check_net.h tests/unit/check_net_support.c
check_link_CFLAGS = $(CHECK_CFLAGS_ALL)
check_link_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_session_SOURCES = tests/unit/check_session.c
check_session_CFLAGS = $(CHECK_CFLAGS_ALL)
check_session_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
check_session_links_SOURCES = tests/unit/check_session_links.c \
	tests/unit/check_net.h tests/unit/check_net_support.c
check_session_links_CFLAGS = $(CHECK_CFLAGS_ALL)
check_session_links_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
endif
