#include "manager/engage_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "manager/audit.h"
#include "manager/authorize.h"

const char *const engage_any_right[] = {"intercept", "replace", "mirror",
                                        "ingest", NULL};
const char *const engage_environment_right[] = {"environment", NULL};

static bool has_room(const struct engagements *e, const struct identity *who)
{
    const struct engage_ask *a;
    unsigned own = 0;

    LIST_FOREACH(a, &e->asks, entry)
    {
        own += identity_same_owner(&a->who, who);
    }
    return e->ask_count < ASKS_MAX && own < ASKS_OF_USER;
}

struct engage_ask *engage_ask_create(struct engagements *e, struct link *link,
                                     struct reply *reply)
{
    struct engage_ask *a;

    if (!has_room(e, link_identity(link))) {
        reply_error(reply, 503, NULL, "too many requests at once");
        return NULL;
    }
    a = calloc(1, sizeof(*a));
    if (!a || identity_copy(&a->who, link_identity(link)) < 0) {
        reply_error(reply, 503, NULL, "out of memory");
        free(a);
        return NULL;
    }
    a->e = e;
    a->reply = reply;
    LIST_INSERT_HEAD(&e->asks, a, entry);
    e->ask_count++;
    return a;
}

void engage_ask_free(struct engage_ask *a)
{
    LIST_REMOVE(a, entry);
    a->e->ask_count--;
    identity_release(&a->who);
    free(a);
}

static void right_of(const struct engage_ask *a, unsigned i,
                     struct right *right, char name[320])
{
    struct engagement eng = {.workload = a->workload};

    engage_right(&eng, a->rights[i], right, name);
    if (!*a->workload.name)
        right->name = NULL;
    right->ns = a->workload.ns;
}

static void refuse(struct engage_ask *a)
{
    char name[320], text[400];
    struct right right;

    right_of(a, 0, &right, name);
    right_format(&right, text, sizeof(text));
    audit_write(&(struct audit_event){
        .event = "engagement",
        .who = &a->who,
        .verb = "GET",
        .ns = a->workload.ns,
        .destination = a->workload.name,
        .allowed = false,
        .reason = text,
    });
    reply_error(a->reply, 403, "no-right", "no right to %s", text);
    engage_ask_free(a);
}

static void reviewed_cb(void *arg, int status)
{
    struct engage_ask *a = arg;

    if (status == 0) {
        a->granted(a);
    } else if (status != -EACCES) {
        reply_error(a->reply, 503, NULL,
                    "the API server does not say who may do it");
        engage_ask_free(a);
    } else if (a->rights[++a->right]) {
        engage_ask_start(a);
    } else {
        refuse(a);
    }
}

void engage_ask_start(struct engage_ask *a)
{
    char name[320];
    struct right right;

    right_of(a, a->right, &right, name);
    if (authorize_right(a->e->env.api, a->e->env.metrics, &a->who, &right,
                        reviewed_cb, a))
        return;
    reply_error(a->reply, 503, NULL, "out of memory");
    engage_ask_free(a);
}
