#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tp_error_set(struct tp_error *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return code;
}

int tp_error_errno(struct tp_error *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        size_t used;

        va_start(ap, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        used = strlen(err->text);
        snprintf(err->text + used, sizeof(err->text) - used, ": %s",
                 strerror(-code));
        err->code = code;
    }
    return code;
}

int tp_error_wrap(struct tp_error *err, const char *fmt, ...)
{
    char inner[sizeof(err->text)];
    size_t used;
    va_list ap;

    if (!err)
        return -EINVAL;
    memcpy(inner, err->text, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    return err->code < 0 ? err->code : -EINVAL;
}
