/*
 * dns_record.h - the names and records behind a message's question
 * (RFC 1035 4.1.3, 4.1.4)
 *
 * A reader goes through the records of all three sections in their order. What
 * it gives has been checked against the message's length; names may still hold
 * pointers that lead nowhere, which dns_name_read() finds.
 */
#ifndef TP_DAEMON_DNS_RECORD_H
#define TP_DAEMON_DNS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/dns_msg.h"

#define DNS_NAME_WIRE  255 /* bytes of a name, with its final 0 */
#define DNS_RECORD_MIN 11  /* bytes of a record: name ".", no data */

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MINFO = 14,
    DNS_TYPE_MX = 15,
    DNS_TYPE_RP = 17,
    DNS_TYPE_AFSDB = 18,
    DNS_TYPE_RT = 21,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_KX = 36,
    DNS_TYPE_DNAME = 39,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
};

#define DNS_CLASS_IN 1

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

struct dns_reader {
    const uint8_t *msg;
    size_t len, at;
    unsigned section;
    unsigned left[DNS_SECTIONS];
};

struct dns_record {
    enum dns_section section;
    uint16_t type, class;
    uint32_t ttl;
    size_t name; /* offsets: of the owner's name, */
    size_t ttl_at;
    size_t data, len; /* of its data and how long that is */
};

/* Stands before the first record. 0, or -EBADMSG: no message, or more than one
 * question. */
int dns_reader_init(struct dns_reader *r, const uint8_t *msg, size_t len);
/* 1 with *rec filled; 0 at the end; -EBADMSG. */
int dns_reader_next(struct dns_reader *r, struct dns_record *rec);

/* The offset behind the name at `at`, pointers not followed, or -EBADMSG. */
int dns_name_skip(const uint8_t *msg, size_t len, size_t at);

/* The name at `at`, pointers followed, as it is on the wire without them. A
 * pointer must lead to before the part that it ends, so that none can loop.
 * Returns its length with the final 0, or -EBADMSG. */
int dns_name_read(const uint8_t *msg, size_t len, size_t at,
                  uint8_t out[DNS_NAME_WIRE]);

/* Names on the wire, without regard to case. */
bool dns_name_equal(const uint8_t *a, const uint8_t *b, size_t len);

/* A valid name ("a.b", no final dot) for the wire. Its length with the final
 * 0. */
size_t dns_name_write(uint8_t out[DNS_NAME_WIRE], const char *name);

#endif
