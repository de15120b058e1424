/*
 * certificate.h - the manager's own certificate, signed by the chart's CA
 *
 * Made in memory at start and again before it expires; nothing is written.
 */
#ifndef TP_MANAGER_CERTIFICATE_H
#define TP_MANAGER_CERTIFICATE_H

#include <time.h>

#include "base/error.h"

struct certificate {
    char *cert_pem;
    char *key_pem;
    time_t renew_at; /* when two thirds of its life are over */
};

#define CERTIFICATE_DAYS 30

/* A fresh P-256 key and a server certificate for `names` (NULL-terminated DNS
 * names), at most as long valid as the CA. The CA's key may be of any type. */
int certificate_issue(struct certificate *out, const char *ca_cert_pem,
                      const char *ca_key_pem, const char *const *names,
                      struct tp_error *err);
void certificate_release(struct certificate *c);

#endif
