bin_PROGRAMS += tp-mount
tp_mount_SOURCES = \
	fuse/attributes.c \
	fuse/block.c fuse/block.h \
	fuse/carrier.c fuse/carrier.h \
	fuse/confine.c fuse/confine.h \
	fuse/conn.c fuse/conn.h fuse/conn_internal.h \
	fuse/conn_link.c fuse/conn_rx.c \
	fuse/directory.c fuse/directory.h \
	fuse/failure.c \
	fuse/file.c fuse/file.h \
	fuse/helper.c fuse/helper.h \
	fuse/journal.c fuse/journal.h \
	fuse/lanes.c fuse/lanes.h \
	fuse/listing.c fuse/listing.h \
	fuse/main.c \
	fuse/memory.h \
	fuse/mount.h \
	fuse/node.c fuse/node.h \
	fuse/ops.c fuse/ops.h \
	fuse/ops_attr.c fuse/ops_make.c fuse/ops_names.c fuse/ops_open.c \
	fuse/options.c fuse/options.h \
	fuse/prefetch.c fuse/prefetch.h \
	fuse/read.c fuse/read.h fuse/read_ahead.c \
	fuse/readdir.c \
	fuse/ssh_identity.c fuse/ssh_identity.h \
	fuse/transport.h fuse/transport_raw.c fuse/transport_ssh.c \
	fuse/transport_thread.c \
	fuse/window.c fuse/window.h \
	fuse/worker.c fuse/worker.h \
	fuse/write.c fuse/write.h
tp_mount_CPPFLAGS = -I$(top_srcdir) $(AM_CPPFLAGS)
tp_mount_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) $(SSH2_CFLAGS)
tp_mount_LDADD = $(SFTP_LIBS) $(BASE_LIBS) $(UV_LIBS) $(FUSE_LIBS) $(SSH2_LIBS)
EXTRA_DIST += tests/mount/run tests/mount/conftest.py tests/mount/hostile.py \
	tests/mount/servers.py tests/mount/test_faults.py \
	tests/mount/test_hostile.py tests/mount/test_posix.py \
	tests/mount/test_random.py tests/mount/test_security.py \
	tests/mount/test_transports.py tests/mount/test_trees.py \
	tests/bench/mount tests/bench/mount_bench.py tests/bench/mount_relay.c
