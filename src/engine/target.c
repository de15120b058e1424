#include "engine/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"

#define MAX_CONFIG     (1U << 20)
#define DEFAULT_SOCKET "/var/run/docker.sock"

void engine_target_release(struct engine_target *t)
{
    free(t->url);
    free(t->origin);
    free(t->path);
    free(t->host);
    free(t->user);
    free(t->ca_file);
    free(t->cert_file);
    free(t->key_file);
    memset(t, 0, sizeof(*t));
}

static int out_of_memory(struct tp_error *err)
{
    return tp_error_set(err, -ENOMEM, "out of memory");
}

static int bad_url(const char *url, const char *why, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "Docker's address '%s': %s", url, why);
}

/* Cuts ":port" off "host:port" or "[host]:port". *host moves past a bracket;
 * *number is 0 without a port. Returns NULL, or what is wrong. */
static const char *cut_port(char **host, unsigned long *number)
{
    char *port = **host == '[' ? strchr(*host, ']') : strchr(*host, ':');
    char *end;

    *number = 0;
    if (port && *port == ']') {
        *port++ = '\0';
        ++*host;
    }
    if (!port || !*port)
        return NULL;
    if (*port != ':')
        return "not a host and port";
    *port++ = '\0';
    *number = strtoul(port, &end, 10);
    if (!*port || *end || *number == 0 || *number > 65535)
        return "not a port";
    return NULL;
}

/* "[user@]host[:port][/path]"; what follows the scheme. */
static int parse_authority(struct engine_target *t, const char *text,
                           struct tp_error *err)
{
    size_t len = strcspn(text, "/");
    cleanup_free char *copy = strndup(text, len);
    char *host = copy, *at;
    unsigned long number;
    const char *why;

    if (!copy)
        return out_of_memory(err);
    at = strrchr(host, '@');
    if (at) {
        *at = '\0';
        t->user = strdup(host);
        host = at + 1;
    }
    why = cut_port(&host, &number);
    if (why)
        return bad_url(t->url, why, err);
    /* A host or user like "-oProxyCommand=x" would be an option of ssh. */
    if (!*host || host[0] == '-' || (t->user && t->user[0] == '-') ||
        strpbrk(host, " \t\r\n"))
        return bad_url(t->url, "not a host", err);
    t->port = (uint16_t)number;
    t->host = strdup(host);
    if (text[len] && text[len + 1])
        t->path = strdup(text + len);
    return t->host ? 0 : out_of_memory(err);
}

static int parse_unix(struct engine_target *t, const char *path,
                      struct tp_error *err)
{
    if (path[0] != '/')
        return bad_url(t->url, "needs an absolute path", err);
    t->kind = ENGINE_UNIX;
    t->path = strdup(path);
    return t->path ? 0 : out_of_memory(err);
}

static int parse_network(struct engine_target *t, const char *rest,
                         enum engine_kind kind, struct tp_error *err)
{
    int rc;

    t->kind = kind;
    rc = parse_authority(t, rest, err);
    if (rc == 0 && kind != ENGINE_SSH && t->path)
        return bad_url(t->url, "a path is not possible here", err);
    return rc;
}

int engine_target_parse(struct engine_target *t, const char *url,
                        struct tp_error *err)
{
    static const struct {
        const char *scheme;
        enum engine_kind kind;
    } schemes[] = {
        {"tcp://", ENGINE_TCP},
        {"http://", ENGINE_TCP},
        {"https://", ENGINE_TLS},
        {"ssh://", ENGINE_SSH},
    };

    memset(t, 0, sizeof(*t));
    t->url = strdup(url);
    if (!t->url)
        return out_of_memory(err);
    if (!strncmp(url, "unix://", 7))
        return parse_unix(t, url + 7, err);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].scheme);

        if (!strncmp(url, schemes[i].scheme, len))
            return parse_network(t, url + len, schemes[i].kind, err);
    }
    return bad_url(url, "tp knows unix://, tcp://, http(s):// and ssh://", err);
}

/* dir/name if that file is there; else NULL. Owned. */
static char *file_in(const char *dir, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static void use_tls_files(struct engine_target *t, const char *dir)
{
    t->kind = ENGINE_TLS;
    t->ca_file = file_in(dir, "ca.pem");
    t->cert_file = file_in(dir, "cert.pem");
    t->key_file = file_in(dir, "key.pem");
}

/* ~/.docker, or what DOCKER_CONFIG says. Owned. */
static char *config_dir(void)
{
    const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    char *path;

    if (dir && *dir)
        return strdup(dir);
    return asprintf(&path, "%s/.docker", home ? home : "") < 0 ? NULL : path;
}

static bool env_is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value;
}

