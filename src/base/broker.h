/*
 * broker.h - connections to a file server, handed from one process to another
 *
 * A mount that is not to know where its server is asks a broker, over a pair of
 * sequenced-packet sockets, each time it needs a connection. The answer is a
 * connected socket (SCM_RIGHTS) with the host key to expect there and the
 * private key to show, or one line that says why there is none now. A request
 * is one byte; an answer is one packet of texts, each ended by NUL.
 */
#ifndef TP_BASE_BROKER_H
#define TP_BASE_BROKER_H

#define BROKER_PACKET_MAX 8192

/* fd -1: `error` says why. Release it in any case. */
struct broker_answer {
    int fd;
    char *hostkey, *key; /* owned; the key is wiped */
    char *error;
};

/* The mount's side. The socket may be non-blocking: -EAGAIN. -EPIPE: the broker
 * is gone; -EPROTO: what it says makes no sense. */
int broker_ask(int sock);
int broker_receive(int sock, struct broker_answer *out);
void broker_answer_release(struct broker_answer *a);

/* The broker's side; blocking. 1: a request; 0: nobody asks any more. */
int broker_wait(int sock);
/* The same, but the request stays until broker_wait() takes it. */
int broker_peek(int sock);
/* fd stays the caller's. */
int broker_give(int sock, int fd, const char *hostkey, const char *key);
int broker_refuse(int sock, const char *why);

#endif
