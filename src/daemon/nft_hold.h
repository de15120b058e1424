/*
 * nft_hold.h - the table `inet tp-hold`: what libnftables cannot write
 *
 * `mark HOLD -> queue` (perhaps by an xtables target), and the source port of
 * UDP answers taken from their mark. Neither rule knows what is captured, so
 * the table is made once and stays as it is. The queue has no bypass: a queue
 * without reader drops.
 */
#ifndef TP_DAEMON_NFT_HOLD_H
#define TP_DAEMON_NFT_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum nft_hold_kind { NFT_HOLD_NONE, NFT_HOLD_NATIVE, NFT_HOLD_XT };

/* Makes the table anew. hold: with the queue, by the first way that this
 * kernel has; NFT_HOLD_NONE if it has none. */
int nft_hold_install(bool hold, uint16_t queue, enum nft_hold_kind *kind,
                     struct tp_error *err);
int nft_hold_remove(struct tp_error *err);

/* "none", "nfqueue", "xt-nfqueue" */
const char *nft_hold_name(enum nft_hold_kind kind);

#endif
