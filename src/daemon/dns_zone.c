#include "daemon/dns_zone.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dns_msg.h"

struct name_list {
    char **names;
    size_t n;
};

struct dns_zone {
    struct name_list suffixes; /* the domain is one of them */
    struct name_list excludes;
    struct name_list search;  /* of pods in the session's namespace */
    struct name_list parents; /* of names of namespaces: svc.DOMAIN, ... */
    struct name_list namespaces;
    struct name_list mapped, targets;
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

/* A domain made of the given ones. */
static int add_joined(struct name_list *list, const char *first,
                      const char *rest)
{
    char name[600];
    int n = snprintf(name, sizeof(name), "%s.%s", first, rest);

    if (n < 0 || (size_t)n >= sizeof(name) || !dns_name_valid(name))
        return 0;
    return name_list_add(list, name);
}

static int add_search(struct dns_zone *z, const struct dns_config *config)
{
    const char *domain = config->domain;
    int rc = 0;

    if (!domain || !dns_suffix_valid(domain))
        return 0;
    if (config->namespace) {
        char name[300];

        snprintf(name, sizeof(name), "%.63s.svc", config->namespace);
        rc = add_joined(&z->search, name, domain);
    }
    if (rc == 0)
        rc = add_joined(&z->search, "svc", domain);
    if (rc == 0)
        rc = name_list_add(&z->search, domain);
    if (rc == 0)
        rc = add_joined(&z->parents, "svc", domain);
    return rc < 0 ? rc : add_joined(&z->parents, "pod", domain);
}

static int add_namespaces(struct dns_zone *z, const struct dns_config *config)
{
    int rc = add_all(&z->namespaces, config->namespaces, config->n_namespaces,
                     dns_name_valid);

    if (rc == 0 && z->namespaces.n && config->namespace)
        rc = name_list_add(&z->namespaces, config->namespace);
    return rc;
}

/* "web.default.svc" is what people write. */
static int add_target(struct dns_zone *z, const char *target,
                      const char *domain)
{
    char name[600];

    if (!domain || !dns_name_in(target, "svc"))
        return name_list_add(&z->targets, target);
    snprintf(name, sizeof(name), "%.300s.%.255s", target, domain);
    return name_list_add(&z->targets, name);
}

static int add_mappings(struct dns_zone *z, const struct dns_config *config)
{
    for (size_t i = 0; i < config->n_mappings; i++) {
        const struct dns_mapping *m = &config->mappings[i];
        union sockaddr_any addr;
        int rc;

        if (!dns_name_valid(m->name) ||
            (!dns_name_valid(m->target) && sockaddr_parse(&addr, m->target, 0)))
            continue;
        rc = name_list_add(&z->mapped, m->name);
        if (rc == 0)
            rc = add_target(z, m->target, config->domain);
        if (rc < 0)
            return rc;
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
                dns_name_valid) < 0 ||
        add_search(z, config) < 0 || add_namespaces(z, config) < 0 ||
        add_mappings(z, config) < 0) {
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
    name_list_release(&z->search);
    name_list_release(&z->parents);
    name_list_release(&z->namespaces);
    name_list_release(&z->mapped);
    name_list_release(&z->targets);
    free(z->subnets);
    free(z);
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

/* The length of the longest of the list's names that name is in, plus one; 0:
 * in none. */
static size_t longest(const struct name_list *list, const char *name)
{
    size_t best = 0;

    for (size_t i = 0; i < list->n; i++) {
        size_t len = strlen(list->names[i]);

        if (len >= best && dns_name_in(name, list->names[i]))
            best = len + 1;
    }
    return best;
}

static bool is_ours(const struct dns_zone *z, const char *name)
{
    size_t included = longest(&z->suffixes, name);
    size_t excluded = longest(&z->excludes, name);
    struct subnet net;

    if (included || excluded)
        return included > excluded;
    return dns_reverse_parse(&net, name) == 0 && subnet_is_ours(z, &net);
}

/* The next thing that name may have been before the search list was added to
 * it, into out; false: there are no more. *i starts at 0. */
static bool strip_search(const struct dns_zone *z, const char *name, size_t *i,
                         char out[DNS_NAME_TEXT])
{
    while (*i < z->search.n) {
        const char *suffix = z->search.names[(*i)++];
        size_t n = strlen(name), s = strlen(suffix);

        if (n < s + 2 || !dns_name_in(name, suffix))
            continue;
        memcpy(out, name, n - s - 1);
        out[n - s - 1] = '\0';
        return true;
    }
    return false;
}

static bool is_excluded_search(const struct dns_zone *z, const char *name)
{
    char plain[DNS_NAME_TEXT];
    size_t i = 0;

    while (z->excludes.n && strip_search(z, name, &i, plain)) {
        if (longest(&z->excludes, plain))
            return true;
    }
    return false;
}

/* wpad (which looks for a proxy), and what looks for services to browse. */
static bool is_discovery(const char *name)
{
    static const char browse[] = "_dns-sd._udp";
    const char *found = strstr(name, browse);

    if (!strncmp(name, "wpad", 4) && (name[4] == '.' || !name[4]))
        return true;
    return found && (found == name || found[-1] == '.') &&
           (found[sizeof(browse) - 1] == '.' || !found[sizeof(browse) - 1]);
}

/* Of a namespace that is not among those that were chosen. */
static bool is_unmapped(const struct dns_zone *z, const char *name)
{
    for (size_t i = 0; z->namespaces.n && i < z->parents.n; i++) {
        size_t n = strlen(name), s = strlen(z->parents.names[i]);
        const char *start, *end = name + n - s - 1;

        if (n < s + 2 || !dns_name_in(name, z->parents.names[i]))
            continue;
        for (start = end; start > name && start[-1] != '.'; start--)
            ;
        for (size_t k = 0; k < z->namespaces.n; k++) {
            const char *ns = z->namespaces.names[k];

            if (strlen(ns) == (size_t)(end - start) &&
                !strncmp(ns, start, strlen(ns)))
                return false;
        }
        return true;
    }
    return false;
}

enum dns_kind dns_zone_route(const struct dns_zone *z, const char *name)
{
    if (!z || !is_ours(z, name))
        return DNS_UPSTREAM;
    if (is_discovery(name) || is_unmapped(z, name) ||
        is_excluded_search(z, name))
        return DNS_NOWHERE;
    return DNS_CLUSTER;
}

bool dns_zone_has(const struct dns_zone *z, const char *name)
{
    return dns_zone_route(z, name) == DNS_CLUSTER;
}

static const char *find_target(const struct dns_zone *z, const char *name)
{
    for (size_t i = 0; i < z->mapped.n; i++) {
        if (!strcmp(z->mapped.names[i], name))
            return z->targets.names[i];
    }
    return NULL;
}

const char *dns_zone_target(const struct dns_zone *z, const char *name)
{
    char plain[DNS_NAME_TEXT];
    const char *target;
    size_t i = 0;

    if (!z || z->mapped.n == 0)
        return NULL;
    target = find_target(z, name);
    while (!target && strip_search(z, name, &i, plain))
        target = find_target(z, plain);
    return target;
}
