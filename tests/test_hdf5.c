/* HDF5 files of h5py and Keras: values, refusals, faults. tests/hdf5.py compares many more with h5py itself. */
#include "tensors_file.h"
#include "zip_file.h"

#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- what h5py wrote ---- */

static void test_symbols(void)
{
    wg_safetensors *f = open_tensors("symbols.h5");
    assert_int_equal(wg_safetensors_count(f), 3); /* neither the soft link nor the words */
    expect(f, "model_weights/lstm_1/kernel:0", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "model_weights/lstm_1/big", "F64", WG_DIMS(4), eighths(0));
    expect(f, "model_weights/lstm_1/flags", "BOOL", WG_DIMS(4), NUMBERS(0, 1, 1, 1));
    wg_safetensors_close(f);
}

static void test_chunks(void)
{
#ifdef WG_HAVE_ZLIB
    wg_safetensors *f = open_tensors("chunks.h5");
    assert_int_equal(wg_safetensors_count(f), 2);
    expect(f, "c", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "plain", "F16", WG_DIMS(3, 4), eighths(0));
    wg_safetensors_close(f);
#else
    wg_error error = {0};
    assert_int_equal(read_tensors("chunks.h5", &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "built without zlib");
#endif
}

/* The same inside of a .keras. */
static void test_links(void)
{
    static const char *const names[] = {"links.h5", "model.keras"};
    for (int i = 0; i < 2; i++) {
        wg_safetensors *f = open_tensors(names[i]);
        assert_int_equal(wg_safetensors_count(f), 3);
        expect(f, "layers/dense/vars/0", "F32", WG_DIMS(3, 4), eighths(0));
        expect(f, "layers/dense/vars/1", "I64", WG_DIMS(4), NUMBERS(0, 0, 0, 0));
        expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
        wg_safetensors_close(f);
    }
}

static void test_heap(void)
{
    wg_safetensors *f = open_tensors("heap.h5");
    assert_int_equal(wg_safetensors_count(f), 10);
    for (int i = 0; i < 10; i++) {
        char name[3] = {'w', (char)('0' + i)};
        expect(f, name, "F32", WG_SCALAR, eighths(i));
    }
    wg_safetensors_close(f);
}

/* ---- what is refused ---- */

static void test_refused(void)
{
    static const struct {
        const char *file, *mark;
        int number, offset; /* of the mark; from there to the byte */
        int value;
        const char *reason;
    } rows[] = {
        {"symbols.h5", "\x89HDF", 0, 1, 'X', "safetensors"},
        {"symbols.h5", "\x89HDF", 0, 4, 0, "no HDF5 file"},
        {"symbols.h5", "\x89HDF", 0, 8, 9, "unknown version"},
        {"symbols.h5", "\x89HDF", 0, 13, 4, "do not have 8 bytes"},
        {"symbols.h5", "\x89HDF", 0, 24, 8, "begin elsewhere"},
        {"symbols.h5", "\x89HDF", 0, 42, 1, "truncated"},
        {"symbols.h5", "\x89HDF", 0, 64, 1, "no object where its group says"},
        {"symbols.h5", "TREE", 0, 0, 'X', "symbol table is damaged"},
        {"symbols.h5", "TREE", 0, 5, 9, "symbol table is damaged"},
        {"symbols.h5", "HEAP", 0, 0, 'X', "symbol table is damaged"},
        {"symbols.h5", "HEAP", 0, 10, 1, "larger than the file"},
        {"symbols.h5", "SNOD", 0, 0, 'X', "symbol table is damaged"},
        {"symbols.h5", "SNOD", 0, 9, 0x70, "symbol table is damaged"},
        {"symbols.h5", "kernel:0", 0, 0, 0xff, "UTF-8"},
        {"symbols.h5", "kernel:0", 0, 3, '/', "slash"},
        {"links.h5", "OHDR", 0, 4, 3, "unknown version"},
        {"links.h5", "OHDR", 0, 6, 0xff, "header"},
        {"heap.h5", "FRHP", 0, 0, 'X', "heap of its links is damaged"},
        {"heap.h5", "FRHP", 0, 7, 1, "links are compressed"},
        {"heap.h5", "FRHP", 0, 110, 0, "heap of its links is damaged"},
        {"heap.h5", "FRHP", 0, 112, 3, "heap of its links is damaged"},
        {"heap.h5", "FHDB", 0, 0, 'X', "heap of its links is damaged"},
        {"heap.h5", "BTHD", 0, 5, 6, "heap of its links is damaged"},
        {"heap.h5", "BTHD", 0, 7, 0, "heap of its links is damaged"},
        {"heap.h5", "BTLF", 0, 0, 'X', "heap of its links is damaged"},
        {"heap.h5", "BTLF", 0, 10, 0x20, "heap of its links is damaged"},
#ifdef WG_HAVE_ZLIB
        {"chunks.h5", "TREE\1", 0, 5, 7, "index of its chunks is damaged"},
        {"chunks.h5", "TREE\1", 0, 6, 1, "never written"},
        {"chunks.h5", "TREE\1", 0, 24, 200, "chunk"},
        {"chunks.h5", "TREE\1", 0, 32, 1, "outside"},
        {"chunks.h5", "TREE\1", 0, 32, 2, "not in their order"},
        {"chunks.h5", "deflate", 0, -8, 4, "filter 4 of HDF5"},
        {"chunks.h5", "shuffle", 0, -8, 1, "filter 1 of HDF5"},
#endif
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_bytes b = file_bytes_of(rows[i].file);
        find_mark(&b, rows[i].mark, strlen(rows[i].mark), rows[i].number)[rows[i].offset] =
            (unsigned char)rows[i].value;
        expect_refused(&b, rows[i].mark, rows[i].reason);
    }
}

/* One number cannot be cut into chunks: what is read would be memory that nothing was written to. */
static void test_a_number_in_chunks(void)
{
    static const char space[] = "\1\2\1\0\0\0\0\0\3\0\0\0", layout[] = "\3\2\3";
    file_bytes b = file_bytes_of("chunks.h5");
    find_mark(&b, space, sizeof space - 1, 0)[1] = 0; /* axes of the dataset */
    unsigned char *chunks = find_mark(&b, layout, sizeof layout - 1, 0);
    chunks[2] = 1;  /* axes of a chunk, and the bytes of an element */
    chunks[11] = 4; /* bytes of an element */
    expect_refused(&b, "rank 0", "one number in chunks");
}

/* Chunks of 48 MiB each that hold 12 elements of a file of 9 KB. */
static void test_large_chunks(void)
{
    static const char layout[] = "\3\2\3";
    file_bytes b = file_bytes_of("chunks.h5");
    find_mark(&b, layout, sizeof layout - 1, 0)[11 + 4 + 2] = 96;
    expect_refused(&b, "chunks", "chunks have more bytes than the limit");
}

/* A group that contains itself, by its own address in the place of a child's. */
static void test_circles(void)
{
    file_bytes b = file_bytes_of("symbols.h5");
    unsigned char *root = b.at + 64, *child = find_mark(&b, "SNOD", 4, 0) + 8 + 8;
    memcpy(child, root, 8);
    wg_error error = {0};
    assert_null(wg_safetensors_parse(b.at, b.n, "x.h5", &error));
    assert_true(strstr(error.text, "32 deep") || strstr(error.text, "in circles"));
}

static void test_cut_and_flipped(void)
{
    static const char *const names[] = {"symbols.h5", "links.h5", "heap.h5", "model.keras"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_cut_and_flipped(names[i], 7);
}

/* ---- memory and faults ---- */

/* A shape of 2^30 elements takes no memory unless they are there. */
static void case_asks_memory(void)
{
    static const char *const names[] = {"symbols.h5", "chunks.h5"};
    static const unsigned char shape[] = {3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 2; i++) {
        file_bytes b = file_bytes_of(names[i]);
        find_mark(&b, (const char *)shape, sizeof shape, 0)[3] = 0x40;
        fault_begin(0, 0, false);
        wg_error error = {0};
        assert_null(wg_safetensors_parse(b.at, b.n, "x.h5", &error));
        assert_true(fault.largest < 1 << 16);
        fault_end();
        assert_int_equal(error.status, WG_ERR_FORMAT);
    }
}

#ifdef WG_HAVE_ZLIB
/* Deflates the weights of a .keras into `to`, and adds the headers of an archive; returns its size. */
static size_t keras_of(const unsigned char *weights, size_t n, unsigned char *to, size_t room)
{
    unsigned char *packed = malloc(room);
    uLongf got = room;
    assert_true(packed && compress2(packed, &got, weights, n, 9) == Z_OK);
    const zip_part part = {"model.weights.h5", packed + 2, got - 6}; /* without zlib's head and sum */
    const zip_places at = zip_file(to, &part, 1);
    for (int central = 0; central < 2; central++) {
        unsigned char *version = to + (central ? at.central[0] + 6 : at.local[0] + 4);
        zip_put(version + 4, 8, 2); /* deflated */
        zip_put(version + 10, zip_crc(weights, n), 4);
        zip_put(version + 18, n, 4);
    }
    free(packed);
    return at.size;
}

/* The limit of a .keras is that of the archive, not of its weights, which are decompressed: 2 MiB of weights in a file
 * of a few KB whose chunks say to have 96 MiB of elements. */
static void test_limit_of_keras(void)
{
    enum { WEIGHTS = 1 << 21, ROOM = 1 << 16, LONGER = 1 << 20 };
    static const char shape[] = "\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0", layout[] = "\3\2\3";
    file_bytes b = file_bytes_of("chunks.h5");
    zip_put(find_mark(&b, shape, sizeof shape, 0) + 8, 4 * LONGER, 8);
    zip_put(find_mark(&b, layout, sizeof layout - 1, 0) + 11 + 4, 3 * LONGER, 4);
    unsigned char *chunk = find_mark(&b, "TREE\1", 5, 0) + 24;
    for (int i = 0; i < 4; i++, chunk += 40) {
        zip_put(chunk, 50000, 4);
        zip_put(chunk + 16, i % 2 * 3 * LONGER, 8);
    }
    unsigned char *weights = calloc(WEIGHTS, 1), *file = malloc(2 * ROOM);
    assert_true(weights && file);
    memcpy(weights, b.at, b.n);
    const size_t size = keras_of(weights, WEIGHTS, file, ROOM);
    wg_error error = {0};
    fault_begin(0, 0, false);
    assert_null(wg_safetensors_parse(file, size, "x.keras", &error));
    assert_true(fault.largest < 1 << 23);
    fault_end();
    ASSERT_HAS(error.text, "more bytes than the limit");
    free(weights);
    free(file);
}
#endif

static wg_status read_symbols(wg_error *error) { return read_tensors("symbols.h5", error); }
static wg_status read_heap(wg_error *error) { return read_tensors("heap.h5", error); }
static wg_status read_keras(wg_error *error) { return read_tensors("model.keras", error); }
#ifdef WG_HAVE_ZLIB
static wg_status read_chunks(wg_error *error) { return read_tensors("chunks.h5", error); }
#endif

static void test_faults(void)
{
    check_faults(read_symbols);
    check_faults(read_heap);
    check_faults(read_keras);
#ifdef WG_HAVE_ZLIB
    check_faults(read_chunks);
#endif
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_symbols),         TEST_CASE(test_chunks),
        TEST_CASE(test_links),           TEST_CASE(test_heap),
        TEST_CASE(test_refused),         TEST_CASE(test_circles),
        TEST_CASE(test_cut_and_flipped), TEST_CASE(case_asks_memory),
        TEST_CASE(test_faults),          TEST_CASE(test_a_number_in_chunks),
        TEST_CASE(test_large_chunks),
#ifdef WG_HAVE_ZLIB
        TEST_CASE(test_limit_of_keras),
#endif
    };
    return RUN_TESTS(tests);
}
