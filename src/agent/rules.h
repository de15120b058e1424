/*
 * rules.h - the nftables table `inet tp_agent`: packets for redirected ports
 *
 * Installed by `tp-agent init` in the pod's network namespace (NET_ADMIN),
 * once; again replaces the table in one transaction. No other table is touched.
 */
#ifndef TP_AGENT_RULES_H
#define TP_AGENT_RULES_H

#include "agent/path.h"

/* Rules for the ports in PORT_REDIRECT mode; with none, no table is left. */
int agent_rules_install(const struct agent_path_config *config,
                        struct tp_error *err);
int agent_rules_remove(struct tp_error *err);

/* The commands of nft(8); free() them. NULL: out of memory. */
char *agent_rules_format(const struct agent_path_config *config);

#endif
