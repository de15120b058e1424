#include "net/selfsigned.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"

#define SERIAL_BITS 127
#define PEM_MAX     16384

/* RFC 5280, 4.1.2.5: "no well-defined expiration date". A day of clock skew
 * between workstation and engine does not matter. */
static int set_times(X509 *cert)
{
    return X509_gmtime_adj(X509_getm_notBefore(cert), -86400) &&
           ASN1_TIME_set_string(X509_getm_notAfter(cert), "99991231235959Z");
}

static int set_serial(X509 *cert)
{
    BIGNUM *serial = BN_new();
    int ok =
        serial &&
        BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
        BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));

    BN_free(serial);
    return ok;
}

static int set_names(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_EXTENSION *ext = NULL;
    char text[300];
    int ok;

    snprintf(text, sizeof(text), "DNS:%s", name);
    ok = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                    (const unsigned char *)name, -1, -1, 0) &&
         X509_set_issuer_name(cert, subject);
    if (ok)
        ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *make_cert(EVP_PKEY *key, const char *name)
{
    X509 *cert = X509_new();

    if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
        set_times(cert) && set_names(cert, name) &&
        X509_set_pubkey(cert, key) && X509_sign(cert, key, NULL))
        return cert;
    X509_free(cert);
    return NULL;
}

/* The BIO's bytes as a text. Owned. */
static char *take_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    return len > 0 && len < PEM_MAX ? strndup(data, (size_t)len) : NULL;
}

static int write_pem(struct selfsigned *s, X509 *cert, EVP_PKEY *key)
{
    BIO *public = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_secmem());

    if (public && private && PEM_write_bio_X509(public, cert) &&
        PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL)) {
        s->cert_pem = take_text(public);
        s->key_pem = take_text(private);
    }
    BIO_free(public);
    BIO_free(private);
    return s->cert_pem && s->key_pem ? 0 : -ENOMEM;
}

int selfsigned_make(struct selfsigned *s, const char *name,
                    struct tp_error *err)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *cert = key ? make_cert(key, name) : NULL;
    int rc = cert ? 0 : -EIO;

    memset(s, 0, sizeof(*s));
    if (rc == 0)
        rc = write_pem(s, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc < 0 ? tp_error_errno(err, rc, "cannot make a key pair") : 0;
}

void selfsigned_release(struct selfsigned *s)
{
    free(s->cert_pem);
    secret_free(s->key_pem);
    memset(s, 0, sizeof(*s));
}

int selfsigned_fingerprint(const char *cert_pem, char out[65],
                           struct tp_error *err)
{
    BIO *bio = BIO_new_mem_buf(cert_pem, -1);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int ok = cert && X509_digest(cert, EVP_sha256(), hash, &len) && len == 32;

    for (unsigned i = 0; ok && i < len; i++)
        sprintf(out + (size_t)2 * i, "%02x", hash[i]);
    X509_free(cert);
    BIO_free(bio);
    return ok ? 0 : tp_error_set(err, -EINVAL, "that is no certificate");
}
