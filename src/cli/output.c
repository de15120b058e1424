/* output.c - what tp says, where, and that it cannot steer a terminal */
#include "cli/cli_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

/* Texts come from clusters and engines: no escape sequence gets through. */
static void write_clean(FILE *out, const char *fmt, va_list ap)
{
    cleanup_free char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        return;
    }
    for (char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            *p = '?';
    }
    fputs(text, out);
}

static void wipe_progress(const struct cli *cli)
{
    if (cli->stderr_tty && !cli->quiet && !cli->json)
        fputs("\r\033[K", stderr);
}

static FILE *results(const struct cli *cli)
{
    return cli->out ? cli->out : stdout;
}

void cli_results_aside(struct cli *cli)
{
    cli->out = stderr;
}

bool cli_is_json(const struct cli *cli)
{
    return cli->json;
}

bool cli_is_quiet(const struct cli *cli)
{
    return cli->quiet;
}

int cli_fail(struct cli *cli, const char *code, const struct tp_error *err)
{
    snprintf(cli->error_code, sizeof(cli->error_code), "%s", code);
    return err->code < 0 ? err->code : -EIO;
}

void cli_print(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (cli->json)
        return;
    wipe_progress(cli);
    va_start(ap, fmt);
    write_clean(results(cli), fmt, ap);
    va_end(ap);
}

void cli_print_json(const struct cli *cli, struct json_object *obj)
{
    if (!cli->json)
        return;
    fprintf(results(cli), "%s\n",
            json_object_to_json_string_ext(
                obj, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                         JSON_C_TO_STRING_NOSLASHESCAPE));
}

void cli_progress(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (!cli->stderr_tty || cli->quiet || cli->json)
        return;
    wipe_progress(cli);
    if (fmt) {
        va_start(ap, fmt);
        write_clean(stderr, fmt, ap);
        va_end(ap);
    }
    fflush(stderr);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (cli->quiet)
        return;
    wipe_progress(cli);
    fputs("tp: note: ", stderr);
    va_start(ap, fmt);
    write_clean(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void cli_warn(const struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    wipe_progress(cli);
    fputs("tp: warning: ", stderr);
    va_start(ap, fmt);
    write_clean(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static void print_line(FILE *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void print_line(FILE *out, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_clean(out, fmt, ap);
    va_end(ap);
}

void cli_print_error(const struct cli *cli, const struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;

    if (!cli->json) {
        wipe_progress(cli);
        print_line(stderr, "tp: %s\n", err->text);
        return;
    }
    obj = json_object_new_object();
    json_put_str(obj, "error", err->text);
    json_put_str(obj, "code", *cli->error_code ? cli->error_code : "failed");
    cli_print_json(cli, obj);
}
