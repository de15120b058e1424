/*
 * hold_queue.h - held SYNs from the kernel's queue, and verdicts on them
 *
 * One NFQUEUE of the namespace (libnetfilter_queue on libmnl). A SYN waits in
 * the kernel until its verdict; when the daemon dies the kernel drops them
 * all, so that the client's retransmit meets the rules that then hold.
 */
#ifndef TP_DAEMON_HOLD_QUEUE_H
#define TP_DAEMON_HOLD_QUEUE_H

#include <stdint.h>

#include <uv.h>

#include "base/error.h"
#include "daemon/packet.h"

enum hold_verdict {
    HOLD_DROP,     /* as if the network had lost it */
    HOLD_ACCEPT,   /* on to the listener */
    HOLD_RESET,    /* connect() fails with ECONNREFUSED */
    HOLD_HOST,     /* EHOSTUNREACH */
    HOLD_NET,      /* ENETUNREACH */
    HOLD_PROHIBIT, /* EHOSTUNREACH (IPv4: ICMP code 13), EACCES (IPv6) */
};

/* What connect() is to say for an error of the far end. */
enum hold_verdict hold_verdict_of(int error);

struct hold_queue;

/* id is for hold_queue_verdict(), exactly once. */
typedef void hold_syn_cb(void *arg, uint32_t id, const struct packet_syn *syn);

/* Takes the first free queue. NULL with err filled (no NET_ADMIN, no
 * NFNETLINK_QUEUE). */
struct hold_queue *hold_queue_open(uv_loop_t *loop, hold_syn_cb *cb, void *arg,
                                   struct tp_error *err);
uint16_t hold_queue_number(const struct hold_queue *q);
void hold_queue_verdict(struct hold_queue *q, uint32_t id,
                        enum hold_verdict verdict);
/* Drops what is held. NULL is allowed; no callback comes any more. */
void hold_queue_close(struct hold_queue *q);

#endif
