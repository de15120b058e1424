/*
 * replica_links.c - callbacks of the links
 *
 * A slot's link goes NULL -> dialling -> ready -> NULL; it is dialled by
 * replicas.c's timer only, never in a callback.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/replicas_internal.h"
#include "base/json.h"
#include "base/log.h"

#define DELAY_MIN_MS 200
#define DELAY_MAX_MS 10000
#define GOOD_LIFE_MS 10000 /* a link this old resets the delay */
#define RETIRED_MAX  64

static const char *const kind_names[] = {[LINK_OUT] = "out", [LINK_IN] = "in"};

void slot_init(struct slot *slot, struct replica *replica,
               enum agent_link_kind kind)
{
    slot->replica = replica;
    slot->kind = kind;
}

/* Full jitter: many pods lose the same replica at once. */
static uint64_t backoff_ms(unsigned attempts)
{
    uint64_t max = DELAY_MAX_MS;
    uint32_t random = 0;

    if (attempts < 6 && (uint64_t)DELAY_MIN_MS << attempts < max)
        max = (uint64_t)DELAY_MIN_MS << attempts;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = (uint32_t)rand();
    return DELAY_MIN_MS + random % (max - DELAY_MIN_MS + 1);
}

/* Says the same less and less often: attempts 1, 2, 4, 8 ... */
static void log_end(const struct slot *slot, const char *why)
{
    enum log_level level = LOG_DEBUG;
    char text[SOCKADDR_TEXT];

    if (slot->ready || (slot->attempts & (slot->attempts - 1)) == 0)
        level = LOG_WARN;
    log_write(level, "link %s %s %s: %s", kind_names[slot->kind],
              slot->ready ? "lost to" : "failed to",
              sockaddr_format(&slot->replica->addr, text), why);
}

/* The link has ended or could not be made. */
static void slot_ended(struct slot *slot, const char *why)
{
    struct replica *replica = slot->replica;
    struct replicas *all = replica->all;
    uint64_t now = uv_now(all->loop);

    if (slot->ready && now - slot->since >= GOOD_LIFE_MS)
        slot->attempts = 0;
    slot->attempts++;
    log_end(slot, why);
    slot->ready = false;
    slot->due = now + backoff_ms(slot->attempts);
    if (slot->kind == LINK_OUT && replica->engaged.n > 0) {
        engaged_clear(&replica->engaged);
        replicas_publish(all); /* before the tunnel goes */
    }
    agent_link_destroy(slot->link);
    slot->link = NULL;
    if (!replica->out.link && !replica->in.link)
        replica->draining = false; /* what comes back there is another one */
    replicas_schedule(all);
}

static void ended_cb(void *arg, const char *why)
{
    slot_ended(arg, why);
}

static void slot_ready(struct slot *slot)
{
    char text[SOCKADDR_TEXT];

    slot->ready = true;
    slot->since = uv_now(slot->replica->all->loop);
    log_info("link %s to replica %s", kind_names[slot->kind],
             sockaddr_format_ip(&slot->replica->addr, text));
}

static void ready_cb(void *arg, struct json_object *hello)
{
    struct slot *slot = arg;
    struct replica *replica = slot->replica;

    slot_ready(slot);
    if (slot->kind == LINK_OUT)
        replicas_apply(replica->all, json_get_array(hello, "replicas"),
                       replica);
}

static void take_engagements(struct slot *slot, struct json_object *event)
{
    struct replica *replica = slot->replica;
    struct json_object *array = json_get_array(event, "engagements");

    if (!array)
        return;
    if (engaged_update(&replica->engaged, array, agent_link_tunnel(slot->link),
                       &replica->all->clock) < 0)
        log_error("engagements: out of memory");
    else
        replicas_publish(replica->all);
}

static void event_cb(void *arg, struct json_object *event)
{
    struct slot *slot = arg;
    struct replica *replica = slot->replica;
    const char *type = json_get_str(event, "type", "");

    if (!strcmp(type, "engagements")) {
        take_engagements(slot, event);
    } else if (!strcmp(type, "replicas")) {
        replicas_apply(replica->all, json_get_array(event, "replicas"),
                       replica);
    } else if (!strcmp(type, "drain")) {
        replica->draining = true;
        replicas_schedule(replica->all); /* the seed may be needed */
    }
}

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    const struct slot *slot = arg;
    const struct replicas_config *config = &slot->replica->all->config;

    return config->open_cb(config->open_arg, s, open);
}

