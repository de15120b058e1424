/* dial_config.c - a dial's own copy of what it was told */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/dial_internal.h"
#include "net/tls_internal.h"

static bool copy(struct dial_copy *to, const char **field)
{
    char *text;

    if (!*field)
        return true;
    text = strdup(*field);
    if (!text)
        return false;
    to->strings[to->string_count++] = text;
    *field = text;
    return true;
}

bool dial_copy_init(struct dial_copy *to, const struct dial_config *config)
{
    struct dial_config *c = &to->config;
    struct dial_proxy *p = &to->proxy;

    *c = *config;
    if (c->tls)
        tls_ctx_retain(c->tls);
    if (c->proxy) {
        *p = *c->proxy;
        c->proxy = p;
        if (p->tls_ctx)
            tls_ctx_retain(p->tls_ctx);
    }
    return copy(to, &c->host) && copy(to, &c->server_name) &&
           copy(to, &c->method) && copy(to, &c->path) &&
           copy(to, &c->upgrade) && copy(to, &c->headers) &&
           copy(to, &p->host) && copy(to, &p->authorization);
}

/* Nothing may add a line or a word to a request; NULL is fine. */
static bool is_word(const char *text)
{
    for (; text && *text; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

bool dial_copy_is_valid(const struct dial_copy *to)
{
    const struct dial_config *c = &to->config;
    const char *auth = to->proxy.authorization;

    if (c->method && (!c->path || !c->upgrade))
        return false;
    if (auth && strpbrk(auth, "\r\n"))
        return false;
    return is_word(c->host) && is_word(c->method) && is_word(c->path) &&
           is_word(c->upgrade) && is_word(to->proxy.host);
}

void dial_copy_release(struct dial_copy *to)
{
    /* headers and proxy authorization hold secrets */
    for (size_t i = 0; i < to->string_count; i++)
        secret_free(to->strings[i]);
    tls_ctx_destroy(to->config.tls);
    tls_ctx_destroy(to->proxy.tls_ctx);
}
