/*
 * inject_internal.h - what the parts of injection share
 *
 *   inject          which pods, in which order
 *   inject_wish     annotations -> struct inject_config
 *   inject_config   struct inject_config from JSON and to JSON
 *   inject_check    is that possible in this pod?
 *   inject_pod      reading a pod
 *   inject_patch    writing operations
 *   inject_agent    containers that are added, and the one that is replaced
 *   inject_env      the agent's environment
 *   inject_probes   probes that must not be redirected
 *   inject_volumes  volume mounts for the file server
 *   inject_policy   which of them, how
 *   inject_settings the chart's settings
 */
#ifndef TP_MANAGER_INJECT_INTERNAL_H
#define TP_MANAGER_INJECT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "manager/inject.h"

#define INJECT_PORTS_MAX      64
#define INJECT_CONTAINERS_MAX 32
#define INJECT_NAME_MAX       1023 /* of a variable that is copied */
#define INJECT_LISTEN_FIRST   9900
#define INJECT_LISTEN_LAST    9999

#define INJECT_AGENT       "tp-agent"
#define INJECT_INIT        "tp-agent-init"
#define INJECT_VOLUME      "tp-internal-token"
#define INJECT_PROGRAM     "/usr/bin/tp-agent"
#define INJECT_AUDIENCE    "tp-manager.tp.internal"
#define ANNOTATION_WISH    "tp.internal/inject"
#define ANNOTATION_PORTS   "tp.internal/inject-ports"
#define ANNOTATION_CONFIG  "tp.internal/agent"
#define ANNOTATION_DONE    "tp.internal/injected"
#define ANNOTATION_DEFAULT "kubectl.kubernetes.io/default-container"
#define ANNOTATION_VOLUMES "tp.internal/volumes"
#define ANNOTATION_MIRROR  "kubernetes.io/config.mirror"

enum inject_mode {
    INJECT_NAMED,
    INJECT_REDIRECT,
    INJECT_DIRECT,
    INJECT_SERVICE /* by a name of tp's own, and by the app's: named, too */
};

struct inject_port {
    char container[64];
    char name[16]; /* "": none */
    uint16_t port; /* the app's */
    bool udp;
    enum inject_mode mode;
    uint16_t listen; /* the agent's; direct: the same */
};

/* A probe of the kubelet to a redirected port goes to a listener of its own,
 * which always asks the app. TCP. */
struct inject_probe {
    uint16_t port, listen;
};

/* CONFIG of doc/architecture.md. */
struct inject_config {
    struct inject_port ports[INJECT_PORTS_MAX];
    size_t port_count;
    char containers[INJECT_CONTAINERS_MAX][64]; /* whose environment */
    size_t container_count;
    char replace[64]; /* "": none */
    struct inject_probe probes[INJECT_PORTS_MAX];
    size_t probe_count;
    struct json_object *mounts; /* inject_volumes_read(); NULL: none */
};

/* ---- inject_pod.c: everything is borrowed -------------------------------- */

/* NULL if there is none, or it is no text. */
const char *inject_annotation(struct json_object *pod, const char *key);
struct json_object *inject_containers(struct json_object *pod);
struct json_object *inject_init_containers(struct json_object *pod);
const char *inject_container_name(struct json_object *container);
/* Among containers and native sidecars; NULL if there is none. */
struct json_object *inject_find(struct json_object *pod, const char *name);
bool inject_is_of_job(struct json_object *pod);
bool inject_is_host_network(struct json_object *pod);

/* An entry of a container's "ports". */
struct inject_declared {
    uint16_t port;
    bool udp, known; /* known: TCP or UDP, with a port */
    const char *name;
};
struct inject_declared inject_declared_read(struct json_object *entry);
/* Does any container but `but` (NULL: none) declare it? */
bool inject_is_declared(struct json_object *pod, uint16_t port, bool udp,
                        const char *but);
/* The entry of that port, and name (NULL: any); NULL if there is none. */
struct json_object *inject_find_port(struct json_object *container,
                                     uint16_t port, bool udp, const char *name);

/* ---- inject_wish.c ------------------------------------------------------- */

/* 1: c is what the annotations ask for; 0: they ask for nothing; negative: they
 * cannot be understood. */
int inject_wish_read(struct inject_config *c, struct json_object *pod,
                     struct tp_error *why);
/* A free port for the agent to listen on, or 0. */
uint16_t inject_free_listen(const struct inject_config *c,
                            struct json_object *pod, bool udp);

