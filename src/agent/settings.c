#include "agent/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define CONFIG_VERSION 1
#define NAME_LEN_MAX   1024 /* of a variable, of a glob */

/* ---- members ------------------------------------------------------------- */

/* The array of that name; *array is NULL if it is absent. */
static int get_array(struct json_object *obj, const char *key, size_t max,
                     struct json_object **array, struct tp_error *err)
{
    struct json_object *value = json_get(obj, key);

    *array = NULL;
    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_array))
        return tp_error_set(err, -EINVAL, "%s: not a list", key);
    if (json_array_len(value) > max)
        return tp_error_set(err, -EINVAL, "%s: more than %zu", key, max);
    *array = value;
    return 0;
}

/* Letters of a DNS label; may be empty. */
static int get_label(struct json_object *obj, const char *key, char *out,
                     size_t size, struct tp_error *err)
{
    const char *text = json_get_str(obj, key, "");
    size_t len = strlen(text);

    if (len >= size ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return tp_error_set(err, -EINVAL, "%s: not a name", key);
    memcpy(out, text, len + 1);
    return 0;
}

static int get_port(struct json_object *obj, const char *key, int64_t fallback,
                    uint16_t *port, struct tp_error *err)
{
    int64_t value = json_get_int(obj, key, fallback);

    if (value < 1 || value > 65535)
        return tp_error_set(err, -EINVAL, "%s: not a port", key);
    *port = (uint16_t)value;
    return 0;
}

static int get_choice(struct json_object *obj, const char *key,
                      const char *const *choices, const char *fallback,
                      struct tp_error *err)
{
    const char *text = json_get_str(obj, key, fallback);

    for (int i = 0; choices[i]; i++) {
        if (!strcmp(text, choices[i]))
            return i;
    }
    return tp_error_set(err, -EINVAL, "%s: not one of the known", key);
}

/* A list of texts that are no longer than NAME_LEN_MAX and not empty. */
static int get_texts(struct json_object *obj, const char *key, size_t max,
                     struct json_object **array, struct tp_error *err)
{
    int rc = get_array(obj, key, max, array, err);

    for (size_t i = 0; rc == 0 && i < json_array_len(*array); i++) {
        struct json_object *text = json_object_array_get_idx(*array, i);

        if (!json_object_is_type(text, json_type_string) ||
            json_object_get_string_len(text) < 1 ||
            json_object_get_string_len(text) > NAME_LEN_MAX)
            rc = tp_error_set(err, -EINVAL, "%s: not a text", key);
    }
    return rc;
}

/* ---- ports --------------------------------------------------------------- */

static bool is_taken(const struct settings *s, bool udp, uint16_t listen)
{
    for (size_t i = 0; i < s->path.n_ports; i++) {
        if (s->ports[i].udp == udp && s->ports[i].listen == listen)
            return true;
    }
    for (size_t i = 0; !udp && i < s->path.n_probes; i++) {
        if (s->probes[i].listen == listen)
            return true;
    }
    return false;
}

static int parse_port(struct settings *s, struct json_object *obj,
                      struct tp_error *err)
{
    static const char *const protocols[] = {"tcp", "udp", NULL};
    static const char *const modes[] = {
        [PORT_NAMED] = "named",
        [PORT_REDIRECT] = "redirect",
        [PORT_DIRECT] = "direct",
        [PORT_DIRECT + 1] = "service", /* to the agent as named is */
        NULL,
    };
    struct agent_port_config *port = &s->ports[s->path.n_ports];
    int udp = get_choice(obj, "protocol", protocols, "tcp", err);
    int mode = get_choice(obj, "mode", modes, "", err);

    if (udp < 0 || mode < 0 || get_port(obj, "port", 0, &port->port, err) < 0 ||
        get_port(obj, "listen", mode == PORT_DIRECT ? port->port : 0,
                 &port->listen, err) < 0 ||
        get_label(obj, "container", port->container, sizeof(port->container),
                  err) < 0 ||
        get_label(obj, "name", port->name, sizeof(port->name), err) < 0)
        return -EINVAL;
    port->udp = udp == 1;
    port->mode = mode > PORT_DIRECT ? PORT_NAMED : (enum agent_port_mode)mode;
    if (mode == PORT_DIRECT && port->listen != port->port)
        return tp_error_set(err, -EINVAL, "listen: direct is the port itself");
    if (is_taken(s, port->udp, port->listen))
        return tp_error_set(err, -EINVAL, "listen: %u is there twice",
                            port->listen);
    s->path.n_ports++;
    return 0;
}

static int parse_probe(struct settings *s, struct json_object *obj,
                       struct tp_error *err)
{
    struct agent_probe_config *probe = &s->probes[s->path.n_probes];

    if (get_port(obj, "port", 0, &probe->port, err) < 0 ||
        get_port(obj, "listen", 0, &probe->listen, err) < 0)
        return -EINVAL;
    if (is_taken(s, false, probe->listen))
        return tp_error_set(err, -EINVAL, "listen: %u is there twice",
                            probe->listen);
    s->path.n_probes++;
    return 0;
}

typedef int entry_fn(struct settings *s, struct json_object *obj,
                     struct tp_error *err);

static int parse_entries(struct settings *s, const char *key, size_t max,
                         entry_fn *fn, struct tp_error *err)
{
    struct json_object *array;
    int rc = get_array(s->json, key, max, &array, err);

    for (size_t i = 0; rc == 0 && i < json_array_len(array); i++) {
        rc = fn(s, json_object_array_get_idx(array, i), err);
        if (rc < 0)
            tp_error_wrap(err, "%s[%zu]", key, i);
    }
    return rc;
}

/* ---- containers ---------------------------------------------------------- */

static int parse_containers(struct settings *s, struct tp_error *err)
{
    struct json_object *array, *env = json_get(s->json, "env");
    int rc;

    rc = get_texts(s->json, "containers", SETTINGS_CONTAINERS_MAX, &array, err);
    for (size_t i = 0; rc == 0 && i < json_array_len(array); i++) {
        struct json_object *text = json_object_array_get_idx(array, i);
        const char *name = json_object_get_string(text);

        if (strlen(name) >= sizeof(s->containers[i]))
            return tp_error_set(err, -EINVAL, "containers: not a name");
        strcpy(s->containers[i], name);
        s->container_count = i + 1;
        rc = get_texts(env, name, SETTINGS_NAMES_MAX, &s->names[i], err);
        if (rc < 0)
            tp_error_wrap(err, "env");
    }
    return rc;
}

int settings_find_container(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->container_count; i++) {
        if (!strcmp(s->containers[i], name))
            return (int)i;
    }
    return -ENOENT;
}

