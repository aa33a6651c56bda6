/* Feeds damaged files to the readers of untrusted files.
 *
 * Inputs are valid files after random edits: flipped bits, ranges removed, duplicated or overwritten, words of the
 * format inserted anywhere. An accepted file must satisfy the reader's contract; a refusal must have a message.
 * A sanitizer that stops the run does not print the seed: search for it with --seed and --rounds. */
#include "../io/io.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "random.h"

enum { ROOM = 1024 };

typedef struct input {
    unsigned char bytes[ROOM];
    size_t size;
} input;

/* Bytes, zeros among them. */
typedef struct blob {
    const char *bytes;
    size_t size;
} blob;
#define BLOB(literal)                                                                                              \
    {                                                                                                              \
        literal, sizeof(literal) - 1                                                                               \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct format {
    const blob *words;
    size_t n_words, least; /* least: bytes of an input; a shorter one is replaced by a fresh one */
    void (*fresh)(input *in);
    void (*grown)(input *in, size_t at, size_t by); /* NULL, or corrects a length stored in the file */
    /* Reads the input. Returns the violated condition, or NULL; *accepted: the reader took it. */
    const char *(*read)(const unsigned char *bytes, size_t size, bool *accepted);
} format;

static const format *fuzzed;

static void take(input *in, const blob *from, size_t n)
{
    const blob *one = &from[below(n)];
    memcpy(in->bytes, one->bytes, one->size);
    in->size = one->size;
}

/* ---- safetensors ---- */

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

static const blob safetensors_words[] = {
    BLOB("{"),
    BLOB("}"),
    BLOB("["),
    BLOB("]"),
    BLOB(":"),
    BLOB(","),
    BLOB("\""),
    BLOB("\\"),
    BLOB("\\u0000"),
    BLOB("\\ud800"),
    BLOB("\\u00e9"),
    BLOB("0"),
    BLOB("-1"),
    BLOB("1e3"),
    BLOB("9223372036854775807"),
    BLOB("9223372036854775808"),
    BLOB("18446744073709551616"),
    BLOB("4294967296"),
    BLOB("24"),
    BLOB("8"),
    BLOB("\"dtype\""),
    BLOB("\"shape\""),
    BLOB("\"data_offsets\""),
    BLOB("\"F32\""),
    BLOB("\"F4\""),
    BLOB("\"BOOL\""),
    BLOB("\"__metadata__\""),
    BLOB("\"a\""),
    BLOB("null"),
    BLOB("true"),
    BLOB("\xc3\xa9"),
    BLOB("\xff"),
    BLOB("\xed\xa0\x80"),
    BLOB("[0,0]"),
    BLOB("[[[["),
    BLOB("{\"a\":"),
    BLOB("{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"),
};

static void set_length(input *in, uint64_t length) { memcpy(in->bytes, &length, 8); }

static void safetensors_fresh(input *in)
{
    const char *header = headers[below(sizeof headers / sizeof *headers)];
    size_t n = strlen(header), data = strcmp(header, "{}") == 0 ? 0 : 24;
    memcpy(in->bytes + 8, header, n);
    memset(in->bytes + 8 + n, (int)below(256), data);
    in->size = 8 + n + data;
    set_length(in, n);
}

/* Corrects the length of the header in most cases. */
static void safetensors_grown(input *in, size_t at, size_t by)
{
    uint64_t length;
    memcpy(&length, in->bytes, 8);
    if (below(8) && at >= 8) set_length(in, length + by);
}

static const char *safetensors_check(const wg_safetensors *file, size_t size)
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

static const char *refused(const wg_error *error)
{
    return error->status == WG_OK || !*error->text ? "refused without a reason" : NULL;
}

static const char *safetensors_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_parse(bytes, size, "fuzz", &error);
    const char *broken = file ? safetensors_check(file, size) : refused(&error);
    *accepted = file != NULL;
    wg_safetensors_close(file);
    return broken;
}

/* ---- files that are read by their path ---- */

