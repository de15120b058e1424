/*
 * capsule.h - DATAGRAM capsules (RFC 9297 3.2 and 3.5, RFC 9298 5)
 *
 * Reads a byte stream in pieces of any size. A datagram that lies in one piece
 * is passed on without a copy. Other capsule types, other contexts and
 * datagrams that are too long are skipped, as RFC 9297 asks for.
 */
#ifndef TP_TUNNEL_CAPSULE_H
#define TP_TUNNEL_CAPSULE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define CAPSULE_PAYLOAD_MAX 65507 /* longest payload of a UDP datagram */
#define CAPSULE_HEAD_MAX    6     /* type, length, context id */

enum capsule_state { CAPSULE_TYPE, CAPSULE_LENGTH, CAPSULE_BODY, CAPSULE_SKIP };

struct capsule_reader {
    enum capsule_state state;
    uint8_t number[8]; /* of a variable-length integer */
    unsigned number_len;
    uint64_t type;
    uint64_t left; /* bytes of the capsule that are still to come */
    struct buf body;
};

/* One datagram, borrowed. Non-zero stops the reading at once; the reader is
 * not touched any more. */
typedef int capsule_datagram_cb(void *arg, const void *data, size_t len);

void capsule_reader_init(struct capsule_reader *r);
void capsule_reader_release(struct capsule_reader *r);

/* Reads all of data. 0, -ENOMEM, or what cb returned. */
int capsule_read(struct capsule_reader *r, const uint8_t *data, size_t len,
                 capsule_datagram_cb *cb, void *arg);

/* Writes what stands before a datagram of len bytes; returns its length. */
size_t capsule_head(uint8_t head[CAPSULE_HEAD_MAX], size_t len);

#endif
