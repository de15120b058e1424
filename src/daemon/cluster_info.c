#include "daemon/cluster_info.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/dns_zone.h"
#include "daemon/session_config.h"

#define MAX_NAMES 256

/* What one call of cluster_info_build() works with. */
struct build {
    struct cluster_info *ci;
    struct route_policy *policy;
    struct json_object *rejected;
    struct json_object *config; /* of SESSION: what the user set, or NULL */
    const char *domain;         /* what the manager says it is */
    bool central;               /* the manager speaks, not the user */
};

static void reject(struct build *b, const char *what, const char *reason)
{
    struct json_object *entry = json_object_new_object();

    json_put_str(entry, "subnet", what);
    json_put_str(entry, "reason", reason);
    json_object_array_add(b->rejected, entry);
    log_warn("refused from the cluster: %s: %s", what, reason);
}

static const char *text_at(struct json_object *array, size_t i)
{
    return json_get_str(json_object_array_get_idx(array, i), "", "");
}

/* Adds an array of subnets to list, without judging them. */
static void add_plain(struct build *b, struct subnet_list *list,
                      struct json_object *array)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        const char *text = text_at(array, i);
        struct subnet net;

        if (subnet_parse(&net, text) < 0)
            reject(b, text, "not a subnet");
        else if (subnet_list_add(list, &net) < 0)
            reject(b, text, "too many subnets");
    }
}

/* Judges an array of subnets; the good ones go to capture and to `shown`. */
static void add_captured(struct build *b, struct json_object *array,
                         struct json_object *shown)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        const char *text = text_at(array, i);
        struct tp_error err = {0};
        struct subnet net;

        if (subnet_parse(&net, text) < 0)
            reject(b, text, "not a subnet");
        else if (route_policy_check(b->policy, &net, &err) < 0)
            reject(b, text, err.text);
        else if (subnet_list_add(&b->ci->capture, &net) < 0)
            reject(b, text, "too many subnets");
        else
            json_object_array_add(shown, json_object_new_string(text));
    }
}

static struct json_object *put_array(struct json_object *obj, const char *key)
{
    struct json_object *array = json_object_new_array();

    json_object_object_add(obj, key, array);
    return array;
}

static struct json_object *format_list(const struct subnet_list *list)
{
    struct json_object *array = json_object_new_array();
    char text[SUBNET_TEXT];

    for (size_t i = 0; i < list->n; i++)
        json_object_array_add(
            array, json_object_new_string(subnet_format(&list->nets[i], text)));
    return array;
}

/* ---- the central client configuration ---- */

