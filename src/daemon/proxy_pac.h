/*
 * proxy_pac.h - the proxy auto-configuration file
 *
 * A script that leads the cluster's names and addresses to the proxy, and
 * nothing else. Names of one label go there, too: Services of the namespace.
 */
#ifndef TP_DAEMON_PROXY_PAC_H
#define TP_DAEMON_PROXY_PAC_H

#include "base/buf.h"
#include "daemon/proxy.h"

#define PROXY_PAC_MAX (256 * 1024)

/* Appends the script; `at` is "127.0.0.1:1080" as the browser wrote it, which
 * has been checked. cluster NULL: nothing is the cluster's. 0, -ENOBUFS or
 * -ENOMEM. */
int proxy_pac_write(struct buf *out, const char *at,
                    const struct proxy_cluster *cluster);

#endif
