#include "agent/logring.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"

struct logring {
    struct buf lines;
};

static void drop_line(struct buf *b)
{
    uint8_t *end = memchr(buf_head(b), '\n', buf_used(b));

    buf_consume(b, end ? (size_t)(end - buf_head(b)) + 1 : buf_used(b));
}

static void tap_cb(void *arg, const char *line)
{
    struct logring *r = arg;
    size_t len = strlen(line);

    while (buf_used(&r->lines) > 0 && buf_room(&r->lines) < len + 1)
        drop_line(&r->lines);
    if (buf_append(&r->lines, line, len) < 0 ||
        buf_append(&r->lines, "\n", 1) < 0)
        buf_release(&r->lines); /* out of memory: better no half lines */
}

struct logring *logring_create(void)
{
    struct logring *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    buf_init(&r->lines, LOGRING_SIZE);
    log_set_tap(tap_cb, r);
    return r;
}

void logring_destroy(struct logring *r)
{
    if (!r)
        return;
    log_set_tap(NULL, NULL);
    buf_release(&r->lines);
    free(r);
}

char *logring_text(const struct logring *r)
{
    size_t len = buf_used(&r->lines);
    char *text = malloc(len + 1);

    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = buf_head(&r->lines)[i];

        text[i] = (char)(c < 0x80 ? c : '?');
    }
    text[len] = '\0';
    return text;
}
