#include "daemon/dns_msg.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/dns_record.h"

/* Appends one label; bytes that are not plain are written as \DDD, so that a
 * dot inside a label never looks like a border. */
static size_t put_label(char *out, const uint8_t *label, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = label[i];

        if (c < 0x80 && (isalnum(c) || c == '-' || c == '_' || c == '*'))
            out[n++] = (char)tolower(c);
        else
            n += (size_t)sprintf(out + n, "\\%03u", c);
    }
    return n;
}

/* Returns the offset behind the name, or -EBADMSG. Compression has no place in
 * the first name of a message. */
static int parse_name(const uint8_t *msg, size_t len, size_t at,
                      char name[DNS_NAME_TEXT])
{
    size_t used = 0, start = at;

    for (;;) {
        uint8_t n;

        if (at >= len)
            return -EBADMSG;
        n = msg[at++];
        if (n == 0)
            break;
        if (n > 63 || n > len - at || at + n - start > 254)
            return -EBADMSG;
        if (used > 0)
            name[used++] = '.';
        used += put_label(name + used, msg + at, n);
        at += n;
    }
    name[used] = '\0';
    return (int)at;
}

int dns_msg_parse(struct dns_question *q, const uint8_t *msg, size_t len)
{
    int at;

    if (len < DNS_HEADER_LEN || len > DNS_MAX_MSG || dns_get16(msg + 4) != 1)
        return -EBADMSG;
    at = parse_name(msg, len, DNS_HEADER_LEN, q->name);
    if (at < 0 || len - (size_t)at < 4)
        return -EBADMSG;
    q->id = dns_get16(msg);
    q->is_answer = msg[2] & DNS_QR;
    q->type = dns_get16(msg + at);
    q->class = dns_get16(msg + at + 2);
    q->end = (size_t)at + 4;
    return 0;
}

bool dns_msg_answers(const uint8_t *msg, size_t len, const uint8_t *query,
                     size_t end)
{
    if (len < DNS_HEADER_LEN || !(msg[2] & DNS_QR) ||
        dns_get16(msg) != dns_get16(query))
        return false;
    if (dns_get16(msg + 4) == 0)
        return (msg[3] & DNS_RCODE) != 0;
    if (dns_get16(msg + 4) != 1 || len < end)
        return false;
    return dns_name_equal(msg + DNS_HEADER_LEN, query + DNS_HEADER_LEN,
                          end - 4 - DNS_HEADER_LEN) &&
           !memcmp(msg + end - 4, query + end - 4, 4);
}

size_t dns_msg_make_error(const uint8_t *query, size_t end,
                          enum dns_rcode rcode, uint8_t *out)
{
    memcpy(out, query, end);
    out[2] = (uint8_t)(DNS_QR | (query[2] & (DNS_OPCODE | DNS_RD)));
    out[3] = (uint8_t)(DNS_RA | rcode);
    memset(out + 6, 0, 6); /* no answer, authority or additional records */
    return end;
}
