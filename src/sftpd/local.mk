noinst_LIBRARIES += libtp-sftpd.a
libtp_sftpd_a_SOURCES = \
	src/sftpd/attrs.c src/sftpd/attrs.h \
	src/sftpd/exports.c src/sftpd/exports.h \
	src/sftpd/extension.c \
	src/sftpd/handles.c src/sftpd/handles.h \
	src/sftpd/ops_dir.c src/sftpd/ops_file.c src/sftpd/ops_path.c \
	src/sftpd/path.c src/sftpd/path.h \
	src/sftpd/sandbox.c src/sftpd/sandbox.h \
	src/sftpd/server.c src/sftpd/server.h \
	src/sftpd/session.c src/sftpd/session.h src/sftpd/session_internal.h \
	src/sftpd/settings.c src/sftpd/settings.h
SFTPD_LIBS = libtp-sftpd.a $(SFTP_LIBS) $(BASE_LIBS) $(SSH_LIBS)

bin_PROGRAMS += tp-agent-sftp
tp_agent_sftp_SOURCES = src/sftpd/main.c
tp_agent_sftp_LDADD = $(SFTPD_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_sftpd check_sftpd_ssh
check_sftpd_SOURCES = tests/unit/check_sftpd.c
check_sftpd_CFLAGS = $(CHECK_CFLAGS_ALL)
check_sftpd_LDADD = $(SFTPD_LIBS) $(CHECK_LIBS)
check_sftpd_ssh_SOURCES = tests/unit/check_sftpd_ssh.c
check_sftpd_ssh_CFLAGS = $(CHECK_CFLAGS_ALL)
check_sftpd_ssh_LDADD = $(SFTPD_LIBS) $(NET_LIBS) $(CHECK_LIBS)
EXTRA_check_sftpd_ssh_DEPENDENCIES = tp-agent-sftp$(EXEEXT)
endif
