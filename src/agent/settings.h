/*
 * settings.h - what the webhook tells the agent, from its environment
 *
 * doc/architecture.md. TP_AGENT_CONFIG comes from an annotation of the
 * pod, hence from people: it is read strictly, and what is wrong with it is
 * said in one line.
 */
#ifndef TP_AGENT_SETTINGS_H
#define TP_AGENT_SETTINGS_H

#include <stddef.h>

#include "agent/path.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sockaddr.h"

struct json_object;

#define SETTINGS_CONTAINERS_MAX 32
#define SETTINGS_NAMES_MAX      4096 /* variables of a container */
#define SETTINGS_GLOBS_MAX      256
#define SETTINGS_TEXT_MAX       (1 << 17) /* longest variable the kernel takes */

#define SETTINGS_TOKEN_FILE "/run/tp/token/token"

/* An object of plain values that must not be copied: `path` points into it.
 * `json` owns the names and globs. */
struct settings {
    struct agent_path_config path; /* ports, probes, addresses of the pod */
    struct agent_port_config ports[AGENT_PORTS_MAX];
    struct agent_probe_config probes[AGENT_PORTS_MAX];
    char containers[SETTINGS_CONTAINERS_MAX][64];
    struct json_object *names[SETTINGS_CONTAINERS_MAX]; /* of their variables */
    size_t container_count;
    struct json_object *exclude; /* globs, or NULL */
    struct json_object *json;

    union sockaddr_any manager; /* the Service */
    char server_name[256];
    const char *ca_pem; /* borrowed from the environment */
    const char *token_file;
    enum log_level log_level;
};

/* Only TP_AGENT_CONFIG's text: ports, containers. -EINVAL, -EMSGSIZE,
 * -EBADMSG. Release it in any case. */
int settings_parse(struct settings *s, const char *text, struct tp_error *err);

/* TP_AGENT_CONFIG, the pod's addresses, the log's level. */
int settings_read(struct settings *s, struct tp_error *err);
/* After it: what the links need. The environment must not change while the
 * object is used. A failure leaves the rest as it was. */
int settings_read_links(struct settings *s, struct tp_error *err);

void settings_release(struct settings *s);

/* The index of a container, or -ENOENT. */
int settings_find_container(const struct settings *s, const char *name);

#endif