static void take_names(struct build *b, struct name_array *to,
                       struct json_object *value, bool (*valid)(const char *),
                       const char *wanted)
{
    for (size_t i = 0; i < json_array_len(value); i++) {
        const char *text = text_at(value, i);
        char **names;

        text += *text == '.';
        if (!valid(text) || to->n >= MAX_NAMES) {
            reject(b, text, wanted);
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
        const char *text = text_at(value, i);
        char *name = strdup(text), *target = name ? strchr(name, '=') : NULL;

        if (target)
            *target++ = '\0';
        if (!target || !is_mapping(b, name, target) ||
            b->ci->n_mappings >= MAX_NAMES)
            reject(b, text, "not a name that may be mapped to another");
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
    add_captured(b, value, json_get_array(b->ci->subnets, "also"));
}

static void take_never_proxy(struct build *b, struct json_object *value)
{
    add_plain(b, &b->ci->bypass, value);
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
    reject(b, key, "a cluster may not set this");
}

static void take_client_config(struct build *b, struct json_object *config)
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
static void take_user_config(struct build *b)
{
    for (size_t i = 0; i < sizeof(central_keys) / sizeof(*central_keys); i++) {
        const char *key = central_keys[i].key;
        struct json_object *value = json_get(b->config, key);

        if (value && strncmp(key, "routing.", strlen("routing.")) != 0)
            central_keys[i].take(b, value);
    }
}

/* ---- names ---- */

static void take_dns(struct build *b, struct json_object *info)
{
    const char *ip = json_get_str(info, "dns.address", NULL);
    const char *domain = json_get_str(info, "dns.domain", NULL);
    struct cluster_info *ci = b->ci;
    union sockaddr_any addr;
    struct subnet net;

    if (!ip || !domain)
        return;
    if (!dns_suffix_valid(domain)) {
        reject(b, domain, "not a domain that a cluster may take over");
        return;
    }
    if (sockaddr_parse(&addr, ip, 53) < 0 || subnet_parse(&net, ip) < 0 ||
        !subnet_list_covers(&ci->capture, &net)) {
        reject(b, ip, "the DNS address is not in a subnet of the cluster");
        return;
    }
    ci->domain = strdup(domain);
    for (char *p = ci->domain; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (ci->domain)
        ci->dns = addr;
}

/* The API server is dialled from here; it must never be a captured address. */
static void bypass_server(struct build *b, struct json_object *session)
{
    const char *host = json_get_str(session, "server.host", "");
    struct subnet net;

    if (subnet_parse(&net, host) == 0)
        subnet_list_add(&b->ci->bypass, &net);
}

static void fill_policy(struct build *b, struct json_object *session)
{
    subnet_list_release(&b->policy->host);
    subnet_list_release(&b->policy->allowed);
    add_plain(b, &b->policy->host, json_get_array(session, "hostSubnets"));
    add_plain(b, &b->policy->allowed,
              json_get_array(session, "allowConflictingSubnets"));
}

int cluster_info_build(struct cluster_info *ci, struct json_object *info,
                       struct json_object *session, struct route_policy *policy,
                       struct tp_error *err)
{
    struct build b = {
        .ci = ci, .policy = policy, .config = json_get(session, "config")};
    struct json_object *also;

    memset(ci, 0, sizeof(*ci));
    ci->subnets = json_object_new_object();
    ci->client_config = json_object_new_object();
    if (!ci->subnets || !ci->client_config)
        return tp_error_errno(err, -ENOMEM, "info");
    b.rejected = json_object_new_array();
    fill_policy(&b, session);
    add_captured(&b, json_get_array(info, "subnets.service"),
                 put_array(ci->subnets, "service"));
    add_captured(&b, json_get_array(info, "subnets.pod"),
                 put_array(ci->subnets, "pod"));
    also = put_array(ci->subnets, "also");
    add_captured(&b, json_get_array(info, "subnets.also"), also);
    b.domain = json_get_str(info, "dns.domain", NULL);
    b.central = true;
    take_client_config(&b, json_get(info, "client"));
    b.central = false;
    take_user_config(&b);
    add_captured(&b, json_get_array(session, "alsoProxy"), also);
    add_plain(&b, &ci->bypass, json_get_array(session, "neverProxy"));
    json_object_object_add(ci->subnets, "never", format_list(&ci->bypass));
    bypass_server(&b, session);
    json_object_object_add(ci->subnets, "rejected", b.rejected);
    take_dns(&b, info);
    return 0;
}

static void name_array_release(struct name_array *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->names[i]);
    free(a->names);
}

void cluster_info_release(struct cluster_info *ci)
{
    subnet_list_release(&ci->capture);
    subnet_list_release(&ci->bypass);
    name_array_release(&ci->suffixes);
    name_array_release(&ci->excludes);
    name_array_release(&ci->namespaces);
    for (size_t i = 0; i < ci->n_mappings; i++) {
        free((char *)(uintptr_t)ci->mappings[i].name);
        free((char *)(uintptr_t)ci->mappings[i].target);
    }
    free(ci->mappings);
    free(ci->domain);
    free(ci->log_level);
    json_object_put(ci->subnets);
    json_object_put(ci->client_config);
    memset(ci, 0, sizeof(*ci));
}
