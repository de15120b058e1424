noinst_LIBRARIES += libtp-volume.a
libtp_volume_a_SOURCES = \
	plugins/volume/broker.c plugins/volume/broker.h \
	plugins/volume/confine.c plugins/volume/confine.h \
	plugins/volume/keys.h \
	plugins/volume/mounting.c plugins/volume/mounting.h \
	plugins/volume/mounting_internal.h \
	plugins/volume/mounting_programs.c \
	plugins/volume/options.c plugins/volume/options.h \
	plugins/volume/program.c plugins/volume/program.h \
	plugins/volume/requests.c plugins/volume/requests.h \
	plugins/volume/served.c plugins/volume/served.h \
	plugins/volume/server.c plugins/volume/server.h \
	plugins/volume/volumes.c plugins/volume/volumes.h
VOLUME_LIBS = libtp-volume.a $(NET_LIBS)

bin_PROGRAMS += tp-volume
tp_volume_SOURCES = plugins/volume/main.c
tp_volume_LDADD = $(VOLUME_LIBS)

EXTRA_DIST += plugins/volume/config.json plugins/volume/README.md

if HAVE_CHECK
check_PROGRAMS += check_volume
check_volume_SOURCES = tests/unit/check_volume.c
check_volume_CPPFLAGS = -I$(top_srcdir) $(AM_CPPFLAGS)
check_volume_CFLAGS = $(CHECK_CFLAGS_ALL)
check_volume_LDADD = $(VOLUME_LIBS) $(CHECK_LIBS)
endif
