noinst_LIBRARIES += libtp-cli.a
libtp_cli_a_SOURCES = \
	src/cli/apicheck.c src/cli/apicheck.h \
	src/cli/cli.h src/cli/cli_internal.h \
	src/cli/client_config.c src/cli/client_config.h \
	src/cli/cmd_completion.c \
	src/cli/cmd_config.c \
	src/cli/cmd_connect.c \
	src/cli/cmd_curl.c \
	src/cli/cmd_detach.c \
	src/cli/cmd_engage.c \
	src/cli/cmd_gather_logs.c \
	src/cli/cmd_help.c \
	src/cli/cmd_list.c \
	src/cli/cmd_quit.c \
	src/cli/cmd_serve.c \
	src/cli/cmd_status.c \
	src/cli/cmd_uninstall.c \
	src/cli/cmd_version.c \
	src/cli/cmd_volume.c \
	src/cli/cmd_volumes.c \
	src/cli/commands.c src/cli/commands.h \
	src/cli/common_options.c src/cli/common_options.h \
	src/cli/connect_container.c src/cli/connect_internal.h \
	src/cli/connect_session.c \
	src/cli/container.c src/cli/container.h \
	src/cli/daemon.c src/cli/daemon.h src/cli/daemon_list.c \
	src/cli/docker_mounts.c src/cli/docker_mounts.h \
	src/cli/docker_run.c src/cli/docker_run.h \
	src/cli/engage.c src/cli/engage.h \
	src/cli/engage_limits.c src/cli/engage_limits.h \
	src/cli/engage_options.c src/cli/engage_options.h \
	src/cli/engage_volumes.c src/cli/engage_volumes.h \
	src/cli/environment.c src/cli/environment.h \
	src/cli/former.c src/cli/former.h \
	src/cli/help.c src/cli/help_man.c \
	src/cli/helper.c src/cli/helper.h \
	src/cli/host_mount.c src/cli/host_mount.h \
	src/cli/image.c src/cli/image.h \
	src/cli/limits.c src/cli/limits.h \
	src/cli/mount_record.c src/cli/mount_record.h \
	src/cli/mounter.c src/cli/mounter.h src/cli/mounter_internal.h \
	src/cli/mounter_conn.c src/cli/mounter_files.c \
	src/cli/options.c \
	src/cli/output.c \
	src/cli/program.c src/cli/program.h \
	src/cli/proxy_option.c src/cli/proxy_option.h \
	src/cli/proxy_relay.c src/cli/proxy_relay.h \
	src/cli/publish.c src/cli/publish.h \
	src/cli/host_routes.c src/cli/host_routes.h \
	src/cli/reach.c src/cli/reach.h \
	src/cli/routing_check.c src/cli/routing_check.h \
	src/cli/session.c src/cli/session.h \
	src/cli/state.c src/cli/state.h \
	src/cli/volume_plugin.c src/cli/volume_plugin.h
CLI_LIBS = libtp-cli.a $(ENGINE_LIBS) $(KUBE_LIBS)

bin_PROGRAMS += tp
tp_SOURCES = src/cli/main.c
tp_LDADD = $(CLI_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_cli check_cli_engage check_cli_mount
check_cli_mount_SOURCES = tests/unit/check_cli_mount.c
check_cli_mount_CFLAGS = $(CHECK_CFLAGS_ALL)
check_cli_mount_LDADD = $(CLI_LIBS) $(CHECK_LIBS)
check_cli_engage_SOURCES = tests/unit/check_cli_engage.c
check_cli_engage_CFLAGS = $(CHECK_CFLAGS_ALL)
check_cli_engage_LDADD = $(CLI_LIBS) $(CHECK_LIBS)
check_cli_SOURCES = tests/unit/check_cli.c
check_cli_CFLAGS = $(CHECK_CFLAGS_ALL)
check_cli_LDADD = $(CLI_LIBS) $(CHECK_LIBS)
endif
