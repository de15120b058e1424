#include "manager/scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/api.h"
#include "manager/authorize.h"
#include "manager/link_internal.h"

/* An address may have another owner soon after its pod has ended. */
#define OWNER_MS 5000
#define RIGHT_MS 60000
#define KEYS_MAX 4096

#define YES "yes"
#define NO  "no"

struct scope {
    uv_loop_t *loop;
    struct api *api;
    struct metrics *metrics;
    struct lookups *owners; /* address: namespace, "" for none */
    struct lookups *rights; /* link and namespace: YES or NO */
    unsigned asking;        /* requests that are under way */
    bool closed;
};

/* A request to the API server; key is the lookup's. */
struct scope_ask {
    struct scope *scope;
    char key[LOOKUP_KEY], value[LOOKUP_VALUE];
    int status;
};

struct scope *scope_create(uv_loop_t *loop, struct api *api,
                           struct metrics *metrics)
{
    struct scope *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->api = api;
    s->metrics = metrics;
    s->owners = lookups_create(loop, OWNER_MS, KEYS_MAX);
    s->rights = lookups_create(loop, RIGHT_MS, KEYS_MAX);
    if (s->owners && s->rights)
        return s;
    scope_destroy(s);
    return NULL;
}

void scope_destroy(struct scope *s)
{
    if (!s)
        return;
    lookups_destroy(s->owners);
    lookups_destroy(s->rights);
    s->owners = s->rights = NULL;
    s->closed = true;
    if (s->asking == 0)
        free(s);
}

static struct scope_ask *create_ask(struct scope *s, const char *key)
{
    struct scope_ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return NULL;
    ask->scope = s;
    snprintf(ask->key, sizeof(ask->key), "%s", key);
    s->asking++;
    return ask;
}

static void finish_ask(struct scope_ask *ask, bool right)
{
    struct scope *s = ask->scope;

    s->asking--;
    if (!s->closed)
        lookups_answer(right ? s->rights : s->owners, ask->key, ask->status,
                       ask->value);
    else if (s->asking == 0)
        free(s);
    free(ask);
}

/* ---- whose address it is ------------------------------------------------- */

static bool is_over(struct json_object *pod)
{
    const char *phase = json_get_str(pod, "status.phase", "");

    /* Its address may be another's by now. */
    return !strcmp(phase, "Succeeded") || !strcmp(phase, "Failed");
}

static void take_owner(struct scope_ask *ask, struct json_object *list)
{
    struct json_object *items = json_get_array(list, "items");

    for (size_t i = 0; i < json_array_len(items) && !*ask->value; i++) {
        struct json_object *item = json_object_array_get_idx(items, i);

        if (!is_over(item))
            snprintf(ask->value, sizeof(ask->value), "%s",
                     json_get_str(item, "metadata.namespace", ""));
    }
}

/* In a worker thread. resourceVersion=0: from the API server's memory. */
static void ask_owner(void *arg, struct kube_client *client)
{
    static const char *const fields[] = {"services", "spec.clusterIP", "pods",
                                         "status.podIP"};
    struct scope_ask *ask = arg;
    cleanup_free char *address = percent_encode(ask->key);

    for (size_t i = 0; address && i < 4 && !*ask->value; i += 2) {
        cleanup_json struct json_object *list = NULL;
        struct tp_error err = {0};
        char path[512];

        snprintf(path, sizeof(path),
                 "/api/v1/%s?resourceVersion=0&fieldSelector=%s%%3D%s",
                 fields[i], fields[i + 1], address);
        ask->status = kube_get(client, path, &list, &err);
        if (ask->status < 0) {
            log_warn("whose address %s is: %s", ask->key, err.text);
            return;
        }
        take_owner(ask, list);
    }
}

static void owner_cb(void *arg, const struct tp_error *err)
{
    struct scope_ask *ask = arg;

    if (err)
        ask->status = err->code;
    finish_ask(ask, false);
}

/* ---- what the user may --------------------------------------------------- */

static void right_cb(void *arg, int status)
{
    struct scope_ask *ask = arg;

    if (status == 0 || status == -EACCES)
        snprintf(ask->value, sizeof(ask->value), "%s", status == 0 ? YES : NO);
    else
        ask->status = status;
    finish_ask(ask, true);
}

static void right_known_cb(void *arg, int status, const char *value)
{
    struct scope_check *check = arg;

    if (status == 0 && strcmp(value, YES) != 0)
        status = -EACCES;
    check->cb(check->arg, status);
}

/* The link is not used after this: its identity is copied. */
static int ask_right(struct scope *s, const struct link *link, const char *key,
                     const char *ns)
{
    struct scope_ask *ask = create_ask(s, key);

    if (ask &&
        authorize_start(s->api, s->metrics, &link->who, ns, right_cb, ask))
        return 0;
    if (ask)
        s->asking--;
    free(ask);
    return -ENOMEM;
}

/* 0, a refusal or -EINPROGRESS. */
static int check_namespace(struct scope *s, struct scope_check *check,
                           const char *ns)
{
    struct link *link = check->link;
    char key[LOOKUP_KEY], value[LOOKUP_VALUE];

    if (!*ns)
        return -EACCES;
    if (!strcmp(ns, link->ns)) /* asked again each minute, see link.c */
        return 0;
    snprintf(key, sizeof(key), "%llu/%s", (unsigned long long)link->id, ns);
    check->waiter.cb = right_known_cb;
    switch (lookups_find(s->rights, key, &check->waiter, value)) {
    case LOOKUP_KNOWN:
        return strcmp(value, YES) ? -EACCES : 0;
    case LOOKUP_WAITS:
        return -EINPROGRESS;
    case LOOKUP_FULL:
        return -EMFILE;
    case LOOKUP_ASK:
        break;
    }
    if (ask_right(s, link, key, ns) == 0)
        return -EINPROGRESS;
    lookup_cancel(&check->waiter);
    lookups_answer(s->rights, key, -ENOMEM, "");
    return -ENOMEM;
}

static void owner_known_cb(void *arg, int status, const char *value)
{
    struct scope_check *check = arg;

    if (status == 0)
        status = check_namespace(check->link->links->env.scope, check, value);
    if (status != -EINPROGRESS)
        check->cb(check->arg, status);
}

/* ---- the question -------------------------------------------------------- */

static int find_owner(struct scope *s, struct scope_check *check,
                      const char *key)
{
    char value[LOOKUP_VALUE];
    struct scope_ask *ask;

    check->waiter.cb = owner_known_cb;
    switch (lookups_find(s->owners, key, &check->waiter, value)) {
    case LOOKUP_KNOWN:
        return check_namespace(s, check, value);
    case LOOKUP_WAITS:
        return -EINPROGRESS;
    case LOOKUP_FULL:
        return -EMFILE;
    case LOOKUP_ASK:
        break;
    }
    ask = create_ask(s, key);
    if (ask && api_run(s->api, ask_owner, owner_cb, ask) == 0)
        return -EINPROGRESS;
    if (ask)
        s->asking--;
    free(ask);
    lookup_cancel(&check->waiter);
    lookups_answer(s->owners, key, -ENOMEM, "");
    return -ENOMEM;
}

int scope_start(struct scope *s, struct scope_check *check, struct link *link,
                const union sockaddr_any *addr, scope_cb *cb, void *arg)
{
    char key[SOCKADDR_TEXT];

    *check = (struct scope_check){.link = link, .cb = cb, .arg = arg};
    check->waiter.arg = check;
    return find_owner(s, check, sockaddr_format_ip(addr, key));
}

void scope_cancel(struct scope_check *check)
{
    lookup_cancel(&check->waiter);
}
