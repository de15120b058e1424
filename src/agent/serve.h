/*
 * serve.h - what the manager may ask of the agent (LINK_IN)
 *
 *   GET /tp/v1/environment/CONTAINER   environment.h
 *   GET /tp/v1/status                  {"version","ports":[…],"dropped": N}
 *   GET /tp/v1/log                     {"log": TEXT}
 *   POST /tp/v1/files                  files.h; then TCP to the engagement's id
 *   TCP and UDP to 127.0.0.1 and ::1   the pod's own ports (`--to-pod`)
 *
 * and nothing else: an agent is no way into the cluster.
 */
#ifndef TP_AGENT_SERVE_H
#define TP_AGENT_SERVE_H

#include <uv.h>

#include "agent/files.h"
#include "agent/logring.h"
#include "agent/settings.h"
#include "tunnel/tunnel.h"

/* All borrowed; a plain value that must outlive the links. */
struct serve {
    uv_loop_t *loop;
    const struct settings *settings;
    const struct logring *log;
    struct files *files; /* NULL: none */
    char *const *environ;
    /* Adds the members of the status that it knows. */
    void (*status_cb)(void *arg, struct json_object *status);
    void *status_arg;
};

/* As open_cb of struct tunnel_ops; arg is a const struct serve. */
int serve_open(void *arg, struct tunnel_stream *s,
               const struct tunnel_open *open);

#endif
