#include "manager/options.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define NAMESPACE_FILE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

enum option_kind {
    KIND_TEXT,
    KIND_HOSTPORT,
    KIND_ADDRESS,
    KIND_SUBNETS,
    KIND_ADDRESSES,
    KIND_SIZE,
    KIND_COUNT,
    KIND_LEVEL,
    KIND_SCOPE,
    KIND_FLAG, /* takes no value */
};

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset;
    const char *fallback; /* NULL: empty */
    const char *value;    /* for the help */
    const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
    {"listen", KIND_HOSTPORT, AT(listen), "[::]:8443", "ADDR:PORT",
     "serve the aggregated API here"},
    {"listen-agents", KIND_HOSTPORT, AT(listen_agents), "[::]:8444",
     "ADDR:PORT", "let agents in here"},
    {"listen-webhook", KIND_HOSTPORT, AT(listen_webhook), "[::]:8445",
     "ADDR:PORT", "serve the webhook here; empty: not at all"},
    {"listen-direct", KIND_HOSTPORT, AT(listen_direct), NULL, "ADDR:PORT",
     "let links in here that do not pass the API server; empty: not at all"},
    {"direct-endpoints", KIND_TEXT, AT(direct_endpoints), NULL, "HOST:PORT,...",
     "where clients reach it, instead of what the Service says"},
    {"direct-rate", KIND_SIZE, AT(direct_rate), "0", "BYTES",
     "as --link-rate, of direct links"},
    {"metrics", KIND_HOSTPORT, AT(metrics), "[::]:8080", "ADDR:PORT",
     "serve health and metrics here"},
    {"namespace", KIND_TEXT, AT(ns), NULL, "NS",
     "where the manager runs (default: its service account's)"},
    {"service", KIND_TEXT, AT(service), "tp-manager", "NAME",
     "its own Service"},
    {"apiservice", KIND_TEXT, AT(apiservice), "v1.connect.tp.internal", "NAME",
     "APIService to delete with the namespace; empty: none"},
    {"webhook", KIND_TEXT, AT(webhook), "tp-manager", "NAME",
     "MutatingWebhookConfiguration to delete likewise; empty: none"},
    {"ca-cert", KIND_TEXT, AT(ca_cert), NULL, "FILE",
     "CA that signs the manager's certificates"},
    {"ca-key", KIND_TEXT, AT(ca_key), NULL, "FILE", "its key"},
    {"tls-cert", KIND_TEXT, AT(tls_cert), NULL, "FILE",
     "certificate, instead of a CA"},
    {"tls-key", KIND_TEXT, AT(tls_key), NULL, "FILE", "its key"},
    {"client-config", KIND_TEXT, AT(client_config), NULL, "FILE",
     "JSON object that clients get as their configuration"},
    {"agent-config", KIND_TEXT, AT(agent_config), NULL, "FILE",
     "JSON object with the settings of agents; none: nothing is injected"},
    {"service-subnets", KIND_SUBNETS, AT(service_subnets), NULL, "CIDRS",
     "instead of what the cluster says"},
    {"pod-subnets", KIND_SUBNETS, AT(pod_subnets), NULL, "CIDRS",
     "instead of what the nodes say"},
    {"also-subnets", KIND_SUBNETS, AT(also_subnets), NULL, "CIDRS",
     "announced and dialled beside the two"},
    {"dial-allow", KIND_SUBNETS, AT(dial_allow), NULL, "CIDRS",
     "dialled, not announced"},
    {"dial-allow-node", KIND_ADDRESSES, AT(dial_allow_node), NULL, "ADDRS",
     "node addresses that may be dialled"},
    {"dial-scope", KIND_SCOPE, AT(dial_scoped), "cluster", "SCOPE",
     "cluster, or namespace: those only where the user may connect"},
    {"cluster-domain", KIND_TEXT, AT(cluster_domain), NULL, "NAME",
     "instead of what resolv.conf says"},
    {"dns-address", KIND_ADDRESS, AT(dns_address), NULL, "ADDR",
     "instead of what resolv.conf says"},
    {"dns-search", KIND_TEXT, AT(dns_search), NULL, "NAMES",
     "further search names, instead of what resolv.conf says"},
    {"allow-any-front-proxy-name", KIND_FLAG, AT(any_front_proxy_name), NULL,
     NULL, "accept an empty list of allowed names"},
    {"link-rate", KIND_SIZE, AT(link_rate), "0", "BYTES",
     "a second and link, each way; 0: no limit"},
    {"link-lifetime", KIND_COUNT, AT(link_lifetime), "3600", "SECONDS",
     "until the API server is to say again who its user is; 0: never"},
    {"link-max", KIND_COUNT, AT(link_max), "20", "N",
     "links of one user; 0: no limit"},
    {"drain-timeout", KIND_COUNT, AT(drain), "60", "SECONDS",
     "that running connections have after SIGTERM"},
    {"switch-services", KIND_FLAG, AT(switch_services), NULL, NULL,
     "lead Services to agents where pods may not redirect"},
    {"log-level", KIND_LEVEL, AT(log_level), "info", "LEVEL",
     "error, warn, info or debug"},
    {"help", KIND_FLAG, AT(show_help), NULL, NULL, "print this"},
    {"version", KIND_FLAG, AT(show_version), NULL, NULL, "print the version"},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static int bad_value(const struct option_row *row, const char *value,
                     const char *wanted, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "--%s %s: must be %s", row->name, value,
                        wanted);
}

