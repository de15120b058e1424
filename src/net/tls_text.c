/*
 * tls_text.c - why TLS failed, in words for a person
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_internal.h"

void tls_text_attach(SSL *ssl, struct tls_text *text)
{
    SSL_set_app_data(ssl, (void *)text);
}

const char *tls_text_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return reason ? reason : "unknown error";
}

__attribute__((format(printf, 3, 4))) static void
append(char *text, size_t size, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text + used, size - used, fmt, ap);
    va_end(ap);
}

/* One subject alternative name, with anything unprintable made visible. */
static void append_name(char *text, size_t size, const GENERAL_NAME *name)
{
    const ASN1_STRING *value = NULL;
    const unsigned char *data;
    int len;

    if (name->type == GEN_DNS)
        value = name->d.dNSName;
    else if (name->type == GEN_IPADD)
        value = name->d.iPAddress;
    if (!value)
        return;
    data = ASN1_STRING_get0_data(value);
    len = ASN1_STRING_length(value);
    if (*text)
        append(text, size, ", ");
    if (name->type == GEN_IPADD && len == 4) {
        append(text, size, "%u.%u.%u.%u", data[0], data[1], data[2], data[3]);
    } else if (name->type == GEN_IPADD && len == 16) {
        for (int i = 0; i < 16; i += 2)
            append(text, size, "%s%x", i ? ":" : "",
                   (unsigned)data[i] << 8 | data[i + 1]);
    } else {
        for (int i = 0; i < len && i < 80; i++)
            append(text, size, "%c",
                   data[i] > ' ' && data[i] <= '~' ? data[i] : '?');
    }
}

/* "a, b, c" of the certificate's alternative names, cut at size. */
static void list_names(X509 *cert, char *text, size_t size)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    *text = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (strlen(text) > size / 2) {
            append(text, size, ", ...");
            break;
        }
        append_name(text, size, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    if (!*text)
        append(text, size, "no name");
}

/* "2026-01-31 12:00 UTC" */
static const char *format_time(const ASN1_TIME *when, char text[32])
{
    struct tm tm;

    if (!when || ASN1_TIME_to_tm(when, &tm) != 1 ||
        strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        return "an unknown date";
    return text;
}

static void explain_cert(struct tls_text *t, const char *whose, int error,
                         X509 *cert)
{
    char detail[TLS_TEXT_SIZE / 2];
    char when[32];

    t->code = -EKEYREJECTED;
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        list_names(cert, detail, sizeof(detail));
        snprintf(t->text, sizeof(t->text),
                 "%scertificate is for %s, not for %s", whose, detail,
                 t->name ? t->name : "this host");
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        t->code = -EKEYEXPIRED;
        snprintf(t->text, sizeof(t->text), "%scertificate expired on %s", whose,
                 format_time(X509_get0_notAfter(cert), when));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        t->code = -EKEYEXPIRED;
        snprintf(t->text, sizeof(t->text),
                 "%scertificate is not valid before %s (is the clock right?)",
                 whose, format_time(X509_get0_notBefore(cert), when));
        break;
    default:
        snprintf(t->text, sizeof(t->text), "%scertificate is not trusted (%s)",
                 whose, X509_verify_cert_error_string(error));
    }
}

int tls_text_verify_cb(int ok, X509_STORE_CTX *store)
{
    SSL *ssl;
    struct tls_text *t;

    if (ok)
        return ok;
    ssl =
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    t = ssl ? SSL_get_app_data(ssl) : NULL;
    if (t)
        explain_cert(t, SSL_is_server(ssl) ? "the client's " : "",
                     X509_STORE_CTX_get_error(store),
                     X509_STORE_CTX_get_current_cert(store));
    return ok;
}

/* Reasons in OpenSSL's queue that deserve words of our own. */
static const struct {
    int reason;
    const char *text;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the peer does not speak TLS"},
    {SSL_R_HTTPS_PROXY_REQUEST, "the peer does not speak TLS"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "the peer does not speak TLS"},
    {SSL_R_BAD_RECORD_TYPE, "the peer does not speak TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks only TLS older than 1.2"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
     "the peer and we have no TLS version in common"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "the peer refused the handshake (no common cipher, or it wants a client "
     "certificate)"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
     "the peer wants a client certificate"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client sent no certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not trust our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
     "the peer does not accept our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
     "the peer does not accept our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
     "our certificate is expired, says the peer"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the peer does not serve that name"},
};

static const char *find_reason(unsigned long error)
{
    int reason = ERR_GET_REASON(error);

    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        if (reasons[i].reason == reason && ERR_GET_LIB(error) == ERR_LIB_SSL)
            return reasons[i].text;
    }
    return ERR_reason_error_string(error);
}

int tls_text_explain(struct tls_text *t, int io_error, bool eof)
{
    unsigned long error = ERR_peek_error();
    const char *text;
    int code = -EPROTO;

    ERR_clear_error();
    if (t->code) /* a certificate that we refused */
        return t->code;
    if (io_error) {
        code = io_error;
        text = strerror(-io_error);
    } else if (eof) {
        code = -ECONNRESET;
        text = "the peer closed the connection";
    } else {
        text = find_reason(error);
    }
    snprintf(t->text, sizeof(t->text), "%s", text ? text : "protocol error");
    return code;
}
