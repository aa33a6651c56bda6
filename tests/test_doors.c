/* Files of NumPy and PyTorch: what they hold is known from how tests/tensors/make.py made them; a violation of every
 * rule of .npy, zip and the pickle; every bit flipped; every allocation and system call failing. */
#include "test_io.h"
#include "zip_file.h"

#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- what is expected ---- */

static wg_safetensors *open_tensors(const char *name)
{
    char path[512];
    wg_error error = {0};
    snprintf(path, sizeof path, "%s/%s", TENSORS, name);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file) fail_msg("%s", error.text);
    return file;
}

/* The tensor has this type, this shape, and these numbers. */
static void expect(const wg_safetensors *file, const char *name, const char *type, wg_shape shape,
                   const double *numbers)
{
    wg_entry e;
    double got[64];
    int64_t numel;
    wg_error error = {0};
    if (!wg_safetensors_find(file, name, &e)) fail_msg("no %s", name);
    assert_string_equal(e.type, type);
    assert_true(wg_shape_equal(&e.shape, &shape) && wg_shape_numel(&shape, &numel) && numel <= 64);
    if (wg_entry_read(&e, WG_F64, got, &error) != WG_OK) fail_msg("%s", error.text);
    for (int64_t i = 0; i < numel; i++)
        if (got[i] != numbers[i]) fail_msg("%s[%d] is %g, not %g", name, (int)i, got[i], numbers[i]);
}

/* Eighths from `first` on. */
static const double *eighths(int first)
{
    static double numbers[64];
    for (int i = 0; i < 64; i++) numbers[i] = (first + i) / 8.0;
    return numbers;
}

#define NUMBERS(...) ((const double[]){__VA_ARGS__})
#define E(i)         ((i) / 8.0)
static const double transposed[] = {E(0), E(4), E(8), E(1), E(5), E(9), E(2), E(6), E(10), E(3), E(7), E(11)};

/* ---- PyTorch ---- */

static void test_pt(void)
{
    wg_safetensors *f = open_tensors("strided.pt");
    assert_int_equal(wg_safetensors_count(f), 9);
    expect(f, "all", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "again", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "row", "F32", WG_DIMS(4), eighths(4));
    expect(f, "transposed", "F32", WG_DIMS(4, 3), transposed);
    expect(f, "column", "F32", WG_DIMS(3), NUMBERS(E(1), E(5), E(9)));
    expect(f, "every_other", "F32", WG_DIMS(2, 2), NUMBERS(E(1), E(3), E(9), E(11)));
    expect(f, "expanded", "F32", WG_DIMS(3, 2), NUMBERS(0, E(1), 0, E(1), 0, E(1)));
    expect(f, "scalar", "F32", WG_SCALAR, NUMBERS(0.5));
    expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
    assert_int_equal(wg_safetensors_metadata_count(f), 0);
    wg_safetensors_close(f);

    f = open_tensors("types.pt");
    expect(f, "f64", "F64", WG_DIMS(3), eighths(0));
    expect(f, "f16", "F16", WG_DIMS(3), eighths(0));
    expect(f, "bf16", "BF16", WG_DIMS(3), eighths(0));
    static const char *const whole[][2] = {{"i64", "I64"}, {"i32", "I32"}, {"i16", "I16"}, {"i8", "I8"}};
    for (int i = 0; i < 4; i++) expect(f, whole[i][0], whole[i][1], WG_DIMS(3), NUMBERS(1, -2, 3));
    expect(f, "u8", "U8", WG_DIMS(3), NUMBERS(1, 2, 3));
    expect(f, "bool", "BOOL", WG_DIMS(3), NUMBERS(1, 0, 1));
    wg_safetensors_close(f);

    f = open_tensors("tensor.pt");
    expect(f, "tensor", "F32", WG_DIMS(3, 4), eighths(0));
    wg_safetensors_close(f);
}

/* Tensors at any depth are named by their path; the rest is ignored. */
static void test_pt_checkpoint(void)
{
    wg_safetensors *f = open_tensors("checkpoint.pt");
    assert_int_equal(wg_safetensors_count(f), 12);
    expect(f, "state_dict.weight", "F32", WG_DIMS(2, 3), eighths(0));
    expect(f, "state_dict.bias", "F32", WG_DIMS(2), eighths(6));
    expect(f, "parameters.weight", "F32", WG_DIMS(2, 3), eighths(0));
    expect(f, "optimizer.state.0.step", "F32", WG_SCALAR, NUMBERS(1));
    expect(f, "list.1.0", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "list.1.1", "F32", WG_DIMS(4), eighths(0));
    wg_safetensors_close(f);
}

