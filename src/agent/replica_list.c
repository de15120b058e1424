/* replica_list.c - which replicas there are */
#include <stdlib.h>

#include "agent/replicas_internal.h"
#include "base/json.h"
#include "base/log.h"

struct replica *replica_find(struct replicas *all,
                             const union sockaddr_any *addr)
{
    struct replica *replica;

    LIST_FOREACH(replica, &all->list, entry)
    {
        if (sockaddr_equal(&replica->addr, addr))
            return replica;
    }
    return NULL;
}

struct replica *replica_add(struct replicas *all,
                            const union sockaddr_any *addr)
{
    struct replica *replica = NULL;

    if (all->count < REPLICAS_MAX)
        replica = calloc(1, sizeof(*replica));
    if (!replica)
        return NULL;
    replica->all = all;
    replica->addr = *addr;
    replica->listed = true;
    slot_init(&replica->out, replica, LINK_OUT);
    slot_init(&replica->in, replica, LINK_IN);
    LIST_INSERT_HEAD(&all->list, replica, entry);
    all->count++;
    return replica;
}

void replica_free(struct replica *replica)
{
    agent_link_destroy(replica->out.link);
    agent_link_destroy(replica->in.link);
    engaged_clear(&replica->engaged);
    LIST_REMOVE(replica, entry);
    replica->all->count--;
    free(replica);
}

static void list_address(struct replicas *all, const char *ip)
{
    char text[SOCKADDR_TEXT];
    union sockaddr_any addr;
    struct replica *replica;

    if (sockaddr_parse(&addr, ip, sockaddr_port(&all->config.seed)) < 0)
        return;
    replica = replica_find(all, &addr);
    if (!replica)
        replica = replica_add(all, &addr);
    if (replica)
        replica->listed = true;
    else
        log_warn("too many replicas: %s is left out",
                 sockaddr_format_ip(&addr, text));
}

/* What works there may end in peace, but nothing new goes there. */
static void drop_unlisted(struct replicas *all)
{
    struct replica *replica, *next;
    bool changed = false;

    for (replica = LIST_FIRST(&all->list); replica; replica = next) {
        char text[SOCKADDR_TEXT];

        next = LIST_NEXT(replica, entry);
        if (replica->listed)
            continue;
        log_info("replica %s is gone from the list",
                 sockaddr_format_ip(&replica->addr, text));
        changed = changed || replica->engaged.n > 0;
        engaged_clear(&replica->engaged);
    }
    if (changed)
        replicas_publish(all);
    for (replica = LIST_FIRST(&all->list); replica; replica = next) {
        next = LIST_NEXT(replica, entry);
        if (replica->listed)
            continue;
        slot_retire(&replica->out);
        slot_retire(&replica->in);
        replica_free(replica);
    }
}

void replicas_apply(struct replicas *all, struct json_object *addresses,
                    struct replica *from)
{
    struct replica *replica;

    if (json_array_len(addresses) == 0) { /* it does not know yet */
        replicas_schedule(all);
        return;
    }
    LIST_FOREACH(replica, &all->list, entry)
    replica->listed = replica == from;
    for (size_t i = 0; i < json_array_len(addresses); i++) {
        struct json_object *ip = json_object_array_get_idx(addresses, i);

        if (json_object_is_type(ip, json_type_string))
            list_address(all, json_object_get_string(ip));
    }
    drop_unlisted(all);
    replicas_schedule(all);
}
