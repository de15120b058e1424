/*
 * daemon.h - the container tp-daemon and talking to the program in it
 */
#ifndef TP_CLI_DAEMON_H
#define TP_CLI_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"

#define DAEMON_NAME          "tp-daemon"
#define DAEMON_LABEL         "internal.tp.daemon"
#define DAEMON_LABEL_VERSION "internal.tp.version"

struct cli;
struct json_object;

enum daemon_state {
    DAEMON_ABSENT,
    DAEMON_STOPPED, /* a container of ours that does not run */
    DAEMON_RUNNING,
    DAEMON_FOREIGN, /* the name is taken by somebody else's container */
};

struct daemon {
    enum daemon_state state;
    bool unstarted; /* STOPPED, because it was never started */
    bool restarted; /* RUNNING, and not for the first time: what the program in
                     * it knew is gone */
    bool has_volumes; /* the volume plugin's control volume is mounted */
    char *name, *id;
    char *version;    /* label, "" if it has none */
    char *started_at; /* RFC 3339 */
};

/* Looks the container up. 0 or a negative errno with err filled. d must be
 * released in both cases. */
int daemon_find(struct daemon *d, struct engine *e, const char *name,
                struct tp_error *err);
void daemon_release(struct daemon *d);

/* A conversation by `tp-daemon ctl` in the container (doc/control.md). */
struct daemon_ctl;

/* A daemon that is just starting is waited for, up to 10 s. NULL with err. */
struct daemon_ctl *daemon_ctl_open(struct engine *e, const char *container,
                                   struct json_object *request,
                                   struct tp_error *err);
void daemon_ctl_close(struct daemon_ctl *ctl);

/* The next line as an object (owned). 1; 0 at the end; a negative errno. An
 * answer with `error` is returned as it is. */
int daemon_ctl_read(struct daemon_ctl *ctl, int timeout_ms,
                    struct json_object **out, struct tp_error *err);
int daemon_ctl_write(struct daemon_ctl *ctl, struct json_object *obj,
                     struct tp_error *err);

/* One request, one answer. An answer with `error` becomes err (-EPROTO) with
 * its text, its code goes to *code (owned; may be NULL). */
int daemon_ask(struct engine *e, const char *container,
               struct json_object *request, int timeout_ms,
               struct json_object **out, char **code, struct tp_error *err);

/* {"op": op}. Owned. */
struct json_object *daemon_request(const char *op);

/* daemon_list.c */

/* Containers in the daemon's network namespace. Owned array of {"name",
 * "id", "dead": bool}; dead: its namespace is gone (the daemon's container was
 * restarted or replaced after it started), then also {"rejoins": bool}: it is
 * enough to restart it. With `lost` also running containers that joined a
 * former container of the session (former.h). */
int daemon_list_joined(struct engine *e, const struct daemon *d, bool lost,
                       struct json_object **out, struct tp_error *err);

/* A warning for each dead one, with what to do. */
void daemon_warn_dead(const struct cli *cli, struct json_object *joined);

/* All containers with our label: owned array of names. */
int daemon_list_names(struct engine *e, struct json_object **out,
                      struct tp_error *err);

#endif
