#include "cli/common_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/daemon.h"
#include "cli/routing_check.h"

#define MAX_GROUPS 64

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* What Docker does not like about a container's name, or NULL. */
static const char *name_fault(const char *name)
{
    size_t len = strlen(name);

    if (len < 2)
        return "it must have at least two characters";
    if (len > 128)
        return "it must have at most 128 characters";
    if (!strchr(LETTERS, name[0]))
        return "it must begin with a letter or a digit";
    if (strspn(name, LETTERS "_.-") != len)
        return "only letters, digits, '_', '.' and '-' may be in it";
    return NULL;
}

const char *common_name(const struct cli *cli, struct tp_error *err)
{
    const char *name = cli_get_or(cli, "name", DAEMON_NAME);
    const char *fault = name_fault(name);

    if (!fault)
        return name;
    tp_error_set(err, -EINVAL, "--name: '%s' cannot be a container's name: %s",
                 name, fault);
    return NULL;
}

int common_load_kube(const struct cli *cli, struct kube_context *ctx,
                     struct tp_error *err)
{
    const char *groups[MAX_GROUPS + 1] = {NULL};
    struct kube_select sel = {
        .kubeconfig = cli_get(cli, "kubeconfig"),
        .context = cli_get(cli, "context"),
        .namespace = cli_get(cli, "namespace"),
        .as_user = cli_get(cli, "as"),
        .as_groups = groups,
    };

    memset(ctx, 0, sizeof(*ctx));
    for (size_t i = 0; i < cli_count(cli, "as-group"); i++) {
        if (i == MAX_GROUPS)
            return tp_error_set(err, -E2BIG, "too many --as-group");
        groups[i] = cli_get_nth(cli, "as-group", i);
    }
    if (sel.namespace && !client_config_is_label(sel.namespace))
        return tp_error_set(err, -EINVAL,
                            "--namespace: '%s' cannot be the name of a "
                            "namespace",
                            sel.namespace);
    return kube_context_load(ctx, &sel, err);
}

static int apply_flags(const struct cli *cli, struct client_config *config,
                       struct tp_error *err)
{
    static const struct {
        const char *flag;
        enum config_key key;
    } flags[] = {
        {"also-proxy", CONFIG_ALSO_PROXY},
        {"never-proxy", CONFIG_NEVER_PROXY},
        {"allow-conflicting-subnets", CONFIG_ALLOW_CONFLICTING},
        {"vnat", CONFIG_VNAT},
        {"virtual-subnet", CONFIG_VIRTUAL_SUBNETS},
        {"dns-include", CONFIG_DNS_SUFFIXES},
        {"dns-exclude", CONFIG_DNS_EXCLUDES},
        {"dns-mapping", CONFIG_DNS_MAPPINGS},
        {"mapped-namespaces", CONFIG_DNS_NAMESPACES},
        {"manager-namespace", CONFIG_MANAGER_NAMESPACE},
        {"timeout", CONFIG_CONNECT_TIMEOUT},
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        size_t count = cli_count(cli, flags[i].flag);
        cleanup_free const char **values = calloc(count + 1, sizeof(*values));
        char where[64];
        int rc;

        if (!values)
            return tp_error_set(err, -ENOMEM, "out of memory");
        for (size_t j = 0; j < count; j++)
            values[j] = cli_get_nth(cli, flags[i].flag, j);
        snprintf(where, sizeof(where), "--%s", flags[i].flag);
        rc = client_config_set(config, flags[i].key, values, count, where, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int common_load_config(const struct cli *cli, const struct kube_context *kube,
                       struct client_config *config, struct tp_error *err)
{
    int rc = client_config_init(config, err);
    char where[200];

    if (rc == 0)
        rc = client_config_read_file(config, err);
    if (rc == 0 && kube) {
        snprintf(where, sizeof(where), "extension tp.internal of cluster '%s'",
                 kube->cluster);
        rc = client_config_apply(config, kube->extension,
                                 CONFIG_FROM_KUBECONFIG, where, err);
    }
    if (rc == 0)
        rc = apply_flags(cli, config, err);
    return rc < 0 ? rc : routing_check(config, err);
}
