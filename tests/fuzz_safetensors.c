/* Feeds damaged files to the reader of safetensors: fuzz_safetensors [COUNT [SEED]].
 *
 * Inputs are valid files after some random edits: bits flipped, stretches removed, doubled or overwritten, words of
 * the format put anywhere. What the reader accepts must keep its promises; what it refuses must come with a
 * text. Prints the seed of the input it was at if a promise is broken (or a sanitizer stops it). */
#include "../io/io.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(size_t n) { return n ? (size_t)(next_random() % n) : 0; }

enum { ROOM = 1024 };

typedef struct input {
    unsigned char bytes[ROOM];
    size_t size;
} input;

static const char *const headers[] = {
    "{}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
    "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"\\u00e9\\ud83d\\ude00\\n\"},"
    "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"a\":{\"dtype\":\"I32\",\"shape\":[4],\"data_offsets\":[8,24]}}",
    "{\"x\":{\"shape\":[0,7],\"dtype\":\"BF16\",\"data_offsets\":[24,24]},"
    "\"y\":{\"data_offsets\":[0,24],\"dtype\":\"BOOL\",\"shape\":[1,2,3,4]}}  ",
    "{\"__metadata__\":{\"wengert.crc32\":\"00000000\",\"wengert.step\":\"7\"},"
    "\"w\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}",
};

static const char *const words[] = {
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "0",
    "-1",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "24",
    "8",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"F32\"",
    "\"F4\"",
    "\"BOOL\"",
    "\"__metadata__\"",
    "\"a\"",
    "null",
    "true",
    "\xc3\xa9",
    "\xff",
    "\xed\xa0\x80",
    "[0,0]",
    "[[[[",
    "{\"a\":",
    "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}",
};

static void set_length(input *in, uint64_t length) { memcpy(in->bytes, &length, 8); }

static void fresh(input *in)
{
    const char *header = headers[below(sizeof headers / sizeof *headers)];
    size_t n = strlen(header), data = strcmp(header, "{}") == 0 ? 0 : 24;
    memcpy(in->bytes + 8, header, n);
    memset(in->bytes + 8 + n, (int)below(256), data);
    in->size = 8 + n + data;
    set_length(in, n);
}

/* Replaces [at, at + gone) by these bytes and corrects the header's length, as an attacker would. */
static void splice(input *in, size_t at, size_t gone, const void *bytes, size_t n)
{
    if (in->size - gone + n > ROOM) return;
    unsigned char copy[ROOM];
    memcpy(copy, bytes, n);
    memmove(in->bytes + at + n, in->bytes + at + gone, in->size - at - gone);
    memcpy(in->bytes + at, copy, n);
    in->size += n - gone;
    uint64_t length;
    memcpy(&length, in->bytes, 8);
    if (below(8) && at >= 8) set_length(in, length + n - gone);
}

static void edit(input *in)
{
    size_t at = below(in->size), left = in->size - at;
    const char *word = words[below(sizeof words / sizeof *words)];
    switch (below(7)) {
    case 0: in->bytes[at] ^= (unsigned char)(1u << below(8)); break;
    case 1: in->bytes[at] = (unsigned char)next_random(); break;
    case 2: splice(in, at, below(left < 16 ? left : 16), "", 0); break;
    case 3: splice(in, at, 0, in->bytes + at, below(left < 64 ? left : 64)); break;
    case 4: splice(in, at, 0, word, strlen(word)); break;
    case 5: splice(in, at, below(left < 8 ? left : 8), word, strlen(word)); break;
    case 6: in->size = below(16) ? in->size : at; break;
    }
    if (in->size < 8) fresh(in);
}

static const char *check_accepted(const wg_safetensors *file, size_t size)
{
    size_t total = 0;
    unsigned sum = 0;
    for (size_t i = 0; i < wg_safetensors_count(file); i++) {
        wg_entry e = wg_safetensors_at(file, i), found;
        int64_t numel;
        if (!wg_shape_numel(&e.shape, &numel)) return "a tensor with an invalid shape";
        if (!wg_safetensors_find(file, e.name, &found) || found.data != e.data) return "a tensor that is not found";
        for (size_t k = 0; k < e.bytes; k++) sum += ((const unsigned char *)e.data)[k];
        total += e.bytes;
    }
    for (size_t i = 0; i < wg_safetensors_metadata_count(file); i++) {
        wg_pair p = wg_safetensors_metadata_at(file, i);
        if (wg_safetensors_metadata(file, p.key) != p.value) return "metadata that is not found";
        sum += (unsigned)strlen(p.value);
    }
    if (total > size || sum == 0xFFFFFFFF) return "more data than the file has";
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000,
             seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t accepted = 0;
    for (uint64_t i = 0; i < count; i++) {
        input in;
        state = seed + i;
        fresh(&in);
        for (size_t edits = below(6); edits > 0; edits--) edit(&in);
        /* An exact copy on the heap, so that a sanitizer sees a read past its end. */
        unsigned char *bytes = malloc(in.size ? in.size : 1);
        if (!bytes) return 1;
        memcpy(bytes, in.bytes, in.size);
        wg_error error = {0};
        wg_safetensors *file = wg_safetensors_parse(bytes, in.size, "fuzz", &error);
        const char *broken = file                                    ? check_accepted(file, in.size)
                             : error.status == WG_OK || !*error.text ? "refused without a reason"
                                                                     : NULL;
        accepted += file != NULL;
        wg_safetensors_close(file);
        free(bytes);
        if (broken) {
            fprintf(stderr, "%s; repeat with: fuzz_safetensors 1 %" PRIu64 "\n", broken, state = seed + i);
            return 1;
        }
    }
    printf("%" PRIu64 " inputs from seed %" PRIu64 ", %" PRIu64 " accepted\n", count, seed, accepted);
    return accepted > 0 && accepted < count ? 0 : 1;
}
