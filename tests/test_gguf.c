/* GGUF files of the package gguf: values, metadata, refusals, faults. tests/gguf_files.py compares many more. */
#include "tensors_file.h"

/* ---- what the package wrote ---- */

static void test_numbers(void)
{
    static const struct {
        const char *name, *type;
    } rows[] = {{"f32", "F32"}, {"f64", "F64"}, {"f16", "F16"}};
    wg_safetensors *f = open_tensors("small.gguf");
    assert_int_equal(wg_safetensors_count(f), 7 + 2 * 8);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(f, rows[i].name, rows[i].type, WG_DIMS(3, 4), eighths(0));
    static const char *const whole[][2] = {{"i8", "I8"}, {"i16", "I16"}, {"i32", "I32"}, {"i64", "I64"}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        expect(f, whole[i][0], whole[i][1], WG_DIMS(3, 4), NUMBERS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    wg_safetensors_close(f);
}

/* Bit for bit what the package decodes. */
static void test_quantized(void)
{
    static const char *const names[] = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
    wg_safetensors *f = open_tensors("small.gguf");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char decoded[16];
        wg_entry ours, theirs;
        snprintf(decoded, sizeof decoded, "%s.f32", names[i]);
        assert_true(wg_safetensors_find(f, names[i], &ours) && wg_safetensors_find(f, decoded, &theirs));
        assert_string_equal(ours.type, "F32");
        assert_true(wg_shape_equal(&ours.shape, &theirs.shape) && ours.bytes >= 64 * sizeof(float));
        if (memcmp(ours.data, theirs.data, ours.bytes) != 0) fail_msg("%s", names[i]);
    }
    wg_safetensors_close(f);
}

static void test_metadata(void)
{
    static const char *const rows[][2] = {{"general.architecture", "test"},
                                          {"general.name", "eighths"},
                                          {"test.below", "-5"},
                                          {"test.quarter", "0.25"},
                                          {"test.yes", "true"}};
    wg_safetensors *f = open_tensors("small.gguf");
    assert_int_equal(wg_safetensors_metadata_count(f), sizeof rows / sizeof *rows);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(wg_safetensors_metadata(f, rows[i][0]), rows[i][1]);
    assert_null(wg_safetensors_metadata(f, "test.words"));
    wg_safetensors_close(f);
}

/* ---- what is refused ---- */

static void test_refused(void)
{
    static const struct {
        const char *mark;
        int offset; /* of the mark; from there to the byte */
        int value;
        const char *reason;
    } rows[] = {
        {"GGUF", 4, 1, "version other than 2 and 3"},
        {"GGUF", 7, 3, "big-endian"},
        {"GGUF", 15, 1, "truncated"},
        {"GGUF", 16, 0, "(unknown) is not read"}, /* pairs are taken for tensors */
        {"eighths", 0, 0xff, "not UTF-8"},
        {"eighths", 3, 0, "has a NUL"},
        {"eighths", -1, 1, "truncated"},
        {"test.below", 10, 99, "unknown type"},
        {"test.words", 14, 99, "unknown type"},
        {"test.words", 18, 99, "truncated"},
        {"f32", 3, 9, "f32: more than 8 axes"},
        {"f32", 14, 0x80, "f32: its shape is impossible"},
        {"f32", 12, 1, "f32: its elements are not in the file"},
        {"f32", 23, 16, "f32: type 16 (IQ2_XXS) is not read"},
        {"f32", 23, 5, "f32: type 5 (unknown) is not read"},
        {"f32", 23, 8, "f32: its shape is impossible"}, /* Q8_0, rows of 4 */
        {"f32", 27, 8, "f32: its elements are not in the file"},
        {"f32", 30, 1, "f32: its elements are not in the file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        file_bytes b = file_bytes_of("small.gguf");
        find_mark(&b, rows[i].mark, strlen(rows[i].mark), 0)[rows[i].offset] = (unsigned char)rows[i].value;
        expect_refused(&b, rows[i].mark, rows[i].reason);
    }
}

/* Tensors of more bytes than there are share some: ten by one place, in a file of a few hundred bytes. */
static void test_shared(void)
{
    file_bytes b = {.n = 0};
    static const unsigned char head[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 10, 0, 0, 0,
                                         0,   0,   0,   0,   0, 0, 0, 0, 0,  0, 0, 0};
    memcpy(b.at, head, sizeof head);
    b.n = sizeof head;
    for (unsigned char i = 0; i < 10; i++) {
        const unsigned char tensor[] = {
            1, 0, 0, 0, 0, 0, 0, 0, (unsigned char)('a' + i), 1, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0};
        memcpy(b.at + b.n, tensor, sizeof tensor);
        b.n += sizeof tensor;
    }
    b.n += 500;
    expect_refused(&b, "shared", "not in the file, or shared");
}

/* Arrays of arrays end at a depth, whatever the file's size. */
static void test_depth(void)
{
    file_bytes b = {.n = 0};
    static const unsigned char head[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  1,
                                         0,   0,   0,   0,   0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'a'};
    memcpy(b.at, head, sizeof head);
    b.n = sizeof head;
    static const unsigned char array[] = {9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}; /* of one array */
    memcpy(b.at + b.n, array, 4);                                              /* the kind of the pair */
    b.n += 4;
    for (int i = 0; i < 200; i++, b.n += sizeof array) memcpy(b.at + b.n, array, sizeof array);
    expect_refused(&b, "depth", "too deep");
}

static void test_cut_and_flipped(void) { check_cut_and_flipped("small.gguf", 1); }

/* ---- memory and faults ---- */

static void case_asks_memory(void)
{
    file_bytes b = file_bytes_of("small.gguf");
    find_mark(&b, "f32", 3, 0)[11] = 0x7f; /* 127 << 32 elements */
    fault_begin(0, 0, false);
    wg_error error = {0};
    assert_null(wg_safetensors_parse(b.at, b.n, "x", &error));
    assert_true(fault.largest < 1 << 16);
    fault_end();
    assert_int_equal(error.status, WG_ERR_FORMAT);
}

static wg_status read_small(wg_error *error) { return read_tensors("small.gguf", error); }
static void test_faults(void) { check_faults(read_small); }

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_numbers), TEST_CASE(test_quantized),       TEST_CASE(test_metadata),
        TEST_CASE(test_refused), TEST_CASE(test_shared),          TEST_CASE(test_depth),
        TEST_CASE(test_faults),  TEST_CASE(test_cut_and_flipped), TEST_CASE(case_asks_memory),
    };
    return RUN_TESTS(tests);
}
