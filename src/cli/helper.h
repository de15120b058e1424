/*
 * helper.h - the background process that answers for credential plugins
 *
 * It lives as long as the session: attached to the daemon by `tp-daemon ctl`,
 * it runs the plugin (or reads the token file) that the kubeconfig named when
 * tp connected, whenever the daemon asks, at most once in 5 s, and hands the
 * result over. What the daemon sends carries no parameter. It ends when the
 * session or the container does, or when a newer helper takes its place.
 */
#ifndef TP_CLI_HELPER_H
#define TP_CLI_HELPER_H

#include "base/error.h"
#include "kube/kubeconfig.h"

/* True if the context's credentials change with time. */
bool helper_is_needed(const struct kube_context *kube);

/* Starts it; returns in the caller at once. It uses copies (fork) of kube and
 * container. 0 or a negative errno with err filled. */
int helper_start(const struct kube_context *kube, const char *container,
                 struct tp_error *err);

#endif
