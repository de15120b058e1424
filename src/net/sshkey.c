#include "net/sshkey.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encoding.h"

#define TYPE      "ssh-ed25519"
#define KEY_BYTES 32
#define MAGIC     "openssh-key-v1" /* with its NUL */
#define BLOCK     8                /* of the cipher "none" */
#define TEXT_MAX  1024
#define LINE      70

/* What every public key of the type begins with in base64: TYPE's length, TYPE
 * and the key's length are 19 bytes, hence 25 whole characters. */
#define PUBLIC_HEAD  TYPE " AAAAC3NzaC1lZDI1NTE5AAAAI"
#define PUBLIC_CHARS 68 /* of 51 bytes */

static void put_u32(struct buf *b, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 8), (uint8_t)value};

    buf_append(b, bytes, sizeof(bytes));
}

/* RFC 4251 5 */
static void put_string(struct buf *b, const void *data, size_t len)
{
    put_u32(b, (uint32_t)len);
    if (len > 0)
        buf_append(b, data, len);
}

static void put_buf(struct buf *b, const struct buf *part)
{
    put_string(b, buf_head(part), buf_used(part));
}

static void wipe(struct buf *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->size);
    buf_release(b);
}

static void put_public(struct buf *b, const uint8_t *public)
{
    put_string(b, TYPE, strlen(TYPE));
    put_string(b, public, KEY_BYTES);
}

static void put_secret(struct buf *b, const uint8_t *public,
                       const uint8_t *secret)
{
    uint8_t both[2 * KEY_BYTES];
    uint32_t check = 0;

    RAND_bytes((uint8_t *)&check, sizeof(check));
    put_u32(b, check);
    put_u32(b, check);
    put_public(b, public);
    memcpy(both, secret, KEY_BYTES);
    memcpy(both + KEY_BYTES, public, KEY_BYTES);
    put_string(b, both, sizeof(both));
    OPENSSL_cleanse(both, sizeof(both));
    put_string(b, "", 0); /* comment */
    for (uint8_t i = 1; buf_used(b) % BLOCK != 0; i++)
        buf_append(b, &i, 1);
}

static char *armour(const struct buf *b)
{
    cleanup_secret char *text = base64_encode(buf_head(b), buf_used(b));
    char *out = calloc(1, TEXT_MAX);
    size_t used;

    if (!text || !out) {
        free(out);
        return NULL;
    }
    used = (size_t)sprintf(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0; at < strlen(text); at += LINE)
        used += (size_t)snprintf(out + used, TEXT_MAX - used, "%.*s\n", LINE,
                                 text + at);
    snprintf(out + used, TEXT_MAX - used,
             "-----END OPENSSH PRIVATE KEY-----\n");
    return out;
}

static char *private_text(const uint8_t *public, const uint8_t *secret)
{
    struct buf all, key, inner;
    char *out;

    buf_init(&all, TEXT_MAX);
    buf_init(&key, TEXT_MAX);
    buf_init(&inner, TEXT_MAX);
    put_public(&key, public);
    put_secret(&inner, public, secret);
    buf_append(&all, MAGIC, sizeof(MAGIC));
    put_string(&all, "none", 4); /* cipher */
    put_string(&all, "none", 4); /* its key */
    put_string(&all, "", 0);
    put_u32(&all, 1);
    put_buf(&all, &key);
    put_buf(&all, &inner);
    out = armour(&all);
    wipe(&inner);
    wipe(&all);
    buf_release(&key);
    return out;
}

static char *public_text(const uint8_t *public)
{
    cleanup_free char *text = NULL;
    struct buf key;
    char *out = NULL;

    buf_init(&key, TEXT_MAX);
    put_public(&key, public);
    text = base64_encode(buf_head(&key), buf_used(&key));
    buf_release(&key);
    if (!text || asprintf(&out, "%s %s", TYPE, text) < 0)
        return NULL;
    return out;
}

int sshkey_make(struct sshkey_pair *k, struct tp_error *err)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    uint8_t public[KEY_BYTES], secret[KEY_BYTES];
    size_t len = sizeof(public), secret_len = sizeof(secret);
    bool made = key && EVP_PKEY_get_raw_public_key(key, public, &len) == 1 &&
                EVP_PKEY_get_raw_private_key(key, secret, &secret_len) == 1;

    EVP_PKEY_free(key);
    *k = (struct sshkey_pair){0};
    if (!made)
        return tp_error_set(err, -EIO, "no ed25519 key could be made");
    k->public_line = public_text(public);
    k->private_pem = private_text(public, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (k->public_line && k->private_pem)
        return 0;
    sshkey_release(k);
    return tp_error_errno(err, -ENOMEM, "an ed25519 key");
}

void sshkey_release(struct sshkey_pair *k)
{
    free(k->public_line);
    secret_free(k->private_pem);
    *k = (struct sshkey_pair){0};
}

bool sshkey_is_public(const char *line)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
                                  "stuvwxyz0123456789+/";
    const char *text = line + strlen(TYPE " ");

    return !strncmp(line, PUBLIC_HEAD, strlen(PUBLIC_HEAD)) &&
           strspn(text, letters) == PUBLIC_CHARS && !text[PUBLIC_CHARS];
}
