/*
 * websocket_key.c - the opening handshake's key, RFC 6455 4.1 and 4.2.2
 */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "net/websocket.h"

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

void websocket_make_key(char key[25])
{
    unsigned char random[16];

    /* The key need not be secret; all zero would work as well. */
    if (RAND_bytes(random, sizeof(random)) != 1)
        memset(random, 0, sizeof(random));
    EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
}

void websocket_make_accept(const char *key, char accept[29])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned len = 0;

    accept[0] = '\0';
    if (md && EVP_DigestInit_ex(md, EVP_sha1(), NULL) == 1 &&
        EVP_DigestUpdate(md, key, strlen(key)) == 1 &&
        EVP_DigestUpdate(md, guid, sizeof(guid) - 1) == 1 &&
        EVP_DigestFinal_ex(md, hash, &len) == 1)
        EVP_EncodeBlock((unsigned char *)accept, hash, (int)len);
    EVP_MD_CTX_free(md);
}
