#include "daemon/proxy_lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/dns.h"
#include "daemon/dns_record.h"

#define NDOTS      5
#define LOOKUP_MS  10000 /* beyond the dns module's own limit */
#define EDNS_BYTES 4096

struct proxy_lookup {
    uv_timer_t timer;
    struct dns *dns;
    proxy_lookup_cb *cb;
    void *arg;
    char name[256], namespace[64], domain[256];
    unsigned candidate; /* that is being asked for */
    unsigned awaited;   /* answers to it */
    bool trouble;       /* some answer was neither yes nor no */
    bool over;          /* the time is */
    union sockaddr_any v4[PROXY_LOOKUP_ADDRESSES], v6[PROXY_LOOKUP_ADDRESSES];
    size_t n4, n6;
};

/* ---- messages (RFC 1035 4.1, RFC 6891) ---- */

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 253)
        return false;
    while (*name) {
        size_t n = strcspn(name, ".");

        if (n == 0 || n > 63)
            return false;
        name += n + (name[n] == '.');
    }
    return true;
}

static uint16_t type_of(int family)
{
    return family == AF_INET6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
}

int proxy_query_make(uint8_t out[PROXY_QUERY_MAX], const char *name, int family,
                     uint16_t id)
{
    static const uint8_t opt[DNS_RECORD_MIN] = {
        0, 0, DNS_TYPE_OPT, EDNS_BYTES >> 8, EDNS_BYTES & 0xff};
    uint8_t *p = out + DNS_HEADER_LEN;

    if (!is_name(name))
        return -EINVAL;
    memset(out, 0, DNS_HEADER_LEN);
    dns_msg_set_id(out, id);
    out[2] = DNS_RD;
    dns_put16(out + 4, 1);  /* question */
    dns_put16(out + 10, 1); /* additional record */
    p += dns_name_write(p, name);
    dns_put16(p, type_of(family));
    dns_put16(p + 2, DNS_CLASS_IN);
    p += 4;
    memcpy(p, opt, sizeof(opt));
    return (int)(p - out) + (int)sizeof(opt);
}

int proxy_answer_parse(const void *data, size_t len, int *family, int *rcode,
                       union sockaddr_any addrs[PROXY_LOOKUP_ADDRESSES])
{
    const uint8_t *msg = data;
    struct dns_reader r;
    struct dns_record rec;
    uint16_t type;
    int n = 0;

    if (dns_reader_init(&r, msg, len) < 0 || dns_get16(msg + 4) != 1)
        return -EBADMSG;
    type = dns_get16(msg + r.at - 4);
    if (type != DNS_TYPE_A && type != DNS_TYPE_AAAA)
        return -EBADMSG;
    *family = type == DNS_TYPE_AAAA ? AF_INET6 : AF_INET;
    *rcode = msg[3] & DNS_RCODE;
    while (r.left[DNS_ANSWER] > 0) {
        if (dns_reader_next(&r, &rec) < 0)
            return -EBADMSG;
        if (n < PROXY_LOOKUP_ADDRESSES && rec.type == type &&
            rec.class == DNS_CLASS_IN &&
            rec.len == (type == DNS_TYPE_AAAA ? 16 : 4))
            sockaddr_from_bytes(&addrs[n++], *family, msg + rec.data);
    }
    return n;
}

/* ---- the search list ---- */

static unsigned count_dots(const char *name)
{
    unsigned n = 0;

    for (; *name; name++)
        n += *name == '.';
    return n;
}

/* "" is the name itself. NULL: there is no such suffix. */
static const char *suffix(char text[320], const char *namespace,
                          const char *domain, unsigned n)
{
    if (n == 0)
        snprintf(text, 320, ".%s.svc.%s", namespace, domain);
    else if (n == 1)
        snprintf(text, 320, ".svc.%s", domain);
    else if (n == 2)
        snprintf(text, 320, ".%s", domain);
    else
        return NULL;
    return text;
}

