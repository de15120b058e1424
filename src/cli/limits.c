#include "cli/limits.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define DIGITS_MAX    30
#define DOCKER_CPUS   10 /* thousandths */
#define DOCKER_MEMORY (6 * 1024 * 1024)

static const struct {
    const char *text;
    long double factor;
} suffixes[] = {
    {"", 1},
    {"n", 1e-9L},
    {"u", 1e-6L},
    {"m", 1e-3L},
    {"k", 1e3L},
    {"M", 1e6L},
    {"G", 1e9L},
    {"T", 1e12L},
    {"P", 1e15L},
    {"E", 1e18L},
    {"Ki", 1024.0L},
    {"Mi", 1048576.0L},
    {"Gi", 1073741824.0L},
    {"Ti", 1099511627776.0L},
    {"Pi", 1125899906842624.0L},
    {"Ei", 1152921504606846976.0L},
};

/* What follows the digits: a suffix, or a decimal exponent. */
static int parse_factor(const char *text, long double *factor)
{
    char *end;
    long exponent;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (!strcmp(text, suffixes[i].text)) {
            *factor = suffixes[i].factor;
            return 0;
        }
    }
    if ((*text != 'e' && *text != 'E') || isspace((unsigned char)text[1]))
        return -EINVAL;
    exponent = strtol(text + 1, &end, 10);
    if (end == text + 1 || *end || exponent < -18 || exponent > 18)
        return -EINVAL;
    *factor = 1;
    for (; exponent > 0; exponent--)
        *factor *= 10;
    for (; exponent < 0; exponent++)
        *factor /= 10;
    return 0;
}

/* Digits with a point anywhere in it, by hand: no locale, no hexadecimal. */
static int parse_digits(const char **text, long double *out)
{
    long double value = 0, place = 1;
    size_t digits = 0;
    bool point = false;
    const char *p = *text;

    for (; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (++digits > DIGITS_MAX)
            return -EINVAL;
        place = point ? place / 10 : place;
        value = point ? value + (*p - '0') * place : value * 10 + (*p - '0');
    }
    *text = p;
    *out = value;
    return digits ? 0 : -EINVAL;
}

int limits_parse_quantity(const char *text, int64_t scale, int64_t *out)
{
    long double value, factor;

    if (*text == '+')
        text++;
    if (parse_digits(&text, &value) < 0 || parse_factor(text, &factor) < 0)
        return -EINVAL;
    value *= factor * (long double)scale;
    if (value > 9e18L)
        return -EINVAL;
    *out = (int64_t)value;
    /* 0.1 may be a little more than itself. */
    if (value - (long double)*out > 1e-7L)
        (*out)++;
    return 0;
}

static int parse_one(struct json_object *obj, const char *name, int64_t scale,
                     int64_t *out, struct tp_error *err)
{
    const char *text = json_get_str(obj, name, "0");

    if (limits_parse_quantity(text, scale, out) == 0)
        return 0;
    return tp_error_set(err, -EINVAL, "limit of %s: '%.40s' is no quantity",
                        name, text);
}

int limits_parse(struct limits *out, struct json_object *obj,
                 struct tp_error *err)
{
    int rc = parse_one(obj, "cpu", 1000, &out->millicpus, err);

    return rc == 0 ? parse_one(obj, "memory", 1, &out->memory, err) : rc;
}

void limits_raise(struct limits *l)
{
    if (l->millicpus > 0 && l->millicpus < DOCKER_CPUS)
        l->millicpus = DOCKER_CPUS;
    if (l->memory > 0 && l->memory < DOCKER_MEMORY)
        l->memory = DOCKER_MEMORY;
}
