#include "manager/subnets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

void subnets_release(struct subnets *list)
{
    free(list->items);
    memset(list, 0, sizeof(*list));
}

int subnets_add(struct subnets *list, const struct subnet *net)
{
    if (list->count == list->size) {
        size_t size = list->size ? list->size * 2 : 8;
        struct subnet *items;

        if (size > SUBNETS_MAX)
            return -ENOBUFS;
        items = realloc(list->items, size * sizeof(*items));
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->size = size;
    }
    list->items[list->count++] = *net;
    list->merged = false;
    return 0;
}

int subnets_add_all(struct subnets *list, const struct subnets *more)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < more->count; i++)
        rc = subnets_add(list, &more->items[i]);
    return rc;
}

int subnets_add_text(struct subnets *list, const char *text)
{
    struct subnet net;

    if (subnet_parse(&net, text) < 0)
        return -EINVAL;
    return subnets_add(list, &net);
}

int subnets_add_list(struct subnets *list, const char *text,
                     char bad[SUBNET_TEXT])
{
    while (*text) {
        size_t len = strcspn(text, ",");
        size_t copied = len < SUBNET_TEXT ? len : SUBNET_TEXT - 1;
        int rc;

        memcpy(bad, text, copied);
        bad[copied] = '\0';
        if (len > 0) {
            rc = copied < len ? -EINVAL : subnets_add_text(list, bad);
            if (rc < 0)
                return rc;
        }
        text += len + (text[len] == ',');
    }
    return 0;
}

/* By family, address, and the wider one first. */
static int compare(const void *pa, const void *pb)
{
    const struct subnet *a = pa, *b = pb;
    int rc;

    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    rc = memcmp(a->addr, b->addr, sizeof(a->addr));
    if (rc != 0)
        return rc;
    return a->prefix < b->prefix ? -1 : a->prefix > b->prefix;
}

/* If a and b are the two halves of one subnet, makes a that subnet. */
static bool join_halves(struct subnet *a, const struct subnet *b)
{
    struct subnet whole = *a;
    unsigned bit = a->prefix - 1;

    if (a->family != b->family || a->prefix != b->prefix || a->prefix == 0)
        return false;
    if (a->addr[bit / 8] & (0x80 >> (bit % 8)))
        return false; /* a is an upper half */
    whole.prefix--;
    if (!subnet_overlaps(&whole, b))
        return false;
    *a = whole;
    return true;
}

void subnets_merge(struct subnets *list)
{
    size_t n = 0; /* items[0..n) are merged */

    if (list->count > 1)
        qsort(list->items, list->count, sizeof(*list->items), compare);
    for (size_t i = 0; i < list->count; i++) {
        if (n > 0 && subnet_overlaps(&list->items[n - 1], &list->items[i]))
            continue; /* sorted: the earlier one is the wider one */
        list->items[n++] = list->items[i];
        while (n > 1 && join_halves(&list->items[n - 2], &list->items[n - 1]))
            n--;
    }
    list->count = n;
    list->merged = true;
}

static struct subnet host_of(const union sockaddr_any *addr)
{
    size_t width = sockaddr_width(addr);
    struct subnet host = {.family = addr->sa.sa_family,
                          .prefix = (unsigned)width * 8};

    memcpy(host.addr, sockaddr_bytes(addr), width);
    return host;
}

bool subnets_contain(const struct subnets *list, const union sockaddr_any *addr)
{
    struct subnet host = host_of(addr);
    size_t low = 0, high = list->count;

    if (!list->merged) {
        for (size_t i = 0; i < list->count; i++) {
            if (subnet_contains(&list->items[i], addr))
                return true;
        }
        return false;
    }
    while (low < high) { /* the last member that does not sort behind addr */
        size_t mid = low + (high - low) / 2;

        if (compare(&list->items[mid], &host) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && subnet_contains(&list->items[low - 1], addr);
}

struct json_object *subnets_to_json(const struct subnets *list)
{
    struct json_object *array = json_object_new_array();
    char text[SUBNET_TEXT];

    for (size_t i = 0; i < list->count; i++) {
        subnet_format(&list->items[i], text);
        json_object_array_add(array, json_object_new_string(text));
    }
    return array;
}
