# The data path of tp-daemon: its sources for libtp-daemon.a, its tests.
DATAPATH_SOURCES = \
	src/daemon/capture_set.c src/daemon/capture_set.h \
	src/daemon/datapath.h \
	src/daemon/datapath_marks.h \
	src/daemon/netlink.c src/daemon/netlink.h \
	src/daemon/nft.c src/daemon/nft.h \
	src/daemon/nft_hold.c src/daemon/nft_hold.h \
	src/daemon/route.c src/daemon/route.h
DATAPATH_LIBS = $(NFTABLES_LIBS) $(NFTNL_LIBS) $(NFQ_LIBS) $(MNL_LIBS)
