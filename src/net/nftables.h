/*
 * nftables.h - commands of nft(8), run by libnftables in this process
 *
 * Programs that use it link libnftables beside this library.
 */
#ifndef TP_NET_NFTABLES_H
#define TP_NET_NFTABLES_H

#include <stdbool.h>

#include "base/error.h"

/* Runs all of them as one transaction; `dry` only asks the kernel whether they
 * would succeed. err says what nft printed. */
int nftables_run(const char *commands, bool dry, struct tp_error *err);

#endif
