#include "agent/environment.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/expand.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#define NAME_MAX_LEN 1024

/* json-c's objects serve as ordered tables: name -> value. */
struct builder {
    const struct environment_source *source;
    struct json_object *raw;   /* TPENV_<i>_*, without the prefix */
    struct json_object *links; /* service links */
    struct json_object *out;
    struct json_object *excluded; /* names, each once */
    size_t bytes;
};

/* ---- texts --------------------------------------------------------------- */

/* Length of the sequence at p, 0 if it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *p)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80   ? 1
               : *p < 0xc2 ? 0
               : *p < 0xe0 ? 2
               : *p < 0xf0 ? 3
                           : 4;
    uint32_t code = *p & (0x7fU >> n);

    if (n == 0 || *p > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (n > 1 && (code < least[n] || code > 0x10ffff))
        return 0;
    return code >= 0xd800 && code <= 0xdfff ? 0 : n;
}

static bool is_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        size_t n = utf8_length(p);

        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

static const char *table_get(struct json_object *table, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(table, name, &value))
        return NULL;
    return json_object_get_string(value);
}

static int table_put(struct json_object *table, const char *name,
                     const char *value)
{
    struct json_object *text = json_object_new_string(value);

    if (!text || json_object_object_add(table, name, text) < 0) {
        json_object_put(text);
        return -ENOMEM;
    }
    return 0;
}

/* ---- exclusion ----------------------------------------------------------- */

static bool is_excluded(const struct builder *b, const char *name)
{
    struct json_object *globs = b->source->exclude;

    for (size_t i = 0; i < json_array_len(globs); i++) {
        struct json_object *glob = json_object_array_get_idx(globs, i);

        if (fnmatch(json_object_get_string(glob), name, 0) == 0)
            return true;
    }
    return false;
}

/* ---- the agent's own environment ----------------------------------------- */

/* The name in "NAME=VALUE", in a buffer; *value is what follows. False for what
 * has no name, or too long a one. */
static bool split(const char *entry, char name[NAME_MAX_LEN],
                  const char **value)
{
    size_t len = strcspn(entry, "=");

    if (len == 0 || len >= NAME_MAX_LEN || entry[len] != '=')
        return false;
    memcpy(name, entry, len);
    name[len] = '\0';
    *value = entry + len + 1;
    return true;
}