static int set_text(char **out, const char *value, struct tp_error *err)
{
    char *copy = *value ? strdup(value) : NULL;

    if (*value && !copy)
        return tp_error_errno(err, -ENOMEM, "options");
    free(*out);
    *out = copy;
    return 0;
}

static int set_subnets(const struct option_row *row, struct subnets *list,
                       const char *value, struct tp_error *err)
{
    char bad[SUBNET_TEXT];
    int rc;

    subnets_release(list);
    rc = subnets_add_list(list, value, bad);
    if (rc == -EINVAL)
        return tp_error_set(err, rc,
                            "--%s: %s is no subnet (CIDR without host bits)",
                            row->name, bad);
    if (rc < 0)
        return tp_error_errno(err, rc, "--%s", row->name);
    for (size_t i = 0; row->kind == KIND_ADDRESSES && i < list->count; i++) {
        const struct subnet *net = &list->items[i];

        if (net->prefix != (net->family == AF_INET6 ? 128u : 32u))
            return tp_error_set(err, -EINVAL,
                                "--%s: nodes are listed one by one, without "
                                "a prefix length",
                                row->name);
    }
    subnets_merge(list);
    return 0;
}

static int set_number(const struct option_row *row, void *at, const char *value,
                      struct tp_error *err)
{
    unsigned long long max =
        row->kind == KIND_COUNT ? 1000000ull : 1000000000000ull;
    unsigned long long n;
    char *end;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (errno || *end || !isdigit((unsigned char)*value) || n > max)
        return bad_value(row, value, "a number", err);
    if (row->kind == KIND_COUNT)
        *(unsigned *)at = (unsigned)n;
    else
        *(uint64_t *)at = n;
    return 0;
}

static int set_scope(const struct option_row *row, bool *scoped,
                     const char *value, struct tp_error *err)
{
    *scoped = !strcmp(value, "namespace");
    return *scoped || !strcmp(value, "cluster")
               ? 0
               : bad_value(row, value, "cluster or namespace", err);
}

static int set_address(const struct option_row *row, union sockaddr_any *addr,
                       const char *value, struct tp_error *err)
{
    if (!*value) {
        memset(addr, 0, sizeof(*addr));
        return 0;
    }
    if (row->kind == KIND_ADDRESS && sockaddr_parse(addr, value, 53) < 0)
        return bad_value(row, value, "an IP address", err);
    if (row->kind == KIND_HOSTPORT && sockaddr_parse_hostport(addr, value) < 0)
        return bad_value(row, value, "ADDR:PORT with an IP address", err);
    return 0;
}

static int set_value(struct options *o, const struct option_row *row,
                     const char *value, struct tp_error *err)
{
    void *at = (char *)o + row->offset;

    switch (row->kind) {
    case KIND_TEXT:
        return set_text(at, value, err);
    case KIND_HOSTPORT:
    case KIND_ADDRESS:
        return set_address(row, at, value, err);
    case KIND_SUBNETS:
    case KIND_ADDRESSES:
        return set_subnets(row, at, value, err);
    case KIND_SIZE:
    case KIND_COUNT:
        return set_number(row, at, value, err);
    case KIND_LEVEL:
        if (log_parse_level(value, at) < 0)
            return bad_value(row, value, "error, warn, info or debug", err);
        return 0;
    case KIND_SCOPE:
        return set_scope(row, at, value, err);
    case KIND_FLAG:
        if (!strcmp(value, "true") || !strcmp(value, "false")) {
            *(bool *)at = *value == 't';
            return 0;
        }
        return bad_value(row, value, "true or false", err);
    }
    return -EINVAL;
}