static const struct agent_link_ops slot_ops = {
    .ready_cb = ready_cb,
    .event_cb = event_cb,
    .open_cb = open_cb,
    .ended_cb = ended_cb,
};

/* ---- the seed ------------------------------------------------------------ */

/* Whom the Service has led to. */
static struct replica *find_peer(struct replicas *all,
                                 struct json_object *hello)
{
    const char *ip = json_get_str(hello, "replica", "");
    union sockaddr_any addr;
    struct replica *replica;

    if (sockaddr_parse(&addr, ip, sockaddr_port(&all->config.seed)) < 0)
        addr = all->config.seed;
    replica = replica_find(all, &addr);
    return replica ? replica : replica_add(all, &addr);
}

/* The link becomes its replica's, unless that has one. */
static void seed_ready_cb(void *arg, struct json_object *hello)
{
    struct slot *seed = arg;
    struct replicas *all = seed->replica->all;
    struct replica *replica = find_peer(all, hello);

    if (!replica || replica->out.ready) {
        slot_ended(seed, "no replica that is not known");
        return;
    }
    agent_link_destroy(replica->out.link);
    replica->out.link = seed->link;
    seed->link = NULL;
    seed->attempts = 0;
    agent_link_set_user(replica->out.link, &slot_ops, &replica->out);
    replica->draining = false;
    slot_ready(&replica->out);
    replicas_apply(all, json_get_array(hello, "replicas"), replica);
}

static void seed_event_cb(void *arg, struct json_object *event)
{
    (void)arg;
    (void)event;
}

static const struct agent_link_ops seed_ops = {
    .ready_cb = seed_ready_cb,
    .event_cb = seed_event_cb,
    .ended_cb = ended_cb,
};

void slot_dial(struct slot *slot)
{
    struct replica *replica = slot->replica;
    struct replicas *all = replica->all;
    struct agent_link_config config = {
        .kind = slot->kind,
        .addr = replica->addr,
        .server_name = all->config.server_name,
        .tls = all->config.tls,
        .token_file = all->config.token_file,
    };
    struct tp_error err = {0};

    slot->link = agent_link_create(
        all->loop, &config, replica == &all->seed ? &seed_ops : &slot_ops, slot,
        &err);
    if (!slot->link)
        slot_ended(slot, err.text);
}

/* ---- links that were given up -------------------------------------------- */

void retired_destroy(struct retired *old)
{
    agent_link_destroy(old->link);
    LIST_REMOVE(old, entry);
    old->all->retired_count--;
    free(old);
}

/* Events never end by themselves: the last stream of an out link. */
static bool is_done(const struct retired *old)
{
    struct tunnel_stats stats;

    tunnel_get_stats(agent_link_tunnel(old->link), &stats);
    return stats.streams <= (old->kind == LINK_OUT ? 1 : 0);
}

void retired_sweep(struct replicas *all)
{
    struct retired *old, *next;

    for (old = LIST_FIRST(&all->retired); old; old = next) {
        next = LIST_NEXT(old, entry);
        if (is_done(old))
            retired_destroy(old);
    }
}

static void retired_ended_cb(void *arg, const char *why)
{
    (void)why;
    retired_destroy(arg);
}

static void retired_event_cb(void *arg, struct json_object *event)
{
    (void)arg;
    (void)event;
}

static int retired_open_cb(void *arg, struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    (void)arg;
    (void)s;
    (void)open;
    return -EMFILE;
}

static const struct agent_link_ops retired_ops = {
    .event_cb = retired_event_cb,
    .open_cb = retired_open_cb,
    .ended_cb = retired_ended_cb,
};

void slot_retire(struct slot *slot)
{
    struct replicas *all = slot->replica->all;
    struct retired *old = NULL;

    if (slot->ready && all->retired_count < RETIRED_MAX)
        old = calloc(1, sizeof(*old));
    if (old) {
        old->all = all;
        old->kind = slot->kind;
        old->link = slot->link;
        slot->link = NULL;
        LIST_INSERT_HEAD(&all->retired, old, entry);
        all->retired_count++;
        agent_link_set_user(old->link, &retired_ops, old);
        tunnel_drain(agent_link_tunnel(old->link));
    }
    agent_link_destroy(slot->link);
    slot->link = NULL;
    slot->ready = false;
}
