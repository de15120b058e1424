# The data path of tp-daemon: its sources for libtp-daemon.a, its tests.
DATAPATH_SOURCES = \
	src/daemon/address128.h \
	src/daemon/capture_set.c src/daemon/capture_set.h \
	src/daemon/datapath.c src/daemon/datapath.h \
	src/daemon/datapath_marks.h \
	src/daemon/hold_queue.c src/daemon/hold_queue.h \
	src/daemon/netlink.c src/daemon/netlink.h \
	src/daemon/nft.c src/daemon/nft.h \
	src/daemon/nft_hold.c src/daemon/nft_hold.h \
	src/daemon/packet.c src/daemon/packet.h \
	src/daemon/route.c src/daemon/route.h \
	src/daemon/route_list.c src/daemon/route_list.h \
	src/daemon/route_policy.c src/daemon/route_policy.h \
	src/daemon/route_watch.c \
	src/daemon/shortcut.h \
	src/daemon/tcp_accept.c src/daemon/tcp_accept.h \
	src/daemon/tcp_capture.c src/daemon/tcp_capture.h \
	src/daemon/tcp_capture_internal.h \
	src/daemon/tcp_conn.c \
	src/daemon/tcp_local.c \
	src/daemon/transparent.c src/daemon/transparent.h \
	src/daemon/udp_capture.c src/daemon/udp_capture.h \
	src/daemon/udp_local.c src/daemon/udp_local.h \
	src/daemon/vnat.c src/daemon/vnat.h \
	src/daemon/vnat_text.c
DATAPATH_LIBS = $(NFTABLES_LIBS) $(NFTNL_LIBS) $(NFQ_LIBS) $(MNL_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_datapath
check_datapath_SOURCES = tests/unit/check_datapath.c
check_datapath_CFLAGS = $(CHECK_CFLAGS_ALL)
check_datapath_LDADD = libtp-daemon.a $(NET_LIBS) $(DATAPATH_LIBS) \
	$(CHECK_LIBS)
endif

# In namespaces of its own (root): the kernel's side of the data path, with a
# real link and no Kubernetes.
EXTRA_PROGRAMS += netns-daemon netns-load netns-peer
netns_daemon_SOURCES = tests/netns/testdaemon.c
netns_daemon_LDADD = libtp-daemon.a $(TUNNEL_LIBS) $(DATAPATH_LIBS)
netns_load_SOURCES = tests/netns/load.c
netns_load_LDADD = $(BASE_LIBS)
netns_peer_SOURCES = tests/netns/testpeer.c
netns_peer_LDADD = $(TUNNEL_LIBS)
CLEANFILES += netns-daemon netns-load netns-peer
EXTRA_DIST += tests/netns/run.py tests/netns/harness.py \
	tests/netns/overlap.py

.PHONY: check-netns
check-netns: netns-daemon netns-load netns-peer
	$(top_srcdir)/tests/netns/run.py --build .
