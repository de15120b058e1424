#include "daemon/vnat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/address128.h"

void vnat_release(struct vnat *v)
{
    free(v->pairs);
    subnet_list_release(&v->plain);
    memset(v, 0, sizeof(*v));
}

static int add_pair(struct vnat *v, const struct vnat_pair *pair)
{
    struct vnat_pair *pairs = realloc(v->pairs, (v->n + 1) * sizeof(*v->pairs));

    if (!pairs)
        return -ENOMEM;
    v->pairs = pairs;
    pairs[v->n++] = *pair;
    return 0;
}

int vnat_copy(struct vnat *to, const struct vnat *from)
{
    int rc = 0;

    memset(to, 0, sizeof(*to));
    for (size_t i = 0; i < from->n && rc == 0; i++)
        rc = add_pair(to, &from->pairs[i]);
    for (size_t i = 0; i < from->plain.n && rc == 0; i++)
        rc = subnet_list_add(&to->plain, &from->plain.nets[i]);
    if (rc < 0)
        vnat_release(to);
    return rc;
}

const struct vnat_pair *vnat_pair_of(const struct vnat *v,
                                     const struct subnet *real)
{
    for (size_t i = 0; v && i < v->n; i++) {
        if (!memcmp(&v->pairs[i].real, real, sizeof(*real)))
            return &v->pairs[i];
    }
    return NULL;
}

const struct vnat_pair *vnat_overlap(const struct vnat *v,
                                     const struct subnet *net)
{
    for (size_t i = 0; i < v->n; i++) {
        if (subnet_overlaps(&v->pairs[i].virt, net))
            return &v->pairs[i];
    }
    return NULL;
}

/* What net overlaps with of what it must not, or NULL. */
static const struct subnet *find_hit(const struct vnat *v,
                                     const struct subnet_list *taken,
                                     const struct subnet *net)
{
    const struct vnat_pair *pair = vnat_overlap(v, net);

    if (pair)
        return &pair->virt;
    for (size_t i = 0; i < taken->n; i++) {
        if (subnet_overlaps(&taken->nets[i], net))
            return &taken->nets[i];
    }
    return NULL;
}

/* The first free subnet of that size in a pool; each step leaves one that is
 * in the way behind. */
static bool find_free(const struct vnat *v, const struct subnet *pool,
                      const struct subnet_list *taken, unsigned prefix,
                      struct subnet *out)
{
    size_t width = address_width(pool->family);
    u128 mask = address_host_mask(width, prefix), at = subnet_first(pool);
    const struct subnet *hit;

    if (prefix < pool->prefix)
        return false;
    *out = (struct subnet){.family = pool->family, .prefix = prefix};
    for (;;) {
        u128 next;

        address_store(out->addr, width, at);
        hit = find_hit(v, taken, out);
        if (!hit)
            return true;
        next = subnet_last(hit) > (at | mask) ? subnet_last(hit) : at | mask;
        if ((next | mask) >= subnet_last(pool))
            return false;
        at = (next | mask) + 1;
    }
}

/* What it had, if that may still be had. */
static bool find_former(const struct vnat *v, const struct subnet *real,
                        const struct subnet_list *pool,
                        const struct subnet_list *taken,
                        const struct vnat *former, struct subnet *out)
{
    const struct vnat_pair *pair = vnat_pair_of(former, real);

    if (!pair || !subnet_list_covers(pool, &pair->virt) ||
        find_hit(v, taken, &pair->virt))
        return false;
    *out = pair->virt;
    return true;
}

int vnat_add(struct vnat *v, const struct subnet *real,
             const struct subnet_list *pool, const struct subnet_list *taken,
             const struct vnat *former, struct tp_error *err)
{
    struct vnat_pair pair = {.real = *real};
    char text[SUBNET_TEXT];
    bool found = find_former(v, real, pool, taken, former, &pair.virt);
    int rc;

    if (vnat_pair_of(v, real))
        return tp_error_set(err, -EEXIST, "%s has a virtual subnet already",
                            subnet_format(real, text));
    for (size_t i = 0; i < pool->n && !found; i++)
        found = pool->nets[i].family == real->family &&
                find_free(v, &pool->nets[i], taken, real->prefix, &pair.virt);
    if (!found)
        return tp_error_set(err, -ENOSPC,
                            "there is no room for %s among the virtual subnets",
                            subnet_format(real, text));
    rc = add_pair(v, &pair);
    return rc < 0 ? tp_error_errno(err, rc, "virtual subnets") : 0;
}

static void move(const struct subnet *from, const struct subnet *to,
                 uint8_t *addr)
{
    size_t width = address_width(from->family);
    u128 mask = address_host_mask(width, from->prefix);
    uint8_t bytes[16];

    address_store(bytes, width,
                  subnet_first(to) | (address_load(addr, width) & mask));
    memcpy(addr, bytes, width);
}

static void move_address(const struct subnet *from, const struct subnet *to,
                         union sockaddr_any *addr)
{
    uint8_t bytes[16];

    memcpy(bytes, sockaddr_bytes(addr), sockaddr_width(addr));
    move(from, to, bytes);
    sockaddr_set_bytes(addr, bytes);
}

bool vnat_map_subnet(const struct vnat *v, const struct subnet *net,
                     struct subnet *out)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct vnat_pair *pair = &v->pairs[i];

        if (pair->real.prefix > net->prefix ||
            !subnet_overlaps(&pair->real, net))
            continue;
        *out = *net;
        move(&pair->real, &pair->virt, out->addr);
        return true;
    }
    return false;
}

bool vnat_to_real(const struct vnat *v, union sockaddr_any *addr)
{
    for (size_t i = 0; v && i < v->n; i++) {
        const struct vnat_pair *pair = &v->pairs[i];

        if (!subnet_contains(&pair->virt, addr))
            continue;
        move_address(&pair->virt, &pair->real, addr);
        return true;
    }
    return false;
}

bool vnat_to_virtual(const struct vnat *v, union sockaddr_any *addr)
{
    const struct vnat_pair *best = NULL;

    for (size_t i = 0; v && i < v->n; i++) {
        const struct vnat_pair *pair = &v->pairs[i];

        if (subnet_contains(&pair->real, addr) &&
            (!best || pair->real.prefix > best->real.prefix))
            best = pair;
    }
    if (!best)
        return false;
    for (size_t i = 0; i < v->plain.n; i++) {
        if (v->plain.nets[i].prefix >= best->real.prefix &&
            subnet_contains(&v->plain.nets[i], addr))
            return false;
    }
    move_address(&best->real, &best->virt, addr);
    return true;
}
