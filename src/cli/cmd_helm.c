/* cmd_helm.c - tp helm: the helm program with the chart that tp carries */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/chart_archive.h"
#include "cli/chart_helm.h"
#include "cli/cli_internal.h"
#include "cli/commands.h"

static const struct cli_option options[] = {
    {.name = "namespace",
     .letter = 'n',
     .arg = "NS",
     .help = "namespace of the release (default " CHART_HELM_NAMESPACE ")"},
    {.name = "kubeconfig", .arg = "FILE", .help = "kubeconfig to use"},
    {.name = "context", .arg = "NAME", .help = "context of the kubeconfig"},
    {0},
};

static const char *helm_program(void)
{
    const char *program = getenv("TP_HELM");

    return program && *program ? program : "helm";
}

/* Helm is silent about hooks. */
static void tell_of_hook(struct cli *cli)
{
    if (strcmp(cli_arg(cli, 0), "uninstall") != 0)
        return;
    for (size_t i = 1; cli_arg(cli, i); i++) {
        if (!strcmp(cli_arg(cli, i), "--no-hooks") ||
            !strncmp(cli_arg(cli, i), "--dry-run", strlen("--dry-run")))
            return;
    }
    cli_note(cli, "first the agents leave the workloads' pods, which are "
                  "rolled out once (at most 4 minutes, chart value "
                  "uninstall.timeoutSeconds; --no-hooks leaves them)");
}

static int run_helm(struct cli *cli, char *const *argv, struct tp_error *err)
{
    const char *program = helm_program();
    int rc = chart_helm_run(program, argv, err);

    if (rc != -ENOENT && rc != -EACCES)
        return rc;
    tp_error_set(err, rc,
                 "cannot run '%s': install Helm 3 (https://helm.sh), or set "
                 "TP_HELM to the program",
                 program);
    return cli_fail(cli, "no-helm", err);
}

static int run_in(struct cli *cli, const char *dir, struct tp_error *err)
{
    cleanup_free char *chart = NULL;
    cleanup_free char **argv = NULL;
    struct chart_helm_request req = {
        .action = cli_arg(cli, 0),
        .namespace = cli_get(cli, "namespace"),
        .kubeconfig = cli_get(cli, "kubeconfig"),
        .context = cli_get(cli, "context"),
        .args = cli_args(cli) + 1,
    };

    if (asprintf(&chart, "%s/tp", dir) < 0) {
        chart = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    req.chart = chart;
    argv = chart_helm_argv(&req, err);
    if (!argv)
        return -EINVAL;
    tell_of_hook(cli);
    return run_helm(cli, argv, err);
}

static int run(struct cli *cli, struct tp_error *err)
{
    cleanup_free char *dir = NULL;
    int rc;

    if (cli->help || !cli_arg(cli, 0)) {
        cli_help_command(stdout, cli->command);
        return 0;
    }
    rc = chart_archive_extract(&dir, err);
    if (rc < 0)
        return rc;
    rc = run_in(cli, dir, err);
    chart_archive_remove(dir);
    return rc;
}

const struct cli_command cmd_helm = {
    .name = "helm",
    .summary = "install, upgrade or remove the manager in a cluster",
    .usage = "install|upgrade|uninstall|lint|template|test|values [RELEASE] "
             "[helm flags]",
    .details =
        "Runs the helm program ($TP_HELM, or helm in PATH) with the chart that "
        "this\ntp carries, so that manager and client are of one version. The "
        "release is\ncalled " CHART_HELM_RELEASE
        " unless RELEASE follows the action; its namespace is made if need\n"
        "be.\n\n"
        "All other flags go to helm as they are: --set, -f, --wait, --dry-run,"
        "\n--install and so on. 'uninstall' takes the agents out of all "
        "pods first, which are\nrolled out once (chart values uninstall.*); "
        "with --no-hooks they stay and let all\ntraffic through. 'values' "
        "prints the chart's values with their "
        "meaning.\nThe exit status is helm's.\n",
    .example = "  tp helm install --wait\n"
               "  tp helm upgrade --install -f values.yaml\n"
               "  tp helm lint -f values.yaml\n"
               "  tp helm uninstall\n",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .passthrough = true,
    .run = run,
};
