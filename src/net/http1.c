/*
 * http1.c - a strict parser of HTTP/1.1 heads (RFC 9112)
 *
 * Two passes: find_end() looks for the empty line and refuses bytes that no
 * head may hold, so that garbage is found before it is complete; then the
 * copy is cut into strings line by line.
 */
#include "net/http1.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSION     "HTTP/1."
#define VERSION_LEN (sizeof(VERSION) - 1)

/* RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
    return c != 0 && (isalnum(c) || strchr("!#$%&'*+-.^_`|~", c)) && c < 0x80;
}

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        if (!is_token_char((unsigned char)*text))
            return false;
    }
    return true;
}

/* Visible US-ASCII only: what a request target may consist of at most. */
static bool is_visible(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

/* The length of the head, 0 (not complete) or -EBADMSG. */
static int find_end(const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = data[i];

        if (c == '\r') {
            if (i + 1 < len && data[i + 1] != '\n')
                return -EBADMSG;
        } else if (c == '\n') {
            if (i == 0 || data[i - 1] != '\r')
                return -EBADMSG;
            if (i >= 3 && data[i - 2] == '\n')
                return (int)i + 1;
            if (i == 1)
                return -EBADMSG; /* an empty first line */
        } else if ((c < ' ' && c != '\t') || c == 0x7f) {
            return -EBADMSG;
        }
    }
    return 0;
}

/* "HTTP/1.1" or "HTTP/1.0". Returns the minor version or -EBADMSG. */
static int parse_version(const char *text)
{
    if (strncmp(text, VERSION, VERSION_LEN) != 0)
        return -EBADMSG;
    text += VERSION_LEN;
    if ((text[0] != '0' && text[0] != '1') || text[1] != '\0')
        return -EBADMSG;
    return text[0] - '0';
}

/* Cuts the line at the next space; returns what follows, or NULL. */
static char *cut_word(char *line)
{
    char *space = strchr(line, ' ');

    if (!space)
        return NULL;
    *space = '\0';
    return space + 1;
}

/* Both return the minor version or -EBADMSG. */
static int parse_request_line(struct http1_head *head, char *line)
{
    char *target = cut_word(line);
    char *version = target ? cut_word(target) : NULL;

    if (!version || !is_token(line) || !is_visible(target))
        return -EBADMSG;
    head->method = line;
    head->target = target;
    return parse_version(version);
}

static int parse_status_line(struct http1_head *head, char *line)
{
    char *status = cut_word(line);
    char *reason = status ? cut_word(status) : NULL;

    if (!status || strlen(status) != 3)
        return -EBADMSG;
    for (int i = 0; i < 3; i++) {
        if (!isdigit((unsigned char)status[i]))
            return -EBADMSG;
    }
    head->status = atoi(status);
    if (head->status < 100 || head->status > 599)
        return -EBADMSG;
    /* "HTTP/1.1 200" without the second space exists in the wild. */
    head->reason = reason ? reason : status + 3;
    return parse_version(line);
}

static int parse_header(struct http1_head *head, char *line)
{
    struct http1_header *header = &head->headers[head->count];
    char *colon = strchr(line, ':');
    char *value, *end;

    if (!colon)
        return -EBADMSG;
    *colon = '\0';
    if (!is_token(line)) /* also: obs-fold, and a space before the colon */
        return -EBADMSG;
    value = colon + 1;
    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    if (head->count == HTTP1_MAX_HEADERS)
        return -EMSGSIZE;
    header->name = line;
    header->value = value;
    head->count++;
    return 0;
}

static int parse_length(const char *text, int64_t *length)
{
    int64_t n = 0;

    if (!*text)
        return -EBADMSG;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text) || n > INT64_MAX / 10 - 1)
            return -EBADMSG;
        n = n * 10 + (*text - '0');
    }
    *length = n;
    return 0;
}

/* What the headers say about the body and the connection, RFC 9112 6 and 9.3.
 * Anything that two readers could understand differently is refused. */
