#include "daemon/capture_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/address128.h"

/*
 * Every subnet's first address and the one after its last cut the address
 * space into pieces in which one subnet is the longest match throughout.
 */
struct piece_net {
    u128 first, last;
    unsigned prefix;
    bool capture;
};

struct work {
    struct piece_net *nets;
    size_t n_nets;
    u128 *cuts;
    size_t n_cuts;
    size_t width; /* bytes of an address */
};

static void add_nets(struct work *w, int family, const struct subnet *nets,
                     size_t n, bool capture)
{
    for (size_t i = 0; i < n; i++) {
        struct piece_net *p;

        if (nets[i].family != family)
            continue;
        p = &w->nets[w->n_nets++];
        p->first = subnet_first(&nets[i]);
        p->last = subnet_last(&nets[i]);
        p->prefix = nets[i].prefix;
        p->capture = capture;
        w->cuts[w->n_cuts++] = p->first;
        if (p->last != address_last(w->width))
            w->cuts[w->n_cuts++] = p->last + 1;
    }
}

static int compare_cuts(const void *a, const void *b)
{
    u128 x = *(const u128 *)a, y = *(const u128 *)b;

    return x < y ? -1 : x > y;
}

/* The longest match for an address; of two equal ones the bypass. */
static bool is_captured(const struct work *w, u128 addr)
{
    const struct piece_net *best = NULL;

    for (size_t i = 0; i < w->n_nets; i++) {
        const struct piece_net *p = &w->nets[i];

        if (addr < p->first || addr > p->last)
            continue;
        if (!best || p->prefix > best->prefix ||
            (p->prefix == best->prefix && !p->capture))
            best = p;
    }
    return best && best->capture;
}

static size_t emit(const struct work *w, struct capture_range *out)
{
    size_t n = 0;
    bool open = false;

    for (size_t i = 0; i < w->n_cuts; i++) {
        bool captured;

        if (i && w->cuts[i] == w->cuts[i - 1])
            continue;
        captured = is_captured(w, w->cuts[i]);
        if (captured && !open) {
            address_store(out[n].first, w->width, w->cuts[i]);
            address_store(out[n++].last, w->width, address_last(w->width));
        } else if (!captured && open) {
            address_store(out[n - 1].last, w->width, w->cuts[i] - 1);
        }
        open = captured;
    }
    return n;
}

static int build_family(int family, struct capture_range **out, size_t *n_out,
                        const struct subnet *capture, size_t n_capture,
                        const struct subnet *bypass, size_t n_bypass)
{
    size_t n = n_capture + n_bypass;
    struct work w = {.width = family == AF_INET6 ? 16 : 4};
    int rc = -ENOMEM;

    w.nets = calloc(n + 1, sizeof(*w.nets));
    w.cuts = calloc(2 * n + 1, sizeof(*w.cuts));
    *out = calloc(2 * n + 1, sizeof(**out));
    if (w.nets && w.cuts && *out) {
        add_nets(&w, family, capture, n_capture, true);
        add_nets(&w, family, bypass, n_bypass, false);
        qsort(w.cuts, w.n_cuts, sizeof(*w.cuts), compare_cuts);
        *n_out = emit(&w, *out);
        rc = 0;
    }
    free(w.nets);
    free(w.cuts);
    return rc;
}

static int check_subnets(const struct subnet *nets, size_t n,
                         struct tp_error *err)
{
    for (size_t i = 0; i < n; i++) {
        unsigned bits = nets[i].family == AF_INET6 ? 128 : 32;

        if ((nets[i].family != AF_INET && nets[i].family != AF_INET6) ||
            nets[i].prefix > bits)
            return tp_error_set(err, -EINVAL, "subnet %zu is malformed", i);
    }
    return 0;
}

int capture_set_build(struct capture_set *set, const struct subnet *capture,
                      size_t n_capture, const struct subnet *bypass,
                      size_t n_bypass, struct tp_error *err)
{
    int rc;

    memset(set, 0, sizeof(*set));
    if (n_capture > CAPTURE_SET_MAX || n_bypass > CAPTURE_SET_MAX)
        return tp_error_set(err, -E2BIG, "more than %d subnets",
                            CAPTURE_SET_MAX);
    rc = check_subnets(capture, n_capture, err);
    if (!rc)
        rc = check_subnets(bypass, n_bypass, err);
    if (rc)
        return rc;
    rc = build_family(AF_INET, &set->v4, &set->n_v4, capture, n_capture, bypass,
                      n_bypass);
    if (!rc)
        rc = build_family(AF_INET6, &set->v6, &set->n_v6, capture, n_capture,
                          bypass, n_bypass);
    if (rc) {
        capture_set_release(set);
        return tp_error_errno(err, rc, "captured subnets");
    }
    return 0;
}

void capture_set_release(struct capture_set *set)
{
    free(set->v4);
    free(set->v6);
    memset(set, 0, sizeof(*set));
}

bool capture_set_contains(const struct capture_set *set,
                          const union sockaddr_any *addr)
{
    bool v6 = addr->sa.sa_family == AF_INET6;
    size_t width = sockaddr_width(addr);
    const uint8_t *ip = sockaddr_bytes(addr);
    const struct capture_range *ranges = v6 ? set->v6 : set->v4;
    size_t low = 0, high = v6 ? set->n_v6 : set->n_v4;

    if (!v6 && addr->sa.sa_family != AF_INET)
        return false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (memcmp(ip, ranges[mid].first, width) < 0)
            high = mid;
        else if (memcmp(ip, ranges[mid].last, width) > 0)
            low = mid + 1;
        else
            return true;
    }
    return false;
}
