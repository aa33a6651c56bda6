/* Feeds damaged files to the readers of untrusted files.
 *
 * Inputs are valid files after random edits: flipped bits, ranges removed, duplicated or overwritten, words of the
 * format inserted anywhere. An accepted file must satisfy the reader's contract; a refusal must have a message.
 * A sanitizer that stops the run does not print the seed: search for it with --seed and --rounds. */
#include <dirent.h>
#include <inttypes.h>

#include "check.h"
#include "fuzz_tensors.h"
#include "readers.h"

typedef struct format {
    const blob *words;
    size_t n_words, least; /* least: bytes of an input; a shorter one is replaced by a fresh one */
    void (*fresh)(input *in);
    void (*grown)(input *in, size_t at, size_t by); /* NULL, or corrects a length stored in the file */
    int reader;
    void (*wrap)(input *in); /* NULL, or makes the file of what was edited */
} format;

static const format *fuzzed;

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

/* ---- CSV: a byte of options, then the file ---- */

static const blob csv_files[] = {
    BLOB("\0a,b\n1,x\n2.5e3,\"y \"\"z\"\"\"\nNA,\n"),
    BLOB("\5 a ; b\r\n\"1\" ;2\r\n"),
    BLOB("\3a\tb\n\"two\nlines\"\t-.5\n"),
    BLOB("\0\xef\xbb\xbfname\n\xc3\xa9\n\n\"\"\n"),
};

static const blob csv_words[] = {
    BLOB(","),  BLOB(";"),  BLOB("\""),   BLOB("\"\""),  BLOB("\n"), BLOB("\r\n"),
    BLOB("\r"), BLOB("NA"), BLOB("1e38"), BLOB("-.5"),   BLOB("1e"), BLOB("\t"),
    BLOB(" "),  BLOB("a"),  BLOB("0x1"),  BLOB("1e999"), BLOB(""),   BLOB("\0"),
};

static void csv_fresh(input *in) { take(in, csv_files, COUNT(csv_files)); }

/* ---- formats of which there are files ---- */

static input kept[16];
static size_t n_kept;

/* Reads the files with this ending. */
static void load_files(const char *from, const char *ending)
{
    DIR *folder = opendir(from);
    assert_non_null(folder);
    n_kept = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *end = strrchr(entry->d_name, '.');
        if (!end || strcmp(end, ending) != 0) continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", from, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_true(file && n_kept < COUNT(kept));
        kept[n_kept].size = fread(kept[n_kept].bytes, 1, ROOM, file);
        n_kept++;
        fclose(file);
    }
    closedir(folder);
    assert_true(n_kept > 0);
}

static void kept_fresh(input *in) { *in = kept[below((int64_t)n_kept)]; }

/* Pictures and sound: the files of tests/media. */
#if defined WG_HAVE_PNG || defined WG_HAVE_JPEG || defined WG_HAVE_SNDFILE
static const blob media_words[] = {
    BLOB("\0"),       BLOB("\1"),   BLOB("\xff"), BLOB("\0\0\0\0"), BLOB("\xff\xff\xff\xff"), BLOB("\x7f\xff"),
    BLOB("IDAT"),     BLOB("tRNS"), BLOB("PLTE"), BLOB("IEND"),     BLOB("\xff\xc0"),         BLOB("\xff\xc2"),
    BLOB("\xff\xda"), BLOB("data"), BLOB("fmt "), BLOB("\xfe\xff"),
};
#endif

/* HDF5: the files of tests/tensors. */
static const blob hdf5_words[] = {
    BLOB("\0"),       BLOB("\1"),       BLOB("\xff\xff\xff\xff\xff\xff\xff\xff"),
    BLOB("\xff\x7f"), BLOB("\0\1\0\0"), BLOB("TREE"),
    BLOB("SNOD"),     BLOB("HEAP"),     BLOB("FRHP"),
    BLOB("FHDB"),     BLOB("FHIB"),     BLOB("BTHD"),
    BLOB("BTLF"),     BLOB("BTIN"),     BLOB("OHDR"),
    BLOB("OCHK"),
};

/* Kinds of pairs and types of tensors are small numbers; lengths follow. */
static const blob gguf_words[] = {
    BLOB("\0\0\0\0"),
    BLOB("\1\0\0\0"),
    BLOB("\x08\0\0\0"),
    BLOB("\x09\0\0\0"),
    BLOB("\x0c\0\0\0"),
    BLOB("\x0e\0\0\0"),
    BLOB("\x1c\0\0\0"),
    BLOB("\x20\0\0\0\0\0\0\0"),
    BLOB("\0\1\0\0\0\0\0\0"),
    BLOB("\xff\xff\xff\xff\xff\xff\xff\x7f"),
    BLOB("\xff"),
    BLOB("general.alignment"),
};

/* A structure is at its address, so that most files are edited in place, where they are not filled with zeros: bits,
 * bytes, words, and addresses of other places. */
