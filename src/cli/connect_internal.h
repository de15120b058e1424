/*
 * connect_internal.h - the parts of tp connect
 *
 *   cmd_connect.c        what is asked before anything is made, and the order
 *   connect_container.c  the container: made, found, awaited
 *   connect_session.c    the session in it, and what is said about it
 */
#ifndef TP_CLI_CONNECT_INTERNAL_H
#define TP_CLI_CONNECT_INTERNAL_H

#include "cli/cli.h"
#include "cli/client_config.h"
#include "cli/daemon.h"
#include "cli/proxy_option.h"
#include "cli/reach.h"
#include "cli/volume_plugin.h"
#include "kube/exec.h"
#include "kube/kubeconfig.h"

#define CONNECT_ASK_MS   20000
#define CONNECT_PAUSE_NS 50000000L /* between two looks at a container */

struct connect {
    struct cli *cli;
    const char *name;
    struct kube_context kube;
    struct client_config config;
    struct kube_credentials plugin;
    struct engine *engine;
    struct daemon daemon;
    struct reach reach;
    struct volume_plugin volumes;
    char *volume; /* the control volume, or NULL: volumes are not offered */
    struct json_object *exposed, *bindings, *hosts;
    struct proxy_option proxy;
    struct json_object *session;
    char *container; /* id of the one that is used */
    bool made;       /* by this call */
    bool asked;      /* a session was begun in it by this call */
    bool refused;    /* the daemon itself said why */
    int signals;     /* signalfd, or -1 */
    char *code;
};

/* Sets c->container to one that runs: made by this call (c->made), or there
 * already. 0 or a negative errno with err filled. */
int connect_get_container(struct connect *c, struct tp_error *err);

/* The container, the session in it, and the report. 0 or a negative errno with
 * err filled; what was made then is the caller's to remove. */
int connect_start_session(struct connect *c, struct tp_error *err);

#endif
