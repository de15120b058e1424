#include "daemon/dns_rewrite.h"

#include <errno.h>
#include <string.h>

#define OWN_NAME     0xc00c /* a pointer to the question's name */
#define SEEN         8      /* names that others may point to */
#define FAR          0x3fff /* as far as a pointer gets */
#define POINTER_BITS 0xc000

struct names {
    uint8_t wire[SEEN][DNS_NAME_WIRE];
    size_t len[SEEN], at[SEEN];
    size_t n;
};

struct writer {
    uint8_t *out;
    size_t len;
    bool full;
    struct names seen;
    uint8_t asked[DNS_NAME_WIRE]; /* what the resolver was asked for */
    size_t asked_len;
    bool rename; /* asked becomes the question's name where it is an owner */
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->full || len > DNS_MAX_MSG - w->len) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->len, data, len);
    w->len += len;
}

static void put16(struct writer *w, uint16_t value)
{
    uint8_t bytes[2];

    dns_put16(bytes, value);
    put(w, bytes, sizeof(bytes));
}

static void put32(struct writer *w, uint32_t value)
{
    put16(w, (uint16_t)(value >> 16));
    put16(w, (uint16_t)value);
}

static void remember(struct names *seen, const uint8_t *name, size_t len,
                     size_t at)
{
    if (seen->n == SEEN || at > FAR)
        return;
    memcpy(seen->wire[seen->n], name, len);
    seen->len[seen->n] = len;
    seen->at[seen->n++] = at;
}

/* Whole names only: owners repeat, and that is what makes answers long. */
static void put_owner(struct writer *w, const uint8_t *name, size_t len)
{
    const struct names *seen = &w->seen;

    if (w->rename && len == w->asked_len &&
        dns_name_equal(name, w->asked, len)) {
        put16(w, OWN_NAME);
        return;
    }
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->len[i] == len && dns_name_equal(seen->wire[i], name, len)) {
            put16(w, (uint16_t)(POINTER_BITS | seen->at[i]));
            return;
        }
    }
    if (len > 1)
        remember(&w->seen, name, len, w->len);
    put(w, name, len);
}

/* Where names are in the data of a type: so many bytes before them, how many
 * names. */
static void find_names(uint16_t type, size_t *before, unsigned *names)
{
    static const struct {
        uint16_t type;
        uint8_t before, names;
    } rows[] = {
        {DNS_TYPE_NS, 0, 1},  {DNS_TYPE_CNAME, 0, 1}, {DNS_TYPE_SOA, 0, 2},
        {DNS_TYPE_PTR, 0, 1}, {DNS_TYPE_MINFO, 0, 2}, {DNS_TYPE_MX, 2, 1},
        {DNS_TYPE_RP, 0, 2},  {DNS_TYPE_AFSDB, 2, 1}, {DNS_TYPE_RT, 2, 1},
        {DNS_TYPE_SRV, 6, 1}, {DNS_TYPE_KX, 2, 1},    {DNS_TYPE_DNAME, 0, 1},
    };

    *before = 0;
    *names = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].type != type)
            continue;
        *before = rows[i].before;
        *names = rows[i].names;
    }
}

static int put_data(struct writer *w, const uint8_t *msg,
                    const struct dns_record *rec)
{
    size_t at = rec->data, end = rec->data + rec->len, before;
    unsigned names;

    find_names(rec->type, &before, &names);
    if (names && before > rec->len)
        return -EBADMSG;
    put(w, msg + at, names ? before : 0);
    at += names ? before : 0;
    for (; names > 0; names--) {
        uint8_t name[DNS_NAME_WIRE];
        int len = dns_name_read(msg, end, at, name);
        int next = dns_name_skip(msg, end, at);

        if (len < 0 || next < 0)
            return -EBADMSG;
        put(w, name, (size_t)len);
        at = (size_t)next;
    }
    put(w, msg + at, end - at);
    return 0;
}