static void hdf5_wrap(input *in)
{
    if (!below(8)) return;
    kept_fresh(in);
    for (size_t edits = below(5); edits > 0; edits--) {
        size_t at = below(in->size);
        for (int tries = 0; tries < 16 && !in->bytes[at]; tries++) at = below(in->size);
        const blob *word = &hdf5_words[below(COUNT(hdf5_words))];
        switch (below(4)) {
        case 0: in->bytes[at] ^= (unsigned char)(1u << below(8)); break;
        case 1: in->bytes[at] = (unsigned char)below(below(2) ? 8 : 256); break;
        case 2: memcpy(in->bytes + at, word->bytes, word->size < in->size - at ? word->size : in->size - at); break;
        case 3:
            at = at / 8 * 8;
            if (at + 8 <= in->size) zip_put(in->bytes + at, below(in->size) / 8 * 8, 8);
            break;
        }
    }
    if (!below(16)) in->size = below(in->size);
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
    if (fuzzed->wrap) fuzzed->wrap(&in);
    /* An exact copy on the heap, so that a sanitizer sees a read past its end. */
    unsigned char *bytes = malloc(in.size ? in.size : 1);
    assert_non_null(bytes);
    memcpy(bytes, in.bytes, in.size);
    bool accepted = false;
    const char *broken = readers[fuzzed->reader].read(bytes, in.size, &accepted);
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
                   READ_SAFETENSORS, NULL},
         1000000);
}

static void idx(void) { fuzz(&(format){idx_words, COUNT(idx_words), 0, idx_fresh, NULL, READ_IDX, NULL}, 200000); }

static void text(void)
{
    fuzz(&(format){text_words, COUNT(text_words), 0, text_fresh, NULL, READ_TEXT, NULL}, 200000);
}

static void npy(void) { fuzz(&(format){npy_words, COUNT(npy_words), 0, npy_fresh, NULL, READ_NPY, NULL}, 100000); }

static void npz(void)
{
    fuzz(&(format){npy_words, COUNT(npy_words), 0, npy_fresh, NULL, READ_NPZ, npz_wrap}, 100000);
}

static void pt(void)
{
    fuzz(&(format){pickle_words, COUNT(pickle_words), 0, pt_fresh, NULL, READ_PT, pt_wrap}, 100000);
}

/* The old form, of files: edits anywhere. */
static void pt_old(void)
{
    load_files(TENSORS, ".pt");
    for (size_t i = 0; i < n_kept; i++)
        if (memcmp(kept[i].bytes, "\x80\2", 2) == 0) kept[0] = kept[i];
    n_kept = 1;
    fuzz(&(format){pickle_words, COUNT(pickle_words), 0, kept_fresh, NULL, READ_PT, NULL}, 100000);
}

static void hdf5(void)
{
    load_files(TENSORS, ".h5");
    fuzz(&(format){hdf5_words, COUNT(hdf5_words), 0, kept_fresh, NULL, READ_HDF5, hdf5_wrap}, 100000);
}

static void gguf(void)
{
    load_files(TENSORS, ".gguf");
    fuzz(&(format){gguf_words, COUNT(gguf_words), 0, kept_fresh, NULL, READ_GGUF, NULL}, 100000);
}

static void csv(void) { fuzz(&(format){csv_words, COUNT(csv_words), 0, csv_fresh, NULL, READ_CSV, NULL}, 100000); }

#if defined WG_HAVE_PNG || defined WG_HAVE_JPEG || defined WG_HAVE_SNDFILE
static void fuzz_media(const char *ending, int which)
{
    load_files(MEDIA, ending);
    fuzz(&(format){media_words, COUNT(media_words), 0, kept_fresh, NULL, which, NULL}, 20000);
}
#endif

#ifdef WG_HAVE_PNG
static void png(void) { fuzz_media(".png", READ_PNG); }
#endif
#ifdef WG_HAVE_JPEG
static void jpeg(void) { fuzz_media(".jpg", READ_JPEG); }
#endif
#ifdef WG_HAVE_SNDFILE
static void wav(void) { fuzz_media(".wav", READ_WAV); }
#endif

/* ---- files that libFuzzer kept, because each takes a path of its own ---- */

static void read_corpus_file(const reader *r, const char *path)
{
    size_t size = 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(size ? size : 1);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    bool accepted = false;
    const char *broken = r->read(bytes, size, &accepted);
    if (broken) FAIL("%s: %s", path, broken);
    n_inputs++;
    n_accepted += accepted;
    free(bytes);
}

/* Whether the library has the reader. */
static bool is_built(int which)
{
    switch (which) {
#ifndef WG_HAVE_PNG
    case READ_PNG: return false;
#endif
#ifndef WG_HAVE_JPEG
    case READ_JPEG: return false;
#endif
#ifndef WG_HAVE_SNDFILE
    case READ_WAV: return false;
#endif
    default: return true;
    }
}

static void corpus(void)
{
    for (int i = 0; i < READERS; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", CORPUS, readers[i].name);
        DIR *folder = opendir(path);
        assert_non_null(folder);
        n_inputs = n_accepted = 0;
        for (struct dirent *entry; (entry = readdir(folder));) {
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s/%s", CORPUS, readers[i].name, entry->d_name);
            read_corpus_file(&readers[i], path);
        }
        closedir(folder);
        printf("%s: %" PRIu64 " inputs, %" PRIu64 " accepted\n", readers[i].name, n_inputs, n_accepted);
        CHECK(n_accepted > 0 || !is_built(i));
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(safetensors), TEST_CASE(idx),  TEST_CASE(text), TEST_CASE(csv),
                                 TEST_CASE(npy),         TEST_CASE(npz),  TEST_CASE(pt),   TEST_CASE(pt_old),
                                 TEST_CASE(hdf5),        TEST_CASE(gguf),
#ifdef WG_HAVE_PNG
                                 TEST_CASE(png),
#endif
#ifdef WG_HAVE_JPEG
                                 TEST_CASE(jpeg),
#endif
#ifdef WG_HAVE_SNDFILE
                                 TEST_CASE(wav),
#endif
                                 TEST_CASE(corpus)};
    return RUN_TESTS(tests);
}
