#include "manager/replicas.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/watch.h"
#include "manager/agents.h"
#include "manager/options.h"
#include "manager/slices.h"

#define REPLICAS_MAX 64
#define PATH_SPACE   512

struct replicas {
    struct agents *agents;
    void (*changed_cb)(void *arg, struct json_object *slices);
    void *arg;
    struct watch *watch;
    struct slices slices;
    char complaint[256]; /* the last one */
};

/* ---- what the list is ---------------------------------------------------- */

void replicas_add_own(struct subnets *out)
{
    struct ifaddrs *list = NULL;

    if (getifaddrs(&list) < 0)
        return;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        union sockaddr_any addr;
        char text[SOCKADDR_TEXT];

        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET &&
                             i->ifa_addr->sa_family != AF_INET6))
            continue;
        memset(&addr, 0, sizeof(addr));
        addr.sa.sa_family = i->ifa_addr->sa_family;
        memcpy(&addr, i->ifa_addr, sockaddr_len(&addr));
        subnets_add_text(out, sockaddr_format_ip(&addr, text));
    }
    freeifaddrs(list);
}

static bool same_address(const struct subnet *a, const struct subnet *b)
{
    return a->family == b->family &&
           !memcmp(a->addr, b->addr, a->family == AF_INET ? 4 : 16);
}

static bool is_among(const struct subnet *address, const struct subnets *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (same_address(address, &list->items[i]))
            return true;
    }
    return false;
}

/* Neither loopback nor link-local. */
static bool is_reachable(const struct subnet *a)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (a->family == AF_INET)
        return a->addr[0] != 127 && !(a->addr[0] == 169 && a->addr[1] == 254);
    return memcmp(a->addr, loopback6, sizeof(loopback6)) != 0 &&
           !(a->addr[0] == 0xfe && (a->addr[1] & 0xc0) == 0x80);
}

static void add_ready(struct subnets *out, struct json_object *slice)
{
    struct json_object *endpoints = json_get_array(slice, "endpoints");

    for (size_t i = 0; i < json_array_len(endpoints); i++) {
        struct json_object *e = json_object_array_get_idx(endpoints, i);
        struct json_object *addresses = json_get_array(e, "addresses");
        const char *text =
            json_object_get_string(json_array_len(addresses) > 0
                                       ? json_object_array_get_idx(addresses, 0)
                                       : NULL);

        if (text && out->count < REPLICAS_MAX &&
            json_get_bool(e, "conditions.ready", true))
            (void)subnets_add_text(out, text);
    }
}

static const struct subnet *find_own(const struct subnets *own,
                                     const struct subnets *ready)
{
    const struct subnet *first = NULL;

    for (size_t i = 0; i < own->count; i++) {
        if (is_among(&own->items[i], ready))
            return &own->items[i];
        if (!first && is_reachable(&own->items[i]))
            first = &own->items[i];
    }
    return first;
}

static void append(struct json_object *array, const struct subnet *address)
{
    char text[SUBNET_TEXT];

    subnet_format(address, text);
    text[strcspn(text, "/")] = '\0';
    json_object_array_add(array, json_object_new_string(text));
}

static int compare(const void *a, const void *b)
{
    const struct subnet *x = a, *y = b;

    return memcmp(x->addr, y->addr, sizeof(x->addr));
}

struct json_object *replicas_list(const struct subnets *own,
                                  struct json_object *slices)
{
    struct json_object *list = json_object_new_array();
    struct json_object *items = json_get_array(slices, "items");
    struct subnets ready = {0};
    const struct subnet *self;

    for (size_t i = 0; i < json_array_len(items); i++)
        add_ready(&ready, json_object_array_get_idx(items, i));
    if (ready.count > 0)
        qsort(ready.items, ready.count, sizeof(*ready.items), compare);
    self = find_own(own, &ready);
    if (self)
        append(list, self);
    for (size_t i = 0; i < ready.count; i++) {
        const struct subnet *r = &ready.items[i];

        if (self && (r->family != self->family || same_address(r, self)))
            continue;
        if (i == 0 || !same_address(r, &ready.items[i - 1]))
            append(list, r);
    }
    subnets_release(&ready);
    return list;
}

/* ---- following it -------------------------------------------------------- */

static void apply(struct replicas *r)
{
    cleanup_json struct json_object *items = slices_items(&r->slices);
    struct subnets own = {0};

    replicas_add_own(&own);
    agents_set_replicas(r->agents, replicas_list(&own, items));
    subnets_release(&own);
    r->changed_cb(r->arg, items);
}

/* Once for each reason. */
static void complain(struct replicas *r, const char *text)
{
    if (*text && strncmp(r->complaint, text, sizeof(r->complaint) - 1) != 0)
        log_warn("the replicas are not known: %s", text);
    snprintf(r->complaint, sizeof(r->complaint), "%.255s", text);
}

static void watch_event_cb(void *arg, enum watch_event event,
                           struct json_object *obj, const char *text)
{
    struct replicas *r = arg;

    if (event == WATCH_TROUBLE)
        complain(r, text);
    else if (event == WATCH_LISTED)
        complain(r, "");
    if (slices_take(&r->slices, event, obj))
        apply(r);
}

/* ---- life ---------------------------------------------------------------- */

struct replicas *replicas_create(const struct replicas_env *env,
                                 struct tp_error *err)
{
    struct replicas *r = calloc(1, sizeof(*r));
    char path[PATH_SPACE];

    if (!r) {
        tp_error_errno(err, -ENOMEM, "replicas");
        return NULL;
    }
    r->agents = env->agents;
    r->changed_cb = env->changed_cb;
    r->arg = env->arg;
    snprintf(path, sizeof(path),
             "/apis/discovery.k8s.io/v1/namespaces/%.63s/endpointslices"
             "?labelSelector=kubernetes.io%%2Fservice-name%%3D%.63s",
             env->options->ns, env->options->service);
    r->watch =
        watch_create(env->loop, env->endpoint, path, watch_event_cb, r, err);
    if (r->watch)
        return r;
    free(r);
    return NULL;
}

void replicas_close(struct replicas *r)
{
    if (!r)
        return;
    watch_close(r->watch);
    r->watch = NULL;
}

void replicas_destroy(struct replicas *r)
{
    if (!r)
        return;
    slices_release(&r->slices);
    free(r);
}
