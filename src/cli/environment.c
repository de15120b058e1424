#include "cli/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"

#define TEXT_MAX (4U << 20)

const char *const environment_syntaxes[] = {"docker", "compose", "sh", "json",
                                            NULL};

bool environment_is_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.-";

    return *name && strchr(first, *name) && strspn(name, rest) == strlen(name);
}

size_t environment_count_odd(struct json_object *env)
{
    size_t n = 0;

    json_object_object_foreach(env, name, value)
    {
        (void)value;
        n += !environment_is_name(name);
    }
    return n;
}

static int put(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* Each character of `special` in value becomes what escape() says. */
static int put_escaped(struct buf *out, const char *value, const char *special,
                       const char *(*escape)(char c))
{
    while (*value) {
        size_t plain = strcspn(value, special);

        if (buf_append(out, value, plain) != 0)
            return -ENOMEM;
        value += plain;
        if (*value && put(out, escape(*value++)) != 0)
            return -ENOMEM;
    }
    return 0;
}

static const char *escape_sh(char c)
{
    (void)c;
    return "'\\''";
}

/* compose-go's dotenv: a double-quoted value knows these. */
static const char *escape_compose(char c)
{
    switch (c) {
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '$':
        return "$$";
    case '"':
        return "\\\"";
    default:
        return "\\\\";
    }
}

/* docker: a line is a variable. Shells know no '.' and '-' in names. */
bool environment_fits(const char *syntax, const char *name, const char *value)
{
    if (!strcmp(syntax, "docker"))
        return !strpbrk(value, "\r\n");
    return strcmp(syntax, "sh") != 0 || !strpbrk(name, ".-");
}

void environment_left_out(struct json_object *env, const char *syntax,
                          char *out, size_t size)
{
    size_t len = 0;

    *out = '\0';
    json_object_object_foreach(env, name, value)
    {
        if (environment_is_name(name) && len < size &&
            !environment_fits(syntax, name, json_object_get_string(value)))
            len += (size_t)snprintf(out + len, size - len, "%s%s",
                                    len ? ", " : "", name);
    }
}

static int put_docker(struct buf *out, const char *name, const char *value)
{
    return put(out, name) || put(out, "=") || put(out, value) || put(out, "\n");
}

static int put_compose(struct buf *out, const char *name, const char *value)
{
    return put(out, name) || put(out, "=\"") ||
           put_escaped(out, value, "\n\r$\"\\", escape_compose) ||
           put(out, "\"\n");
}

static int put_sh(struct buf *out, const char *name, const char *value)
{
    return put(out, "export ") || put(out, name) || put(out, "='") ||
           put_escaped(out, value, "'", escape_sh) || put(out, "'\n");
}

static int put_variable(struct buf *out, const char *syntax, const char *name,
                        const char *value, size_t *skipped)
{
    if (!environment_fits(syntax, name, value)) {
        (*skipped)++;
        return 0;
    }
    if (!strcmp(syntax, "docker"))
        return put_docker(out, name, value);
    if (!strcmp(syntax, "compose"))
        return put_compose(out, name, value);
    return put_sh(out, name, value);
}

static char *steal_text(struct buf *out)
{
    char *text = NULL;

    if (buf_append(out, "", 1) == 0)
        text = strdup((char *)buf_head(out));
    return text;
}

char *environment_format(struct json_object *env, const char *syntax,
                         size_t *skipped)
{
    struct buf out;
    char *text = NULL;
    int rc = 0;

    *skipped = 0;
    buf_init(&out, TEXT_MAX);
    if (!strcmp(syntax, "json")) {
        rc = put(&out, json_object_to_json_string_ext(
                           env, JSON_C_TO_STRING_PRETTY |
                                    JSON_C_TO_STRING_NOSLASHESCAPE)) ||
             put(&out, "\n");
    } else {
        json_object_object_foreach(env, name, value)
        {
            if (rc == 0 && environment_is_name(name))
                rc = put_variable(&out, syntax, name,
                                  json_object_get_string(value), skipped);
        }
    }
    if (rc == 0)
        text = steal_text(&out);
    buf_release(&out);
    return text;
}

int environment_write(const char *path, const char *text, struct tp_error *err)
{
    cleanup_free char *temporary = NULL;
    int fd, rc;

    if (!strcmp(path, "-")) {
        rc = file_write_all(STDOUT_FILENO, text, strlen(text));
        return rc < 0 ? tp_error_errno(err, rc, "standard output") : 0;
    }
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return tp_error_errno(err, -ENOMEM, "%s", path);
    }
    fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return tp_error_errno(err, -errno, "%s", path);
    rc = file_write_all(fd, text, strlen(text));
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0) {
        unlink(temporary);
        return tp_error_errno(err, rc, "%s", path);
    }
    return 0;
}
