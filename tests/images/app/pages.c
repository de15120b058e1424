/* What the HTTP server answers; README.md has the list. */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct page {
    const char *prefix; /* the path; with a "/" at its end what begins so */
    void (*begin)(struct connection *connection, const char *rest);
    void (*answer)(struct connection *connection, const char *rest);
};

static void add_head(struct connection *connection, int status, uint64_t size)
{
    int length = snprintf(
        connection->out + connection->out_size, OUT_SIZE - connection->out_size,
        "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
        "Content-Length: %llu\r\n%s\r\n",
        status, status < 400 ? "OK" : "Refused", (unsigned long long)size,
        connection->request.keep_alive ? "" : "Connection: close\r\n");
    connection->out_size += (size_t)length;
    connection->close_after = !connection->request.keep_alive;
}

static bool has_no_body(const struct connection *connection)
{
    return strcmp(connection->request.method, "HEAD") == 0;
}

static void answer_data(struct connection *connection, int status,
                        const char *data, size_t size)
{
    add_head(connection, status, size);
    if (has_no_body(connection))
        return;
    memcpy(connection->out + connection->out_size, data, size);
    connection->out_size += size;
}

__attribute__((format(printf, 3, 4))) static void
answer_text(struct connection *connection, int status, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    answer_data(connection, status, text, (size_t)length);
}

static void answer_about(struct connection *connection, const char *rest)
{
    static char host[128];
    const char *pod = getenv("POD_NAME");
    (void)rest;
    if (!*host)
        gethostname(host, sizeof(host) - 1);
    answer_text(connection, 200,
                "host: %s\npod: %s\nmethod: %s\npath: %s\npeer: %s\n"
                "local: %s\n",
                host, pod ? pod : "", connection->request.method,
                connection->request.path, connection->peer, connection->local);
}

/* The answer may not leave for so many milliseconds, 1000 if not given. */
static void begin_slow(struct connection *connection, const char *rest)
{
    uint64_t pause = *rest ? strtoull(rest, NULL, 10) : 1000;
    connection->wake_at = now_ms() + pause;
}

static void answer_health(struct connection *connection, const char *rest)
{
    (void)rest;
    answer_text(connection, 200, "ok\n");
}

static void answer_headers(struct connection *connection, const char *rest)
{
    (void)rest;
    answer_data(connection, 200, connection->head, connection->head_size);
}

/* /bytes/N or /bytes/N?offset=M */
static void answer_bytes(struct connection *connection, const char *rest)
{
    const char *offset = strstr(rest, "?offset=");
    uint64_t size = strtoull(rest, NULL, 10);
    add_head(connection, 200, size);
    if (has_no_body(connection))
        return;
    connection->bulk_left = size;
    connection->bulk_offset = offset ? strtoull(offset + 8, NULL, 10) : 0;
}

static void begin_hash(struct connection *connection, const char *rest)
{
    (void)rest;
    connection->body_use = BODY_HASH;
    sha256_init(&connection->hash);
}

static void answer_hash(struct connection *connection, const char *rest)
{
    char text[SHA256_TEXT];
    (void)rest;
    sha256_finish(&connection->hash, text);
    answer_text(connection, 200, "%s\n", text);
}

static void answer_observed(struct connection *connection, const char *rest)
{
    char text[128];
    if (ledger_get(rest, text, sizeof(text)))
        answer_text(connection, 200, "%s", text);
    else
        answer_text(connection, 404, "nobody sent the label %s\n", rest);
}

static void answer_status(struct connection *connection, const char *rest)
{
    int status = atoi(rest);
    if (status < 200 || status > 599)
        status = 400;
    answer_text(connection, status, "status %d\n", status);
}

static void answer_environment(struct connection *connection, const char *rest)
{
    const char *value = getenv(rest);
    if (value)
        answer_text(connection, 200, "%.1900s\n", value);
    else
        answer_text(connection, 404, "%s is not set\n", rest);
}

/* /file/PATH: what is in the container has no shell to look with. */
static void begin_file(struct connection *connection, const char *rest)
{
    int flags = O_RDONLY;
    if (strcmp(connection->request.method, "PUT") == 0) {
        connection->body_use = BODY_FILE;
        flags = O_WRONLY | O_CREAT | O_TRUNC;
    }
    connection->file = open(rest - 1, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    if (connection->file < 0) {
        connection->file_error = errno;
        connection->body_use = BODY_IGNORE;
    }
}

static void answer_file(struct connection *connection, const char *rest)
{
    struct stat status;
    if (connection->file < 0) {
        answer_text(connection, 404, "%s: %s\n", rest - 1,
                    strerror(connection->file_error));
        return;
    }
    bool is_file =
        fstat(connection->file, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && connection->body_use != BODY_FILE &&
        !has_no_body(connection)) {
        add_head(connection, 200, (uint64_t)status.st_size);
        connection->bulk_left = (uint64_t)status.st_size;
        if (connection->bulk_left > 0)
            return; /* closed when it was sent */
    } else {
        answer_data(connection, is_file ? 200 : 404, "", 0);
    }
    close(connection->file);
    connection->file = -1;
}

static const struct page pages[] = {
    {"/bytes/", NULL, answer_bytes},
    {"/env/", NULL, answer_environment},
    {"/file/", begin_file, answer_file},
    {"/hash", begin_hash, answer_hash},
    {"/headers", NULL, answer_headers},
    {"/healthz", NULL, answer_health},
    {"/observed/", NULL, answer_observed},
    {"/slow", begin_slow, answer_about},
    {"/slow/", begin_slow, answer_about},
    {"/status/", NULL, answer_status},
    {"/", NULL, answer_about}, /* whatever else there is */
};

static const struct page *find_page(const char *path, const char **rest)
{
    const struct page *page = pages;
    for (;; page++) {
        size_t length = strlen(page->prefix);
        if (strncmp(path, page->prefix, length) != 0)
            continue;
        *rest = path + length;
        if (page->prefix[length - 1] == '/' || **rest == '\0')
            return page;
    }
}

void pages_begin(struct connection *connection)
{
    const char *rest;
    const struct page *page;
    if (connection->request.path[0] != '/')
        strcpy(connection->request.path, "/");
    page = find_page(connection->request.path, &rest);
    connection->body_use = BODY_IGNORE;
    if (page->begin)
        page->begin(connection, rest);
}

void pages_answer(struct connection *connection)
{
    const char *rest;
    if (connection->request.chunked) {
        connection->request.keep_alive = false;
        answer_text(connection, 411, "a Content-Length is needed\n");
        return;
    }
    find_page(connection->request.path, &rest)->answer(connection, rest);
}
