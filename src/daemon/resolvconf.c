#include "daemon/resolvconf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BANNER "# by tp-daemon; the lines kept below are Docker's\n"
#define KEPT   "# tp: "

/* The whole file as a string, or NULL with errno. */
static char *read_file(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text;
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? strdup("") : NULL;
    text = calloc(1, RESOLVCONF_MAX + 1);
    if (!text)
        return NULL;
    n = read(fd, text, RESOLVCONF_MAX);
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* Docker's text out of a file of ours; a file that is not ours is all his. */
static char *extract_original(const char *text)
{
    size_t keep = strlen(KEPT), used = 0;
    char *out;

    if (strncmp(text, BANNER, strlen(BANNER)) != 0)
        return strdup(text);
    out = calloc(1, strlen(text) + 1);
    for (const char *line = text; out && *line;) {
        size_t len = strcspn(line, "\n");

        if (len >= keep && !strncmp(line, KEPT, keep)) {
            memcpy(out + used, line + keep, len - keep);
            used += len - keep;
            out[used++] = '\n';
        }
        line += len + (line[len] == '\n');
    }
    return out;
}

static void read_server(struct resolvconf *rc, char *value)
{
    char *ip = strtok(value, " \t\r");
    union sockaddr_any addr;

    if (ip)
        ip[strcspn(ip, "%")] = '\0'; /* a zone has no meaning here */
    if (!ip || rc->n_servers == RESOLVCONF_MAX_SERVERS ||
        sockaddr_parse(&addr, ip, 53) < 0)
        return;
    rc->servers[rc->n_servers++] = addr;
}

static int parse_original(struct resolvconf *rc)
{
    cleanup_free char *copy = strdup(rc->original);
    char *rest = copy;
    char *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        char *value = line + strcspn(line, " \t");

        if (!*value)
            continue;
        *value++ = '\0';
        value += strspn(value, " \t");
        if (!strcmp(line, "nameserver")) {
            read_server(rc, value);
        } else if (!strcmp(line, "search") || !strcmp(line, "domain")) {
            free(rc->search);
            rc->search = strdup(value);
        }
    }
    if (copy && !rc->search)
        rc->search = strdup("");
    return copy && rc->search ? 0 : -ENOMEM;
}

int resolvconf_read(struct resolvconf *rc, const char *path,
                    struct tp_error *err)
{
    cleanup_free char *text = read_file(path);

    memset(rc, 0, sizeof(*rc));
    if (!text)
        return tp_error_errno(err, -errno, "%s", path);
    rc->path = strdup(path);
    rc->original = extract_original(text);
    if (!rc->path || !rc->original || parse_original(rc) < 0) {
        resolvconf_release(rc);
        return tp_error_errno(err, -ENOMEM, "%s", path);
    }
    return 0;
}

void resolvconf_release(struct resolvconf *rc)
{
    free(rc->path);
    free(rc->original);
    free(rc->search);
    memset(rc, 0, sizeof(*rc));
}

static int write_file(const char *path, const char *text, struct tp_error *err)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    size_t len = strlen(text);

    if (fd < 0)
        return tp_error_errno(err, -errno, "%s", path);
    /* Cut afterwards: a reader never meets an empty file. */
    if (write(fd, text, len) != (ssize_t)len || ftruncate(fd, (off_t)len) < 0)
        return tp_error_errno(err, errno ? -errno : -EIO, "%s", path);
    return 0;
}

static void put_original(FILE *out, const char *original)
{
    for (const char *line = original; *line;) {
        size_t len = strcspn(line, "\n");

        fprintf(out, KEPT "%.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

int resolvconf_write(const struct resolvconf *rc,
                     const union sockaddr_any *server, const char *ns,
                     const char *domain, struct tp_error *err)
{
    cleanup_free char *text = NULL;
    cleanup_free char *now = read_file(rc->path);
    char ip[SOCKADDR_TEXT];
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return tp_error_errno(err, -errno, "%s", rc->path);
    fputs(BANNER, out);
    fprintf(out, "search %s.svc.%s svc.%s %s%s%s\n", ns, domain, domain, domain,
            *rc->search ? " " : "", rc->search);
    fprintf(out, "nameserver %s\noptions ndots:5\n",
            sockaddr_format_ip(server, ip));
    put_original(out, rc->original);
    if (fclose(out) != 0)
        return tp_error_errno(err, -ENOMEM, "%s", rc->path);
    if (now && !strcmp(now, text))
        return 0; /* nobody need read it again */
    return write_file(rc->path, text, err);
}

int resolvconf_restore(const struct resolvconf *rc, struct tp_error *err)
{
    cleanup_free char *now = read_file(rc->path);

    if (now && !strcmp(now, rc->original))
        return 0;
    return write_file(rc->path, rc->original, err);
}
