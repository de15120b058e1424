#include "manager/gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/discovery.h"

#define PREFIX      "/apis/" API_GROUP "/" API_VERSION "/namespaces/"
#define SESSION_MIN 26
#define SESSION_MAX 63

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* RFC 1123 label. */
static bool is_label(const char *text, size_t len)
{
    if (len == 0 || len > 63 || text[0] == '-' || text[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_name_char(text[i]))
            return false;
    }
    return true;
}

static bool is_session_name(const char *text, size_t len)
{
    if (len < SESSION_MIN || len > SESSION_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_name_char(text[i]))
            return false;
    }
    return true;
}

/* The part up to the next slash; *text moves behind it. */
static size_t next_part(const char **text, const char **part)
{
    size_t len = strcspn(*text, "/");

    *part = *text;
    *text += len;
    if (**text == '/')
        (*text)++;
    return len;
}

int gate_parse_path(struct gate_path *out, const char *path,
                    struct tp_error *err)
{
    const char *part;
    size_t len;

    memset(out, 0, sizeof(*out));
    if (strncmp(path, PREFIX, strlen(PREFIX)) != 0)
        return -ENOENT;
    path += strlen(PREFIX);
    len = next_part(&path, &part);
    if (!is_label(part, len))
        return tp_error_set(err, -EINVAL, "the namespace is no DNS label");
    memcpy(out->ns, part, len);
    len = next_part(&path, &part);
    if (len != strlen("connections") || memcmp(part, "connections", len) != 0)
        return -ENOENT;
    if (!*path)
        return 0;
    len = next_part(&path, &part);
    if (!is_session_name(part, len))
        return tp_error_set(err, -EINVAL,
                            "the session's name must be %d to %d characters "
                            "of a-z, 0-9 and -",
                            SESSION_MIN, SESSION_MAX);
    memcpy(out->name, part, len);
    if (!strcmp(path, "portforward"))
        out->portforward = true;
    else if (*path)
        return -ENOENT;
    return 0;
}
