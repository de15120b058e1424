/*
 * agents.c - the registry: pods, rechecks, the end
 *
 * Each pod is read again once a minute. One that is gone, or that could not be
 * confirmed for five minutes, loses its connections: its traffic goes to the
 * app from then on.
 */
#include "manager/agents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/agent_review.h"
#include "manager/agents_internal.h"
#include "manager/parts.h"

#define SWEEP_MS         2000
#define RECHECK_MS       50000
#define RECHECK_SPREAD   10000 /* so that pods are not read all at once */
#define RECHECK_GRACE_MS 300000
#define CONNS_MAX        2 /* of one pod and direction */
#define AGENTS_MAX       5000
#define NOISE_PER_S      5
#define NOISE_BURST      50

bool workload_equal(const struct workload_ref *a, const struct workload_ref *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->ns, b->ns) &&
           !strcmp(a->kind, b->kind);
}

static struct agent *find(const struct agents *a, const char *uid)
{
    struct agent *agent;

    TAILQ_FOREACH(agent, &a->list, entry)
    {
        if (!strcmp(agent->pod.token.uid, uid))
            return agent;
    }
    return NULL;
}

static void poke_engagements(const struct agents *a)
{
    if (a->env.parts->engagements)
        engagements_poke(a->env.parts->engagements);
}

/* ---- coming and going ---------------------------------------------------- */

static void schedule_recheck(struct agent *agent)
{
    agent->check_at = uv_now(agent->agents->env.loop) + RECHECK_MS +
                      (uint64_t)rand() % RECHECK_SPREAD;
}

static struct agent *agent_create(struct agents *a, struct agent_pod *pod)
{
    struct agent *agent =
        a->count < AGENTS_MAX ? calloc(1, sizeof(*agent)) : NULL;

    if (!agent)
        return NULL;
    agent->agents = a;
    agent->pod = *pod;
    memset(pod, 0, sizeof(*pod));
    TAILQ_INIT(&agent->conns);
    TAILQ_INSERT_TAIL(&a->list, agent, entry);
    a->count++;
    schedule_recheck(agent);
    return agent;
}

static void agent_free(struct agent *agent)
{
    TAILQ_REMOVE(&agent->agents->list, agent, entry);
    agent->agents->count--;
    agent_pod_release(&agent->pod);
    free(agent);
}

void agents_removed(struct agents *a, struct agent *agent)
{
    if (TAILQ_EMPTY(&agent->conns))
        agent_free(agent);
    poke_engagements(a);
}

/* An agent that redials may be faster than the news of its old connection's
 * end; more than that is a mistake, and the newest ones are the good ones. */
static void close_oldest(struct agent *agent, enum agent_direction direction)
{
    struct agent_conn *conn, *oldest = NULL;
    unsigned n = 0;

    TAILQ_FOREACH(conn, &agent->conns, entry)
    {
        if (conn->direction == direction) {
            oldest = conn;
            n++;
        }
    }
    if (n > CONNS_MAX)
        agent_conn_close(oldest, "replaced by newer connections");
}

void agents_add(struct agents *a, struct agent_pod *pod,
                enum agent_direction direction, struct stream *stream)
{
    struct agent *agent = find(a, pod->token.uid);

    if (!agent)
        agent = agent_create(a, pod);
    agent_pod_release(pod);
    if (!agent) {
        stream_close(stream, NULL, NULL);
        return;
    }
    if (agent_conn_create(agent, direction, stream))
        close_oldest(agent, direction);
    agents_removed(a, agent); /* if there is no memory for its connection */
}

/* ---- rechecks ------------------------------------------------------------ */

struct check {
    struct agents *agents;
    char uid[64]; /* the agent may have gone meanwhile */
};

static void drop(struct agent *agent, const char *reason)
{
    struct agent_conn *conn, *next;

    /* The last close frees the agent. */
    for (conn = TAILQ_FIRST(&agent->conns); conn; conn = next) {
        next = TAILQ_NEXT(conn, entry);
        agent_conn_close(conn, reason);
    }
}

static void take_answer(struct agent *agent, int status,
                        const struct agent_pod *pod)
{
    uint64_t now = uv_now(agent->agents->env.loop);

    agent->checking = false;
    schedule_recheck(agent);
    if (status == 0) {
        agent->failing_since = 0;
        memcpy(agent->pod.ip, pod->ip, sizeof(pod->ip));
    } else if (status == -EACCES) {
        drop(agent, "its pod is gone");
    } else if (agent->failing_since == 0) {
        agent->failing_since = now;
    } else if (now - agent->failing_since >= RECHECK_GRACE_MS) {
        drop(agent, "its pod could not be confirmed for 5 minutes");
    }
}

static void checked_cb(void *arg, int status, struct agent_pod *pod,
                       const struct tp_error *err)
{
    struct check *check = arg;
    struct agent *agent = find(check->agents, check->uid);

    (void)err;
    if (agent)
        take_answer(agent, status, pod);
    free(check);
}

static void recheck(struct agent *agent)
{
    const struct agents_env *env = &agent->agents->env;
    struct check *check = calloc(1, sizeof(*check));

    schedule_recheck(agent);
    if (!check)
        return;
    check->agents = agent->agents;
    memcpy(check->uid, agent->pod.token.uid, sizeof(check->uid));
    if (env->judge->recheck(env->judge_arg, &agent->pod.token, checked_cb,
                            check) < 0)
        free(check);
    else
        agent->checking = true;
}

