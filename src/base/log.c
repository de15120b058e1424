#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

/* The one piece of process-wide state: which lines are wanted, and by whom. */
static enum log_level max_level = LOG_INFO;
static log_tap_cb *tap_cb;
static void *tap_arg;

void log_set_level(enum log_level level)
{
    max_level = level;
}

void log_set_tap(log_tap_cb *cb, void *arg)
{
    tap_cb = cb;
    tap_arg = arg;
}

int log_parse_level(const char *name, enum log_level *level)
{
    for (unsigned i = 0; i <= LOG_DEBUG; i++) {
        if (!strcmp(name, level_names[i])) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static void escape_controls(char *text)
{
    for (char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c < 0x20 || c == 0x7f)
            *p = '?';
    }
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[1024], stamp[32], line[1100];
    struct timespec now;
    struct tm tm;
    va_list ap;

    if (level > max_level)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    escape_controls(text);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(line, sizeof(line), "%s.%03ldZ %s %s", stamp,
             now.tv_nsec / 1000000, level_names[level], text);
    fprintf(stderr, "%s\n", line);
    if (tap_cb)
        tap_cb(tap_arg, line);
}

void log_json(struct json_object *obj)
{
    fprintf(stderr, "%s\n",
            json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN));
}
