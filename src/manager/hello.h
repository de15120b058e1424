/*
 * hello.h - the first request on a connection: which version do both speak?
 *
 * Who dialled says hello, but on an incoming link, where the manager does.
 */
#ifndef TP_MANAGER_HELLO_H
#define TP_MANAGER_HELLO_H

#include <stddef.h>

#define PROTOCOL_VERSION 1

struct json_object;

/* Reads the body of a hello of `peer` ("the client"). 200 with *hello, which
 * the caller puts; 400 or 409 with *answer, which the caller frees. */
int hello_read(const char *body, size_t len, const char *peer,
               struct json_object **hello, char **answer);
/* The start of a good answer: protocol and version. The caller owns it. */
struct json_object *hello_answer(void);

/* What the manager says when it is the one to say hello; the caller frees it.
 */
char *hello_build(void);
/* The answer to it: 0, or -EPROTO. */
int hello_check(int status, const char *body, size_t len);

/* For answers; the caller frees it. NULL if out of memory. */
char *hello_to_text(struct json_object *obj);

#endif
