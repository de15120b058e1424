/* vnat_text.c - virtual addresses in the values of variables */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/vnat.h"

/* Where an address begins: behind "scheme://", if there is that. */
static const char *skip_scheme(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

    return n > 0 && !strncmp(text + n, "://", 3) ? text + n + 3 : text;
}

/* Behind the address only a port and, in a URL, a path may follow. */
static bool is_rest(const char *rest, bool url)
{
    if (*rest == ':') {
        size_t n = strspn(rest + 1, "0123456789");

        if (n < 1 || n > 5)
            return false;
        rest += n + 1;
    }
    return !*rest || (url && strchr("/?#", *rest));
}

char *vnat_text(const struct vnat *v, const char *text)
{
    const char *start = skip_scheme(text), *end;
    bool url = start != text, bracket = *start == '[';
    char ip[SOCKADDR_TEXT], *out;
    union sockaddr_any addr;

    if (!v || v->n == 0)
        return NULL;
    start += bracket;
    end = start + strcspn(start, bracket ? "]" : ":/?#");
    if (!url && !bracket && strchr(end, ':') != strrchr(end, ':'))
        end = start + strlen(start); /* IPv6 by itself */
    if ((size_t)(end - start) >= sizeof(ip) || (bracket && *end != ']'))
        return NULL;
    snprintf(ip, sizeof(ip), "%.*s", (int)(end - start), start);
    if (sockaddr_parse(&addr, ip, 0) < 0 || !is_rest(end + bracket, url) ||
        !vnat_to_virtual(v, &addr))
        return NULL;
    if (asprintf(&out, "%.*s%s%s", (int)(start - text), text,
                 sockaddr_format_ip(&addr, ip), end) < 0)
        return NULL;
    return out;
}
