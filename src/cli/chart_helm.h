/*
 * chart_helm.h - the helm program with the carried chart
 *
 * What `tp helm ACTION` adds to the command line that the user wrote, and a run
 * of helm that answers as helm did.
 */
#ifndef TP_CLI_CHART_HELM_H
#define TP_CLI_CHART_HELM_H

#include <stddef.h>

#include "base/error.h"

#define CHART_HELM_RELEASE   "tp"
#define CHART_HELM_NAMESPACE "tp-system"

struct chart_helm_request {
    const char *action;     /* "install", ... */
    const char *chart;      /* directory of the chart */
    const char *namespace;  /* NULL: CHART_HELM_NAMESPACE */
    const char *kubeconfig; /* NULL: helm's default */
    const char *context;    /* NULL: the current one */
    char *const *args;      /* what else the user wrote, NULL-terminated; a
                             * first word that is no flag names the release */
};

/* "install, upgrade, ...", for messages; a literal. */
const char *chart_helm_actions(void);

/* The arguments of helm for a request, NULL-terminated, argv[0] "helm". The
 * strings are borrowed from the request, the array is the caller's (free). NULL
 * with err filled (-EINVAL: unknown action). */
char **chart_helm_argv(const struct chart_helm_request *req,
                       struct tp_error *err);

/* Runs program (a path, or a name in PATH) with argv on this process's standard
 * streams and waits. Signals that ask this process to end go to the program,
 * and ending is left to it. Returns its exit status, 128 + N if signal N ended
 * it, or a negative errno (-ENOENT: no such program). */
int chart_helm_run(const char *program, char *const *argv,
                   struct tp_error *err);

#endif
