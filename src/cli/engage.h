/*
 * engage.h - one conversation with the daemon about an engagement
 */
#ifndef TP_CLI_ENGAGE_H
#define TP_CLI_ENGAGE_H

#include "cli/cli.h"
#include "cli/daemon.h"

struct json_object;

/* The running daemon of the command line, and its engine. */
struct engage {
    struct cli *cli;
    struct engine *engine;
    struct daemon daemon;
    int signals; /* signalfd, or -1 */
};

/* 0, or an error that says to connect first. Release in any case. */
int engage_open(struct engage *g, struct cli *cli, struct tp_error *err);
void engage_release(struct engage *g);
/* From here on Ctrl-C ends waits by -ECANCELED. */
int engage_catch_signals(struct engage *g, struct tp_error *err);
/* And from here on no more, so that what was begun can be ended. */
void engage_ignore_signals(struct engage *g);

/* Ends one (name NULL: all), with progress; waits up to `seconds` for pods that
 * are rolled back. *out (owned) has "pending" if the manager could not be told
 * yet, "restoring" if pods are still rolled back. */
int engage_end(struct engage *g, const char *name, int seconds,
               struct json_object **out, struct tp_error *err);
/* Sends {"op": "engage"} and shows the progress until it is ready: LOCAL of
 * doc/control.md, owned. `request` is borrowed. */
int engage_start(struct engage *g, struct json_object *request,
                 struct json_object **out, bool *already, struct tp_error *err);
/* One question, one answer; the daemon's code goes to cli_fail(). */
int engage_ask(struct engage *g, struct json_object *request, int timeout_ms,
               struct json_object **out, struct tp_error *err);
/* {"op": op, "name": name}; owned. */
struct json_object *engage_named(const char *op, const char *name);

/* "-> 127.0.0.1:8080", of one of LOCAL's ports; a line for each of its toPod.
 */
void engage_print_local(struct cli *cli, struct json_object *local,
                        struct json_object *port);
void engage_print_to_pod(struct cli *cli, const char *head,
                         struct json_object *local);

#define ENGAGE_END_S 130 /* the manager's limit comes first */

#endif
