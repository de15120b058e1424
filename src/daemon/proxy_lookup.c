#include "daemon/proxy_lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/dns.h"

#define NDOTS      5
#define LOOKUP_MS  10000 /* beyond the dns module's own limit */
#define EDNS_BYTES 4096

/* RFC 1035 3.2, 4.1; RFC 3596; RFC 6891 */
#define HEADER_LEN 12
#define RECORD_LEN 10 /* behind a record's name, before its data */
#define LABEL_MAX  63
#define TYPE_A     1
#define TYPE_AAAA  28
#define TYPE_OPT   41
#define CLASS_IN   1
enum { NOERROR = 0, NXDOMAIN = 3 };

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

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

int proxy_query_make(uint8_t out[PROXY_QUERY_MAX], const char *name, int family,
                     uint16_t id)
{
    static const uint8_t opt[] = {
        0, 0, TYPE_OPT, EDNS_BYTES >> 8, EDNS_BYTES & 0xff, 0, 0, 0, 0, 0, 0};
    uint8_t *p = out;
    size_t left = strlen(name);

    if (left == 0 || left > 253)
        return -EINVAL;
    memset(out, 0, HEADER_LEN);
    put16(p, id);
    p[2] = 1;  /* RD */
    p[5] = 1;  /* one question */
    p[11] = 1; /* one additional record */
    p += HEADER_LEN;
    while (*name) {
        size_t n = strcspn(name, ".");

        if (n == 0 || n > LABEL_MAX)
            return -EINVAL;
        *p++ = (uint8_t)n;
        memcpy(p, name, n);
        p += n;
        name += n + (name[n] == '.');
    }
    *p++ = 0;
    put16(p, family == AF_INET6 ? TYPE_AAAA : TYPE_A);
    put16(p + 2, CLASS_IN);
    p += 4;
    memcpy(p, opt, sizeof(opt));
    return (int)(p - out) + (int)sizeof(opt);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

/* Where the name at `at` ends; 0: it does not. It is not followed. */
static size_t skip_name(const uint8_t *msg, size_t len, size_t at)
{
    while (at < len) {
        if ((msg[at] & 0xc0) == 0xc0)
            return at + 2;
        if (msg[at] & 0xc0)
            return 0;
        if (msg[at] == 0)
            return at + 1;
        at += 1U + msg[at];
    }
    return 0;
}

static void set_address(union sockaddr_any *addr, unsigned type,
                        const uint8_t *data)
{
    memset(addr, 0, sizeof(*addr));
    addr->sa.sa_family = type == TYPE_AAAA ? AF_INET6 : AF_INET;
    if (type == TYPE_AAAA)
        memcpy(&addr->in6.sin6_addr, data, 16);
    else
        memcpy(&addr->in4.sin_addr, data, 4);
}

int proxy_answer_parse(const void *data, size_t len, int *family, int *rcode,
                       union sockaddr_any addrs[PROXY_LOOKUP_ADDRESSES])
{
    const uint8_t *msg = data;
    unsigned type, left;
    size_t at;
    int n = 0;

    at = len < HEADER_LEN || get16(msg + 4) != 1 ? 0 : HEADER_LEN;
    at = at ? skip_name(msg, len, at) : 0;
    if (!at || at + 4 > len)
        return -EBADMSG;
    type = get16(msg + at);
    if (type != TYPE_A && type != TYPE_AAAA)
        return -EBADMSG;
    at += 4;
    *family = type == TYPE_AAAA ? AF_INET6 : AF_INET;
    *rcode = msg[3] & 15;
    for (left = get16(msg + 6); left > 0; left--) {
        size_t size, want = type == TYPE_AAAA ? 16 : 4;

        at = skip_name(msg, len, at);
        if (!at || at + RECORD_LEN > len)
            return -EBADMSG;
        size = get16(msg + at + 8);
        if (at + RECORD_LEN + size > len)
            return -EBADMSG;
        if (n < PROXY_LOOKUP_ADDRESSES && get16(msg + at) == type &&
            get16(msg + at + 2) == CLASS_IN && size == want)
            set_address(&addrs[n++], type, msg + at + RECORD_LEN);
        at += RECORD_LEN + size;
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

    if (n < 0 || (rcode != NOERROR && rcode != NXDOMAIN)) {
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
