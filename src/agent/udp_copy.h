/*
 * udp_copy.h - copies of one UDP flow's datagrams, for mirrors
 *
 * Each is a tunnel flow with a queue of its own (tunnel/udp.h: 256 KiB, then
 * datagrams are dropped). Answers are discarded.
 */
#ifndef TP_AGENT_UDP_COPY_H
#define TP_AGENT_UDP_COPY_H

#include "agent/path_internal.h"

#define UDP_COPIES_MAX 4096 /* of all flows */

LIST_HEAD(copy_list, copy);

struct udp_copies {
    struct copy_list list;
    struct agent_path *path;
};

void udp_copies_init(struct udp_copies *c, struct agent_path *path);
/* Does nothing if that engagement has one. */
void udp_copies_add(struct udp_copies *c, const struct agent_engagement *e,
                    uint16_t port);
/* Ends those that are no mirrors of the port any more. */
void udp_copies_filter(struct udp_copies *c, const struct port *port);
void udp_copies_send(struct udp_copies *c, const void *data, size_t len);
void udp_copies_end(struct udp_copies *c);

#endif
