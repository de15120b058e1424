#include "manager/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manager/files.h"
#include "manager/options.h"
#include "manager/server.h"
#include "net/tls.h"

static bool same(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

/* The names under which the API server and clients know the Service. */
static int issue(struct certificate *cert, const struct options *o,
                 const char *ca_cert, const char *ca_key, struct tp_error *err)
{
    char svc[160], ns[160], full[160];
    const char *names[] = {svc, ns, full, o->service, NULL};

    snprintf(svc, sizeof(svc), "%.63s.%.63s.svc", o->service, o->ns);
    snprintf(ns, sizeof(ns), "%.63s.%.63s", o->service, o->ns);
    snprintf(full, sizeof(full), "%.63s.%.63s.svc.cluster.local", o->service,
             o->ns);
    return certificate_issue(cert, ca_cert, ca_key, names, err);
}

static void replace(char **where, char *with)
{
    secret_free(*where);
    *where = with;
}

/* Takes the two texts over. */
static int use_ca(struct credentials *c, const struct options *o, char *cert,
                  char *key, struct tp_error *err)
{
    struct certificate fresh;
    int rc = issue(&fresh, o, cert, key, err);

    if (rc < 0) {
        secret_free(cert);
        secret_free(key);
        return rc;
    }
    replace(&c->source_cert, cert);
    replace(&c->source_key, key);
    replace(&c->cert_pem, fresh.cert_pem);
    replace(&c->key_pem, fresh.key_pem);
    c->renew_at = fresh.renew_at;
    return 1;
}

static int use_files(struct credentials *c, char *cert, char *key)
{
    replace(&c->cert_pem, cert);
    replace(&c->key_pem, key);
    c->renew_at = 0;
    return 1;
}

int credentials_refresh(struct credentials *c, const struct options *o,
                        struct tp_error *err)
{
    char *cert = file_read_text(o->ca_cert ? o->ca_cert : o->tls_cert, err);
    char *key =
        cert ? file_read_text(o->ca_cert ? o->ca_key : o->tls_key, err) : NULL;
    bool unchanged, due = c->renew_at && time(NULL) >= c->renew_at;

    if (!key) {
        secret_free(cert);
        return err->code;
    }
    unchanged = o->ca_cert
                    ? same(cert, c->source_cert) && same(key, c->source_key)
                    : same(cert, c->cert_pem) && same(key, c->key_pem);
    if (!unchanged || due)
        return o->ca_cert ? use_ca(c, o, cert, key, err)
                          : use_files(c, cert, key);
    secret_free(cert);
    secret_free(key);
    return 0;
}

int credentials_serve(const struct credentials *c, struct server *server,
                      struct tls_ctx **tls, bool newest_only,
                      struct tp_error *err)
{
    struct tls_server_config config = {
        .cert_pem = c->cert_pem,
        .key_pem = c->key_pem,
        .newest_only = newest_only,
    };
    struct tls_ctx *fresh = tls_ctx_create_server(&config, err);

    if (!fresh)
        return err->code;
    server_set_tls(server, fresh, false);
    tls_ctx_destroy(*tls);
    *tls = fresh;
    return 0;
}

void credentials_release(struct credentials *c)
{
    secret_free(c->cert_pem);
    secret_free(c->key_pem);
    secret_free(c->source_cert);
    secret_free(c->source_key);
    memset(c, 0, sizeof(*c));
}