/* A state dict loads into the layer of the same kind. */
static void test_pt_into_layer(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn lstm;
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    assert_int_equal(wg_rnn_init(&lstm, set, NULL, 2, 3, options), WG_OK);
    wg_safetensors *f = open_tensors("lstm.pt");
    wg_checkpoint c = {.params = set, .step = 5};
    wg_error error = {0};
    if (wg_checkpoint_load(f, &c, NULL, NULL, &error) != WG_OK) fail_msg("%s", error.text);
    assert_true(((const float *)wg_param_value(lstm.cell[0].weight_hh))[35] == (24 + 35) / 8.0f);
    assert_true(((const float *)wg_param_value(lstm.cell[0].bias_hh))[11] == (24 + 36 + 12 + 11) / 8.0f);
    assert_int_equal(c.step, 0);
    wg_safetensors_close(f);
    wg_params_free(set);
}

/* ---- a pickle ---- */

/* Opens a .pt of this pickle and a storage "0" of 6 floats. */
static wg_safetensors *open_pickle(const void *pickle, size_t size, wg_error *error)
{
    static unsigned char bytes[8192];
    float storage[6];
    for (int i = 0; i < 6; i++) storage[i] = (float)i / 8;
    const zip_part parts[] = {{"a/data.pkl", pickle, size}, {"a/data/0", storage, sizeof storage}};
    *error = (wg_error){0};
    return wg_safetensors_parse(bytes, zip_file(bytes, parts, 2).size, "p.pt", error);
}

#define S "X\7\0\0\0storage"
#define KEY                                                                                                        \
    "X\1\0\0\0"                                                                                                    \
    "0"
#define CPU "X\3\0\0\0cpu"
#define W   "X\1\0\0\0w"
/* {'w': rebuild(storage '0' of `n` elements, offset, sizes, strides, False)}; mark, dict and w stand before it. */
#define REBUILD(n, rest)                                                                                           \
    "\x80\2}" W "ctorch._utils\n_rebuild_tensor_v2\n((" S "ctorch\nFloatStorage\n" KEY CPU n "tQ" rest "\x89tRs."
#define PICKLE(literal) literal, sizeof(literal) - 1

