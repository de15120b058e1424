/*
 * nft_hold.h - the table `inet tp-hold`: first SYNs go to a queue
 *
 * One rule, `mark HOLD -> queue`, in a table of its own because it may need
 * an expression that libnftables cannot write. The queue has no bypass: a
 * queue without reader drops.
 */
#ifndef TP_DAEMON_NFT_HOLD_H
#define TP_DAEMON_NFT_HOLD_H

#include <stdint.h>

#include "base/error.h"

enum nft_hold_kind { NFT_HOLD_NONE, NFT_HOLD_NATIVE, NFT_HOLD_XT };

/* Installs the rule by the first way that this kernel has. */
enum nft_hold_kind nft_hold_install(uint16_t queue);
int nft_hold_remove(struct tp_error *err);

/* "none", "nfqueue", "xt-nfqueue" */
const char *nft_hold_name(enum nft_hold_kind kind);

#endif
