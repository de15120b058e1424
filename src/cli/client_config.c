#include "cli/client_config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sockaddr.h"
#include "kube/yaml.h"

#define MAX_FILE (256U << 10)
#define MAX_LIST 256

/* As in the chart's schema. */
#define MIN_DURATION_MS 100
#define MAX_DURATION_MS 600000

enum value_type {
    TYPE_LEVEL,
    TYPE_LABEL,
    TYPE_DURATION,
    TYPE_NAMES, /* from here on: lists */
    TYPE_MAPPINGS,
    TYPE_LABELS,
    TYPE_VNAT,
    TYPE_NETS
};

/* A cluster may set what is central; networks of his own a user gives away
 * himself. check_cli compares these rows with the chart's schema. */
static const struct key {
    const char *name; /* "group.member" or "member" */
    enum value_type type;
    bool central;
    const char *fallback; /* JSON */
} keys[] = {
    [CONFIG_LOG_LEVEL] = {"logLevel", TYPE_LEVEL, true, "\"info\""},
    [CONFIG_MANAGER_NAMESPACE] = {"managerNamespace", TYPE_LABEL, false,
                                  "\"tp-system\""},
    [CONFIG_CONNECT_TIMEOUT] = {"connect.timeout", TYPE_DURATION, true,
                                "\"30s\""},
    [CONFIG_DNS_EXCLUDES] = {"dns.excludes", TYPE_NAMES, true, "[]"},
    [CONFIG_DNS_SUFFIXES] = {"dns.suffixes", TYPE_NAMES, true, "[]"},
    [CONFIG_DNS_MAPPINGS] = {"dns.mappings", TYPE_MAPPINGS, true, "[]"},
    [CONFIG_DNS_NAMESPACES] = {"dns.mappedNamespaces", TYPE_LABELS, true, "[]"},
    [CONFIG_DNS_LOOKUP_TIMEOUT] = {"dns.lookupTimeout", TYPE_DURATION, true,
                                   "\"4s\""},
    [CONFIG_ALSO_PROXY] = {"routing.alsoProxy", TYPE_NETS, true, "[]"},
    [CONFIG_NEVER_PROXY] = {"routing.neverProxy", TYPE_NETS, true, "[]"},
    [CONFIG_ALLOW_CONFLICTING] = {"routing.allowConflictingSubnets", TYPE_NETS,
                                  false, "[]"},
    [CONFIG_VNAT] = {"routing.vnat", TYPE_VNAT, false, "[]"},
    [CONFIG_VIRTUAL_SUBNETS] = {"routing.virtualSubnets", TYPE_NETS, false,
                                "[]"},
};

static_assert(sizeof(keys) / sizeof(keys[0]) == CONFIG_KEYS,
              "one row for each key");

static const char *const source_names[] = {
    [CONFIG_FROM_DEFAULT] = "default", [CONFIG_FROM_MANAGER] = "manager",
    [CONFIG_FROM_FILE] = "file",       [CONFIG_FROM_KUBECONFIG] = "kubeconfig",
    [CONFIG_FROM_FLAG] = "flag",
};

const char *client_config_key_name(enum config_key key)
{
    return keys[key].name;
}

bool client_config_is_central(enum config_key key)
{
    return keys[key].central;
}

const char *client_config_source_name(enum config_source source)
{
    return source_names[source];
}

long client_config_parse_duration(const char *text)
{
    static const struct {
        const char *unit;
        long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 6)
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!strcmp(text + digits, units[i].unit))
            return strtol(text, NULL, 10) * units[i].ms;
    }
    return -1;
}

bool client_config_is_label(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 63 && text[0] != '-' && text[len - 1] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool is_name(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 253 && text[0] != '-' && text[0] != '.' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-._") == len;
}

/* "NAME=TARGET", the target a name or an address. */
static bool is_mapping(const char *text)
{
    const char *target = strchr(text, '=');
    union sockaddr_any addr;
    char name[256];

    if (!target || (size_t)(target - text) >= sizeof(name))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(target - text), text);
    target++;
    return is_name(name) &&
           (is_name(target) || sockaddr_parse(&addr, target, 0) == 0);
}