static void test_pickle_accepted(void)
{
    static const struct {
        const char *pickle;
        size_t size;
        int rank;
        int64_t sizes[2];
        double last;
    } rows[] = {{PICKLE(REBUILD("K\6", "K\0K\2K\3\x86K\3K\1\x86")), 2, {2, 3}, E(5)},
                {PICKLE(REBUILD("K\6", "K\1K\5\x85K\1\x85")), 1, {5}, E(5)},
                {PICKLE(REBUILD("M\6\0", "J\2\0\0\0\x8a\1\2\x85\x8a\1\2\x85")), 1, {2}, E(4)},
                {PICKLE(REBUILD("K\6", "K\5))")), 0, {0}, E(5)},
                {PICKLE(REBUILD("K\6", "K\6K\0\x85K\1\x85")), 1, {0}, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_entry e;
        double got[8];
        wg_safetensors *f = open_pickle(rows[i].pickle, rows[i].size, &error);
        if (!f) fail_msg("row %zu: %s", i, error.text);
        const wg_shape shape = wg_shape_of(rows[i].rank, rows[i].sizes);
        assert_true(wg_safetensors_find(f, "w", &e) && wg_shape_equal(&e.shape, &shape));
        assert_int_equal(wg_entry_read(&e, WG_F64, got, &error), WG_OK);
        if (e.bytes) assert_true(got[e.bytes / 4 - 1] == rows[i].last);
        wg_safetensors_close(f);
    }
}

#define MANY_63 "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f" /* 2^63 - 1 */

static void test_pickle_refused(void)
{
    static const struct {
        const char *pickle;
        size_t size;
        const char *said;
    } rows[] = {
        {PICKLE("\x80\2cos\nsystem\nX\2\0\0\0ls\x85R."), "names \"os system\""},
        {PICKLE("\x80\2c__builtin__\neval\n."), "names \"__builtin__ eval\""},
        {PICKLE("\x80\2ctorch\nFloatStorage2\n."), "names \"torch FloatStorage2\""},
        {PICKLE("\x80\2c\n\n."), "names \" \""},
        {PICKLE("\x80\2ctorch\nFloatStorage"), "truncated"},
        {PICKLE("\x80\4."), "protocol other than 2"},
        {PICKLE("}."), "not a pickle"},
        {PICKLE("\x80\2"), "truncated"},
        {PICKLE("\x80\2."), "stack is empty"},
        {PICKLE("\x80\2}}."), "more than one value"},
        {PICKLE("\x80\2(."), "mark in the place"},
        {PICKLE("\x80\2t."), "no mark"},
        {PICKLE("\x80\2u."), "no mark"},
        {PICKLE("\x80\2}Nu."), "no mark"},
        {PICKLE("\x80\2NNNs."), "items without a dict"},
        {PICKLE("\x80\2}Na."), "items of a dict for a list"},
        {PICKLE("\x80\2](NNu."), "items of a dict for a list"},
        {PICKLE("\x80\2}(Nu."), "items of a dict for a list"},
        {PICKLE("\x80\2}q\1."), "memo numbers are out of order"},
        {PICKLE("\x80\2h\0."), "memo number that was not put"},
        {PICKLE("\x80\2X\xff\xff\xff\xff"
                "a."),
         "truncated"},
        {PICKLE("\x80\2X\1\0\0\0\xff."), "not UTF-8"},
        {PICKLE("\x80\2}}Nb."), "state of no dict"},
        {PICKLE("\x80\2})R."), "call of no name"},
        {PICKLE("\x80\2ccollections\nOrderedDict\nN\x85R."), "other arguments"},
        {PICKLE("\x80\2ctorch._utils\n_rebuild_parameter\nN\x85R."), "parameter that is no tensor"},
        {PICKLE("\x80\2NQ."), "persistent id"},
        {PICKLE("\x80\2J\xff\xff\xff\xffQ."), "persistent id"},
        {PICKLE("\x80\2(" S "ccollections\nOrderedDict\n" KEY CPU "K\6tQ."), "persistent id"},
        {PICKLE(REBUILD("K\6", "K\1K\6\x85K\1\x85")), "w: it reads past its storage"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85K\6\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", MANY_63 "K\2\x85K\1\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85" MANY_63 "\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", "K\0" MANY_63 MANY_63 "\x86K\0K\0\x86")), "too many elements"},
        {PICKLE(REBUILD("K\6", "K\0\x8a\4\xff\xff\xff\x7f\x85K\0\x85")), "more elements than the file"},
        {PICKLE(REBUILD("K\6", "K\0J\xff\xff\xff\xff\x85K\1\x85")), "is not (storage, offset"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85K\1K\1\x86")), "is not (storage, offset"},
        {PICKLE(REBUILD("K\7", "K\0K\2\x85K\1\x85")), "another size than the pickle says"},
        {PICKLE("\x80\2}N"
                "ctorch._utils\n_rebuild_tensor_v2\n((" S "ctorch\nFloatStorage\n" KEY CPU "K\6tQK\0))tRs."),
         "neither a string nor an integer"},
        {PICKLE("\x80\2}q\0" W "h\0s."), "nested more than 32 deep"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_safetensors *f = open_pickle(rows[i].pickle, rows[i].size, &error);
        if (f) fail_msg("row %zu (%s) was accepted", i, rows[i].said);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        if (!strstr(error.text, rows[i].said)) fail_msg("row %zu: %s, not %s", i, error.text, rows[i].said);
        ASSERT_HAS(error.text, "p.pt: ");
    }
}

/* Of the 256 opcodes, those that torch.save writes are followed; each other one is refused by its name. */
static void test_opcodes(void)
{
    static const unsigned char followed[] = "\x80.(N\x88\x89GKMJ\x8aXcqrhj)\x85\x86\x87t}su]aebQR";
    int named = 0;
    for (int code = 0; code < 256; code++) {
        unsigned char pickle[] = {0x80, 2, (unsigned char)code, '.'};
        wg_error error;
        wg_safetensors *f = open_pickle(pickle, sizeof pickle, &error);
        const bool refused = strstr(error.text, "the pickle has the opcode") != NULL;
        assert_int_equal(refused, !(code && strchr((const char *)followed, code)));
        named += refused && !strstr(error.text, "of no name");
        wg_safetensors_close(f);
    }
    assert_int_equal(named, 68 - 31); /* Python's pickletools knows 68 */
    wg_error error;
    assert_null(open_pickle(PICKLE("\x80\2\x93."), &error));
    ASSERT_HAS(error.text, "STACK_GLOBAL (0x93)");
}

/* Dicts that share dicts would give 2^24 names: (d0, d1 = {1: d0, 2: d0}, d2 = {1: d1, 2: d1}, ...). */
static void check_multiplied(const char *d0, size_t size, const char *said)
{
    unsigned char pickle[1024] = "\x80\2(";
    size_t n = 3;
    memcpy(pickle + n, d0 + 2, size - 3); /* without protocol and stop */
    n += size - 3;
    memcpy(pickle + n, "q\0", 2);
    n += 2;
    for (int i = 0; i < 24; i++) {
        const unsigned char d = (unsigned char)i,
                            next[] = {'}', '(', 'K', 1, 'h', d, 'K', 2, 'h', d, 'u', 'q', d + 1};
        memcpy(pickle + n, next, sizeof next);
        n += sizeof next;
    }
    memcpy(pickle + n, "t.", 2);
    wg_error error;
    assert_null(open_pickle(pickle, n + 2, &error));
    ASSERT_HAS(error.text, said);
}

static void case_names_multiply(void)
{
    check_multiplied(PICKLE("\x80\2}K\1}s."), "contain each other too often");
    check_multiplied(PICKLE(REBUILD("K\6", "K\0))")), "more tensors than a file of this size has");
}

/* ---- NumPy ---- */

static void test_npz(void)
{
    wg_safetensors *f = open_tensors("arrays.npz");
    assert_int_equal(wg_safetensors_count(f), 8);
    expect(f, "c", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "fortran", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "big", "F64", WG_DIMS(3, 4), eighths(0));
    expect(f, "half", "F16", WG_DIMS(3, 4), eighths(0));
    expect(f, "scalar", "F64", WG_SCALAR, NUMBERS(0.5));
    expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
    expect(f, "i64", "I64", WG_DIMS(3), NUMBERS(1, -2, 3));
    expect(f, "fortran_big", "I32", WG_DIMS(3, 2, 2), NUMBERS(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1));
    wg_safetensors_close(f);
#ifdef WG_HAVE_ZLIB
    f = open_tensors("deflated.npz");
    expect(f, "c", "F32", WG_DIMS(3, 4), eighths(0));
    wg_entry e;
    assert_true(wg_safetensors_find(f, "zeros", &e) && e.bytes == 80000);
    for (size_t i = 0; i < e.bytes; i++) assert_int_equal(((const char *)e.data)[i], 0);
    wg_safetensors_close(f);
#else
    wg_error error = {0};
    assert_null(wg_safetensors_open(TENSORS "/deflated.npz", &error));
    ASSERT_HAS(error.text, "is deflated, and this library was built without zlib");
#endif
}

/* A file of this version, this header and n bytes 1, 2, ... */
static wg_safetensors *open_npy(int version, const char *header, size_t n, wg_error *error)
{
    unsigned char bytes[512] = "\x93NUMPY";
    const size_t length = strlen(header), at = version == 1 ? 10 : 12;
    bytes[6] = (unsigned char)version;
    zip_put(bytes + 8, length, version == 1 ? 2 : 4);
    memcpy(bytes + at, header, length);
    for (size_t i = 0; i < n; i++) bytes[at + length + i] = (unsigned char)(i + 1);
    *error = (wg_error){0};
    return wg_safetensors_parse(bytes, at + length + n, "a.npy", error);
}

#define NPY(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }     \n"

static void test_npy(void)
{
    static const struct {
        int version;
        const char *header;
        size_t n;
        const char *type;
        int rank;
        int64_t sizes[3];
        double numbers[6];
    } rows[] = {
        {1, NPY("|u1", "False", "(2, 3)"), 6, "U8", 2, {2, 3}, {1, 2, 3, 4, 5, 6}},
        {1, NPY("|u1", "True", "(2, 3)"), 6, "U8", 2, {2, 3}, {1, 3, 5, 2, 4, 6}},
        {2, NPY("|i1", "False", "(2,)"), 2, "I8", 1, {2}, {1, 2}},
        {3, NPY("<i2", "False", "(1,)"), 2, "I16", 1, {1}, {0x0201}},
        {1, NPY(">i2", "False", "(2,)"), 4, "I16", 1, {2}, {0x0102, 0x0304}},
        {1, NPY("<u2", "False", "()"), 2, "U16", 0, {0}, {0x0201}},
        {1, NPY("<u4", "False", "(1L,)"), 4, "U32", 1, {1}, {0x04030201}},
        {1, NPY(">u8", "False", "(1,)"), 8, "U64", 1, {1}, {0x0102030405060708}},
        {1, NPY("|b1", "False", "(1,)"), 1, "BOOL", 1, {1}, {1}},
        {1, NPY("<V2", "False", "(1,)"), 2, "BF16", 1, {1}, {0x1.02p-123}},
        {1, NPY("<f4", "True", "(0, 3)"), 0, "F32", 2, {0, 3}, {0}},
        {1, "{\"shape\":(1,),\"descr\":\"|u1\",\"fortran_order\":True}", 1, "U8", 1, {1}, {1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_safetensors *f = open_npy(rows[i].version, rows[i].header, rows[i].n, &error);
        if (!f) fail_msg("%s: %s", rows[i].header, error.text);
        expect(f, "arr_0", rows[i].type, wg_shape_of(rows[i].rank, rows[i].sizes), rows[i].numbers);
        wg_safetensors_close(f);
    }
}

static void test_npy_refused(void)
{
    static const struct {
        int version;
        const char *header;
        size_t n;
        const char *said;
    } rows[] = {{4, NPY("|u1", "False", "(1,)"), 1, "version other than 1.0"},
                {1, NPY("|u1", "False", "(2,)"), 1, "truncated"},
                {1, NPY("|u1", "False", "(1,)"), 2, "longer than its shape says"},
                {1, NPY("|O", "False", "(1,)"), 8, "dtype '|O' is not read"},
                {1, NPY("<U1", "False", "(1,)"), 4, "dtype '<U1' is not read"},
                {1, NPY("f4", "False", "(1,)"), 4, "dtype 'f4' is not read"},
                {1, NPY(">c8", "False", "(1,)"), 8, "is not read"},
                {1, NPY("<f4<f4<f4<f4<f4<f4", "False", "(1,)"), 4, "structured"},
                {1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "structured"},
                {1, NPY("|u1", "Maybe", "(1,)"), 1, "not True or False"},
                {1, NPY("|u1", "False", "(1,1,1,1,1,1,1,1,1)"), 1, "more than 8 axes"},
                {1, NPY("|u1", "False", "(1"), 1, "no shape"},
                {1, NPY("|u1", "False", "(-1,)"), 1, "no shape"},
                {1, NPY("|u1", "False", "(1 1)"), 1, "no shape"},
                {1, NPY("|u1", "False", "1"), 1, "no shape"},
                {1, NPY("<f8", "False", "(9223372036854775807,)"), 8, "too many elements"},
                {1, NPY("<f8", "False", "(9223372036854775808,)"), 8, "too many elements"},
                {1, NPY("<f8", "False", "(1073741824, 1073741824)"), 8, "truncated"},
                {1, NPY("<f8", "False", "(1073741824, 1073741824, 4)"), 8, "too many elements"},
                {1, "{'descr': '|u1', 'shape': (1,)}", 1, "lacks descr, fortran_order or shape"},
                {1, "{'descr': '|u1', 'descr': '|u1'}", 1, "second key"},
                {1, "{'other': '|u1'}", 1, "unknown"},
                {1, "{'descr': '|u1' 'shape': (1,)}", 1, "no dict"},
                {1, "{descr: '|u1'}", 1, "no dict of strings"},
                {1, NPY("|u1", "False", "(1,)") "x", 1, "bytes after its header's dict"},
                {1, "no dict", 1, "no dict"}};
    wg_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_safetensors *f = open_npy(rows[i].version, rows[i].header, rows[i].n, &error);
        if (f) fail_msg("%s was accepted", rows[i].header);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        ASSERT_HAS(error.text, "a.npy: array arr_0: ");
        ASSERT_HAS(error.text, rows[i].said);
    }
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\x93NUMPY\2\0\xff\xff\xff\xff", 12, "a.npy", &error));
    ASSERT_HAS(error.text, "longer than 64 KiB");
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\x93NUMPY\1\0\xff", 9, "a.npy", &error));
    ASSERT_HAS(error.text, "truncated");
}

/* ---- elements as ours ---- */

static void test_entry_read(void)
{
    static const int64_t longs[] = {INT32_MIN, INT32_MAX, 0, 1};
    static const double wide[] = {1, 1e39};
    const wg_entry e = {.name = "n", .type = "I64", .shape = WG_DIMS(4), .data = longs, .bytes = 32};
    int32_t ints[4];
    unsigned char bools[4];
    float floats[4];
    wg_error error = {0};
    assert_int_equal(wg_entry_read(&e, WG_I32, ints, &error), WG_OK);
    assert_true(ints[0] == INT32_MIN && ints[1] == INT32_MAX && ints[3] == 1);
    assert_int_equal(wg_entry_read(&e, WG_F32, floats, &error), WG_OK);
    assert_true(floats[0] == -2147483648.0f && floats[1] == 2147483648.0f);
    assert_int_equal(wg_entry_read(&e, WG_BOOL, bools, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "n: element 0 is -2147483648, which bool does not hold");
    wg_entry more = e;
    const int64_t too_large[] = {INT32_MAX + 1ll};
    more.data = too_large, more.shape = WG_DIMS(1), more.bytes = 8, error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_I32, ints, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "n: element 0 is 2147483648, which i32 does not hold");
    more = (wg_entry){.name = "w", .type = "F64", .dtype = WG_F64, .shape = WG_DIMS(2), .data = wide, .bytes = 16};
    error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "do not fit f32");
    error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_I32, ints, &error), WG_ERR_DTYPE);
    ASSERT_HAS(error.text, "w is F64 in the file, which does not convert to i32");
    more.type = "C64";
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, NULL), WG_ERR_DTYPE);
    more = e;
    more.bytes = 24;
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_entry_read(NULL, WG_F32, floats, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_entry_read(&e, WG_F32, NULL, NULL), WG_ERR_ARGUMENT);
}

/* ---- archives ---- */

/* Two arrays, a and b, of one byte each. */
static const char one[] = "\x93NUMPY\1\0\x3c\0{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }  \n\7";

static zip_places two_arrays(unsigned char *bytes)
{
    const zip_part parts[] = {{"a.npy", one, sizeof one - 1}, {"b.npy", one, sizeof one - 1}};
    return zip_file(bytes, parts, 2);
}

static void test_zip_refused(void)
{
    enum { LOCAL, CENTRAL, END };
    static const struct {
        int record, offset, n;
        uint64_t value;
        const char *said;
    } rows[] = {{CENTRAL, 0, 4, 0, "directory ends before its last member"},
                {CENTRAL, 8, 2, 1, "member b.npy is encrypted"},
                {CENTRAL, 10, 2, 12, "compressed by method 12"},
                {CENTRAL, 16, 4, 7, "member b.npy is damaged: checksum mismatch"},
                {CENTRAL, 20, 4, 7, "stored with two sizes"},
                {CENTRAL, 28, 2, 65535, "directory ends before its last member"},
                {CENTRAL, 28, 2, 0, "no relative path"},
                {CENTRAL, 42, 4, 0, "overlaps another one"},
                {CENTRAL, 42, 4, 100000, "is not in the file"},
                {CENTRAL, 42, 4, UINT32_MAX, "has no size"},
                {CENTRAL, 46, 1, '/', "no relative path"},
                {CENTRAL, 46, 3, '.' | '.' << 8 | '/' << 16, "no relative path"},
                {CENTRAL, 46, 1, '\\', "no relative path"},
                {CENTRAL, 46, 1, 0xff, "no relative path"},
                {CENTRAL, 46, 1, 0, "no relative path"},
                {CENTRAL, 46, 1, 'a', "member a.npy is there twice"},
                {CENTRAL, 48, 1, 'x', "neither the arrays of an .npz nor the data.pkl"},
                {LOCAL, 0, 4, 0, "is not in the file"},
                {LOCAL, 26, 2, 5000, "is not in the file"},
                {LOCAL, 28, 2, 20, "overlaps the directory"},
                {END, 0, 1, 0, "no directory"},
                {END, 4, 2, 1, "several parts"},
                {END, 8, 2, 1, "several parts"},
                {END, 8, 4, 3 | 3 << 16, "fewer members than it says"},
                {END, 12, 4, 100000, "larger than the file"},
                {END, 16, 4, 100000, "larger than the file"},
                {END, 16, 4, UINT32_MAX, "no directory"},
                {END, 20, 2, 1, "no directory"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[1024];
        const zip_places at = two_arrays(bytes);
        const size_t base = rows[i].record == LOCAL     ? at.local[1]
                            : rows[i].record == CENTRAL ? at.central[1]
                                                        : at.end;
        zip_put(bytes + base + rows[i].offset, rows[i].value, rows[i].n);
        wg_error error = {0};
        wg_safetensors *f = wg_safetensors_parse(bytes, at.size, "z.npz", &error);
        if (f) fail_msg("row %zu (%s) was accepted", i, rows[i].said);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        if (!strstr(error.text, rows[i].said)) fail_msg("row %zu: %s, not %s", i, error.text, rows[i].said);
    }
}

/* Sizes near 2^63 and 2^64 in the field of 64 bits. */
static void test_zip64_refused(void)
{
    static const uint64_t sizes[] = {1ull << 63, UINT64_MAX, UINT64_MAX - 40, (1ull << 63) - 1, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int field = 0; field < 3; field++) {
            const wg_entry t = {.name = "a", .shape = WG_DIMS(1), .data = eighths(0)};
            wg_error error = {0};
            size_t size;
            assert_int_equal(wg_npz_write(in_folder("z.npz"), &t, 1, &error), WG_OK);
            unsigned char *bytes = (unsigned char *)get_file(in_folder("z.npz"), &size);
            unsigned char *central = bytes + size - 22 - 20 - 56 - (46 + 5 + 28);
            assert_int_equal(central[0], 'P');
            zip_put(central + 46 + 5 + 4 + 8 * field, sizes[i], 8);
            assert_null(wg_safetensors_parse(bytes, size, "z.npz", &error));
            assert_int_equal(error.status, WG_ERR_FORMAT);
            free(bytes);
        }
}

/* A file that is cut anywhere is refused; with any bit flipped it is refused, or has the same numbers. */
static void test_cut_and_flipped(void)
{
    unsigned char bytes[1024];
    const zip_places at = two_arrays(bytes);
    for (size_t size = 0; size < at.size; size++) {
        wg_error error = {0};
        assert_null(wg_safetensors_parse(bytes, size, "z.npz", &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
    }
    int accepted = 0;
    for (size_t bit = 0; bit < 8 * at.size; bit++) {
        wg_error error = {0};
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        wg_safetensors *f = wg_safetensors_parse(bytes, at.size, "z.npz", &error);
        assert_int_equal(f == NULL, error.status == WG_ERR_FORMAT);
        for (size_t i = 0; i < wg_safetensors_count(f); i++) {
            const wg_entry e = wg_safetensors_at(f, i);
            assert_true(e.bytes == 1 && *(const char *)e.data == 7);
        }
        accepted += f != NULL;
        wg_safetensors_close(f);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(accepted > 0 && accepted < (int)at.size * 8 / 2); /* dates, attributes, names, own headers */
}

/* ---- writing ---- */

static void test_written(void)
{
    static const float numbers[] = {1, -2, 3.5f, 0, 1e-30f, 7};
    static const double doubles[] = {1.0 / 3, -0.0};
    static const int32_t integers[] = {-1, 0, 7};
    const uint16_t halves[] = {0x3f80, 0xc000};
    const wg_entry tensors[] = {{.name = "w", .dtype = WG_F32, .shape = WG_DIMS(2, 3), .data = numbers},
                                {.name = "a/b", .dtype = WG_I32, .shape = WG_DIMS(3), .data = integers},
                                {.name = "mask", .dtype = WG_BOOL, .shape = WG_DIMS(3), .data = "\1\0\1"},
                                {.name = "none", .dtype = WG_F32, .shape = WG_DIMS(0, 2)},
                                {.name = "\xc3\xa9", .dtype = WG_F64, .shape = WG_DIMS(2), .data = doubles},
                                {.name = "bf", .dtype = WG_BF16, .shape = WG_DIMS(2), .data = halves},
                                {.name = "s", .dtype = WG_F32, .shape = WG_SCALAR, .data = numbers + 5}};
    enum { N = sizeof tensors / sizeof *tensors };
    wg_error error = {0};
    for (int i = -1; i < N; i++) { /* all as .npz, or each as .npy */
        const wg_status status = i < 0 ? wg_npz_write(in_folder("w"), tensors, N, &error)
                                       : wg_npy_write(in_folder("w"), &tensors[i], &error);
        if (status != WG_OK) fail_msg("%s", error.text);
        wg_safetensors *f = wg_safetensors_open(in_folder("w"), &error);
        if (!f) fail_msg("%s", error.text);
        assert_int_equal(wg_safetensors_count(f), i < 0 ? N : 1);
        for (int k = i < 0 ? 0 : i; k < (i < 0 ? N : i + 1); k++) {
            wg_entry e;
            assert_true(wg_safetensors_find(f, i < 0 ? tensors[k].name : "arr_0", &e));
            assert_true(e.dtype == tensors[k].dtype && wg_shape_equal(&e.shape, &tensors[k].shape));
            assert_true(e.bytes == 0 || memcmp(e.data, tensors[k].data, e.bytes) == 0);
        }
        wg_safetensors_close(f);
    }
    assert_int_equal(wg_npz_write(in_folder("w"), NULL, 0, &error), WG_OK);
    wg_safetensors *f = wg_safetensors_open(in_folder("w"), &error);
    assert_true(f && wg_safetensors_count(f) == 0);
    wg_safetensors_close(f);
}

static void test_write_refused(void)
{
    const float x = 1;
    const wg_entry good = {.name = "a", .shape = WG_DIMS(1), .data = &x};
    wg_entry two[] = {good, good};
    wg_error error = {0};
    assert_int_equal(wg_npz_write(in_folder("n"), two, 2, &error), WG_ERR_ARGUMENT);
    ASSERT_HAS(error.text, "a: duplicate name");
    static const char *const names[] = {"", "/a", "../a", "a/../b", "..", "a\\b", NULL, "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        two[1].name = names[i];
        error = (wg_error){0};
        assert_int_equal(wg_npz_write(in_folder("n"), two, 2, &error), WG_ERR_ARGUMENT);
        ASSERT_HAS(error.text, "name");
    }
    two[1] = (wg_entry){.name = "b", .dtype = WG_INT8, .shape = WG_DIMS(1), .data = &x};
    assert_int_equal(wg_npz_write(in_folder("n"), two, 2, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(in_folder("n"), &two[1], NULL), WG_ERR_ARGUMENT);
    two[1] = (wg_entry){.name = "b", .shape = WG_DIMS(1)};
    assert_int_equal(wg_npy_write(in_folder("n"), &two[1], NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(in_folder("n"), NULL, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npz_write(in_folder("n"), NULL, 1, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(NULL, &good, NULL), WG_ERR_ARGUMENT);
}

/* ---- faults ---- */

static wg_status read_one(const char *name, wg_error *error)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TENSORS, name);
    wg_safetensors *f = wg_safetensors_open(path, error);
    wg_safetensors_close(f);
    return f ? WG_OK : error->status;
}

static wg_status read_npz(wg_error *error) { return read_one("arrays.npz", error); }
static wg_status read_pt(wg_error *error) { return read_one("strided.pt", error); }
static wg_status write_npz(wg_error *error)
{
    const float x[] = {1, 2};
    const wg_entry two[] = {{.name = "a", .shape = WG_DIMS(1), .data = x},
                            {.name = "b", .shape = WG_DIMS(2), .data = x}};
    return wg_npz_write(in_folder("f"), two, 2, error);
}
#ifdef WG_HAVE_ZLIB
static wg_status read_deflated(wg_error *error) { return read_one("deflated.npz", error); }
#endif

/* Each allocation and each system call fails once. */
static void test_faults(void)
{
    static wg_status (*const calls[])(wg_error *) = {read_npz, read_pt, write_npz,
#ifdef WG_HAVE_ZLIB
                                                     read_deflated
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int allocation = 0; allocation < 2; allocation++) {
            int k = 0;
            wg_status status;
            do {
                wg_error error = {0};
                k++;
                fault_begin(allocation ? 0 : k, allocation ? k : 0, false);
                status = calls[i](&error);
                const long reached = allocation ? fault.allocations : fault.calls;
                fault_end();
                assert_int_equal(status == WG_OK, *error.text == 0);
                if (status != WG_OK) assert_int_equal(status, allocation ? WG_ERR_MEMORY : WG_ERR_IO);
                if (reached < k) break; /* there is no k-th */
            } while (k < 1000);
            assert_true(status == WG_OK && k > 3 && k < 1000);
        }
}

/* Files that say to be large take little memory. */
static void case_asks_memory(void)
{
    unsigned char bytes[1024];
    wg_error error = {0};
    fault_begin(0, 0, false);
    wg_safetensors *f = open_npy(1, NPY("<f8", "True", "(1073741824, 1073741824)"), 8, &error);
    assert_null(f);
    zip_places at = two_arrays(bytes);
    zip_put(bytes + at.central[1] + 20, 0xf0000000f0000000, 8);
    assert_null(wg_safetensors_parse(bytes, at.size, "z.npz", &error));
    assert_null(open_pickle(PICKLE(REBUILD("K\6", "K\0\x8a\4\xff\xff\xff\x7f\x85K\0\x85")), &error));
    assert_true(fault.largest < 1 << 16);
    fault_end();
}

#ifdef WG_HAVE_ZLIB
/* An archive of one deflated array, of n zeros or noise, that says to have `said` bytes. */
static size_t deflated_archive(unsigned char *to, size_t room, size_t n, bool noise, uint32_t said)
{
    z_stream s = {0};
    unsigned char *content = calloc(n, 1), *packed = malloc(room);
    for (size_t i = 80; noise && i < n; i++) content[i] = (unsigned char)(i * i * 2654435761u >> 20);
    memset(content, ' ', 80);
    memcpy(content, "\x93NUMPY\1\0\x46\0", 10);
    char header[70];
    const int length =
        snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%u,)}", said - 80);
    memcpy(content + 10, header, (size_t)length);
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_in = content, s.avail_in = (unsigned)n, s.next_out = packed, s.avail_out = (unsigned)room;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    deflateEnd(&s);
    const zip_part part = {"a.npy", packed, room - s.avail_out};
    const zip_places at = zip_file(to, &part, 1);
    zip_put(to + at.central[0] + 10, 8, 2);
    zip_put(to + at.central[0] + 16, crc32(0, content, (unsigned)n), 4);
    zip_put(to + at.central[0] + 24, said, 4);
    free(content);
    free(packed);
    return at.size;
}

static void case_bomb(void)
{
    enum { ROOM = 3 << 20, MANY = 80 << 20 };
    static const struct {
        size_t n;
        bool noise;
        uint32_t said;
        const char *reason;
    } rows[] = {{1 << 20, false, 1 << 20, NULL},
                {1 << 20, true, 1 << 20, NULL},
                {MANY, false, MANY, "its members have more than 67108864 bytes, the limit"},
                {1 << 20, false, 32 << 20, "says to be larger than deflate could make it"},
                {1 << 20, true, 60 << 20, "is shorter than it says"},
                {1 << 20, true, 1 << 19, "checksum mismatch"}};
    unsigned char *bytes = malloc(ROOM);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        const size_t size = deflated_archive(bytes, ROOM - 1024, rows[i].n, rows[i].noise, rows[i].said);
        fault_begin(0, 0, false);
        wg_safetensors *f = wg_safetensors_parse(bytes, size, "z.npz", &error);
        assert_true(fault.largest < 3 << 20);
        fault_end();
        if (!f != !!rows[i].reason) fail_msg("row %zu: %s", i, error.text);
        if (rows[i].reason) ASSERT_HAS(error.text, rows[i].reason);
        wg_safetensors_close(f);
    }
    free(bytes);
}
#endif

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_pt),
        TEST_CASE(test_pt_checkpoint),
        TEST_CASE(test_pt_into_layer),
        TEST_CASE(test_pickle_accepted),
        TEST_CASE(test_pickle_refused),
        TEST_CASE(test_opcodes),
        TEST_CASE(case_names_multiply),
        TEST_CASE(test_npz),
        TEST_CASE(test_npy),
        TEST_CASE(test_npy_refused),
        TEST_CASE(test_entry_read),
        TEST_CASE(test_zip_refused),
        TEST_CASE(test_zip64_refused),
        TEST_CASE(test_cut_and_flipped),
        TEST_CASE(test_written),
        TEST_CASE(test_write_refused),
        TEST_CASE(test_faults),
        TEST_CASE(case_asks_memory),
#ifdef WG_HAVE_ZLIB
        TEST_CASE(case_bomb),
#endif
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