static int collect_raw(struct builder *b)
{
    char prefix[40], name[NAME_MAX_LEN];
    const char *value;
    size_t len;

    snprintf(prefix, sizeof(prefix), "TPENV_%zu_", b->source->index);
    len = strlen(prefix);
    for (char *const *entry = b->source->environ; *entry; entry++) {
        if (strncmp(*entry, prefix, len) != 0 ||
            !split(*entry + len, name, &value) || !is_utf8(name) ||
            !is_utf8(value))
            continue;
        if (table_put(b->raw, name, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

#define HOST_SUFFIX "_SERVICE_HOST"

/* The names of services, as in their variables. */
static int collect_services(struct builder *b, struct json_object *services)
{
    char name[NAME_MAX_LEN];
    const char *value;

    for (char *const *entry = b->source->environ; *entry; entry++) {
        size_t len;

        if (!split(*entry, name, &value))
            continue;
        len = strlen(name);
        if (len <= strlen(HOST_SUFFIX) || !strncmp(name, "TPENV_", 6) ||
            strcmp(name + len - strlen(HOST_SUFFIX), HOST_SUFFIX) != 0)
            continue;
        name[len - strlen(HOST_SUFFIX)] = '\0';
        if (table_put(services, name, "") < 0)
            return -ENOMEM;
    }
    return 0;
}

/* What may follow a service's name (pkg/kubelet/envvars): SERVICE_HOST,
 * SERVICE_PORT[_NAME], PORT, PORT_<number>_<protocol>[_PROTO|_PORT|_ADDR]. */
static bool is_link_suffix(const char *rest)
{
    if (!strcmp(rest, HOST_SUFFIX))
        return true;
    if (!strncmp(rest, "_SERVICE_PORT", 13))
        return rest[13] == '\0' || rest[13] == '_';
    if (strncmp(rest, "_PORT", 5) != 0)
        return false;
    return rest[5] == '\0' ||
           (rest[5] == '_' && rest[6] >= '0' && rest[6] <= '9');
}

static bool is_link(struct json_object *services, const char *name)
{
    char service[NAME_MAX_LEN];

    for (const char *p = strchr(name, '_'); p; p = strchr(p + 1, '_')) {
        if (!is_link_suffix(p))
            continue;
        memcpy(service, name, (size_t)(p - name));
        service[p - name] = '\0';
        if (json_object_object_get_ex(services, service, NULL))
            return true;
    }
    return false;
}

static int collect_links(struct builder *b)
{
    cleanup_json struct json_object *services = json_object_new_object();
    char name[NAME_MAX_LEN];
    const char *value;

    if (!services || collect_services(b, services) < 0)
        return -ENOMEM;
    for (char *const *entry = b->source->environ; *entry; entry++) {
        if (!split(*entry, name, &value) || !is_link(services, name) ||
            !is_utf8(name) || !is_utf8(value))
            continue;
        if (table_put(b->links, name, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- the container's environment ----------------------------------------- */

static int put(struct builder *b, const char *name, const char *value)
{
    if (is_excluded(b, name)) {
        json_object_object_del(b->out, name);
        return table_put(b->excluded, name, "");
    }
    b->bytes += strlen(name) + strlen(value) + 2;
    if (b->bytes > ENVIRONMENT_MAX)
        return -EMSGSIZE;
    return table_put(b->out, name, value);
}

static const char *lookup(void *arg, const char *name, size_t len)
{
    struct builder *b = arg;
    char key[NAME_MAX_LEN];
    const char *value;

    if (len >= sizeof(key))
        return NULL;
    memcpy(key, name, len);
    key[len] = '\0';
    value = table_get(b->out, key);
    if (!value && !is_excluded(b, key))
        value = table_get(b->links, key);
    return value;
}

static int put_expanded(struct builder *b, const char *name, const char *value)
{
    struct buf text;
    int rc;

    buf_init(&text, ENVIRONMENT_MAX);
    rc = expand_value(&text, value, lookup, b);
    if (rc == 0)
        rc = buf_append(&text, "", 1);
    if (rc == 0)
        rc = put(b, name, (const char *)buf_head(&text));
    buf_release(&text);
    return rc == -ENOBUFS ? -EMSGSIZE : rc;
}

/* Of the list: "NAME" or "=NAME". */
static const char *listed_name(struct json_object *names, size_t i)
{
    const char *text =
        json_object_get_string(json_object_array_get_idx(names, i));

    return *text == '=' ? text + 1 : text;
}

static int put_env_from(struct builder *b)
{
    cleanup_json struct json_object *listed = json_object_new_object();
    struct json_object *names = b->source->names;
    int rc = listed ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < json_array_len(names); i++)
        rc = table_put(listed, listed_name(names, i), "");
    if (rc < 0)
        return rc;
    json_object_object_foreach(b->raw, name, value)
    {
        if (json_object_object_get_ex(listed, name, NULL))
            continue;
        rc = put(b, name, json_object_get_string(value));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int put_env(struct builder *b)
{
    struct json_object *names = b->source->names;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(names); i++) {
        struct json_object *entry = json_object_array_get_idx(names, i);
        const char *name = listed_name(names, i);
        const char *value = table_get(b->raw, name);

        if (is_excluded(b, name)) /* the webhook has not copied it */
            rc = put(b, name, "");
        else if (!value)
            continue; /* an optional key that is not there */
        else if (*json_object_get_string(entry) == '=')
            rc = put(b, name, value);
        else
            rc = put_expanded(b, name, value);
    }
    return rc;
}

static const char *own_variable(const struct builder *b, const char *want)
{
    char name[NAME_MAX_LEN];
    const char *value;

    for (char *const *entry = b->source->environ; *entry; entry++) {
        if (split(*entry, name, &value) && !strcmp(name, want))
            return value;
    }
    return NULL;
}

/* Containers of a pod share their host name. */
static int put_hostname(struct builder *b)
{
    const char *value = own_variable(b, "HOSTNAME");

    if (!value)
        value = b->source->hostname;
    if (!value || !is_utf8(value) || table_get(b->out, "HOSTNAME"))
        return 0;
    return put(b, "HOSTNAME", value);
}

static int put_links(struct builder *b)
{
    int rc = 0;

    json_object_object_foreach(b->links, name, value)
    {
        if (rc == 0 && !json_object_object_get_ex(b->out, name, NULL))
            rc = put(b, name, json_object_get_string(value));
    }
    return rc;
}

static int build(struct builder *b)
{
    int (*const steps[])(struct builder *) = {
        collect_raw, collect_links, put_env_from,
        put_env,     put_hostname,  put_links,
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc = steps[i](b);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static struct json_object *make_answer(struct json_object *environment,
                                       int excluded)
{
    struct json_object *answer = json_object_new_object();

    if (!answer)
        return NULL;
    json_object_object_add(answer, "environment", json_object_get(environment));
    json_object_object_add(answer, "excluded", json_object_new_int(excluded));
    return answer;
}

struct json_object *environment_build(const struct environment_source *source,
                                      struct tp_error *err)
{
    cleanup_json struct json_object *raw = json_object_new_object();
    cleanup_json struct json_object *links = json_object_new_object();
    cleanup_json struct json_object *out = json_object_new_object();
    cleanup_json struct json_object *excluded = json_object_new_object();
    struct builder b = {.source = source,
                        .raw = raw,
                        .links = links,
                        .out = out,
                        .excluded = excluded};
    struct json_object *answer = NULL;
    int rc = -ENOMEM;

    if (raw && links && out && excluded)
        rc = build(&b);
    if (rc == 0)
        answer = make_answer(out, json_object_object_length(excluded));
    if (rc == -EMSGSIZE)
        tp_error_set(err, rc, "the environment has more than %d KiB",
                     ENVIRONMENT_MAX >> 10);
    else if (!answer)
        tp_error_set(err, -ENOMEM, "out of memory");
    return answer;
}