/* A subnet, a kind of subnets, or "off". */
static bool is_vnat(const char *text)
{
    static const char *const words[] = {"off", "all", "service", "pods",
                                        "also"};
    struct subnet net;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(text, words[i]))
            return true;
    }
    return subnet_parse(&net, text) == 0;
}

static bool is_good_text(enum value_type type, const char *text)
{
    enum log_level level;
    struct subnet net;

    switch (type) {
    case TYPE_LEVEL:
        return log_parse_level(text, &level) == 0;
    case TYPE_LABEL:
        return client_config_is_label(text);
    case TYPE_DURATION:
        return client_config_parse_duration(text) >= MIN_DURATION_MS &&
               client_config_parse_duration(text) <= MAX_DURATION_MS;
    case TYPE_NAMES:
        return is_name(text);
    case TYPE_MAPPINGS:
        return is_mapping(text);
    case TYPE_LABELS:
        return client_config_is_label(text);
    case TYPE_VNAT:
        return is_vnat(text);
    case TYPE_NETS:
        return subnet_parse(&net, text) == 0;
    }
    return false;
}

static bool is_list(enum value_type type)
{
    return type >= TYPE_NAMES;
}

static const char *const wanted[] = {
    [TYPE_LEVEL] = "error, warn, info or debug",
    [TYPE_LABEL] = "the name of a namespace",
    [TYPE_DURATION] = "a time like 30s (100ms to 10m)",
    [TYPE_NAMES] = "a list of domain names",
    [TYPE_MAPPINGS] = "a list of NAME=NAME or NAME=ADDRESS",
    [TYPE_LABELS] = "a list of namespaces",
    [TYPE_VNAT] = "'off', or a list of subnets like 10.9.0.0/16, 'service', "
                  "'pods', 'also', 'all'",
    [TYPE_NETS] = "a list of subnets like 10.9.0.0/16",
};

/* The value that is wrong, or NULL if all is well. */
static const char *find_bad(enum value_type type, struct json_object *value)
{
    if (!is_list(type)) {
        if (!json_object_is_type(value, json_type_string))
            return json_object_get_string(value);
        return is_good_text(type, json_object_get_string(value))
                   ? NULL
                   : json_object_get_string(value);
    }
    if (!json_object_is_type(value, json_type_array) ||
        json_object_array_length(value) > MAX_LIST)
        return value ? json_object_get_string(value) : "";
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *item = json_object_array_get_idx(value, i);

        if (!json_object_is_type(item, json_type_string) ||
            !is_good_text(type, json_object_get_string(item)))
            return item ? json_object_get_string(item) : "";
    }
    return NULL;
}

static int put_value(struct client_config *c, enum config_key key,
                     struct json_object *value, enum config_source source,
                     const char *where, struct tp_error *err)
{
    const char *bad = find_bad(keys[key].type, value);

    if (source == CONFIG_FROM_MANAGER && (bad || !keys[key].central))
        return 0;
    if (bad || !value)
        return tp_error_set(err, -EINVAL, "%s: %s is '%s'; it must be %s",
                            where, keys[key].name, bad ? bad : "",
                            wanted[keys[key].type]);
    json_object_put(c->keys[key].value);
    c->keys[key].value = json_object_get(value);
    c->keys[key].source = source;
    return 0;
}

int client_config_init(struct client_config *c, struct tp_error *err)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int rc;

    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < CONFIG_KEYS; i++)
        c->keys[i].value = json_tokener_parse(keys[i].fallback);
    if (xdg && *xdg)
        rc = asprintf(&c->file, "%s/tp/config.yml", xdg);
    else
        rc = asprintf(&c->file, "%s/.config/tp/config.yml", home ? home : "");
    if (rc < 0) {
        c->file = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

void client_config_release(struct client_config *c)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++)
        json_object_put(c->keys[i].value);
    free(c->file);
    memset(c, 0, sizeof(*c));
}

/* The key called `group` + "." + `member` (group may be ""), or -1. */
static int find_key(const char *group, const char *member)
{
    size_t len = strlen(group);

    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *name = keys[i].name;

        if (len && (strncmp(name, group, len) != 0 || name[len] != '.'))
            continue;
        if (!strcmp(len ? name + len + 1 : name, member))
            return i;
    }
    return -1;
}

