noinst_LIBRARIES += libtp-cli.a
libtp_cli_a_SOURCES = \
	src/cli/cli.h src/cli/cli_internal.h \
	src/cli/cmd_completion.c \
	src/cli/cmd_help.c \
	src/cli/cmd_version.c \
	src/cli/commands.c src/cli/commands.h \
	src/cli/help.c \
	src/cli/options.c \
	src/cli/output.c
CLI_LIBS = libtp-cli.a $(BASE_LIBS)

bin_PROGRAMS += tp
tp_SOURCES = src/cli/main.c
tp_LDADD = $(CLI_LIBS)