static int put_record(struct writer *w, const uint8_t *msg, size_t len,
                      const struct dns_record *rec)
{
    uint8_t name[DNS_NAME_WIRE];
    int n = dns_name_read(msg, len, rec->name, name);
    size_t length_at;

    if (n < 0)
        return n;
    put_owner(w, name, (size_t)n);
    put16(w, rec->type);
    put16(w, rec->class);
    put32(w, rec->ttl);
    length_at = w->len;
    put16(w, 0);
    n = put_data(w, msg, rec);
    if (n == 0 && !w->full)
        dns_put16(w->out + length_at, (uint16_t)(w->len - length_at - 2));
    return n;
}

/* "head's name is asked's". */
static void put_alias(struct writer *w)
{
    put16(w, OWN_NAME);
    put16(w, DNS_TYPE_CNAME);
    put16(w, DNS_CLASS_IN);
    put32(w, DNS_ALIAS_TTL);
    put16(w, (uint16_t)w->asked_len);
    remember(&w->seen, w->asked, w->asked_len, w->len);
    put(w, w->asked, w->asked_len);
}

int dns_rewrite_answer(enum dns_rename how, const uint8_t *head, size_t end,
                       const uint8_t *msg, size_t len, uint8_t *out)
{
    struct writer w = {.out = out, .rename = how == DNS_RENAME_OWNER};
    bool alias = how == DNS_RENAME_ALIAS;
    struct dns_reader r;
    struct dns_record rec;
    int rc = dns_reader_init(&r, msg, len);

    if (rc < 0)
        return rc;
    put(&w, head, end);
    memcpy(out + 2, msg + 2, 2);
    memcpy(out + 6, msg + 6, 6);
    out[3] &= (uint8_t)~DNS_AD;
    if (dns_get16(msg + 4) == 0) { /* an error, and no more */
        memset(out + 6, 0, 6);
        return (int)end;
    }
    rc = dns_name_read(msg, len, DNS_HEADER_LEN, w.asked);
    if (rc < 0)
        return rc;
    w.asked_len = (size_t)rc;
    if (alias) {
        if (dns_get16(msg + 6) == UINT16_MAX)
            return -E2BIG;
        dns_put16(out + 6, (uint16_t)(dns_get16(msg + 6) + 1));
        put_alias(&w);
    }
    while ((rc = dns_reader_next(&r, &rec)) == 1) {
        rc = put_record(&w, msg, len, &rec);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    return w.full ? -E2BIG : (int)w.len;
}

/* One OPT record of a size that has room. */
static bool is_short_edns(const uint8_t *query, size_t len, size_t end)
{
    return dns_get16(query + 10) == 1 && len - end <= DNS_REST_MAX &&
           len - end >= DNS_RECORD_MIN && query[end] == 0 &&
           dns_get16(query + end + 1) == DNS_TYPE_OPT;
}

size_t dns_rewrite_query(const uint8_t *query, size_t len, size_t end,
                         const char *name, uint8_t out[DNS_RENAMED_MAX],
                         size_t *new_end)
{
    size_t n = DNS_HEADER_LEN;

    memcpy(out, query, DNS_HEADER_LEN);
    memset(out + 6, 0, 6);
    n += dns_name_write(out + n, name);
    memcpy(out + n, query + end - 4, 4);
    n += 4;
    *new_end = n;
    if (is_short_edns(query, len, end)) {
        dns_put16(out + 10, 1);
        memcpy(out + n, query + end, len - end);
        n += len - end;
    }
    return n;
}

size_t dns_make_answer(const uint8_t *head, size_t end, uint16_t type,
                       const void *data, size_t len, uint8_t *out)
{
    struct writer w = {.out = out};

    put(&w, head, end);
    out[2] = (uint8_t)(DNS_QR | (head[2] & (DNS_OPCODE | DNS_RD)));
    out[3] = DNS_RA;
    memset(out + 6, 0, 6);
    if (len == 0)
        return w.len;
    dns_put16(out + 6, 1);
    put16(&w, OWN_NAME);
    put16(&w, type);
    put16(&w, DNS_CLASS_IN);
    put32(&w, DNS_ALIAS_TTL);
    put16(&w, (uint16_t)len);
    put(&w, data, len);
    return w.len;
}
