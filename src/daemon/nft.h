/*
 * nft.h - the nftables table `inet tp`
 *
 * Marks what is captured, gives it to the listeners, refuses what the held
 * SYN's verdict says, and lets nothing for a captured address out by any
 * interface but lo. Every change is one transaction; only tp's own table is
 * ever named (Docker's resolver lives in another one).
 *
 * The table has no owner flag: it outlives the process on purpose, and
 * nft_close() turns what a dead daemon left into a reject without knowing
 * what was captured, because the sets stay in the kernel.
 */
#ifndef TP_DAEMON_NFT_H
#define TP_DAEMON_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/sockaddr.h"
#include "daemon/capture_set.h"

struct nft_config {
    const struct capture_set *set;
    union sockaddr_any dns; /* port 53 of it is captured too; or family 0 */
    bool v4, v6;            /* there are listeners for this family */
    uint16_t tcp4, udp4, tcp6, udp6; /* ports on 127.0.0.1 and ::1 */
    bool hold;                       /* first SYNs are marked for the queue */
};

/* The commands, for nft_run(), that replace the table, whatever version of tp
 * made it; free() them. NULL: out of memory. */
char *nft_format(const struct nft_config *config);

/* Asks the kernel whether they would succeed; changes nothing. */
int nft_check(const struct nft_config *config, struct tp_error *err);

/* Leaves the sets and makes every rule a reject. 0 also without a table. */
int nft_close(struct tp_error *err);

/* Removes the table; 0 if there is none. */
int nft_remove(struct tp_error *err);

/* Runs commands of nft(8); err says what nft printed. */
int nft_run(const char *commands, struct tp_error *err);

#endif
