/* commands.h - one declaration per cmd_*.c; commands.c lists them */
#ifndef TP_CLI_COMMANDS_H
#define TP_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_config_view;
extern const struct cli_command cmd_connect;
extern const struct cli_command cmd_curl;
extern const struct cli_command cmd_detach;
extern const struct cli_command cmd_gather_logs;
extern const struct cli_command cmd_helm;
extern const struct cli_command cmd_help;
extern const struct cli_command cmd_ingest;
extern const struct cli_command cmd_intercept;
extern const struct cli_command cmd_leave;
extern const struct cli_command cmd_list;
extern const struct cli_command cmd_mirror;
extern const struct cli_command cmd_quit;
extern const struct cli_command cmd_replace;
extern const struct cli_command cmd_serve;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_uninstall;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_volume;
extern const struct cli_command cmd_volumes;
extern const struct cli_command cmd_wiretap;

#endif
