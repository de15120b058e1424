/*
 * error.h - the one error contract of tp
 *
 * Synchronous functions that can fail take `struct tp_error *err` last and
 * return a negative errno value with `err` filled; `err` is untouched on
 * success and may be NULL where the caller only wants the number. Callers add
 * context with tp_error_wrap() on the way up; main() prints it once.
 * Event callbacks carry a negative errno instead. Only main() files exit().
 */
#ifndef TP_BASE_ERROR_H
#define TP_BASE_ERROR_H

struct tp_error {
    int code;       /* negative errno */
    char text[512]; /* one line for a person, without newline */
};

/* Fills err with "code" (a negative errno) and a text. Returns code, so that a
 * failure is one statement: return tp_error_set(err, -ENOENT, "no %s", name);
 */
int tp_error_set(struct tp_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As tp_error_set() with ": <strerror(code)>" appended. */
int tp_error_errno(struct tp_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<text>: " before what err says. Returns err's code (-EINVAL if err is
 * NULL or not set). */
int tp_error_wrap(struct tp_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
