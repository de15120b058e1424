/*
 * engage_options.h - what the flags of intercept, replace, mirror and ingest
 * ask for, as the `engagement` of doc/control.md
 */
#ifndef TP_CLI_ENGAGE_OPTIONS_H
#define TP_CLI_ENGAGE_OPTIONS_H

#include "cli/cli.h"

struct json_object;

/* LOCAL[:REMOTE][/udp]: REMOTE is a port's name or number in the cluster; none:
 * the only one. {"local","remote","protocol"}, owned; NULL with err filled. */
struct json_object *engage_parse_port(const char *text, struct tp_error *err);
/* PORT[/tcp|/udp] of --to-pod: {"port","protocol"}. */
struct json_object *engage_parse_to_pod(const char *text, struct tp_error *err);

/* [KIND/]NAME[/CONTAINER] */
struct engage_target {
    char workload[280]; /* [KIND/]NAME */
    char name[254];
    char container[64]; /* "" if it is not said */
};
int engage_parse_target(struct engage_target *out, const char *text,
                        struct tp_error *err);

/* The request of the command line; `type` is "intercept" and so on. Owned. */
struct json_object *engage_request(const struct cli *cli, const char *type,
                                   struct tp_error *err);

#endif
