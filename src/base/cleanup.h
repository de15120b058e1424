/*
 * cleanup.h - scope-bound release of plain resources
 *
 * `cleanup_free char *p = NULL;` frees at the end of the scope. Give a resource
 * away by setting the variable to NULL (or -1).
 */
#ifndef TP_BASE_CLEANUP_H
#define TP_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct json_object;
int json_object_put(struct json_object *obj);

static inline void tp_cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void tp_cleanup_close(const int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void tp_cleanup_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void tp_cleanup_json(struct json_object **obj)
{
    if (*obj)
        json_object_put(*obj);
}

/* Wipes and frees a text that nobody else should find. NULL is fine. */
static inline void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static inline void tp_cleanup_secret(char **text)
{
    secret_free(*text);
}

#define cleanup_free   __attribute__((cleanup(tp_cleanup_free)))
#define cleanup_secret __attribute__((cleanup(tp_cleanup_secret)))
#define cleanup_close  __attribute__((cleanup(tp_cleanup_close)))
#define cleanup_file   __attribute__((cleanup(tp_cleanup_file)))
#define cleanup_json   __attribute__((cleanup(tp_cleanup_json)))

#endif