static void sweep_cb(uv_timer_t *timer)
{
    struct agents *a = timer->data;
    struct agent *agent;

    TAILQ_FOREACH(agent, &a->list, entry)
    {
        if (!agent->checking && uv_now(a->env.loop) >= agent->check_at)
            recheck(agent);
    }
}

/* ---- announcements ------------------------------------------------------- */

static void announce_cb(uv_timer_t *timer)
{
    struct agents *a = timer->data;
    struct agent *agent;
    struct agent_conn *conn;

    TAILQ_FOREACH(agent, &a->list, entry)
    {
        TAILQ_FOREACH(conn, &agent->conns, entry)
        {
            agent_conn_announce(conn);
        }
    }
}

void agents_announce(struct agents *a)
{
    if (!a->closing && !uv_is_active((uv_handle_t *)&a->announce))
        uv_timer_start(&a->announce, announce_cb, 0, 0);
}

void agents_set_replicas(struct agents *a, struct json_object *replicas)
{
    bool same = json_object_equal(a->replicas, replicas);

    json_object_put(a->replicas);
    a->replicas = replicas;
    if (same)
        return;
    a->replicas_version++;
    agents_announce(a);
}

/* ---- who asks for agents ------------------------------------------------- */

size_t agents_count(const struct agents *a)
{
    return a->count;
}

static struct agent_conn *conn_of(const struct agent *agent,
                                  enum agent_direction direction)
{
    struct agent_conn *conn;

    TAILQ_FOREACH(conn, &agent->conns, entry)
    {
        if (conn->direction == direction)
            return conn;
    }
    return NULL;
}

void agents_each(const struct agents *a, const struct workload_ref *workload,
                 agents_each_cb *cb, void *arg)
{
    const struct agent *agent;

    TAILQ_FOREACH(agent, &a->list, entry)
    {
        const struct agent_pod *pod = &agent->pod;
        const struct agent_conn *out = conn_of(agent, AGENT_OUT);
        struct agent_info info = {
            .workload = pod->workload,
            .config = pod->config,
            .in = conn_of(agent, AGENT_IN) != NULL,
            .out = out && out->greeted,
        };

        if (workload && !workload_equal(workload, &pod->workload))
            continue;
        memcpy(info.pod, pod->token.pod, sizeof(info.pod));
        memcpy(info.uid, pod->token.uid, sizeof(info.uid));
        memcpy(info.ip, pod->ip, sizeof(info.ip));
        cb(arg, &info);
    }
}

/* The agent that came last: after a rollout the others may be about to end. */
static struct agent_conn *find_in(const struct agents *a,
                                  const struct workload_ref *workload,
                                  const char *pod)
{
    const struct agent *agent;

    TAILQ_FOREACH_REVERSE(agent, &a->list, agent_list, entry)
    {
        struct agent_conn *conn = conn_of(agent, AGENT_IN);

        if (conn && workload_equal(workload, &agent->pod.workload) &&
            (!pod || !strcmp(pod, agent->pod.token.pod)))
            return conn;
    }
    return NULL;
}

int agents_request(struct agents *a, const struct workload_ref *workload,
                   const char *pod, const char *path, tunnel_response_cb *cb,
                   void *arg)
{
    struct agent_conn *conn = find_in(a, workload, pod);

    return conn ? tunnel_request(conn->tunnel, "GET", path, NULL, cb, arg)
                : -ENOENT;
}

struct tunnel *agents_in_tunnel(const struct agents *a,
                                const struct workload_ref *workload)
{
    struct agent_conn *conn = find_in(a, workload, NULL);

    return conn ? conn->tunnel : NULL;
}

/* ---- life ---------------------------------------------------------------- */

struct agents *agents_create(const struct agents_env *env)
{
    struct agents *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->env = *env;
    TAILQ_INIT(&a->list);
    a->replicas = json_object_new_array();
    a->replicas_version = 1;
    bucket_init(&a->noise, NOISE_PER_S, NOISE_BURST, uv_now(env->loop));
    uv_timer_init(env->loop, &a->announce);
    uv_timer_init(env->loop, &a->sweep);
    a->announce.data = a->sweep.data = a;
    uv_timer_start(&a->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
    return a;
}

void agents_drain(struct agents *a)
{
    struct agent *agent;
    struct agent_conn *conn;

    a->draining = true;
    TAILQ_FOREACH(agent, &a->list, entry)
    {
        TAILQ_FOREACH(conn, &agent->conns, entry)
        {
            agent_conn_drain(conn);
        }
    }
}

void agents_close(struct agents *a)
{
    struct agent *agent;

    if (!a || a->closing)
        return;
    a->closing = true;
    while ((agent = TAILQ_FIRST(&a->list)))
        drop(agent, "the manager ends");
    uv_close((uv_handle_t *)&a->announce, NULL);
    uv_close((uv_handle_t *)&a->sweep, NULL);
}

void agents_destroy(struct agents *a)
{
    if (!a)
        return;
    json_object_put(a->replicas);
    free(a);
}
