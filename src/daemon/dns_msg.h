/*
 * dns_msg.h - the header and the question of a DNS message (RFC 1035 4.1)
 *
 * What is behind the question is read by dns_record.h.
 */
#ifndef TP_DAEMON_DNS_MSG_H
#define TP_DAEMON_DNS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_LEN 12
#define DNS_NAME_TEXT  1020 /* 255 bytes, each escaped at worst, and NUL */
#define DNS_MAX_MSG    65535
#define DNS_MAX_ERROR  (DNS_HEADER_LEN + 255 + 4)

/* Byte 2 of the header (RFC 1035 4.1.1), */
#define DNS_QR     0x80
#define DNS_OPCODE 0x78
#define DNS_TC     0x02
#define DNS_RD     0x01
/* and byte 3 (RFC 4035 3.2 for AD and CD). */
#define DNS_RA    0x80
#define DNS_AD    0x20 /* a signature was checked: fits no changed answer */
#define DNS_CD    0x10
#define DNS_RCODE 0x0f

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
};

struct dns_question {
    uint16_t id;
    bool is_answer;           /* QR */
    char name[DNS_NAME_TEXT]; /* lower case, no final dot; "" is the root */
    uint16_t type, class;
    size_t end; /* first byte behind the question */
};

/* Reads a message with exactly one question. Returns 0, or -EBADMSG. */
int dns_msg_parse(struct dns_question *q, const uint8_t *msg, size_t len);

/* True if msg is an answer to query, whose question ends at `end`: same id,
 * same question (names without case), or an error that repeats no question. */
bool dns_msg_answers(const uint8_t *msg, size_t len, const uint8_t *query,
                     size_t end);

static inline uint16_t dns_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t dns_get32(const uint8_t *p)
{
    return (uint32_t)dns_get16(p) << 16 | dns_get16(p + 2);
}

static inline void dns_put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void dns_put32(uint8_t *p, uint32_t value)
{
    dns_put16(p, (uint16_t)(value >> 16));
    dns_put16(p + 2, (uint16_t)value);
}

static inline uint16_t dns_msg_id(const uint8_t *msg)
{
    return dns_get16(msg);
}

static inline void dns_msg_set_id(uint8_t *msg, uint16_t id)
{
    dns_put16(msg, id);
}

/* Writes the answer to query that says only `rcode`: its header and question,
 * which is `end` bytes. `out` has room for DNS_MAX_ERROR. Returns end. */
size_t dns_msg_make_error(const uint8_t *query, size_t end,
                          enum dns_rcode rcode, uint8_t *out);

#endif