/* The path of an in-memory file with these bytes, or NULL. */
static const char *as_file(const unsigned char *bytes, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("fuzz", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static bool is_gzip(const unsigned char *bytes, size_t size)
{
    return size > 1 && bytes[0] == 31 && bytes[1] == 139;
}

/* ---- IDX ---- */

static const blob idx_files[] = {
    BLOB("\0\0\x08\2\0\0\0\2\0\0\0\3\1\2\3\4\5\xff"),
    BLOB("\0\0\x09\1\0\0\0\1\x80"),
    BLOB("\0\0\x0b\1\0\0\0\2\xff\xfe\0\7"),
    BLOB("\0\0\x0c\3\0\0\0\1\0\0\0\1\0\0\0\1\x80\0\0\0"),
    BLOB("\0\0\x0d\1\0\0\0\1\x3f\x80\0\0"),
    BLOB("\0\0\x0e\2\0\0\0\1\0\0\0\1\x40\0\0\0\0\0\0\0"),
    BLOB("\0\0\x08\3\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
    BLOB("\x1f\x8b\x08\0\0\0\0\0\2\3\x63\x60\xe0\x60\x62\x60\x60\0\x61\x66\6\x30\0\0\xcf\x42\x0a\xd5\x12\0\0\0"),
};

static const blob idx_words[] = {
    BLOB("\0"),         BLOB("\1"),         BLOB("\x08"),         BLOB("\x0b"),
    BLOB("\x0e"),       BLOB("\0\0\0\0"),   BLOB("\0\0\0\1"),     BLOB("\xff\xff\xff\xff"),
    BLOB("\x80\0\0\0"), BLOB("\0\0\x08\1"), BLOB("\0\0\x0d\x08"), BLOB("\x1f\x8b\x08\0"),
};

static void idx_fresh(input *in) { take(in, idx_files, COUNT(idx_files)); }

/* All numbers can be read. The last one is the last bytes of the file, reversed. */
static const char *idx_check(const wg_idx *idx, const unsigned char *bytes, size_t size)
{
    int64_t numel;
    if (!wg_shape_numel(&idx->shape, &numel)) return "an invalid shape";
    if (numel > 0 && idx->type < WG_IDX_F32 && isnan(wg_idx_at(idx, numel - 1))) return "no number";
    if (!isnan(wg_idx_at(idx, numel)) || !isnan(wg_idx_at(idx, -1))) return "a number past the end";
    if (is_gzip(bytes, size)) return NULL;
    const size_t width = idx->type == WG_IDX_F64   ? 8
                         : idx->type >= WG_IDX_I32 ? 4
                         : idx->type == WG_IDX_I16 ? 2
                                                   : 1;
    if (size != 4 + 4 * (size_t)idx->shape.rank + (size_t)numel * width) return "another size than the file's";
    if (numel == 0) return NULL;
    const unsigned char *last = (const unsigned char *)idx->data + ((size_t)numel - 1) * width;
    for (size_t k = 0; k < width; k++)
        if (last[k] != bytes[size - 1 - k]) return "another number than the file's";
    return NULL;
}

static const char *idx_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_idx idx;
    *accepted = wg_idx_read(as_file(bytes, size), &idx, &error) == WG_OK;
    const char *broken = *accepted  ? idx_check(&idx, bytes, size)
                         : idx.data ? "refused with data"
                                    : refused(&error);
    wg_idx_fini(&idx);
    return broken;
}

/* ---- text ---- */

static const blob text_files[] = {
    BLOB(""),
    BLOB("words, words\r\n\tand more words\n"),
    BLOB("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\f"),
    BLOB("\xef\xbb\xbfwith a mark\n"),
    BLOB("\x1f\x8b\x08\0\0\0\0\0\2\3\x2b\xcf\x2f\x4a\x29\xd6\x51\x28\x47\xa2\xb8\0\xba\x6f\xc8\x1f\x14\0\0\0"),
};

static const blob text_words[] = {
    BLOB("a"),
    BLOB("\n"),
    BLOB("\xc3\xa9"),
    BLOB("\xe2\x82\xac"),
    BLOB("\xf4\x8f\xbf\xbf"),
    BLOB("\xf4\x90\x80\x80"),
    BLOB("\xed\xa0\x80"),
    BLOB("\xc0\xaf"),
    BLOB("\x80"),
    BLOB("\0"),
    BLOB("\x1b"),
    BLOB("\x7f"),
    BLOB("\x1f\x8b\x08\0"),
};

static void text_fresh(input *in) { take(in, text_files, COUNT(text_files)); }

static const char *text_check(const wg_text *text, const unsigned char *bytes, size_t size)
{
    if (text->bytes[text->size] != 0 || strlen(text->bytes) != text->size) return "not ended by the only NUL";
    for (size_t i = 0; i < text->size; i++)
        if (iscntrl((unsigned char)text->bytes[i]) && !strchr("\t\n\f\r", text->bytes[i]))
            return "a control character";
    if (is_gzip(bytes, size)) return NULL;
    return text->size == size && memcmp(text->bytes, bytes, size) == 0 ? NULL : "not the file's bytes";
}

static const char *text_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_error error = {0};
    wg_text text;
    *accepted = wg_text_read(as_file(bytes, size), &text, &error) == WG_OK;
    const char *broken = *accepted    ? text_check(&text, bytes, size)
                         : text.bytes ? "refused with bytes"
                                      : refused(&error);
    wg_text_fini(&text);
    return broken;
}

/* ---- edits ---- */

/* Replaces [at, at + gone) by these bytes. */
static void splice(input *in, size_t at, size_t gone, const void *bytes, size_t n)
{
    if (in->size - gone + n > ROOM) return;
    unsigned char copy[ROOM];
    memcpy(copy, bytes, n);
    memmove(in->bytes + at + n, in->bytes + at + gone, in->size - at - gone);
    memcpy(in->bytes + at, copy, n);
    in->size += n - gone;
    if (fuzzed->grown) fuzzed->grown(in, at, n - gone);
}

static void edit(input *in)
{
    size_t at = below(in->size), left = in->size - at;
    const blob *word = &fuzzed->words[below(fuzzed->n_words)];
    switch (in->size ? below(7) : 4) {
    case 0: in->bytes[at] ^= (unsigned char)(1u << below(8)); break;
    case 1: in->bytes[at] = (unsigned char)random_bits(); break;
    case 2: splice(in, at, below(left < 16 ? left : 16), "", 0); break;
    case 3: splice(in, at, 0, in->bytes + at, below(left < 64 ? left : 64)); break;
    case 4: splice(in, at, 0, word->bytes, word->size); break;
    case 5: splice(in, at, below(left < 8 ? left : 8), word->bytes, word->size); break;
    case 6: in->size = below(16) ? in->size : at; break;
    }
    if (in->size < fuzzed->least) fuzzed->fresh(in);
}

/* ---- tests ---- */

static uint64_t n_inputs, n_accepted;

static void one_input(uint64_t seed)
{
    input in;
    random_state = seed;
    fuzzed->fresh(&in);
    for (size_t edits = below(6); edits > 0; edits--) edit(&in);
    /* An exact copy on the heap, so that a sanitizer sees a read past its end. */
    unsigned char *bytes = malloc(in.size ? in.size : 1);
    assert_non_null(bytes);
    memcpy(bytes, in.bytes, in.size);
    bool accepted = false;
    const char *broken = fuzzed->read(bytes, in.size, &accepted);
    if (broken) FAIL("%s", broken);
    n_inputs++;
    n_accepted += accepted;
    free(bytes);
}

static void fuzz(const format *f, uint64_t rounds)
{
    fuzzed = f;
    n_inputs = n_accepted = 0;
    check_rounds(rounds, one_input);
    printf("%" PRIu64 " inputs, %" PRIu64 " accepted\n", n_inputs, n_accepted);
    CHECK(n_inputs == 1 || (n_accepted > 0 && n_accepted < n_inputs));
}

static void safetensors(void)
{
    fuzz(&(format){safetensors_words, COUNT(safetensors_words), 8, safetensors_fresh, safetensors_grown,
                   safetensors_read},
         1000000);
}

static void idx(void) { fuzz(&(format){idx_words, COUNT(idx_words), 0, idx_fresh, NULL, idx_read}, 200000); }

static void text(void) { fuzz(&(format){text_words, COUNT(text_words), 0, text_fresh, NULL, text_read}, 200000); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(safetensors), TEST_CASE(idx), TEST_CASE(text)};
    return RUN_TESTS(tests);
}
