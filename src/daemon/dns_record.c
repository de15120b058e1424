#include "daemon/dns_record.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define POINTER 0xc0
#define FIXED   10 /* type, class, TTL and length of a record */

int dns_name_skip(const uint8_t *msg, size_t len, size_t at)
{
    for (;;) {
        uint8_t n;

        if (at >= len)
            return -EBADMSG;
        n = msg[at++];
        if (n == 0)
            return (int)at;
        if ((n & POINTER) == POINTER)
            return at < len ? (int)at + 1 : -EBADMSG;
        if (n & POINTER || n > len - at)
            return -EBADMSG;
        at += n;
    }
}

int dns_name_read(const uint8_t *msg, size_t len, size_t at,
                  uint8_t out[DNS_NAME_WIRE])
{
    size_t used = 0, before = at;

    for (;;) {
        uint8_t n;

        if (at >= len)
            return -EBADMSG;
        n = msg[at];
        if ((n & POINTER) == POINTER) {
            if (len - at < 2)
                return -EBADMSG;
            at = (size_t)(n & 0x3f) << 8 | msg[at + 1];
            if (at >= before)
                return -EBADMSG;
            before = at;
            continue;
        }
        if (n & POINTER || n >= len - at || used + n + 1 > DNS_NAME_WIRE)
            return -EBADMSG;
        memcpy(out + used, msg + at, (size_t)n + 1);
        used += (size_t)n + 1;
        at += (size_t)n + 1;
        if (n == 0)
            return (int)used;
    }
}

bool dns_name_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    /* Lengths of labels are below 'A', so they compare as they are. */
    for (size_t i = 0; i < len; i++) {
        if (tolower(a[i]) != tolower(b[i]))
            return false;
    }
    return true;
}

size_t dns_name_write(uint8_t out[DNS_NAME_WIRE], const char *name)
{
    size_t used = 0;

    while (*name && used < DNS_NAME_WIRE - 1) {
        size_t n = strcspn(name, ".");

        if (n > 63 || used + n + 1 > DNS_NAME_WIRE - 1)
            break;
        out[used++] = (uint8_t)n;
        memcpy(out + used, name, n);
        used += n;
        name += n + (name[n] == '.');
    }
    out[used++] = 0;
    return used;
}

int dns_reader_init(struct dns_reader *r, const uint8_t *msg, size_t len)
{
    int at = DNS_HEADER_LEN;
    unsigned questions;

    if (len < DNS_HEADER_LEN || len > DNS_MAX_MSG)
        return -EBADMSG;
    questions = dns_get16(msg + 4);
    if (questions > 1)
        return -EBADMSG;
    if (questions) {
        at = dns_name_skip(msg, len, DNS_HEADER_LEN);
        if (at < 0 || len - (size_t)at < 4)
            return -EBADMSG;
        at += 4;
    }
    *r = (struct dns_reader){.msg = msg, .len = len, .at = (size_t)at};
    for (unsigned i = 0; i < DNS_SECTIONS; i++)
        r->left[i] = dns_get16(msg + 6 + 2 * i);
    return 0;
}

int dns_reader_next(struct dns_reader *r, struct dns_record *rec)
{
    const uint8_t *p;
    int at;

    while (r->section < DNS_SECTIONS && r->left[r->section] == 0)
        r->section++;
    if (r->section == DNS_SECTIONS)
        return 0;
    at = dns_name_skip(r->msg, r->len, r->at);
    if (at < 0 || r->len - (size_t)at < FIXED)
        return -EBADMSG;
    p = r->msg + at;
    *rec = (struct dns_record){
        .section = (enum dns_section)r->section,
        .type = dns_get16(p),
        .class = dns_get16(p + 2),
        .ttl = dns_get32(p + 4),
        .name = r->at,
        .ttl_at = (size_t)at + 4,
        .data = (size_t)at + FIXED,
        .len = dns_get16(p + 8),
    };
    if (rec->len > r->len - rec->data)
        return -EBADMSG;
    r->at = rec->data + rec->len;
    r->left[r->section]--;
    return 1;
}
