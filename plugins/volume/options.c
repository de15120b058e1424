#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define TEXT_LEN_MAX 1024
#define SECONDS_MAX  3600

enum kind { FLAG, TEXT, SECONDS };

static const struct option_row {
    const char *name;
    enum kind kind;
    size_t at;
} rows[] = {
#define AT(member) offsetof(struct volume_options, member)
    {"engagement", TEXT, AT(engagement)},
    {"mount", TEXT, AT(mount)},
    {"dir", TEXT, AT(dir)},
    {"ro", FLAG, AT(read_only)},
    {"daemon", TEXT, AT(daemon)},
    {"strict", FLAG, AT(strict)},
    {"async_names", FLAG, AT(async_names)},
    {"default_permissions", FLAG, AT(default_permissions)},
    {"timeout", SECONDS, AT(timeout)},
    {"attr_timeout", SECONDS, AT(attr_timeout)},
    {"control", FLAG, AT(control)},
#undef AT
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool volume_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= VOLUME_NAME_MAX && strchr(ALNUM, *name) &&
           strspn(name, ALNUM "_.-") == len;
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static int set_flag(bool *to, const char *value)
{
    if (!*value || !strcmp(value, "true") || !strcmp(value, "1"))
        *to = true;
    else if (strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return -EINVAL;
    return 0;
}

static int set_seconds(unsigned *to, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end || n < 1 || n > SECONDS_MAX)
        return -EINVAL;
    *to = (unsigned)n;
    return 0;
}

static int set_row(struct volume_options *o, const struct option_row *row,
                   const char *value)
{
    char *at = (char *)o + row->at;

    if (row->kind == FLAG)
        return set_flag((bool *)at, value);
    if (row->kind == SECONDS)
        return set_seconds((unsigned *)(void *)at, value);
    if (!*value || strlen(value) > TEXT_LEN_MAX || !is_plain(value))
        return -EINVAL;
    *(const char **)(void *)at = value;
    return 0;
}

static int set_option(struct volume_options *o, const char *key,
                      struct json_object *value, struct tp_error *err)
{
    char known[256] = "";

    for (size_t i = 0; i < N_ROWS; i++) {
        const char *text = json_get_str(value, "", NULL);

        if (strcmp(rows[i].name, key) != 0) {
            snprintf(known + strlen(known), sizeof(known) - strlen(known),
                     "%s%s", *known ? ", " : "", rows[i].name);
            continue;
        }
        if (!text || set_row(o, &rows[i], text) < 0)
            return tp_error_set(err, -EINVAL, "option %s: bad value '%.80s'",
                                key, text ? text : "");
        return 0;
    }
    return tp_error_set(err, -EINVAL, "unknown option '%.80s'; there are %s",
                        key, known);
}

/* One that does not lead out: no "..", not absolute. */
static bool is_below(const char *path)
{
    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && !strncmp(path, "..", 2))
            return false;
        path += len;
        path += strspn(path, "/");
    }
    return true;
}

static int check_control(const struct volume_options *o, const char *name,
                         struct json_object *opts, struct tp_error *err)
{
    size_t prefix = strlen(CONTROL_PREFIX);

    if (json_object_object_length(opts) != 1)
        return tp_error_set(err, -EINVAL,
                            "option control goes with no other option");
    if (o->control && (strncmp(name, CONTROL_PREFIX, prefix) != 0 ||
                       !volume_name_valid(name + prefix)))
        return tp_error_set(err, -EINVAL,
                            "a control volume is named " CONTROL_PREFIX
                            "DAEMON; tp connect makes it");
    return 0;
}

static int check(const struct volume_options *o, const char *name,
                 struct json_object *opts, struct tp_error *err)
{
    if (o->control)
        return check_control(o, name, opts, err);
    if (!strncmp(name, CONTROL_PREFIX, strlen(CONTROL_PREFIX)))
        return tp_error_set(err, -EINVAL,
                            "names that begin with " CONTROL_PREFIX
                            " are for tp connect");
    if (!o->engagement)
        return tp_error_set(err, -EINVAL,
                            "option engagement=NAME is missing (tp list shows "
                            "the names)");
    if (o->mount && (*o->mount != '/' || !is_below(o->mount)))
        return tp_error_set(err, -EINVAL,
                            "option mount: '%.80s' is no absolute path of the "
                            "engaged container",
                            o->mount);
    if (o->dir && (*o->dir == '/' || !is_below(o->dir)))
        return tp_error_set(err, -EINVAL,
                            "option dir: '%.80s' is no path below the mount",
                            o->dir);
    if (o->daemon && !volume_name_valid(o->daemon))
        return tp_error_set(err, -EINVAL,
                            "option daemon: '%.80s' is no container's name",
                            o->daemon);
    if (o->strict && o->async_names)
        return tp_error_set(err, -EINVAL,
                            "options strict and async_names exclude each "
                            "other");
    return 0;
}

static int parse(struct volume_options *o, const char *name,
                 struct json_object *opts, struct tp_error *err)
{
    memset(o, 0, sizeof(*o));
    if (!volume_name_valid(name))
        return tp_error_set(err, -EINVAL, "'%.80s' is no name for a volume",
                            name);
    if (opts && !json_object_is_type(opts, json_type_object))
        return tp_error_set(err, -EINVAL, "the options are no object");
    if (opts) {
        json_object_object_foreach(opts, key, value)
        {
            int rc = set_option(o, key, value, err);

            if (rc < 0)
                return rc;
        }
    }
    return check(o, name, opts, err);
}

/* The line repeats what was given, which may hold anything. */
int volume_options_parse(struct volume_options *o, const char *name,
                         struct json_object *opts, struct tp_error *err)
{
    int rc = parse(o, name, opts, err);

    for (char *p = rc < 0 ? err->text : ""; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return rc;
}
