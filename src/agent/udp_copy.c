#include "agent/udp_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/udp.h"

struct copy {
    LIST_ENTRY(copy) entry;
    struct agent_path *path;
    struct tunnel_udp *tunnel;
    const struct tunnel *link; /* only compared */
    char id[AGENT_ID_SIZE];
};

static void copy_free(struct copy *c)
{
    LIST_REMOVE(c, entry);
    c->path->n_copies--;
    free(c);
}

static void copy_end(struct copy *c)
{
    tunnel_udp_close(c->tunnel);
    copy_free(c);
}

static void closed_cb(void *arg, int status)
{
    struct copy *c = arg;

    if (status < 0)
        c->path->tees.ended_early++;
    copy_free(c);
}

static const struct tunnel_udp_ops copy_ops = {.closed_cb = closed_cb};

static bool is_of(const struct copy *c, const struct agent_engagement *e)
{
    return c->link == e->tunnel && !strcmp(c->id, e->id);
}

void udp_copies_init(struct udp_copies *c, struct agent_path *path)
{
    LIST_INIT(&c->list);
    c->path = path;
}

void udp_copies_add(struct udp_copies *c, const struct agent_engagement *e,
                    uint16_t port)
{
    struct tees *tees = &c->path->tees;
    struct copy *copy;

    LIST_FOREACH(copy, &c->list, entry)
    {
        if (is_of(copy, e))
            return;
    }
    tees->copies++;
    copy = c->path->n_copies < UDP_COPIES_MAX ? calloc(1, sizeof(*copy)) : NULL;
    if (copy)
        copy->tunnel = tunnel_udp_open_name(e->tunnel, e->id, port,
                                            PATH_FLOW_IDLE_MS, &copy_ops, copy);
    if (!copy || !copy->tunnel) {
        tees->ended_early++;
        free(copy);
        return;
    }
    copy->path = c->path;
    copy->link = e->tunnel;
    snprintf(copy->id, sizeof(copy->id), "%s", e->id);
    LIST_INSERT_HEAD(&c->list, copy, entry);
    c->path->n_copies++;
}

void udp_copies_filter(struct udp_copies *c, const struct port *port)
{
    struct copy *next;

    for (struct copy *copy = LIST_FIRST(&c->list); copy; copy = next) {
        const struct agent_engagement *e;
        unsigned i = 0;

        next = LIST_NEXT(copy, entry);
        while ((e = path_mirror(port, i)) && !is_of(copy, e))
            i++;
        if (!e)
            copy_end(copy);
    }
}

void udp_copies_send(struct udp_copies *c, const void *data, size_t len)
{
    struct copy *next;

    for (struct copy *copy = LIST_FIRST(&c->list); copy; copy = next) {
        next = LIST_NEXT(copy, entry);
        (void)tunnel_udp_send(copy->tunnel, data, len);
    }
}

void udp_copies_end(struct udp_copies *c)
{
    while (!LIST_EMPTY(&c->list))
        copy_end(LIST_FIRST(&c->list));
}
