/*
 * The server side of the end-to-end tests and benchmarks: one static program
 * that answers in all the ways in which a peer can. README.md lists the
 * ports and what each does.
 *
 * Errors at start end the program with a message; errors of one connection
 * end that connection.
 */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Bulk data moves in pieces of this size. */
#define BULK_SIZE (256 * 1024)

/* An address with its port as text: "10.42.0.7:8080", "[fd00::7]:8080". */
#define ADDRESS_TEXT 64

/* net.c: sockets */

/* From now on sockets are bound to that IPv4 address only. */
void net_bind_to(const char *address);

/* A listening or bound socket on all addresses, IPv6 and IPv4. Several
 * threads may each open one of the same port. */
int net_listen(int type, uint16_t port);

/* Writes all of it, however long that takes; false when the peer is gone. */
bool net_write_all(int fd, const void *data, size_t size);

void net_address_text(const struct sockaddr_storage *address, char *text);
void net_peer_text(int fd, char *text);
void net_local_text(int fd, char *text);

/* Ends the program. */
_Noreturn void fail(const char *what);

/* Runs a thread that nobody waits for; -1 when there is none to be had. */
int start_thread(void *(*run)(void *), void *argument);

/* pattern.c: the bytes of /bytes and of the source port. Byte number I is
 * the same in every run; see README.md for how to compute it. */

void pattern_init(void);

/* Up to *size bytes from that offset on; *size becomes how many they are,
 * which is never 0. The bytes stay valid for good. */
const void *pattern_at(uint64_t offset, size_t *size);

/* ledger.c: how the connections to the observe port ended. Any thread may
 * call these. A label's later connection replaces the earlier. */

void ledger_set(const char *label, const char *end, uint64_t bytes);

/* False when nobody used that label. */
bool ledger_get(const char *label, char *text, size_t size);

/* The servers. Each starts its own threads and returns. */

void http_start(uint16_t port);
void udp_start(uint16_t port);

/* Handles one connection in a thread of its own and may take its time; the
 * caller closes fd. */
typedef void tcp_handler(int fd);

void tcp_start(uint16_t port, tcp_handler *handler);

tcp_handler tcp_echo, tcp_source, tcp_sink, tcp_banner, tcp_reset, tcp_observe,
    tcp_hang;

#endif