/* TLS by the environment, for tcp:// only, as the docker program does. */
static void apply_tls_environment(struct engine_target *t, const char *config)
{
    const char *dir = getenv("DOCKER_CERT_PATH");

    if (t->kind == ENGINE_TCP &&
        (env_is_set("DOCKER_TLS_VERIFY") || env_is_set("DOCKER_TLS"))) {
        use_tls_files(t, dir && *dir ? dir : config);
        t->insecure = !env_is_set("DOCKER_TLS_VERIFY");
    }
}

static void default_port(struct engine_target *t)
{
    if (t->port == 0 && t->kind == ENGINE_TCP)
        t->port = 2375;
    if (t->port == 0 && t->kind == ENGINE_TLS)
        t->port = 2376;
}

static struct json_object *read_json(const char *path, struct tp_error *err)
{
    cleanup_free char *text = NULL;
    struct json_object *obj;
    size_t len;

    if (file_read(path, MAX_CONFIG, &text, &len, err) < 0)
        return NULL;
    obj = json_parse_text(text, len, err);
    if (!obj)
        tp_error_wrap(err, "%s", path);
    return obj;
}

/* The context that is chosen: owned name, or NULL for none. */
static int chosen_context(const char *config, char **out, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    cleanup_free char *path = NULL;
    const char *name = getenv("DOCKER_CONTEXT");

    *out = NULL;
    if (!name || !*name) {
        path = file_in(config, "config.json");
        if (!path)
            return 0;
        obj = read_json(path, err);
        if (!obj)
            return -EBADMSG;
        name = json_get_str(obj, "currentContext", "");
    }
    if (!*name || !strcmp(name, "default"))
        return 0;
    *out = strdup(name);
    return *out ? 0 : out_of_memory(err);
}

/* The directory's name of a context: the SHA-256 of its name in hex. */
static void context_digest(const char *name, char hex[65])
{
    unsigned char md[32];
    unsigned int len = sizeof(md);

    EVP_Digest(name, strlen(name), md, &len, EVP_sha256(), NULL);
    for (unsigned i = 0; i < sizeof(md); i++)
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

static int parse_context(struct engine_target *t, const char *config,
                         const char *name, struct tp_error *err)
{
    cleanup_json struct json_object *meta = NULL;
    cleanup_free char *path = NULL, *tls = NULL;
    const char *host;
    char hex[65];

    context_digest(name, hex);
    if (asprintf(&path, "%s/contexts/meta/%s/meta.json", config, hex) < 0 ||
        asprintf(&tls, "%s/contexts/tls/%s/docker", config, hex) < 0)
        return out_of_memory(err);
    if (access(path, F_OK) < 0)
        return tp_error_set(err, -ENOENT,
                            "there is no Docker context '%s'; see 'docker "
                            "context ls'",
                            name);
    meta = read_json(path, err);
    if (!meta)
        return -EBADMSG;
    host = json_get_str(meta, "Endpoints.docker.Host", NULL);
    if (!host)
        return tp_error_set(err, -EINVAL,
                            "the Docker context '%s' names no engine", name);
    if (engine_target_parse(t, host, err) < 0)
        return tp_error_wrap(err, "Docker context '%s'", name);
    if (t->kind == ENGINE_TLS ||
        (t->kind == ENGINE_TCP && access(tls, F_OK) == 0)) {
        use_tls_files(t, tls);
        t->insecure =
            json_get_bool(meta, "Endpoints.docker.SkipTLSVerify", false);
    }
    return asprintf(&t->origin, "Docker context '%s'", name) < 0
               ? out_of_memory(err)
               : 0;
}

static int use_environment(struct engine_target *t, const char *config,
                           struct tp_error *err)
{
    int rc = engine_target_parse(t, getenv("DOCKER_HOST"), err);

    if (rc < 0)
        return tp_error_wrap(err, "DOCKER_HOST");
    apply_tls_environment(t, config);
    t->origin = strdup("DOCKER_HOST");
    return 0;
}

/* The system's engine, unless only the rootless one can be used. */
static int use_default(struct engine_target *t, struct tp_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    cleanup_free char *rootless = NULL, *url = NULL;

    if (runtime && *runtime)
        rootless = file_in(runtime, "docker.sock");
    if (rootless && access(DEFAULT_SOCKET, R_OK | W_OK) < 0) {
        if (asprintf(&url, "unix://%s", rootless) < 0)
            return out_of_memory(err);
        return engine_target_parse(t, url, err);
    }
    return engine_target_parse(t, "unix://" DEFAULT_SOCKET, err);
}

int engine_target_find(struct engine_target *t, struct tp_error *err)
{
    cleanup_free char *config = config_dir(), *context = NULL;
    int rc;

    memset(t, 0, sizeof(*t));
    if (!config)
        return out_of_memory(err);
    if (env_is_set("DOCKER_HOST")) {
        rc = use_environment(t, config, err);
    } else {
        rc = chosen_context(config, &context, err);
        if (rc == 0)
            rc = context ? parse_context(t, config, context, err)
                         : use_default(t, err);
    }
    default_port(t);
    return rc;
}
