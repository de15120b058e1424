/* engage_agents.c - what the agents are asked for clients: environment, logs */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents.h"
#include "manager/audit.h"
#include "manager/engage_ask.h"

#define PODS_MAX 20 /* whose logs are asked for */

/* ---- environment ----------------------------------------------------------
 */

static void environment_cb(void *arg, int status, const char *body, size_t len)
{
    struct engage_ask *a = arg;
    struct json_object *answer =
        status == 200 ? json_parse_text(body, len, NULL) : NULL;

    if (json_object_is_type(json_get(answer, "environment"),
                            json_type_object)) {
        reply_send(a->reply, 200, answer);
        answer = NULL;
    } else {
        reply_error(a->reply, 503, NULL,
                    "the agent does not tell the environment (%d)", status);
    }
    json_object_put(answer);
    engage_ask_free(a);
}

void engage_environment(struct engage_ask *a)
{
    struct agents *agents = a->e->env.parts->agents;
    char path[128];

    audit_write(&(struct audit_event){
        .event = "engagement",
        .who = &a->who,
        .verb = "environment",
        .ns = a->workload.ns,
        .name = a->id,
        .destination = a->workload.name,
        .allowed = true,
    });
    snprintf(path, sizeof(path), "/tp/v1/environment/%s", a->container);
    if (agents && agents_request(agents, &a->workload, NULL, path,
                                 environment_cb, a) == 0)
        return;
    reply_error(a->reply, 503, NULL, "no agent of its pods is connected");
    engage_ask_free(a);
}

/* ---- logs ------------------------------------------------------------------
 */

struct log_ask {
    struct reply *reply;
    struct json_object *agents;
    size_t waiting;
};

struct log_of {
    struct log_ask *all;
    char pod[254];
};

struct pod_names {
    char names[PODS_MAX][254];
    size_t count;
};

static void finish(struct log_ask *l)
{
    struct json_object *answer;

    if (--l->waiting > 0)
        return;
    answer = json_object_new_object();
    json_object_object_add(answer, "agents", l->agents);
    reply_send(l->reply, 200, answer);
    free(l);
}

/* {"log": …}, or whatever it is as a text. */
static void log_cb(void *arg, int status, const char *body, size_t len)
{
    cleanup_free struct log_of *of = arg;
    cleanup_json struct json_object *answer =
        status == 200 ? json_parse_text(body, len, NULL) : NULL;
    struct json_object *item = json_object_new_object();
    struct json_object *log = json_get(answer, "log");
    char text[64];

    snprintf(text, sizeof(text), "(no answer: %d)", status);
    json_put_str(item, "pod", of->pod);
    json_object_object_add(item, "log",
                           log ? json_object_get(log)
                           : status == 200
                               ? json_object_new_string_len(body, (int)len)
                               : json_object_new_string(text));
    json_object_array_add(of->all->agents, item);
    finish(of->all);
}

static void pod_cb(void *arg, const struct agent_info *agent)
{
    struct pod_names *pods = arg;

    if (pods->count < PODS_MAX && agent->in)
        memcpy(pods->names[pods->count++], agent->pod, sizeof(agent->pod));
}

static void ask_pod(struct engage_ask *a, struct log_ask *l, const char *pod)
{
    struct log_of *of = calloc(1, sizeof(*of));

    if (!of)
        return;
    of->all = l;
    snprintf(of->pod, sizeof(of->pod), "%s", pod);
    l->waiting++;
    if (agents_request(a->e->env.parts->agents, &a->workload, pod, "/tp/v1/log",
                       log_cb, of) == 0)
        return;
    l->waiting--;
    free(of);
}

void engage_logs(struct engage_ask *a)
{
    struct log_ask *l = calloc(1, sizeof(*l));
    struct pod_names *pods = calloc(1, sizeof(*pods));

    if (l && pods) {
        l->reply = a->reply;
        l->agents = json_object_new_array();
        l->waiting = 1;
        if (a->e->env.parts->agents)
            agents_each(a->e->env.parts->agents, &a->workload, pod_cb, pods);
        for (size_t i = 0; i < pods->count; i++)
            ask_pod(a, l, pods->names[i]);
        finish(l);
    } else {
        reply_error(a->reply, 503, NULL, "out of memory");
        free(l);
    }
    free(pods);
    engage_ask_free(a);
}