static bool is_group(const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < CONFIG_KEYS; i++) {
        if (!strncmp(keys[i].name, name, len) && keys[i].name[len] == '.')
            return true;
    }
    return false;
}

static int unknown_key(const char *where, const char *group, const char *member,
                       struct tp_error *err)
{
    return tp_error_set(err, -EINVAL,
                        "%s: '%s%s%s' is no setting of tp; 'tp config view' "
                        "shows all",
                        where, group, *group ? "." : "", member);
}

static int apply_group(struct client_config *c, struct json_object *obj,
                       const char *group, enum config_source source,
                       const char *where, struct tp_error *err)
{
    bool lenient = source == CONFIG_FROM_MANAGER;

    if (!json_object_is_type(obj, json_type_object))
        return lenient ? 0
                       : tp_error_set(err, -EINVAL, "%s: %s must be a mapping",
                                      where, *group ? group : "the whole");
    json_object_object_foreach(obj, name, value)
    {
        int key = find_key(group, name), rc = 0;

        if (key >= 0)
            rc = put_value(c, (enum config_key)key, value, source, where, err);
        else if (!*group && is_group(name))
            rc = value ? apply_group(c, value, name, source, where, err) : 0;
        else if (!lenient)
            rc = unknown_key(where, group, name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int client_config_apply(struct client_config *c, struct json_object *obj,
                        enum config_source source, const char *where,
                        struct tp_error *err)
{
    return obj ? apply_group(c, obj, "", source, where, err) : 0;
}

int client_config_read_file(struct client_config *c, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    cleanup_free char *text = NULL;
    struct tp_error why = {0};
    size_t len;
    int rc = file_read(c->file, MAX_FILE, &text, &len, &why);

    if (rc == -ENOENT || rc == -ENOTDIR)
        return 0;
    if (rc < 0)
        return tp_error_set(err, rc, "%s", why.text);
    obj = yaml_parse_text(text, len, true, err);
    if (!obj)
        return tp_error_wrap(err, "%s", c->file);
    return client_config_apply(c, obj, CONFIG_FROM_FILE, c->file, err);
}

/* Adds "a,b" as two. */
static int add_parts(struct json_object *list, const char *text)
{
    cleanup_free char *copy = strdup(text);
    char *rest = copy;

    for (char *part; copy && (part = strsep(&rest, ","));)
        json_object_array_add(list, json_object_new_string(part));
    return copy ? 0 : -ENOMEM;
}

int client_config_set(struct client_config *c, enum config_key key,
                      const char *const *values, size_t count, const char *flag,
                      struct tp_error *err)
{
    cleanup_json struct json_object *value = NULL;

    if (count == 0)
        return 0;
    if (is_list(keys[key].type)) {
        value = json_object_new_array();
        for (size_t i = 0; i < count; i++) {
            if (add_parts(value, values[i]) < 0)
                return tp_error_set(err, -ENOMEM, "out of memory");
        }
    } else {
        value = json_object_new_string(values[count - 1]);
    }
    return put_value(c, key, value, CONFIG_FROM_FLAG, flag, err);
}

const char *client_config_text(const struct client_config *c,
                               enum config_key key)
{
    return json_object_get_string(c->keys[key].value);
}

long client_config_ms(const struct client_config *c, enum config_key key)
{
    return client_config_parse_duration(client_config_text(c, key));
}

struct json_object *client_config_local(const struct client_config *c)
{
    struct json_object *out = json_object_new_object();

    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *dot = strchr(keys[i].name, '.');
        struct json_object *group = out;
        char name[32];

        if (c->keys[i].source <= CONFIG_FROM_MANAGER || !keys[i].central)
            continue;
        if (dot) {
            snprintf(name, sizeof(name), "%.*s", (int)(dot - keys[i].name),
                     keys[i].name);
            if (!json_object_object_get_ex(out, name, &group)) {
                group = json_object_new_object();
                json_object_object_add(out, name, group);
            }
        }
        json_object_object_add(group, dot ? dot + 1 : keys[i].name,
                               json_object_get(c->keys[i].value));
    }
    return out;
}
