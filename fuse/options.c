#include "fuse/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { FLAG, TEXT, SECONDS, NUMBER, DIRECTPORT, FDS, IGNORED };

/* One row an option of -o: also what --help prints. */
static const struct option_row {
    const char *name;
    enum kind kind;
    size_t at;
    const char *help; /* NULL: not shown */
} rows[] = {
#define AT(member) offsetof(struct mount_options, member)
    {"directport", DIRECTPORT, 0, "=PORT  SFTP without SSH, on HOST:PORT"},
    {"port", TEXT, AT(port), "=PORT  of SSH (22)"},
    {"socket", TEXT, AT(socket), "=PATH  a unix socket instead of HOST"},
    {"fd", FDS, 0, "=N[:M]  inherited sockets instead of HOST"},
    {"broker_fd", NUMBER, AT(broker_fd),
     "=N  an inherited socket where connections and keys are asked for"},
    {"ready_fd", NUMBER, AT(ready_fd),
     "=N  with -f: a zero byte is written there once it is mounted"},
    {"no_unmount", FLAG, AT(no_unmount),
     "  who starts it unmounts, and sends SIGTERM if it is still in use"},
    {"raw", FLAG, AT(raw), "  no SSH on what socket= or fd= names"},
    {"identity", TEXT, AT(identity), "=FILE  the private key"},
    {"identity_fd", NUMBER, AT(identity_fd), "=N  read it from there instead"},
    {"hostkey", TEXT, AT(hostkey),
     "=KEY  the server's: SHA256:... or TYPE BASE64"},
    {"known_hosts", TEXT, AT(known_hosts), "=FILE  where to look for it"},
    {"ro", FLAG, AT(read_only), "  read only"},
    {"rw", IGNORED, 0, NULL},
    {"nosuid", IGNORED, 0, NULL}, /* always */
    {"nodev", IGNORED, 0, NULL},
    {"allow_other", FLAG, AT(allow_other),
     "  other users may use it (root: always)"},
    {"default_permissions", FLAG, AT(default_permissions),
     "  the kernel checks modes, not only the server"},
    {"strict", FLAG, AT(strict), "  nothing is kept or written later"},
    {"async_names", FLAG, AT(async_names),
     "  create, remove and rename do not wait; errors come at close or in the "
     "log"},
    {"follow_outside", FLAG, AT(follow_outside),
     "  show symbolic links that leave the mount"},
    {"no_setid", FLAG, AT(no_setid),
     "  do not show set-user-ID and set-group-ID bits of files"},
    {"timeout", SECONDS, AT(timeout),
     "=SECONDS  how long a lost link is waited for (30)"},
    {"attr_timeout", SECONDS, AT(attr_timeout),
     "=SECONDS  how long attributes and names are kept (3)"},
    {"fsname", TEXT, AT(fsname), "=TEXT  what mount(8) shows"},
    {"debug", FLAG, AT(debug), "  log much; stay in the foreground"},
#undef AT
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void mount_options_help(void)
{
    puts("usage: tp-mount [-f] [-o OPTION,...] [USER@]HOST:[PATH] MOUNTPOINT\n"
         "       tp-mount --help | --version\n\n"
         "Mounts a directory of an SFTP server. Unmount: fusermount3 -u "
         "MOUNTPOINT\n\n  -f, --foreground\n  -o OPTION,...");
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].help)
            printf("     %s%s\n", rows[i].name, rows[i].help);
}

static int parse_number(const char *text, long min, long max, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return errno || end == text || *end || *out < min || *out > max ? -EINVAL
                                                                    : 0;
}

static int set_text(char **to, const char *text)
{
    free(*to);
    *to = strdup(text);
    return *to ? 0 : -ENOMEM;
}

static int set_fds(struct mount_options *o, char *value)
{
    char *save = NULL;

    o->n_fds = 0;
    for (char *p = strtok_r(value, ":", &save); p;
         p = strtok_r(NULL, ":", &save)) {
        long fd;

        if (o->n_fds == MOUNT_FDS || parse_number(p, 3, INT_MAX, &fd) < 0)
            return -EINVAL;
        o->fds[o->n_fds++] = (int)fd;
    }
    return o->n_fds ? 0 : -EINVAL;
}

static int set_value(struct mount_options *o, const struct option_row *row,
                     char *value)
{
    char *at = (char *)o + row->at;
    long number;

    switch (row->kind) {
    case TEXT:
        return set_text((char **)(void *)at, value);
    case SECONDS:
        if (parse_number(value, 1, 3600, &number) < 0)
            return -EINVAL;
        *(unsigned *)(void *)at = (unsigned)number;
        return 0;
    case NUMBER:
        if (parse_number(value, 3, INT_MAX, &number) < 0)
            return -EINVAL;
        *(int *)(void *)at = (int)number;
        return 0;
    case DIRECTPORT:
        if (parse_number(value, 1, 65535, &number) < 0)
            return -EINVAL;
        o->raw = true;
        return set_text(&o->port, value);
    case FDS:
        return set_fds(o, value);
    case FLAG:
    case IGNORED:
        break;
    }
    return -EINVAL;
}

