/*
 * pki.h - certificates for tests, made on the spot
 */
#ifndef TP_TESTS_PKI_H
#define TP_TESTS_PKI_H

#include <openssl/x509.h>

struct pki_pair {
    char *cert, *key; /* PEM */
};

/* A certificate authority. */
void pki_make_ca(struct pki_pair *ca, const char *name);
/* A client certificate of that common name. */
void pki_make_client(struct pki_pair *client, const struct pki_pair *ca,
                     const char *name);
void pki_release(struct pki_pair *pair);

X509 *pki_load_cert(const char *pem);
EVP_PKEY *pki_load_key(const char *pem);

#endif
