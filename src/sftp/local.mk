noinst_LIBRARIES += libtp-sftp.a
libtp_sftp_a_SOURCES = \
	src/sftp/reply.c src/sftp/reply.h \
	src/sftp/request.c src/sftp/request.h \
	src/sftp/sftp.h \
	src/sftp/status.c src/sftp/status.h \
	src/sftp/wire.c src/sftp/wire.h
SFTP_LIBS = libtp-sftp.a

if HAVE_CHECK
check_PROGRAMS += check_sftp
check_sftp_SOURCES = tests/unit/check_sftp.c
check_sftp_CFLAGS = $(CHECK_CFLAGS_ALL)
check_sftp_LDADD = $(SFTP_LIBS) $(CHECK_LIBS)
endif