static int set_option(struct mount_options *o, char *text, struct tp_error *err)
{
    char *value = strchr(text, '=');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < N_ROWS; i++) {
        bool flag = rows[i].kind == FLAG || rows[i].kind == IGNORED;

        if (strcmp(rows[i].name, text) != 0)
            continue;
        if (flag != !value)
            return tp_error_set(err, -EINVAL, "option '%s' %s value", text,
                                flag ? "takes no" : "needs a");
        if (rows[i].kind == FLAG)
            *(bool *)((char *)o + rows[i].at) = true;
        else if (value && set_value(o, &rows[i], value) < 0)
            return tp_error_set(err, -EINVAL, "option '%s': bad value '%s'",
                                text, value);
        return 0;
    }
    return tp_error_set(
        err, -EINVAL, "unknown option '%s'; tp-mount --help lists them", text);
}

static int set_options(struct mount_options *o, const char *list,
                       struct tp_error *err)
{
    char *copy = strdup(list), *save = NULL;
    int rc = copy ? 0 : -ENOMEM;

    for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p && rc == 0;
         p = strtok_r(NULL, ",", &save))
        rc = set_option(o, p, err);
    free(copy);
    return rc;
}

/* [USER@]HOST:[PATH]; an IPv6 address is in brackets. */
static int set_source(struct mount_options *o, const char *text,
                      struct tp_error *err)
{
    const char *slash = strchr(text, '/'), *at = strchr(text, '@');
    const char *host = at && (!slash || at < slash) ? at + 1 : text;
    const char *end = *host == '[' ? strchr(host, ']') : host, *colon;

    colon = end ? strchr(end, ':') : NULL;
    if (!colon || (slash && slash < colon))
        return tp_error_set(err, -EINVAL, "'%s' is not [USER@]HOST:[PATH]",
                            text);
    if (host > text)
        o->user = strndup(text, (size_t)(host - text - 1));
    if (*host == '[')
        o->host = strndup(host + 1, (size_t)(end - host - 1));
    else
        o->host = strndup(host, (size_t)(colon - host));
    o->path = strdup(colon[1] ? colon + 1 : ".");
    if (o->path && o->host && strlen(o->path) > 1024)
        return tp_error_set(err, -EINVAL, "the path is longer than 1024 bytes");
    return o->host && o->path ? 0 : -ENOMEM;
}

static int set_defaults(struct mount_options *o)
{
    memset(o, 0, sizeof(*o));
    o->identity_fd = -1;
    o->broker_fd = -1;
    o->ready_fd = -1;
    o->timeout = 30;
    o->attr_timeout = 3;
    return 0;
}

static int check(struct mount_options *o, struct tp_error *err)
{
    const struct passwd *pw = getpwuid(geteuid());

    if (o->n_fds == 0 && !o->socket && o->broker_fd < 0 && !*o->host)
        return tp_error_set(err, -EINVAL, "no host before ':'");
    if ((o->n_fds > 0) + (o->socket != NULL) + (o->broker_fd >= 0) > 1)
        return tp_error_set(err, -EINVAL,
                            "give one of socket=, fd= and broker_fd=");
    if (o->broker_fd >= 0 && o->raw)
        return tp_error_set(err, -EINVAL, "broker_fd= is SSH: not with raw");
    if (!o->user)
        o->user = strdup(pw ? pw->pw_name : "root");
    if (!o->port)
        o->port = strdup("22");
    if (!o->fsname &&
        asprintf(&o->fsname, "%s:%s", *o->host ? o->host : "tp", o->path) < 0)
        o->fsname = NULL;
    if (geteuid() == 0)
        o->allow_other = true;
    if (o->debug)
        o->foreground = true;
    return o->user && o->port && o->fsname ? 0 : -ENOMEM;
}

static int set_arguments(struct mount_options *o, int argc, char **argv,
                         struct tp_error *err)
{
    int rc;

    if (argc != 2)
        return tp_error_set(err, -EINVAL,
                            "expected [USER@]HOST:[PATH] MOUNTPOINT; see "
                            "tp-mount --help");
    rc = set_source(o, argv[0], err);
    if (rc < 0)
        return rc;
    o->mountpoint = realpath(argv[1], NULL);
    if (!o->mountpoint)
        return tp_error_errno(err, -errno, "mountpoint '%s'", argv[1]);
    return check(o, err);
}

int mount_options_parse(struct mount_options *o, int argc, char **argv,
                        struct tp_error *err)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"foreground", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int rc = set_defaults(o), opt;

    opterr = 0;
    while (rc == 0 &&
           (opt = getopt_long(argc, argv, "fhVo:", longs, NULL)) != -1) {
        if (opt == 'o')
            rc = set_options(o, optarg, err);
        else if (opt == 'f')
            o->foreground = true;
        else if (opt == 'h')
            o->help = true;
        else if (opt == 'V')
            o->version = true;
        else
            rc = tp_error_set(err, -EINVAL, "unknown option '%s'",
                              argv[optind - 1]);
    }
    if (rc < 0 || o->help || o->version)
        return rc;
    return set_arguments(o, argc - optind, argv + optind, err);
}

void mount_options_release(struct mount_options *o)
{
    char *const texts[] = {
        o->user,       o->host,     o->path,    o->port,        o->socket,
        o->mountpoint, o->identity, o->hostkey, o->known_hosts, o->fsname};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
}
