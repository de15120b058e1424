/*
 * log.h - log lines on standard error
 *
 * One line per event: "<level> <text>"; control characters are escaped, so
 * bytes of a peer cannot forge a line or steer a terminal. Never log tokens,
 * keys, header values or variables.
 */
#ifndef TP_BASE_LOG_H
#define TP_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped. Called once by main(). */
void log_set_level(enum log_level level);

/* Parses "error", "warn", "info", "debug". Returns 0 or -EINVAL. */
int log_parse_level(const char *name, enum log_level *level);

void log_write(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Gets each line that is written as well, with its time, without newline. Must
 * not log itself. NULL: nobody. */
typedef void log_tap_cb(void *arg, const char *line);
void log_set_tap(log_tap_cb *cb, void *arg);

/* A log line that is one JSON object (audit events): written as it is. */
struct json_object;
void log_json(struct json_object *obj);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
