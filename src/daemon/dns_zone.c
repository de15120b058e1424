#include "daemon/dns_zone.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct name_list {
    char **names;
    size_t n;
};

struct dns_zone {
    struct name_list suffixes; /* the domain is one of them */
    struct name_list excludes;
    struct subnet *subnets;
    size_t n_subnets;
};

bool dns_name_valid(const char *name)
{
    size_t label = 0, len = strlen(name);

    if (len == 0 || len > 253)
        return false;
    for (const char *p = name;; p++) {
        if (*p == '.' || !*p) {
            if (label == 0 || label > 63)
                return false;
            if (!*p)
                return true;
            label = 0;
        } else if (isalnum((unsigned char)*p) || *p == '-' || *p == '_') {
            label++;
        } else {
            return false;
        }
    }
}

bool dns_suffix_valid(const char *suffix)
{
    return dns_name_valid(suffix) &&
           (strchr(suffix, '.') || !strcmp(suffix, "svc"));
}

bool dns_name_in(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);

    if (n < s || strcmp(name + n - s, suffix) != 0)
        return false;
    return n == s || name[n - s - 1] == '.';
}

static void name_list_release(struct name_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->names[i]);
    free(list->names);
}

/* Adds a lower-case copy without dots at the ends. */
static int name_list_add(struct name_list *list, const char *name)
{
    char **names;
    char *copy;
    size_t len;

    name += *name == '.';
    len = strlen(name);
    len -= len > 0 && name[len - 1] == '.';
    names = realloc(list->names, (list->n + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    list->names = names;
    copy = strndup(name, len);
    if (!copy)
        return -ENOMEM;
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    names[list->n++] = copy;
    return 0;
}

static int add_all(struct name_list *list, const char *const *names, size_t n,
                   bool (*valid)(const char *))
{
    for (size_t i = 0; i < n; i++) {
        int rc = name_list_add(list, names[i]);

        if (rc < 0)
            return rc;
        if (!valid(list->names[list->n - 1]))
            free(list->names[--list->n]);
    }
    return 0;
}

struct dns_zone *dns_zone_create(const struct dns_config *config)
{
    struct dns_zone *z = calloc(1, sizeof(*z));

    if (!z)
        return NULL;
    z->subnets = calloc(config->n_subnets + 1, sizeof(*z->subnets));
    if (!z->subnets ||
        add_all(&z->suffixes, &config->domain, config->domain ? 1 : 0,
                dns_suffix_valid) < 0 ||
        add_all(&z->suffixes, config->suffixes, config->n_suffixes,
                dns_suffix_valid) < 0 ||
        add_all(&z->excludes, config->excludes, config->n_excludes,
                dns_name_valid) < 0) {
        dns_zone_destroy(z);
        return NULL;
    }
    if (config->n_subnets)
        memcpy(z->subnets, config->subnets,
               config->n_subnets * sizeof(*z->subnets));
    z->n_subnets = config->n_subnets;
    return z;
}

void dns_zone_destroy(struct dns_zone *z)
{
    if (!z)
        return;
    name_list_release(&z->suffixes);
    name_list_release(&z->excludes);
    free(z->subnets);
    free(z);
}

/* The label before *end, as a number of at most max; moves *end before it.
 * -1 if it is none or has leading zeros. */
static int reverse_label(const char *name, const char **end, int base, int max)
{
    const char *start = *end;
    char *stop;
    long value;

    while (start > name && start[-1] != '.')
        start--;
    if (start == *end || *end - start > 3 || !isxdigit((unsigned char)*start) ||
        (*start == '0' && *end - start > 1))
        return -1;
    value = strtol(start, &stop, base);
    if (stop != *end || value > max)
        return -1;
    *end = start > name ? start - 1 : start;
    return (int)value;
}

int dns_reverse_parse(struct subnet *net, const char *name)
{
    bool v6 = dns_name_in(name, "ip6.arpa");
    size_t tail = v6 ? strlen("ip6.arpa") : strlen("in-addr.arpa");
    unsigned step = v6 ? 4 : 8, bits = v6 ? 128 : 32;
    const char *end;

    if ((!v6 && !dns_name_in(name, "in-addr.arpa")) || strlen(name) == tail)
        return -EINVAL;
    memset(net, 0, sizeof(*net));
    net->family = v6 ? AF_INET6 : AF_INET;
    end = name + strlen(name) - tail - 1;
    while (end > name) {
        int value = reverse_label(name, &end, v6 ? 16 : 10, v6 ? 15 : 255);

        if (value < 0 || net->prefix + step > bits)
            return -EINVAL;
        net->addr[net->prefix / 8] |=
            (uint8_t)(v6 && net->prefix % 8 == 0 ? value << 4 : value);
        net->prefix += step;
    }
    return 0;
}

static bool subnet_is_ours(const struct dns_zone *z, const struct subnet *net)
{
    for (size_t i = 0; i < z->n_subnets; i++) {
        if (z->subnets[i].prefix <= net->prefix &&
            subnet_overlaps(&z->subnets[i], net))
            return true;
    }
    return false;
}

static bool list_has(const struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (dns_name_in(name, list->names[i]))
            return true;
    }
    return false;
}

bool dns_zone_has(const struct dns_zone *z, const char *name)
{
    struct subnet net;

    if (!z || list_has(&z->excludes, name))
        return false;
    if (list_has(&z->suffixes, name))
        return true;
    return dns_reverse_parse(&net, name) == 0 && subnet_is_ours(z, &net);
}