static const struct option_row *find_row(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && !memcmp(rows[i].name, name, len))
            return &rows[i];
    }
    return NULL;
}

static int set_defaults(struct options *o, struct tp_error *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].fallback) {
            int rc = set_value(o, &rows[i], rows[i].fallback, err);

            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int set_from_environment(struct options *o, struct tp_error *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        char name[64];
        const char *value;
        int rc;

        snprintf(name, sizeof(name), "TP_MANAGER_%s", rows[i].name);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        value = getenv(name);
        rc = value ? set_value(o, &rows[i], value, err) : 0;
        if (rc < 0)
            return tp_error_wrap(err, "%s", name);
    }
    return 0;
}

static int set_from_arguments(struct options *o, int argc, char **argv,
                              struct tp_error *err)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = NULL;
        const struct option_row *row;
        size_t len;
        int rc;

        if (strncmp(name, "--", 2) != 0)
            return tp_error_set(err, -EINVAL,
                                "unexpected argument %s; see --help", name);
        name += 2;
        len = strcspn(name, "=");
        row = find_row(name, len);
        if (!row)
            return tp_error_set(err, -EINVAL,
                                "unknown option --%.*s; "
                                "see --help",
                                (int)len, name);
        if (name[len] == '=')
            value = name + len + 1;
        else if (row->kind == KIND_FLAG)
            value = "true";
        else if (i + 1 < argc)
            value = argv[++i];
        if (!value)
            return tp_error_set(err, -EINVAL, "--%s needs a value", row->name);
        rc = set_value(o, row, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int find_namespace(struct options *o, struct tp_error *err)
{
    cleanup_file FILE *f = NULL;
    char text[80] = "";

    if (o->ns)
        return 0;
    f = fopen(NAMESPACE_FILE, "re");
    if (!f || !fgets(text, sizeof(text), f))
        return tp_error_set(err, -EINVAL,
                            "--namespace is missing, and "
                            "there is no service account to take it from");
    text[strcspn(text, "\n")] = '\0';
    return set_text(&o->ns, text, err);
}

static int check(const struct options *o, struct tp_error *err)
{
    bool ca = o->ca_cert && o->ca_key, tls = o->tls_cert && o->tls_key;

    if (!o->ca_cert != !o->ca_key || !o->tls_cert != !o->tls_key || ca == tls)
        return tp_error_set(err, -EINVAL,
                            "give either --ca-cert and --ca-key, or "
                            "--tls-cert and --tls-key");
    if (!o->listen.sa.sa_family || !o->listen_agents.sa.sa_family ||
        !o->metrics.sa.sa_family)
        return tp_error_set(err, -EINVAL,
                            "--listen, --listen-agents and --metrics need "
                            "ADDR:PORT");
    if (!o->service)
        return tp_error_set(err, -EINVAL, "--service must not be empty");
    return 0;
}

int options_parse(struct options *o, int argc, char **argv,
                  struct tp_error *err)
{
    int rc;

    memset(o, 0, sizeof(*o));
    rc = set_defaults(o, err);
    if (rc == 0)
        rc = set_from_environment(o, err);
    if (rc == 0)
        rc = set_from_arguments(o, argc, argv, err);
    if (rc < 0 || o->show_help || o->show_version)
        return rc;
    rc = find_namespace(o, err);
    return rc < 0 ? rc : check(o, err);
}

void options_release(struct options *o)
{
    for (size_t i = 0; i < ROWS; i++) {
        void *at = (char *)o + rows[i].offset;

        if (rows[i].kind == KIND_TEXT)
            free(*(char **)at);
        else if (rows[i].kind == KIND_SUBNETS || rows[i].kind == KIND_ADDRESSES)
            subnets_release(at);
    }
    memset(o, 0, sizeof(*o));
}

void options_print_help(FILE *out)
{
    fputs("Usage: tp-manager [--FLAG VALUE]...\n\n", out);
    for (size_t i = 0; i < ROWS; i++) {
        char flag[64];

        snprintf(flag, sizeof(flag), "--%s%s%s", rows[i].name,
                 rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
        fprintf(out, "  %-30s %s", flag, rows[i].help);
        if (rows[i].fallback)
            fprintf(out, " [%s]", rows[i].fallback);
        fputc('\n', out);
    }
}
