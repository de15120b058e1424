/*
 * manager_internal.h - what manager.c, refresh.c, farewell.c and health.c share
 */
#ifndef TP_MANAGER_MANAGER_INTERNAL_H
#define TP_MANAGER_MANAGER_INTERNAL_H

#include <stdbool.h>

#include "base/bucket.h"
#include "manager/credentials.h"
#include "manager/direct.h"
#include "manager/frontproxy.h"
#include "manager/gate.h"
#include "manager/info.h"
#include "manager/inject.h"
#include "manager/links.h"
#include "manager/manager.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "manager/policy.h"
#include "kube/client.h"

struct api;
struct replicas;
struct snapshot;
struct tls_ctx;

struct manager {
    uv_loop_t *loop;
    const struct options *options;
    struct kube_endpoint endpoint;
    struct api *api;
    struct links *links;
    struct scope *scope; /* NULL: --dial-scope cluster */
    struct parts parts;
    struct replicas *replicas;
    struct metrics metrics;
    struct server *server, *agents_server, *health;
    struct server *direct_server; /* NULL: off */
    struct gate gate;

    /* What is known, see refresh.c. */
    struct snapshot *snapshot; /* the newest good value of each part */
    struct frontproxy frontproxy;
    uint64_t frontproxy_at; /* uv_now() when it was read; 0: not in force */
    struct credentials credentials;
    struct tls_ctx *tls, *agents_tls, *direct_tls;
    struct direct direct;
    struct policy policy;
    struct subnets replicas_addrs; /* newer than the snapshot's */
    struct info info;
    char *info_text; /* to see a change */
    struct json_object *client_config;
    bool nodes_known, self_known;
    struct tp_error warned[7]; /* one for each enum refresh_part */

    /* webhook_listener.c */
    struct inject_settings inject; /* image NULL: not known yet */
    struct server *webhook_server; /* NULL: off */
    struct tls_ctx *webhook_tls;
    struct bucket webhook_noise; /* lines about what pods ask */

    uv_timer_t refresh_timer;
    uv_timer_t namespace_timer; /* farewell.c */
    uv_timer_t drain_timer;
    bool refreshing, asking_namespace, farewell_said, services_left;
    bool draining, agents_drained, stopped;
    uint64_t drain_started;
};

/* refresh.c: reads the cluster now, and again each minute. */
void refresh_start(struct manager *m);
/* Reads the mounted files. The certificate is needed, the rest may fail later
 * but not the first time. */
int refresh_files(struct manager *m, struct tp_error *err);
void refresh_release(struct manager *m);
/* Of replicas.h; arg is the manager: their addresses are denied from now on. */
void refresh_replicas_cb(void *arg, struct json_object *slices);

/* webhook_listener.c: the webhook's port, and the settings of agents. */
int webhook_start(struct manager *m, struct tp_error *err);
/* Puts in force what has changed; err says what cannot be read. */
void webhook_refresh(struct manager *m, bool cert_changed,
                     struct tp_error *err);
void webhook_release(struct manager *m);

/* farewell.c: watches over the own namespace. */
void farewell_start(struct manager *m);

/* health.c */
int health_start(struct manager *m, struct tp_error *err);
/* NULL if ready, else why not. */
const char *health_unready_reason(const struct manager *m);

#endif
