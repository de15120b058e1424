#include "pki.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

X509 *pki_load_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ck_assert_ptr_nonnull(cert);
    return cert;
}

EVP_PKEY *pki_load_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ck_assert_ptr_nonnull(key);
    return key;
}

static char *take(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);

    BIO_free(bio);
    return text;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    ck_assert(ext && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

static void make(struct pki_pair *out, const struct pki_pair *ca,
                 const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY *signer = ca ? pki_load_key(ca->key) : NULL;
    X509 *issuer = ca ? pki_load_cert(ca->cert) : NULL;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    BIO *bio;

    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), rand());
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert,
                         issuer ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints,
                  ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (ca)
        add_extension(cert, NID_ext_key_usage, "clientAuth");
    ck_assert(X509_sign(cert, signer ? signer : key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    out->cert = take(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    out->key = take(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(signer);
    X509_free(issuer);
    X509_free(cert);
}

void pki_make_ca(struct pki_pair *ca, const char *name)
{
    make(ca, NULL, name);
}

void pki_make_client(struct pki_pair *client, const struct pki_pair *ca,
                     const char *name)
{
    make(client, ca, name);
}

void pki_release(struct pki_pair *pair)
{
    free(pair->cert);
    free(pair->key);
}
