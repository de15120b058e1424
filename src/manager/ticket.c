#include "manager/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"

#define PURPOSE "tp link ticket 1"
#define CODE    64 /* hex digits */

/* Clocks of nodes differ: what expires later than it could is no ticket. */
#define AHEAD_MAX (TICKET_SECONDS + 60)

int ticket_derive_key(uint8_t key[TICKET_KEY], const char *secret_pem)
{
    unsigned len = TICKET_KEY;

    if (!HMAC(EVP_sha256(), secret_pem, (int)strlen(secret_pem),
              (const unsigned char *)PURPOSE, strlen(PURPOSE), key, &len))
        return -EIO;
    return 0;
}

static int make_code(char code[CODE + 1], const uint8_t key[TICKET_KEY],
                     const char *text, size_t len)
{
    uint8_t mac[TICKET_KEY];
    unsigned mac_len = sizeof(mac);

    if (!HMAC(EVP_sha256(), key, TICKET_KEY, (const unsigned char *)text, len,
              mac, &mac_len))
        return -EIO;
    for (size_t i = 0; i < sizeof(mac); i++)
        snprintf(code + 2 * i, 3, "%02x", mac[i]);
    return 0;
}

static struct json_object *to_json(const struct ticket *t)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "user", t->who.user);
    json_put_str(obj, "uid", t->who.uid);
    json_object_object_add(obj, "groups", json_object_get(t->who.groups));
    json_object_object_add(obj, "extra", json_object_get(t->who.extra));
    json_put_str(obj, "ns", t->ns);
    json_put_str(obj, "name", t->name);
    json_put_int(obj, "expires", t->expires);
    return obj;
}

char *ticket_make(const uint8_t key[TICKET_KEY], const struct ticket *ticket,
                  struct tp_error *err)
{
    cleanup_json struct json_object *obj = to_json(ticket);
    const char *json =
        json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
    cleanup_free char *body = base64_encode(json, strlen(json));
    char code[CODE + 1], *text = NULL;

    if (body && strlen(body) + 1 + CODE > TICKET_MAX) {
        tp_error_set(err, -EMSGSIZE,
                     "the user is in too many groups for a ticket");
        return NULL;
    }
    if (!body || make_code(code, key, body, strlen(body)) < 0 ||
        asprintf(&text, "%s.%s", body, code) < 0) {
        tp_error_errno(err, -ENOMEM, "ticket");
        return NULL;
    }
    return text;
}

static bool is_genuine(const uint8_t key[TICKET_KEY], const char *text,
                       size_t body_len)
{
    char code[CODE + 1];

    return strlen(text + body_len + 1) == CODE &&
           make_code(code, key, text, body_len) == 0 &&
           CRYPTO_memcmp(code, text + body_len + 1, CODE) == 0;
}

/* The text is one that a manager wrote. */
static int take(struct ticket *t, struct json_object *obj)
{
    struct json_object *groups = json_get_array(obj, "groups");
    struct json_object *extra = json_get(obj, "extra");

    t->who.user = strdup(json_get_str(obj, "user", ""));
    t->who.uid = strdup(json_get_str(obj, "uid", ""));
    t->who.groups = groups ? json_object_get(groups) : json_object_new_array();
    t->who.extra = extra ? json_object_get(extra) : json_object_new_object();
    snprintf(t->ns, sizeof(t->ns), "%s", json_get_str(obj, "ns", ""));
    snprintf(t->name, sizeof(t->name), "%s", json_get_str(obj, "name", ""));
    t->expires = json_get_int(obj, "expires", 0);
    return t->who.user && *t->who.user && t->who.uid ? 0 : -EACCES;
}

int ticket_read(struct ticket *out, const uint8_t key[TICKET_KEY],
                const char *text, int64_t now, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    cleanup_free char *body = NULL, *json = NULL;
    const char *dot = strchr(text, '.');

    memset(out, 0, sizeof(*out));
    if (!dot || strlen(text) > TICKET_MAX ||
        !is_genuine(key, text, (size_t)(dot - text)))
        return tp_error_set(err, -EACCES, "the ticket is not one of ours");
    body = strndup(text, (size_t)(dot - text));
    json = body ? base64_decode_text(body) : NULL;
    obj = json ? json_parse_text(json, strlen(json), NULL) : NULL;
    if (!obj || take(out, obj) < 0)
        return tp_error_set(err, -EACCES, "the ticket cannot be read");
    if (out->expires <= now || out->expires > now + AHEAD_MAX)
        return tp_error_set(err, -EACCES, "the ticket is too old");
    return 0;
}

void ticket_release(struct ticket *ticket)
{
    identity_release(&ticket->who);
    memset(ticket, 0, sizeof(*ticket));
}
