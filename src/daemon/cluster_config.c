/*
 * cluster_config.c - `client:` of the chart's values, and the user's own
 *
 * What a cluster may decide here is in one table; the user's value of the same
 * key wins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/cluster_info_internal.h"
#include "daemon/dns_zone.h"
#include "daemon/session_config.h"

#define MAX_NAMES 256

static void take_names(struct build *b, struct name_array *to,
                       struct json_object *value, bool (*valid)(const char *),
                       const char *wanted)
{
    for (size_t i = 0; i < json_array_len(value); i++) {
        const char *text = cluster_text_at(value, i);
        char **names;

        text += *text == '.';
        if (!valid(text) || to->n >= MAX_NAMES) {
            cluster_reject(b, text, wanted);
            continue;
        }
        names = realloc(to->names, (to->n + 1) * sizeof(*names));
        if (!names)
            return;
        to->names = names;
        names[to->n] = strdup(text);
        to->n += names[to->n] != NULL;
    }
}

static void take_suffixes(struct build *b, struct json_object *value)
{
    take_names(b, &b->ci->suffixes, value, dns_suffix_valid,
               "not a DNS suffix that may be taken over");
}

static void take_excludes(struct build *b, struct json_object *value)
{
    take_names(b, &b->ci->excludes, value, dns_name_valid, "not a DNS name");
}

static void take_namespaces(struct build *b, struct json_object *value)
{
    take_names(b, &b->ci->namespaces, value, session_label_valid,
               "not a namespace's name");
}

/* A cluster may give names to what it answers for anyway: no dot, or of its
 * own domain. */
static bool may_map(const struct build *b, const char *name)
{
    return !b->central || !strchr(name, '.') ||
           (b->domain && dns_name_in(name, b->domain));
}

static bool is_mapping(const struct build *b, const char *name,
                       const char *target)
{
    union sockaddr_any addr;

    return dns_name_valid(name) && may_map(b, name) &&
           (dns_name_valid(target) || sockaddr_parse(&addr, target, 0) == 0);
}

static void add_mapping(struct build *b, const char *name, const char *target)
{
    struct cluster_info *ci = b->ci;
    struct dns_mapping *m =
        realloc(ci->mappings, (ci->n_mappings + 1) * sizeof(*ci->mappings));

    if (!m)
        return;
    ci->mappings = m;
    m += ci->n_mappings;
    *m = (struct dns_mapping){strdup(name), strdup(target)};
    if (m->name && m->target) {
        ci->n_mappings++;
        return;
    }
    free((char *)(uintptr_t)m->name);
    free((char *)(uintptr_t)m->target);
}

/* "NAME=TARGET" */
static void take_mappings(struct build *b, struct json_object *value)
{
    for (size_t i = 0; i < json_array_len(value); i++) {
        const char *text = cluster_text_at(value, i);
        char *name = strdup(text), *target = name ? strchr(name, '=') : NULL;

        if (target)
            *target++ = '\0';
        if (!target || !is_mapping(b, name, target) ||
            b->ci->n_mappings >= MAX_NAMES)
            cluster_reject(b, text, "not a name that may be mapped to another");
        else
            add_mapping(b, name, target);
        free(name);
    }
}

/* "4s", "1500ms", or a number of seconds; 0 if it is neither. */
static unsigned parse_duration_ms(struct json_object *value)
{
    const char *text = json_object_get_string(value);
    char *end;
    double n;

    if (!json_object_is_type(value, json_type_string) &&
        !json_object_is_type(value, json_type_int) &&
        !json_object_is_type(value, json_type_double))
        return 0;
    n = strtod(text, &end);
    n *= !strcmp(end, "ms") ? 1 : !strcmp(end, "m") ? 60000 : 1000;
    if (end == text || (*end && strcmp(end, "ms") != 0 &&
                        strcmp(end, "s") != 0 && strcmp(end, "m") != 0))
        return 0;
    return n >= 100 && n <= 600000 ? (unsigned)n : 0;
}

static void take_lookup_timeout(struct build *b, struct json_object *value)
{
    b->ci->lookup_timeout_ms = parse_duration_ms(value);
}

static void take_connect_timeout(struct build *b, struct json_object *value)
{
    b->ci->connect_timeout_ms = parse_duration_ms(value);
}

static void take_log_level(struct build *b, struct json_object *value)
{
    const char *text = json_object_get_string(value);
    enum log_level level;

    free(b->ci->log_level);
    b->ci->log_level =
        log_parse_level(text ? text : "", &level) == 0 ? strdup(text) : NULL;
}

static void take_also_proxy(struct build *b, struct json_object *value)
{
    cluster_add_captured(b, value, SUBNET_ALSO,
                         json_get_array(b->ci->subnets, "also"));
}

static void take_never_proxy(struct build *b, struct json_object *value)
{
    cluster_add_plain(b, &b->ci->bypass, value);
}

/* All that the cluster's admin may decide. allowConflictingSubnets is not
 * here: only the user can give his own networks away. */
static const struct {
    const char *key;
    void (*take)(struct build *b, struct json_object *value);
} central_keys[] = {
    {"dns.suffixes", take_suffixes},
    {"dns.excludes", take_excludes},
    {"dns.mappings", take_mappings},
    {"dns.mappedNamespaces", take_namespaces},
    {"dns.lookupTimeout", take_lookup_timeout},
    {"connect.timeout", take_connect_timeout},
    {"logLevel", take_log_level},
    {"routing.alsoProxy", take_also_proxy},
    {"routing.neverProxy", take_never_proxy},
};

static bool is_section(const char *key)
{
    return !strcmp(key, "dns") || !strcmp(key, "routing") ||
           !strcmp(key, "connect");
}

static void accept_key(struct build *b, const char *path,
                       struct json_object *value)
{
    char key[128];
    struct json_object *at = b->ci->client_config;
    char *dot;

    for (size_t i = 0; i < sizeof(central_keys) / sizeof(*central_keys); i++) {
        if (strcmp(central_keys[i].key, path) != 0)
            continue;
        if (!json_get(b->config, path)) /* the user's own value wins */
            central_keys[i].take(b, value);
        snprintf(key, sizeof(key), "%s", path);
        dot = strchr(key, '.');
        if (dot) {
            struct json_object *section;

            *dot = '\0';
            section = json_get(at, key);
            if (!section) {
                section = json_object_new_object();
                json_object_object_add(at, key, section);
            }
            at = section;
        }
        json_object_object_add(at, dot ? dot + 1 : key, json_object_get(value));
        return;
    }
    snprintf(key, sizeof(key), "client.%.100s", path);
    cluster_reject(b, key, "a cluster may not set this");
}

void cluster_take_client_config(struct build *b, struct json_object *config)
{
    if (!config || !json_object_is_type(config, json_type_object))
        return;
    json_object_object_foreach(config, key, value)
    {
        char path[128];

        if (!is_section(key) || !json_object_is_type(value, json_type_object)) {
            accept_key(b, key, value);
            continue;
        }
        json_object_object_foreach(value, inner, leaf)
        {
            snprintf(path, sizeof(path), "%.60s.%.60s", key, inner);
            accept_key(b, path, leaf);
        }
    }
}

/* The user's own settings. His subnets are members of SESSION itself, and how
 * long to wait is the CLI's business. */
void cluster_take_user_config(struct build *b)
{
    for (size_t i = 0; i < sizeof(central_keys) / sizeof(*central_keys); i++) {
        const char *key = central_keys[i].key;
        struct json_object *value = json_get(b->config, key);

        if (value && strncmp(key, "routing.", strlen("routing.")) != 0)
            central_keys[i].take(b, value);
    }
}
