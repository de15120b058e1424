#include "base/encoding.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

char *base64_encode(const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    char *out = malloc((len + 2) / 3 * 4 + 1);
    size_t used = 0;

    for (size_t i = 0; out && i < len; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16;

        if (i + 1 < len)
            bits |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < len)
            bits |= in[i + 2];
        out[used++] = digits[bits >> 18];
        out[used++] = digits[bits >> 12 & 63];
        out[used++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[used++] = i + 2 < len ? digits[bits & 63] : '=';
    }
    if (out)
        out[used] = '\0';
    return out;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* out has room for three bytes of every four digits. Returns the bytes without
 * those that only pad, or -EINVAL. */
static ssize_t base64_decode(char *out, const char *text)
{
    size_t used = 0, digits = 0, pads = 0;
    uint32_t bits = 0;

    for (const char *p = text; *p; p++) {
        int value = base64_value(*p);

        if (strchr(" \t\r\n", *p))
            continue;
        pads += *p == '=';
        if (value < 0 ? *p != '=' : pads > 0)
            return -EINVAL;
        bits = bits << 6 | (value < 0 ? 0 : (uint32_t)value);
        if (++digits % 4 != 0)
            continue;
        out[used++] = (char)(bits >> 16);
        out[used++] = (char)(bits >> 8);
        out[used++] = (char)bits;
    }
    if (digits % 4 != 0 || pads > 2 || used < pads)
        return -EINVAL;
    return (ssize_t)(used - pads);
}

char *base64_decode_text(const char *text)
{
    cleanup_free char *out = malloc(strlen(text) / 4 * 3 + 4);
    ssize_t len = out ? base64_decode(out, text) : -ENOMEM;
    char *result = out;

    if (len < 0 || memchr(out, '\0', (size_t)len))
        return NULL;
    out[len] = '\0';
    out = NULL;
    return result;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int percent_decode(char *out, size_t size, const char *text, size_t len)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];

        if (c == '%') {
            int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(text[i + 2]);

            c = low < 0 ? 0 : high * 16 + low;
            if (c == 0)
                return -EINVAL;
            i += 2;
        }
        if (used + 1 >= size)
            return -ENOBUFS;
        out[used++] = (char)c;
    }
    if (used >= size)
        return -ENOBUFS;
    out[used] = '\0';
    return 0;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

char *percent_encode(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = malloc(strlen(text) * 3 + 1), *p = out;

    if (!out)
        return NULL;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (is_unreserved(c)) {
            *p++ = (char)c;
            continue;
        }
        *p++ = '%';
        *p++ = digits[c >> 4];
        *p++ = digits[c & 15];
    }
    *p = '\0';
    return out;
}