static int check_framing(struct http1_head *head, int minor)
{
    size_t lengths = http1_count(head, "Content-Length");
    size_t codings = http1_count(head, "Transfer-Encoding");

    head->content_length = -1;
    if (lengths + codings > 1 || http1_count(head, "Host") > 1)
        return -EBADMSG;
    if (codings == 1) {
        const char *coding = http1_get(head, "Transfer-Encoding");

        if (minor == 0 || strcasecmp(coding, "chunked") != 0)
            return -EBADMSG;
        head->chunked = true;
    }
    if (minor == 0)
        head->keep_alive = http1_has_token(head, "Connection", "keep-alive");
    else
        head->keep_alive = !http1_has_token(head, "Connection", "close");
    if (lengths == 0)
        return 0;
    return parse_length(http1_get(head, "Content-Length"),
                        &head->content_length);
}

/* Ends the line at *next; returns it and moves on. */
static char *next_line(char **next)
{
    char *line = *next;
    char *end = strstr(line, "\r\n");

    *end = '\0';
    *next = end + 2;
    return line;
}

static int parse_lines(struct http1_head *head, enum http1_kind kind)
{
    char *next = head->storage;
    char *line = next_line(&next);
    int minor, rc;

    if (kind == HTTP1_REQUEST)
        minor = parse_request_line(head, line);
    else
        minor = parse_status_line(head, line);
    if (minor < 0)
        return minor;
    for (line = next_line(&next); *line; line = next_line(&next)) {
        rc = parse_header(head, line);
        if (rc < 0)
            return rc;
    }
    return check_framing(head, minor);
}

int http1_parse(struct http1_head *head, enum http1_kind kind, const void *data,
                size_t len)
{
    size_t size = len < HTTP1_MAX_HEAD ? len : HTTP1_MAX_HEAD;
    size_t start = size < VERSION_LEN ? size : VERSION_LEN;
    int end, rc;

    /* Another protocol need not ever send an empty line. */
    if (kind == HTTP1_RESPONSE && memcmp(data, VERSION, start) != 0)
        return -EBADMSG;
    end = find_end(data, size);
    if (end < 0)
        return end;
    if (end == 0)
        return len < HTTP1_MAX_HEAD ? 0 : -EMSGSIZE;
    memset(head, 0, sizeof(*head));
    head->storage = malloc((size_t)end + 1);
    if (!head->storage)
        return -ENOMEM;
    memcpy(head->storage, data, (size_t)end);
    head->storage[end] = '\0';
    rc = parse_lines(head, kind);
    if (rc < 0) {
        http1_release(head);
        return rc;
    }
    return end;
}

void http1_release(struct http1_head *head)
{
    free(head->storage);
    memset(head, 0, sizeof(*head));
}

const char *http1_get(const struct http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    }
    return NULL;
}

size_t http1_count(const struct http1_head *head, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < head->count; i++)
        n += strcasecmp(head->headers[i].name, name) == 0;
    return n;
}

const char *http1_credentials(const struct http1_head *head, const char *name,
                              const char *scheme)
{
    const char *value = http1_get(head, name);
    size_t len = strlen(scheme);

    if (http1_count(head, name) != 1 || strncasecmp(value, scheme, len) != 0)
        return NULL;
    return value + len;
}

static bool list_has_token(const char *list, const char *token)
{
    size_t len = strlen(token);

    for (;;) {
        size_t n;

        list += strspn(list, " \t,");
        if (!*list)
            return false;
        n = strcspn(list, ",");
        if (strncasecmp(list, token, len) == 0 && n >= len &&
            strspn(list + len, " \t") == n - len)
            return true;
        list += n;
    }
}

bool http1_has_token(const struct http1_head *head, const char *name,
                     const char *token)
{
    for (size_t i = 0; i < head->count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0 &&
            list_has_token(head->headers[i].value, token))
            return true;
    }
    return false;
}
