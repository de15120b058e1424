/*
 * credentials.h - certificate and key of the aggregated API's listener
 *
 * Either signed here by the CA's key and made again in time, or read from
 * files that something else renews (cert-manager). Changes of the files are
 * followed.
 */
#ifndef TP_MANAGER_CREDENTIALS_H
#define TP_MANAGER_CREDENTIALS_H

#include <stdbool.h>

#include "manager/certificate.h"

struct options;
struct server;
struct tls_ctx;

struct credentials {
    char *cert_pem, *key_pem;       /* in use; NULL: none yet */
    char *source_cert, *source_key; /* what the files held */
    time_t renew_at;                /* 0: not made here */
};

/* Reads the files again and renews what is due. Returns 1 if the certificate is
 * another one now, 0 if not, or a negative errno; the old one stays then. */
int credentials_refresh(struct credentials *c, const struct options *options,
                        struct tp_error *err);
/* Puts the certificate in force on a port that asks for none; *tls is the
 * context there, and stays if there is an error: it is as good as it was. With
 * newest_only by TLS 1.3 alone: agents and clients are ours, the API server is
 * not. */
int credentials_serve(const struct credentials *c, struct server *server,
                      struct tls_ctx **tls, bool newest_only,
                      struct tp_error *err);
void credentials_release(struct credentials *c);

#endif
