/* The head of a request (RFC 9112), as far as the pages need it. */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_named(const char *line, size_t size, const char *name)
{
    size_t length = strlen(name);
    return size > length && line[length] == ':' &&
           strncasecmp(line, name, length) == 0;
}

/* Whether the header's value contains that word, in any case. */
static bool has_word(const char *line, size_t size, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= size; i++) {
        if (strncasecmp(line + i, word, length) == 0)
            return true;
    }
    return false;
}

static void take_header(struct request *request, const char *line, size_t size)
{
    if (is_named(line, size, "content-length"))
        request->body_size = strtoull(line + 15, NULL, 10);
    else if (is_named(line, size, "transfer-encoding"))
        request->chunked = has_word(line, size, "chunked");
    else if (is_named(line, size, "expect"))
        request->wants_continue = has_word(line, size, "100-continue");
    else if (is_named(line, size, "connection") &&
             has_word(line, size, "close"))
        request->keep_alive = false;
    else if (is_named(line, size, "connection") &&
             has_word(line, size, "keep-alive"))
        request->keep_alive = true;
}

static bool take_word(const char **at, const char *end, char *word, size_t room)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    size_t length = space ? (size_t)(space - *at) : 0;
    if (length == 0 || length >= room)
        return false;
    memcpy(word, *at, length);
    word[length] = '\0';
    *at = space + 1;
    return true;
}

static bool take_first_line(struct request *request, const char *at,
                            const char *end)
{
    *request = (struct request){0};
    if (!take_word(&at, end, request->method, sizeof(request->method)) ||
        !take_word(&at, end, request->path, sizeof(request->path)) ||
        end - at != 8 || memcmp(at, "HTTP/1.", 7) != 0)
        return false;
    request->keep_alive = at[7] != '0';
    return true;
}

ssize_t request_parse(struct request *request, const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    /* Who speaks TLS, say, would else wait for an answer for good. */
    if (size > 0 && (data[0] < 'A' || data[0] > 'Z'))
        return -1;
    if (!end)
        return 0;
    const char *line = data;
    const char *next = memmem(line, size, "\r\n", 2);
    if (!take_first_line(request, line, next))
        return -1;
    while (next != end) {
        line = next + 2;
        next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        take_header(request, line, (size_t)(next - line));
    }
    return end + 4 - data;
}