/* ---- the whole ----------------------------------------------------------- */

static int parse_json(struct settings *s, struct tp_error *err)
{
    int64_t version = json_get_int(s->json, "version", 0);
    int rc;

    if (version != CONFIG_VERSION)
        return tp_error_set(err, -EINVAL, "version: %lld, not %d",
                            (long long)version, CONFIG_VERSION);
    rc = parse_entries(s, "ports", AGENT_PORTS_MAX, parse_port, err);
    if (rc == 0)
        rc = parse_entries(s, "probes", AGENT_PORTS_MAX, parse_probe, err);
    if (rc == 0)
        rc = parse_containers(s, err);
    if (rc == 0)
        rc =
            get_texts(s->json, "exclude", SETTINGS_GLOBS_MAX, &s->exclude, err);
    return rc;
}

int settings_parse(struct settings *s, const char *text, struct tp_error *err)
{
    memset(s, 0, sizeof(*s));
    s->path.ports = s->ports;
    s->path.probes = s->probes;
    if (strlen(text) > SETTINGS_TEXT_MAX)
        return tp_error_set(err, -EMSGSIZE, "TP_AGENT_CONFIG: too long");
    s->json = json_parse_text(text, strlen(text), err);
    if (!s->json || parse_json(s, err) < 0)
        return tp_error_wrap(err, "TP_AGENT_CONFIG");
    return 0;
}

void settings_release(struct settings *s)
{
    json_object_put(s->json);
    s->json = NULL;
}

/* ---- the other variables ------------------------------------------------- */

static int need(const char *name, const char **value, struct tp_error *err)
{
    *value = getenv(name);
    if (!*value || !**value)
        return tp_error_set(err, -EINVAL, "%s is not set", name);
    return 0;
}

static int add_pod_ip(struct settings *s, const char *text, size_t len)
{
    union sockaddr_any addr;
    char ip[SOCKADDR_TEXT];

    if (len >= sizeof(ip))
        return -EINVAL;
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (sockaddr_parse(&addr, ip, 0) < 0)
        return -EINVAL;
    if (addr.sa.sa_family == AF_INET)
        s->path.pod_ip4 = addr;
    else
        s->path.pod_ip6 = addr;
    return 0;
}

/* "10.42.0.7,fd00::7": one of each family. An init container may have none. */
static int read_pod_ips(struct settings *s, struct tp_error *err)
{
    const char *text = getenv("TP_AGENT_POD_IPS");

    if (!text || !*text)
        text = getenv("TP_AGENT_POD_IP");
    while (text && *text) {
        size_t len = strcspn(text, ",");

        if (add_pod_ip(s, text, len) < 0)
            return tp_error_set(err, -EINVAL,
                                "TP_AGENT_POD_IPS: not an address");
        text += len + (text[len] == ',');
    }
    return 0;
}

static int read_level(struct settings *s, struct tp_error *err)
{
    const char *level = getenv("TP_AGENT_LOG_LEVEL");

    s->log_level = LOG_INFO;
    if (level && *level && log_parse_level(level, &s->log_level) < 0)
        return tp_error_set(err, -EINVAL, "TP_AGENT_LOG_LEVEL: not a level");
    return 0;
}

int settings_read(struct settings *s, struct tp_error *err)
{
    const char *text;
    int rc;

    memset(s, 0, sizeof(*s));
    rc = need("TP_AGENT_CONFIG", &text, err);
    if (rc == 0)
        rc = settings_parse(s, text, err);
    if (rc == 0)
        rc = read_pod_ips(s, err);
    return rc == 0 ? read_level(s, err) : rc;
}

int settings_read_links(struct settings *s, struct tp_error *err)
{
    const char *token = getenv("TP_AGENT_TOKEN_FILE");
    const char *address, *name;

    s->token_file = token && *token ? token : SETTINGS_TOKEN_FILE;
    if (need("TP_AGENT_MANAGER", &address, err) < 0 ||
        need("TP_AGENT_SERVER_NAME", &name, err) < 0 ||
        need("TP_AGENT_CA", &s->ca_pem, err) < 0)
        return -EINVAL;
    if (sockaddr_parse_hostport(&s->manager, address) < 0 ||
        sockaddr_port(&s->manager) == 0)
        return tp_error_set(err, -EINVAL,
                            "TP_AGENT_MANAGER: not an address and a port");
    if (strlen(name) >= sizeof(s->server_name))
        return tp_error_set(err, -EINVAL, "TP_AGENT_SERVER_NAME: too long");
    strcpy(s->server_name, name);
    return 0;
}
