/*
 * The HTTP server's inner parts. http.c moves bytes and decides when, pages.c
 * decides what is answered, request.c understands the request's head.
 *
 * A connection handles one request after the other, in their order, however
 * many the client sends at once: while an answer is unfinished nothing more
 * is parsed, and while the buffer is full nothing more is read.
 */
#ifndef HTTP_H
#define HTTP_H

#include "app.h"
#include "sha256.h"

#define HEAD_MAX 16384
/* An answer with its head, but for what is sent as bulk; /headers answers
 * with all of the request's head. */
#define ANSWER_MAX (HEAD_MAX + 1024)
#define OUT_SIZE   (2 * ANSWER_MAX)

struct request {
    char method[8];
    char path[1024]; /* the target as the client wrote it */
    uint64_t body_size;
    bool keep_alive;
    bool wants_continue;
    bool chunked;
};

/* Understands the head at the begin of data. Returns its size, 0 when it is
 * not there to its end, -1 when it is none. */
ssize_t request_parse(struct request *request, const char *data, size_t size);

enum body_use {
    BODY_IGNORE,
    BODY_HASH,
    BODY_FILE, /* written to file */
};

struct connection {
    int fd;
    uint32_t events; /* what epoll waits for */
    char peer[ADDRESS_TEXT];
    char local[ADDRESS_TEXT];
    bool input_ended; /* the client has sent its FIN */

    struct request request;
    char head[HEAD_MAX]; /* the request's, as it came */
    size_t head_size;

    /* the request's body, which the answer waits for */
    bool in_body;
    uint64_t body_left;
    enum body_use body_use;
    struct sha256 hash;

    /* a pause before the answer */
    uint64_t wake_at; /* in ms of the monotonic clock; 0 when awake */
    struct connection *next_sleeper;

    /* what follows the answer's head: of a file, or else of the pattern */
    uint64_t bulk_left;
    uint64_t bulk_offset;
    int file; /* -1 when none */
    int file_error;

    bool close_after;
    size_t in_size;
    size_t out_size;
    char in[HEAD_MAX];
    char out[OUT_SIZE];
};

/* The request's head is there: sets what becomes of the body, and wake_at
 * where the answer shall wait. */
void pages_begin(struct connection *connection);

/* The body, if any, was taken: appends the answer to out, and sets bulk_left
 * for what is too large for it. */
void pages_answer(struct connection *connection);

uint64_t now_ms(void);

#endif
