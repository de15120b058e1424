/*
 * socks5.h - messages of SOCKS version 5 (RFC 1928) and its password (RFC 1929)
 *
 * The server's side: parses what a client says, formats what it is told.
 * Parsers look at the first bytes of data and return how many of them the
 * message takes, 0 if it is not complete yet, or -EBADMSG if it is none.
 */
#ifndef TP_NET_SOCKS5_H
#define TP_NET_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sockaddr.h"

#define SOCKS5_VERSION  5
#define SOCKS5_TEXT     256 /* a name, a user or a password, with its NUL */
#define SOCKS5_HEAD_MAX 22  /* what is written before an address's datagram */

enum socks5_method {
    SOCKS5_METHOD_NONE = 0x00,
    SOCKS5_METHOD_PASSWORD = 0x02,
    SOCKS5_METHOD_REFUSED = 0xff,
};

enum socks5_command {
    SOCKS5_CONNECT = 1,
    SOCKS5_BIND = 2,
    SOCKS5_UDP_ASSOCIATE = 3,
};

/* REP, RFC 1928 6 */
enum socks5_reply {
    SOCKS5_SUCCEEDED = 0,
    SOCKS5_FAILED = 1,
    SOCKS5_NOT_ALLOWED = 2,
    SOCKS5_NET_UNREACHABLE = 3,
    SOCKS5_HOST_UNREACHABLE = 4,
    SOCKS5_REFUSED = 5,
    SOCKS5_TTL_EXPIRED = 6,
    SOCKS5_COMMAND_UNKNOWN = 7,
    SOCKS5_ADDRESS_UNKNOWN = 8,
};

struct socks5_target {
    uint8_t command;        /* of a request */
    char host[SOCKS5_TEXT]; /* a name, or the text of an address */
    uint16_t port;
};

/* Which of the methods that we know are offered. */
int socks5_parse_greeting(const void *data, size_t len, bool *none,
                          bool *password);
int socks5_parse_password(const void *data, size_t len, char user[SOCKS5_TEXT],
                          char password[SOCKS5_TEXT]);
/* -EAFNOSUPPORT for a type of address that is not known. */
int socks5_parse_request(const void *data, size_t len,
                         struct socks5_target *target);
/* The head of a whole datagram, RFC 1928 7; never 0. -EOPNOTSUPP for a
 * fragment. */
int socks5_parse_datagram(const void *data, size_t len,
                          struct socks5_target *target);

/* Writes a reply; addr may be NULL. Returns its length. */
size_t socks5_put_reply(uint8_t out[SOCKS5_HEAD_MAX], enum socks5_reply reply,
                        const union sockaddr_any *addr);
/* Writes the head of a datagram that came from addr. Returns its length. */
size_t socks5_put_datagram(uint8_t out[SOCKS5_HEAD_MAX],
                           const union sockaddr_any *addr);

/* For a negative errno of a connect; -EACCES is "not allowed". */
enum socks5_reply socks5_reply_of(int error);

#endif
