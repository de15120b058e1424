# The data path of tp-daemon: its sources for libtp-daemon.a, its tests.
DATAPATH_SOURCES = \
	src/daemon/capture_set.c src/daemon/capture_set.h \
	src/daemon/datapath.c src/daemon/datapath.h \
	src/daemon/datapath_marks.h \
	src/daemon/flow_table.c src/daemon/flow_table.h \
	src/daemon/hold_queue.c src/daemon/hold_queue.h \
	src/daemon/netlink.c src/daemon/netlink.h \
	src/daemon/nft.c src/daemon/nft.h \
	src/daemon/nft_hold.c src/daemon/nft_hold.h \
	src/daemon/packet.c src/daemon/packet.h \
	src/daemon/route.c src/daemon/route.h \
	src/daemon/tcp_capture.c src/daemon/tcp_capture.h \
	src/daemon/transparent.c src/daemon/transparent.h \
	src/daemon/udp_capture.c src/daemon/udp_capture.h
DATAPATH_LIBS = $(NFTABLES_LIBS) $(NFTNL_LIBS) $(NFQ_LIBS) $(MNL_LIBS)
