#include "manager/certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"

/* What is made on the way, freed in one place. */
struct issue {
    X509 *ca, *cert;
    EVP_PKEY *ca_key, *key;
};

static int openssl_error(struct tp_error *err, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return tp_error_set(err, -EINVAL, "%s: %s", what,
                        reason ? reason : "unknown error");
}

static int load_ca(struct issue *i, const char *cert_pem, const char *key_pem,
                   struct tp_error *err)
{
    BIO *cert = BIO_new_mem_buf(cert_pem, -1);
    BIO *key = BIO_new_mem_buf(key_pem, -1);

    if (cert)
        i->ca = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    if (key)
        i->ca_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    BIO_free(cert);
    BIO_free(key);
    if (!i->ca)
        return openssl_error(err, "CA certificate");
    if (!i->ca_key)
        return openssl_error(err, "CA key");
    if (X509_check_private_key(i->ca, i->ca_key) != 1)
        return openssl_error(err, "CA key does not fit the CA certificate");
    if (X509_check_ca(i->ca) == 0)
        return tp_error_set(err, -EINVAL,
                            "CA certificate: it is not one of a CA");
    return 0;
}

static bool add_extension(struct issue *i, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, i->ca, i->cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(i->cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool add_names(struct issue *i, const char *const *names)
{
    char list[2048] = "";
    size_t used = 0;

    for (; *names; names++) {
        int n = snprintf(list + used, sizeof(list) - used, "%sDNS:%s",
                         used ? "," : "", *names);

        if (n < 0 || (size_t)n >= sizeof(list) - used)
            return false;
        used += (size_t)n;
    }
    return add_extension(i, NID_subject_alt_name, list);
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    BIGNUM *number;
    bool ok;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40); /* positive */
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

/* From five minutes ago (clocks differ), until the CA ends at the latest. */
static bool set_times(struct issue *i, time_t *renew_at)
{
    int days, seconds;
    long life = CERTIFICATE_DAYS * 86400L;

    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(i->ca)) != 1)
        return false;
    if (days < CERTIFICATE_DAYS)
        life = days * 86400L + seconds;
    if (life <= 0)
        return false;
    *renew_at = time(NULL) + life * 2 / 3;
    return X509_gmtime_adj(X509_getm_notBefore(i->cert), -300) &&
           X509_gmtime_adj(X509_getm_notAfter(i->cert), life);
}

/* Ed25519 and Ed448 bring their own digest. */
static const EVP_MD *digest_for(EVP_PKEY *key)
{
    int id = EVP_PKEY_get_base_id(key);

    return id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL : EVP_sha256();
}

static int build(struct issue *i, const char *const *names, time_t *renew_at,
                 struct tp_error *err)
{
    X509_NAME *subject;

    i->key = EVP_EC_gen("P-256");
    i->cert = X509_new();
    if (!i->key || !i->cert)
        return openssl_error(err, "certificate");
    if (!set_times(i, renew_at))
        return tp_error_set(err, -EINVAL, "the CA certificate has expired");
    subject = X509_get_subject_name(i->cert);
    if (X509_set_version(i->cert, X509_VERSION_3) != 1 ||
        !set_serial(i->cert) || X509_set_pubkey(i->cert, i->key) != 1 ||
        X509_set_issuer_name(i->cert, X509_get_subject_name(i->ca)) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)"tp-manager", -1, -1,
                                   0) != 1 ||
        !add_extension(i, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(i, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(i, NID_ext_key_usage, "serverAuth") ||
        !add_extension(i, NID_authority_key_identifier, "keyid,issuer") ||
        !add_names(i, names) ||
        X509_sign(i->cert, i->ca_key, digest_for(i->ca_key)) <= 0)
        return openssl_error(err, "certificate");
    return 0;
}

static char *take_text(BIO *bio)
{
    char *data = NULL, *text = NULL;
    long len = bio ? BIO_get_mem_data(bio, &data) : 0;

    if (len > 0)
        text = strndup(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static int write_pem(const struct issue *i, struct certificate *out,
                     struct tp_error *err)
{
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());

    if (!cert || !key || PEM_write_bio_X509(cert, i->cert) != 1 ||
        PEM_write_bio_PrivateKey(key, i->key, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(cert);
        BIO_free(key);
        return openssl_error(err, "certificate");
    }
    out->cert_pem = take_text(cert);
    out->key_pem = take_text(key);
    if (!out->cert_pem || !out->key_pem) {
        certificate_release(out);
        return tp_error_errno(err, -ENOMEM, "certificate");
    }
    return 0;
}

int certificate_issue(struct certificate *out, const char *ca_cert_pem,
                      const char *ca_key_pem, const char *const *names,
                      struct tp_error *err)
{
    struct issue i = {0};
    int rc;

    memset(out, 0, sizeof(*out));
    ERR_clear_error();
    rc = load_ca(&i, ca_cert_pem, ca_key_pem, err);
    if (rc == 0)
        rc = build(&i, names, &out->renew_at, err);
    if (rc == 0)
        rc = write_pem(&i, out, err);
    X509_free(i.ca);
    X509_free(i.cert);
    EVP_PKEY_free(i.ca_key);
    EVP_PKEY_free(i.key);
    return rc;
}

void certificate_release(struct certificate *c)
{
    free(c->cert_pem);
    secret_free(c->key_pem);
    memset(c, 0, sizeof(*c));
}
