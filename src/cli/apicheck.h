/*
 * apicheck.h - is the API server there, does it know the user, is tp installed
 *
 * Asked by the CLI itself before any container is made, so that the common
 * mistakes end in one line at once.
 */
#ifndef TP_CLI_APICHECK_H
#define TP_CLI_APICHECK_H

#include "base/error.h"
#include "kube/kubeconfig.h"

/* 0, or a negative errno with err filled and *code one of control.md's names
 * (static). plugin may be NULL. */
int api_check(const struct kube_context *kube,
              const struct kube_credentials *plugin, const char **code,
              struct tp_error *err);

#endif
