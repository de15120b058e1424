/*
 * replicas_internal.h - what replicas.c, replica_links.c and replica_list.c
 * share
 *
 *   replicas.c       life, when to dial, the merged engagements
 *   replica_links.c  callbacks of the links
 *   replica_list.c   which replicas there are
 */
#ifndef TP_AGENT_REPLICAS_INTERNAL_H
#define TP_AGENT_REPLICAS_INTERNAL_H

#include <sys/queue.h>

#include "agent/engaged.h"
#include "agent/link.h"
#include "agent/replicas.h"

struct json_object;
struct replica;

/* Where one link is or is wanted. */
struct slot {
    struct replica *replica;
    enum agent_link_kind kind;
    struct agent_link *link; /* NULL: none */
    bool ready;
    uint64_t due;   /* not dialled before, uv_now() */
    uint64_t since; /* when it became ready */
    unsigned attempts;
};

struct replica {
    LIST_ENTRY(replica) entry;
    struct replicas *all;
    union sockaddr_any addr;
    struct slot out, in;
    struct engaged engaged; /* empty unless out is ready */
    bool listed;            /* by the newest list */
    bool draining;          /* it said that it ends soon */
};

/* A link that was given up and ends when its last stream has. */
struct retired {
    LIST_ENTRY(retired) entry;
    struct replicas *all;
    struct agent_link *link;
    enum agent_link_kind kind;
};

struct replicas {
    uv_loop_t *loop;
    struct replicas_config config;
    LIST_HEAD(, replica) list;
    LIST_HEAD(, retired) retired;
    size_t count, retired_count;
    struct replica seed; /* only its `out`, until it is known whose it is */
    uv_timer_t timer;    /* the next dial */
    uint64_t clock;      /* of engaged.h */
};

/* replicas.c */
void replicas_schedule(struct replicas *all);
void replicas_publish(struct replicas *all);

/* replica_links.c */
void slot_init(struct slot *slot, struct replica *replica,
               enum agent_link_kind kind);
void slot_dial(struct slot *slot);
/* Gives the link up: drained if it is ready, else ended. */
void slot_retire(struct slot *slot);
void retired_destroy(struct retired *old);
/* Ends those whose streams have ended. */
void retired_sweep(struct replicas *all);

/* replica_list.c */
struct replica *replica_find(struct replicas *all,
                             const union sockaddr_any *addr);
/* NULL if there are too many, or out of memory. */
struct replica *replica_add(struct replicas *all,
                            const union sockaddr_any *addr);
/* Its engagements have been published without it, or it had none. */
void replica_free(struct replica *replica);
/* A list of addresses that `from` told; from itself is always in it. */
void replicas_apply(struct replicas *all, struct json_object *addresses,
                    struct replica *from);

#endif
