/*
 * websocket_internal.h - heads and masks of frames, RFC 6455 5.2 and 5.3
 */
#ifndef TP_NET_WEBSOCKET_INTERNAL_H
#define TP_NET_WEBSOCKET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_HEAD_MAX    14
#define WEBSOCKET_CONTROL_MAX 125 /* payload of a control frame, 5.5 */

enum websocket_opcode {
    OP_CONTINUATION = 0,
    OP_BINARY = 2,
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
};

struct websocket_head {
    uint8_t opcode; /* may be none of the enum */
    bool is_final, is_masked;
    uint64_t len;    /* of the payload */
    uint8_t mask[4]; /* all zero: none */
};

/* Writes the head of a final frame, without its mask, to head, which has room
 * for WEBSOCKET_HEAD_MAX; returns its length. */
size_t websocket_head_make(uint8_t *head, enum websocket_opcode opcode,
                           size_t len, bool masked);

/* The length of the head whose first two bytes are there. */
size_t websocket_head_size(const uint8_t *bytes);

/* Reads a head that is complete. 0, or -EBADMSG: reserved bits, a length that
 * is not in its shortest form or beyond 63 bits. */
int websocket_head_parse(struct websocket_head *head, const uint8_t *bytes);

/* dst = src xor mask; dst may be src. pos: offset of the first byte in its
 * payload. */
void websocket_mask(uint8_t *dst, const uint8_t *src, size_t len,
                    const uint8_t mask[4], uint64_t pos);

#endif
