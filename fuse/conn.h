/*
 * conn.h - one SFTP connection: many calls in flight, lost and made again
 *
 * Calls are sent in the order in which they were made. While the link is down
 * they wait for it, each at most the time-out. What was sent when the link was
 * lost may have been done or not: such a call is repeated if it says that this
 * does no harm (CONN_REPEAT), else it ends with -ECONNRESET. Calls with a
 * handle (CONN_HANDLE) always end so, because a handle dies with its link; see
 * conn_generation().
 */
#ifndef TP_FUSE_CONN_H
#define TP_FUSE_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "fuse/carrier.h"
#include "fuse/ssh_identity.h"
#include "sftp/reply.h"
#include "sftp/request.h"

struct conn;

struct reply {
    int err;                 /* 0, or a negative errno: status or lost link */
    uint32_t len;            /* DATA: bytes in the sink */
    struct sftp_reader body; /* of HANDLE, NAME, ATTRS, EXTENDED_REPLY */
};

typedef void reply_cb(void *arg, const struct reply *reply);

enum conn_call_flag {
    CONN_REPEAT = 1,
    CONN_HANDLE = 2,
    CONN_SLOW = 4, /* fsync: the server may be silent for ten time-outs */
};

/* One call. The request's texts are copied; payload (of WRITE) and sink (for
 * DATA, as large as the count that is asked for) are the caller's and stay
 * until cb, which is called exactly once, never from within conn_call(). */
struct conn_call_args {
    struct sftp_request request; /* id is set here */
    enum sftp_type expect;       /* SFTP_STATUS: only a status */
    unsigned flags;
    const void *payload;
    void *sink;
    reply_cb *cb;
    void *arg;
};
void conn_call(struct conn *c, const struct conn_call_args *a);

struct conn_config {
    uv_loop_t *loop;
    struct carrier *carrier;
    const struct ssh_identity *identity; /* NULL: no SSH */
    bool threaded;                       /* SSH runs in a thread of its own */
    unsigned timeout;                    /* seconds */
    const char *name;                    /* for log lines */
    /* The link was lost, or not made; its calls have not been told yet. */
    void (*lost_cb)(void *arg, struct conn *c);
    /* The link is there, for the first time or again. */
    void (*up_cb)(void *arg, struct conn *c);
    void *arg;
};

/* Dials at once, and again whenever the link is lost. */
struct conn *conn_create(const struct conn_config *config);

/* Ends every call with -ECONNRESET. The object lives until the loop has run
 * once more. */
void conn_destroy(struct conn *c);

bool conn_is_up(const struct conn *c);
/* How often it was dialled without being up afterwards. */
unsigned conn_attempts(const struct conn *c);
/* Why it is not. */
const struct tp_error *conn_failure(const struct conn *c);
uint32_t conn_extensions(const struct conn *c); /* SFTP_HAS_* */
/* Changes when the link is lost: handles of another generation are void. */
uint32_t conn_generation(const struct conn *c);
/* Calls that have not ended. */
unsigned conn_calls(const struct conn *c);
/* The shortest time between a call and its answer of late, microseconds. */
uint64_t conn_rtt(const struct conn *c);
/* Bytes that the server lets be under way on its link; UINT32_MAX: no limit. */
uint32_t conn_window(const struct conn *c);
/* Microseconds of a clock that never goes back. */
uint64_t conn_clock(void);

#endif