int proxy_candidate(char out[256], const char *name, const char *namespace,
                    const char *domain, unsigned n)
{
    size_t len = strlen(name);
    bool absolute = len > 0 && name[len - 1] == '.';
    bool first = !absolute && count_dots(name) >= NDOTS; /* as it is */
    const char *end = "";
    char text[320];

    if (absolute || !*domain) {
        if (n > 0)
            return 0;
    } else if (first ? n > 0 : n < 3) {
        end = suffix(text, namespace, domain, first ? n - 1 : n);
        if (!end)
            return 0;
    } else if (n > 3) {
        return 0;
    }
    if (snprintf(out, 256, "%.*s%s", (int)len - absolute, name, end) > 255)
        *out = '\0'; /* too long for a name: no query will be made */
    return 1;
}

/* ---- the lookup ---- */

static void closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

void proxy_lookup_cancel(struct proxy_lookup *l)
{
    if (l->dns)
        dns_cancel(l->dns, l);
    uv_close((uv_handle_t *)&l->timer, closed_cb);
}

static void finish(struct proxy_lookup *l)
{
    union sockaddr_any all[2 * PROXY_LOOKUP_ADDRESSES];
    size_t n = l->n4 + l->n6;
    int status = n > 0 ? 0 : l->trouble ? -EHOSTUNREACH : -ENOENT;

    memcpy(all, l->v4, l->n4 * sizeof(*all));
    memcpy(all + l->n4, l->v6, l->n6 * sizeof(*all));
    proxy_lookup_cancel(l);
    l->cb(l->arg, status, all, n);
}

static void answer_cb(void *arg, const void *msg, size_t len)
{
    union sockaddr_any addrs[PROXY_LOOKUP_ADDRESSES];
    struct proxy_lookup *l = arg;
    int family = 0, rcode = 0;
    int n = proxy_answer_parse(msg, len, &family, &rcode, addrs);

    if (n < 0 || (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN)) {
        l->trouble = true;
    } else if (family == AF_INET6) {
        memcpy(l->v6, addrs, (size_t)n * sizeof(*addrs));
        l->n6 = (size_t)n;
    } else {
        memcpy(l->v4, addrs, (size_t)n * sizeof(*addrs));
        l->n4 = (size_t)n;
    }
    /* From the loop: this may be called within dns_query(). */
    if (l->awaited > 0 && --l->awaited == 0)
        uv_timer_start(&l->timer, l->timer.timer_cb, 0, 0);
}

static void ask(struct proxy_lookup *l, const char *name, int family)
{
    uint8_t query[PROXY_QUERY_MAX];
    uint16_t id = 0;
    int len;

    (void)!getrandom(&id, sizeof(id), GRND_NONBLOCK);
    len = proxy_query_make(query, name, family, id);
    if (len > 0)
        dns_query(l->dns, query, (size_t)len, answer_cb, l);
    else if (--l->awaited == 0)
        uv_timer_start(&l->timer, l->timer.timer_cb, 0, 0);
}

/* All answers to a candidate are there, or the time is over. */
static void step_cb(uv_timer_t *timer)
{
    struct proxy_lookup *l = timer->data;
    char name[256];

    if (l->awaited > 0) {
        dns_cancel(l->dns, l);
        l->trouble = l->over = true;
    }
    if (l->n4 + l->n6 > 0 || l->over || !l->dns ||
        !proxy_candidate(name, l->name, l->namespace, l->domain,
                         l->candidate++)) {
        finish(l);
        return;
    }
    l->awaited = 2;
    uv_timer_start(timer, step_cb, LOOKUP_MS, 0);
    ask(l, name, AF_INET);
    ask(l, name, AF_INET6);
}

struct proxy_lookup *proxy_lookup_start(uv_loop_t *loop, struct dns *dns,
                                        const char *name, const char *namespace,
                                        const char *domain, proxy_lookup_cb *cb,
                                        void *arg)
{
    struct proxy_lookup *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->dns = dns;
    l->cb = cb;
    l->arg = arg;
    snprintf(l->name, sizeof(l->name), "%s", name);
    snprintf(l->namespace, sizeof(l->namespace), "%s",
             namespace ? namespace : "");
    snprintf(l->domain, sizeof(l->domain), "%s", domain ? domain : "");
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, step_cb, 0, 0);
    return l;
}