/* ---- inject_config.c ------------------------------------------------------
 */

int inject_config_parse(struct inject_config *c, const char *text,
                        struct tp_error *why);
/* Once; "" and a name that is there already change nothing. The caller knows
 * that there is room. */
void inject_config_add_container(struct inject_config *c, const char *name);
/* The object of TP_AGENT_CONFIG; the caller puts it. */
struct json_object *inject_config_to_json(const struct inject_config *c,
                                          struct json_object *pod,
                                          struct json_object *exclude);

/* ---- inject_check.c ------------------------------------------------------ */

int inject_check(const struct inject_config *c, const struct inject_settings *s,
                 struct json_object *pod, struct tp_error *why);
bool inject_has_mode(const struct inject_config *c, enum inject_mode mode);

/* ---- inject_patch.c: value is owned by the operation --------------------- */

/* Paths are JSON pointers (RFC 6901). */
void inject_patch_add(struct json_object *patch, const char *path,
                      struct json_object *value);
void inject_patch_set(struct json_object *patch, const char *path,
                      struct json_object *value); /* replace */
void inject_patch_remove(struct json_object *patch, const char *path);
void inject_patch_annotation(struct json_object *patch, const char *key,
                             const char *value);
/* At the end of the array that stands at path in the document; it is
 * made with the first element. */
struct inject_list {
    struct json_object *patch;
    const char *path;
    bool exists;
};
void inject_patch_append(struct inject_list *list, struct json_object *value);

/* ---- inject_env.c -------------------------------------------------------- */

/* 0 with *env, an array for the agent; -EMSGSIZE if it would be too much. */
int inject_env_build(const struct inject_config *c,
                     const struct inject_settings *s, struct json_object *pod,
                     struct json_object **env, struct json_object **env_from,
                     struct tp_error *why);
/* What the init container needs of it. */
struct json_object *inject_env_of_init(struct json_object *env);

/* ---- inject_probes.c ----------------------------------------------------- */

/* Adds to c->probes and to the patch. -EADDRNOTAVAIL: no free port. */
int inject_probes_move(struct inject_config *c, struct json_object *pod,
                       struct json_object *patch, struct tp_error *why);

/* ---- inject_policy.c ----------------------------------------------------- */

enum inject_volume_policy {
    INJECT_VOLUME_REMOTE,
    INJECT_VOLUME_READ_ONLY,
    INJECT_VOLUME_LOCAL,  /* the workstation has its own; it is only named */
    INJECT_VOLUME_IGNORE, /* as if it were not there */
};

const char *inject_policy_name(enum inject_volume_policy policy);
/* Is that a policy of volumes, with nothing else in it? */
int inject_policy_check(struct json_object *obj, struct tp_error *err);
/* Of the annotation; the caller puts it; NULL if there is none. */
int inject_policy_of_pod(struct json_object *pod, struct json_object **out,
                         struct tp_error *why);
/* Both may be NULL; path is plain. A volume in memory is written only where a
 * rule says so: its pages are charged to who writes them, and the agent, which
 * the app's traffic passes, would be killed for them. */
enum inject_volume_policy
inject_policy_decide(struct json_object *of_pod, struct json_object *of_chart,
                     const char *volume, const char *path, bool in_memory);

/* ---- inject_volumes.c ---------------------------------------------------- */

/* c->mounts becomes {"CONTAINER": [{"path", "volume", "subPath"?, "readOnly"?,
 * "token"?, "policy"?: "local"}]}, which the caller puts. */
int inject_volumes_read(struct inject_config *c,
                        const struct inject_settings *s,
                        struct json_object *pod, struct tp_error *why);
/* Adds the agent's mounts of them to the array. */
void inject_volumes_mount(const struct inject_config *c,
                          struct json_object *mounts);

/* ---- inject_agent.c ------------------------------------------------------ */

struct json_object *inject_agent_container(const struct inject_config *c,
                                           const struct inject_settings *s,
                                           struct json_object *pod,
                                           struct json_object *env,
                                           struct json_object *env_from);
struct json_object *inject_agent_init(const struct inject_settings *s,
                                      struct json_object *env);
struct json_object *inject_agent_volume(void);
/* Operations that turn c->replace into an idle container. */
void inject_agent_replace(const struct inject_config *c,
                          const struct inject_settings *s,
                          struct json_object *pod, struct json_object *patch);

#endif
