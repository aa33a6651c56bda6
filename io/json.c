/* A strict JSON parser (RFC 8259) for safetensors headers, and quoting of strings for the writer. */
#include "json.h"

#include <string.h>

wg__json wg__json_parse(char *start, size_t size, const char *path, wg_error *error)
{
    return (wg__json){.start = start, .at = start, .end = start + size, .path = path, .error = error};
}

bool wg__json_fail(wg__json *json, const char *reason)
{
    if (!json->failed)
        wg_error_set(json->error, WG_ERR_FORMAT, WG__AT "header, byte %zu: %s", json->path,
                     (size_t)(json->at - json->start), reason);
    json->failed = true;
    return false;
}

static void skip_space(wg__json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

bool wg__json_accept(wg__json *json, char c)
{
    if (json->failed) return false;
    skip_space(json);
    if (json->at == json->end || *json->at != c) return false;
    json->at++;
    return true;
}

bool wg__json_expect(wg__json *json, char c)
{
    if (json->failed) return false;
    if (wg__json_accept(json, c)) return true;
    char reason[] = "'?' expected";
    reason[1] = c;
    return wg__json_fail(json, reason);
}

bool wg__json_next(wg__json *json, char close, bool *first)
{
    if (wg__json_accept(json, close)) return false;
    if (*first) {
        *first = false;
        return !json->failed;
    }
    return wg__json_expect(json, ',');
}

bool wg__json_number(wg__json *json, int64_t *number)
{
    if (json->failed) return false;
    skip_space(json);
    char *begin = json->at;
    int64_t value = 0;
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *json->at - '0', &value))
            return wg__json_fail(json, "integer too large");
    if (json->at == begin) return wg__json_fail(json, "integer expected");
    if (*begin == '0' && json->at > begin + 1) return wg__json_fail(json, "integer with a leading zero");
    *number = value;
    return true;
}

bool wg__json_end(wg__json *json)
{
    if (json->failed) return false;
    skip_space(json);
    return json->at == json->end || wg__json_fail(json, "text after the end of the object");
}

/* ---- strings ---- */

/* The value of four hexadecimal digits at `at`; -1 if they are not. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, int32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

/* The rest of \uXXXX after \u: one code point, from two escapes if it is a surrogate pair. */
static bool read_unicode(wg__json *json, char **out)
{
    int32_t code = hex4(json->at, json->end);
    if (code < 0) return wg__json_fail(json, "\\u needs four hexadecimal digits");
    if (code == 0) return wg__json_fail(json, "U+0000 in a string");
    json->at += 4;
    if (code >= 0xD800 && code < 0xE000) {
        int32_t low = json->end - json->at >= 6 && json->at[0] == '\\' && json->at[1] == 'u'
                          ? hex4(json->at + 2, json->end)
                          : -1;
        if (code >= 0xDC00 || low < 0xDC00 || low >= 0xE000) return wg__json_fail(json, "unpaired surrogate");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        json->at += 6;
    }
    *out = put_utf8(*out, code);
    return true;
}

/* The rest of an escape after the backslash. */
static bool read_escape(wg__json *json, char **out)
{
    static const char name[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    if (json->at == json->end) return wg__json_fail(json, "unterminated string");
    char c = *json->at++;
    if (c == 'u') return read_unicode(json, out);
    const char *known = c ? strchr(name, c) : NULL;
    if (!known) return wg__json_fail(json, "unknown escape");
    *(*out)++ = meaning[known - name];
    return true;
}

bool wg__json_string(wg__json *json, char **string)
{
    if (!wg__json_expect(json, '"')) return false;
    char *out = *string = json->at;
    while (json->at < json->end && *json->at != '"') {
        unsigned char c = (unsigned char)*json->at++;
        if (c < 32) return wg__json_fail(json, "control character in a string");
        if (c != '\\')
            *out++ = (char)c;
        else if (!read_escape(json, &out))
            return false;
    }
    if (json->at == json->end) return wg__json_fail(json, "unterminated string");
    json->at++;
    *out = 0;
    return true;
}

size_t wg__json_quote(const char *string, char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    char piece[6];
    if (out) out[n] = '"';
    n++;
    for (const unsigned char *p = (const unsigned char *)string; *p; p++) {
        size_t length = 1;
        piece[0] = (char)*p;
        if (*p == '"' || *p == '\\') {
            piece[0] = '\\', piece[1] = (char)*p;
            length = 2;
        } else if (*p < 32 || *p == 127) {
            memcpy(piece, "\\u00", 4);
            piece[4] = hex[*p >> 4], piece[5] = hex[*p & 15];
            length = 6;
        }
        if (out) memcpy(out + n, piece, length);
        n += length;
    }
    if (out) out[n] = '"';
    return n + 1;
}
