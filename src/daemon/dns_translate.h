/*
 * dns_translate.h - real addresses in DNS answers become virtual ones (vnat.h)
 *
 * In every section: A and AAAA records, and the address hints of SVCB and HTTPS
 * (RFC 9460 7.3). Lengths stay as they are.
 */
#ifndef TP_DAEMON_DNS_TRANSLATE_H
#define TP_DAEMON_DNS_TRANSLATE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/vnat.h"

/* Changes msg in place. How many addresses were changed, or -EBADMSG: its
 * records cannot all be read. */
int dns_translate(const struct vnat *v, uint8_t *msg, size_t len);

#endif
